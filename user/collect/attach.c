/* SPDX-License-Identifier: MIT */
/*
 * attach.c - loads the BPF programs that a mode needs, links them, consumes their ring.
 *
 * Two ways to arm a probe:
 *
 *   uprobe_multi  one raw BPF link a probe: needs CAP_BPF and CAP_PERFMON only and detaches in
 *                 milliseconds. Used when the kernel has it with a filter by process that is right
 * (6.10, and stable kernels since 6.6 that have the fix). perf events   everywhere else; needs
 * CAP_SYS_ADMIN.
 *
 * Order: the exit and exec programs are linked before the probes, so that a target that ends during
 * the attach is seen to end. Closing goes the other way round. What the kernel does when this
 * process dies is the same: all links are files of ours.
 *
 * The ring's record heads come from our own BPF programs; logs in them come from the target: every
 * number is checked before it is passed on. Memory order of the ring is libbpf's business.
 */
#define _GNU_SOURCE
#include "collect/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "collect/link_keeper.h"
#include "collect/uprobe_multi.h"
#include "ring.bpf.h"

#include "mmviz.skel.h" /* after the types of its variables */

#define RING_BYTES_DEFAULT (64u << 20)
#define LAST_WORDS_SHARE   16 /* of the ring is kept for the numbers of a target's last logs */
#define DRAIN_IS_COMPLETE  (-ECANCELED) /* stops libbpf's loop */
#define CHOSEN_BLOCKS_MAX  (1u << 18)

/* The programs that sit on probes, in the order in which they are armed. */
enum probe_index {
	PROBE_RESET,
	PROBE_ARENA,
	PROBE_SAMPLE_FREE,
	PROBE_SAMPLE,
	PROBE_FREE,
	PROBE_ALLOC,
	PROBE_BATCH,
	PROBE_STACK,
	PROBES
};
static const char *const probe_names[PROBES] = {"arena", "arena", "sample_free", "sample",
						"free",	 "alloc", "batch",	 "stack"};

struct attach {
	struct mmviz_bpf *skeleton;
	struct ring_buffer *ring;
	struct attach_callbacks callbacks;
	struct bpf_link *perf_links[PROBES];
	int multi_links[PROBES];    /* fds; -1: none */
	struct link_keeper *keeper; /* of the batch probe; NULL: none */
	uint32_t ring_bytes;
	uint64_t batches, malformed_batches;
	uint64_t drained_bytes; /* by the drain under way */
	int drained_records;
	bool has_ended;
	const volatile uint64_t *consumer_position, *producer_position;
};

static bool has_probe(const struct attach_options *options, enum probe_index probe,
		      bool wants_samples)
{
	enum attach_mode mode = options->mode;

	switch (probe) {
	case PROBE_BATCH:
		return mode == ATTACH_EXACT;
	case PROBE_STACK:
		return options->all_stacks && mode != ATTACH_EVENTS; /* which choose by tag */
	case PROBE_ALLOC:
	case PROBE_FREE:
	case PROBE_RESET:
		return mode == ATTACH_EVENTS;
	default:
		return mode == ATTACH_SAMPLED || (mode == ATTACH_EXACT && wants_samples);
	}
}

static void programs_by_probe(const struct mmviz_bpf *skeleton, struct bpf_program **out)
{
	out[PROBE_RESET] = skeleton->progs.on_reset;
	out[PROBE_ARENA] = skeleton->progs.on_arena;
	out[PROBE_SAMPLE_FREE] = skeleton->progs.on_sample_free;
	out[PROBE_SAMPLE] = skeleton->progs.on_sample;
	out[PROBE_FREE] = skeleton->progs.on_free;
	out[PROBE_ALLOC] = skeleton->progs.on_alloc;
	out[PROBE_BATCH] = skeleton->progs.on_batch;
	out[PROBE_STACK] = skeleton->progs.on_stack;
}

/* ------------------------------------------------------------------ errors */

__attribute__((format(printf, 2, 3))) static int refuse(int error, const char *format, ...)
{
	va_list arguments;

	fputs("mmviz-bpf: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return error;
}

static int refuse_errno(int error, const char *what)
{
	bool is_forbidden = error == -EPERM || error == -EACCES;

	if (is_forbidden && geteuid() != 0)
		return refuse(error, "%s: not permitted; run mmviz-bpf as root: sudo mmviz-bpf ...",
			      what);
	if (is_forbidden)
		return refuse(error,
			      "%s: not permitted even for root; `mmviz-bpf doctor` says what is "
			      "missing",
			      what);
	if (error == -ENOMEM)
		return refuse(error, "%s: out of memory", what);
	return refuse(error,
		      "%s: %s; `mmviz-bpf doctor` says what this kernel lacks, -v what libbpf says",
		      what, strerror(-error));
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static int print_to_stderr(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, arguments);
}

/* ------------------------------------------------------------------ loading */

/*
 * The target's pid as seen in its own pid namespace, and that namespace: what the tracepoints
 * compare, and right whether we or the target are in a container or not.
 */
static int describe_target(const struct target *target, struct mmviz_bpf *skeleton)
{
	char path[64], line[256];
	struct stat namespace;
	unsigned tgid = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)target_pid(target));
	if (stat(path, &namespace) != 0)
		return errno == ENOENT ? -ESRCH : -errno;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)target_pid(target));
	status = fopen(path, "re");
	if (status == NULL)
		return -ESRCH;
	while (fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, "NSpid:", 6) == 0)
			tgid = (unsigned)atoi(strrchr(line, '\t'));
	fclose(status);
	skeleton->rodata->namespace_dev =
		(uint64_t)major(namespace.st_dev) << 20 | minor(namespace.st_dev);
	skeleton->rodata->namespace_inode = namespace.st_ino;
	skeleton->rodata->target_tgid = tgid;
	return tgid != 0 ? 0 : -ESRCH;
}

static int configure(struct attach *attach, const struct target *target,
		     const struct attach_options *options, bool uses_multi)
{
	struct mmviz_bpf *skeleton = attach->skeleton;
	struct bpf_program *programs[PROBES];
	int error = describe_target(target, skeleton);

	if (error != 0)
		return error;
	skeleton->rodata->registry_addr = target_registry_addr(target);
	skeleton->data->wakeup_bytes = attach->ring_bytes / 4;
	skeleton->rodata->room_bytes = attach->ring_bytes - attach->ring_bytes / LAST_WORDS_SHARE -
				       sizeof(struct ring_log);
	skeleton->rodata->copies_tails = options->mode == ATTACH_EXACT;
	skeleton->rodata->copies_stacks = attach->callbacks.sample != NULL;
	programs_by_probe(skeleton, programs);
	for (int i = 0; i < PROBES; i++) {
		bpf_program__set_autoload(programs[i],
					  has_probe(options, i, attach->callbacks.sample));
		if (uses_multi)
			bpf_program__set_expected_attach_type(
				programs[i], (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE);
	}
	/* Since Linux 6.10: without it an exec shows itself by unreadable memory. */
	if (bpf_program__set_attach_target(skeleton->progs.on_exec, 0, "sched_prepare_exec") != 0)
		bpf_program__set_autoload(skeleton->progs.on_exec, false);
	error = bpf_map__set_max_entries(skeleton->maps.chosen_blocks,
					 options->mode == ATTACH_EVENTS ? CHOSEN_BLOCKS_MAX : 1);
	return error ?: bpf_map__set_max_entries(skeleton->maps.ring, attach->ring_bytes);
}

static int load(struct attach *attach, const struct target *target,
		const struct attach_options *options, bool uses_multi)
{
	int error;

	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		return refuse(-EOPNOTSUPP,
			      "/sys/kernel/btf/vmlinux cannot be read: %m; a kernel built with "
			      "CONFIG_DEBUG_INFO_BTF and a mounted /sys are needed");
	attach->skeleton = mmviz_bpf__open();
	if (attach->skeleton == NULL)
		return refuse_errno(-errno, "opening the BPF programs");
	error = configure(attach, target, options, uses_multi);
	if (error == -ESRCH)
		return refuse(error, "process %d ended while it was being attached",
			      (int)target_pid(target));
	if (error == 0)
		error = mmviz_bpf__load(attach->skeleton);
	return error != 0 ? refuse_errno(error, "loading the BPF programs") : 0;
}

/* ------------------------------------------------------------------ linking */

static int link_end_programs(struct attach *attach)
{
	struct mmviz_bpf *skeleton = attach->skeleton;

	skeleton->links.on_exit = bpf_program__attach(skeleton->progs.on_exit);
	if (skeleton->links.on_exit == NULL)
		return refuse_errno(-errno, "attaching to sched_process_exit");
	if (!bpf_program__autoload(skeleton->progs.on_exec))
		return 0;
	skeleton->links.on_exec = bpf_program__attach(skeleton->progs.on_exec);
	if (skeleton->links.on_exec == NULL)
		return refuse_errno(-errno, "attaching to sched_prepare_exec");
	return 0;
}

static int link_probe_perf(struct attach *attach, const struct target *target,
			   const struct target_probe *place, struct bpf_program *program, int probe)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options, .ref_ctr_offset = place->semaphore_offset);

	attach->perf_links[probe] = bpf_program__attach_uprobe_opts(program, target_pid(target),
								    target_probe_path(target),
								    place->file_offset, &options);
	return attach->perf_links[probe] != NULL ? 0 : -errno;
}

static int link_probe(struct attach *attach, const struct target *target,
		      struct bpf_program *program, int probe, bool uses_multi)
{
	struct target_probe place;
	char what[64];
	int error;

	if (target_probe_find(target, probe_names[probe], &place) != 0)
		return refuse(-ENODATA,
			      "process %d has no probe mmviz:%s, which this mode needs; rebuild it "
			      "with this libmmviz",
			      (int)target_pid(target), probe_names[probe]);
	if (uses_multi) {
		error = uprobe_multi_link(bpf_program__fd(program), target_probe_path(target),
					  place.file_offset, place.semaphore_offset,
					  target_pid(target));
		attach->multi_links[probe] = error;
	} else {
		error = link_probe_perf(attach, target, &place, program, probe);
	}
	if (error >= 0)
		return 0;
	if (target_is_gone(target))
		return refuse(-ESRCH, "process %d ended while it was being attached",
			      (int)target_pid(target));
	snprintf(what, sizeof(what), "arming the probe mmviz:%s", probe_names[probe]);
	return refuse_errno(error, what);
}

static int link_probes(struct attach *attach, const struct target *target, bool uses_multi)
{
	struct bpf_program *programs[PROBES];
	int error = 0;

	programs_by_probe(attach->skeleton, programs);
	for (int i = 0; i < PROBES && error == 0; i++)
		if (bpf_program__autoload(programs[i]))
			error = link_probe(attach, target, programs[i], i, uses_multi);
	return error;
}

/* Without it (the perf path, or no process to be had) the program throws batches away instead. */
static void start_keeper(struct attach *attach, const struct target *target)
{
	struct target_probe place;

	if (attach->multi_links[PROBE_BATCH] < 0 ||
	    target_probe_find(target, probe_names[PROBE_BATCH], &place) != 0)
		return;
	link_keeper_start(
		&(struct link_keeper_place){
			.prog_fd = bpf_program__fd(attach->skeleton->progs.on_batch),
			.pidfd = target_pidfd(target),
			.path = target_probe_path(target),
			.offset = place.file_offset,
			.semaphore_offset = place.semaphore_offset,
			.pid = target_pid(target),
		},
		&attach->keeper);
}

int attach_follow(struct attach *attach, bool is_on)
{
	int *link = &attach->multi_links[PROBE_BATCH], made;

	attach->skeleton->bss->discards_batches = !is_on;
	if (attach->keeper == NULL || is_on == (*link >= 0))
		return 0;
	if (!is_on) {
		close(*link);
		*link = -1;
		return 0;
	}
	made = link_keeper_link(attach->keeper);
	if (made < 0)
		return made;
	*link = made;
	return 0;
}

void attach_set_wakeup(struct attach *attach, uint64_t bytes)
{
	uint64_t most = attach->ring_bytes / 4;

	attach->skeleton->data->wakeup_bytes = bytes < most ? bytes : most;
}

/* ------------------------------------------------------------------ what comes out of the ring */

/*
 * A log is taken when the events that its numbers promise were copied. Of a tail that is torn the
 * heap's seq still counts: it shows how much is missing.
 */
static void deliver_log(struct attach *attach, const struct ring_log *record, size_t bytes)
{
	const struct mmviz_log *log = &record->log;
	struct attach_batch batch = {
		.arena_id = log->arena_id,
		.heap_id = log->heap_id,
		.thread_id = log->thread_id,
		.first = log->first,
		.next = log->next,
		.first_ns = log->first_ns,
		.handed_over_ns = record->head.at_ns,
		.is_final_tail = record->head.kind == RING_TAIL,
		.final_seq = record->head.kind == RING_TAIL ? log->seq : 0,
		.events = log->events,
	};

	if (bytes < offsetof(struct ring_log, log) + record->log_bytes ||
	    record->log_bytes < MMVIZ_LOG_HEAD_BYTES ||
	    batch.next - batch.first >
		    (record->log_bytes - MMVIZ_LOG_HEAD_BYTES) / sizeof(struct mmviz_event)) {
		attach->malformed_batches++;
		if (!batch.is_final_tail)
			return;
		batch.next = batch.first;
	}
	attach->batches++;
	if (attach->callbacks.batch != NULL)
		attach->callbacks.batch(attach->callbacks.context, &batch);
}

static void deliver_event(struct attach *attach, const struct ring_event *record)
{
	struct attach_event event = {
		.at_ns = record->head.at_ns,
		.addr = record->addr,
		.bytes = record->bytes,
		.lifetime_ns = record->is_free ? record->head.at_ns - record->birth_ns : 0,
		.weight = (double)RING_CERTAIN / (double)record->chance,
		.arena_id = record->arena_id,
		.context = record->context,
		.thread_id = record->head.thread_id,
		.birth_thread_id = record->birth_thread_id,
		.is_free = record->is_free,
		.is_outdated = record->slot != attach->skeleton->bss->settings_slot,
	};

	memcpy(event.comm, record->comm, sizeof(event.comm) - 1);
	if (record->head.kind == RING_EVENT_LABELLED)
		memcpy(event.label, record->label, sizeof(event.label) - 1);
	if (attach->callbacks.event != NULL)
		attach->callbacks.event(attach->callbacks.context, &event);
}

static void deliver_arena(struct attach *attach, const struct ring_arena *record)
{
	if (attach->callbacks.arena_empty != NULL)
		attach->callbacks.arena_empty(attach->callbacks.context,
					      (uint32_t)record->arena_id);
}

static void deliver_sample(struct attach *attach, const struct ring_sample *record)
{
	bool has_stack = record->head.kind == RING_SAMPLE;
	const struct attach_sample sample = {
		.at_ns = record->head.at_ns,
		.addr = record->addr,
		.bytes = record->bytes,
		.weight_bytes = record->weight_bytes,
		.arena_id = record->arena_id,
		.context = record->context,
		.thread_id = record->head.thread_id,
		.is_free = record->head.kind == RING_SAMPLE_FREE,
		.registers = has_stack ? record->registers : NULL,
		.stack_addr = record->stack_addr,
		.stack = has_stack ? record->stack : NULL,
		.stack_bytes = record->stack_bytes,
	};

	if (attach->callbacks.sample != NULL)
		attach->callbacks.sample(attach->callbacks.context, &sample);
}

/* RING_END_* and ATTACH_END_* are one list in two headers that must not meet. */
_Static_assert(RING_END_EXIT == (int)ATTACH_END_EXIT && RING_END_EXEC == (int)ATTACH_END_EXEC,
	       "ends have the same numbers");

static void deliver_end(struct attach *attach, const struct ring_end *record)
{
	if (attach->has_ended)
		return;
	attach->has_ended = true;
	if (attach->callbacks.end != NULL)
		attach->callbacks.end(attach->callbacks.context, (enum attach_end)record->how,
				      record->exit_code);
}

static int on_record(void *context, void *data, size_t bytes)
{
	struct attach *attach = context;
	const struct ring_head *head = data;

	switch (head->kind) {
	case RING_BATCH:
	case RING_TAIL:
		deliver_log(attach, data, bytes);
		break;
	case RING_EVENT:
	case RING_EVENT_LABELLED:
		deliver_event(attach, data);
		break;
	case RING_SAMPLE:
	case RING_SAMPLE_BARE:
	case RING_SAMPLE_FREE:
		deliver_sample(attach, data);
		break;
	case RING_ARENA_EMPTY:
		deliver_arena(attach, data);
		break;
	case RING_END:
		deliver_end(attach, data);
		break;
	}
	attach->drained_records++;
	attach->drained_bytes += bytes;
	return attach->drained_bytes < attach->ring_bytes ? 0 : DRAIN_IS_COMPLETE;
}

/* What lay in the ring at the start is at most its size: a target that is faster than we are cannot
 * keep us here. */
int attach_drain(struct attach *attach)
{
	int result;

	attach->drained_records = 0;
	attach->drained_bytes = 0;
	result = ring_buffer__consume(attach->ring);
	return result < 0 && result != DRAIN_IS_COMPLETE ? result : attach->drained_records;
}

/* ------------------------------------------------------------------ the ring */

/* The kernel's two positions: the consumer's page comes first, then the producer's. */
static int map_positions(struct attach *attach)
{
	int fd = bpf_map__fd(attach->skeleton->maps.ring);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	void *producer = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);

	attach->consumer_position = consumer != MAP_FAILED ? consumer : NULL;
	attach->producer_position = producer != MAP_FAILED ? producer : NULL;
	return consumer != MAP_FAILED && producer != MAP_FAILED ? 0 : -errno;
}

static int open_ring(struct attach *attach)
{
	int error = map_positions(attach);

	if (error == 0) {
		attach->ring = ring_buffer__new(bpf_map__fd(attach->skeleton->maps.ring), on_record,
						attach, NULL);
		error = attach->ring != NULL ? 0 : -errno;
	}
	return error != 0 ? refuse_errno(error, "mapping the ring buffer") : 0;
}

static void unmap_position(const volatile uint64_t *position)
{
	if (position != NULL)
		munmap((void *)position, (size_t)sysconf(_SC_PAGESIZE));
}

/* One of the counters, of all CPUs. */
static uint64_t count_of(const struct attach *attach, size_t offset)
{
	const char *counters = (const char *)attach->skeleton->bss->counters;
	uint64_t sum = 0;

	for (size_t cpu = 0; cpu < RING_CPUS; cpu++)
		sum += *(const volatile uint64_t *)(counters + cpu * sizeof(struct ring_counters) +
						    offset);
	return sum;
}

void attach_event_counters_read(const struct attach *attach, struct attach_event_counters *out)
{
	uint64_t ended = count_of(attach, offsetof(struct ring_counters, ended));

	*out = (struct attach_event_counters){
		.hits = count_of(attach, offsetof(struct ring_counters, hits)),
		.allocations = count_of(attach, offsetof(struct ring_counters, allocations)),
		.allocated_bytes =
			count_of(attach, offsetof(struct ring_counters, allocated_bytes)),
		.told = count_of(attach, offsetof(struct ring_counters, told)),
		.dropped = count_of(attach, offsetof(struct ring_counters, dropped)),
		.remembered = count_of(attach, offsetof(struct ring_counters, remembered)) - ended,
		.remembered_max = CHOSEN_BLOCKS_MAX,
	};
}

void attach_counters_read(const struct attach *attach, struct attach_counters *out)
{
	const struct mmviz_bpf *skeleton = attach->skeleton;

	*out = (struct attach_counters){
		.batches = attach->batches,
		.dropped_batches = skeleton->bss->dropped_batches + skeleton->bss->dropped_samples +
				   count_of(attach, offsetof(struct ring_counters, dropped)),
		.copy_failures = skeleton->bss->copy_failures + attach->malformed_batches,
		.ring_used_bytes = *attach->producer_position - *attach->consumer_position,
		.ring_bytes = attach->ring_bytes,
	};
}

int attach_poll_fd(const struct attach *attach)
{
	return ring_buffer__epoll_fd(attach->ring);
}

static void fill_chances(struct ring_settings *settings, const struct attach_choice *choice)
{
	if (!choice->is_by_bytes) {
		settings->chance = RING_CERTAIN / choice->sample;
		return;
	}
	for (int i = 0; i < RING_SIZE_BITS; i++) {
		double spared = exp(-ldexp(1, i) / (double)choice->sample) * (double)RING_CERTAIN;

		settings->spared[i] =
			spared < (double)RING_CERTAIN ? (uint64_t)spared : RING_CERTAIN - 1;
	}
}

/* The programs may be reading the slot that counts: the next one is written, then made to count. */
int attach_choose(struct attach *attach, const struct attach_choice *choice)
{
	struct mmviz_bpf__bss *shared = attach->skeleton->bss;
	uint32_t slot = (shared->settings_slot + 1) % RING_SETTINGS_SLOTS;
	struct ring_settings settings = {
		.min_bytes = choice->min_bytes,
		.max_bytes = choice->max_bytes,
		.context = choice->context,
		.thread_id = choice->thread_id,
	};

	if (choice->sample == 0 || choice->min_bytes > choice->max_bytes ||
	    (!choice->is_by_bytes && choice->sample > UINT32_MAX))
		return -EINVAL;
	fill_chances(&settings, choice);
	memcpy((void *)&shared->settings[slot], &settings, sizeof(settings));
	__atomic_store_n(&shared->settings_slot, slot, __ATOMIC_RELEASE);
	return 0;
}

/* ------------------------------------------------------------------ open, close */

static int choose_first(struct attach *attach, const struct attach_options *options)
{
	const struct attach_choice everything = ATTACH_EVERYTHING;
	int error = 0;

	if (options->mode == ATTACH_EVENTS)
		error = attach_choose(attach,
				      options->choice.sample != 0 ? &options->choice : &everything);
	return error != 0 ? refuse_errno(error, "choosing events") : 0;
}

int attach_open(struct target *target, const struct attach_options *options,
		const struct attach_callbacks *callbacks, struct attach **out)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	bool uses_multi;
	int error;

	if (attach == NULL)
		return refuse_errno(-ENOMEM, "attaching");
	libbpf_set_print(options->is_verbose ? print_to_stderr : print_nothing);
	attach->callbacks = *callbacks;
	attach->ring_bytes = options->ring_bytes != 0 ? options->ring_bytes : RING_BYTES_DEFAULT;
	memset(attach->multi_links, -1, sizeof(attach->multi_links));
	uses_multi = !options->force_perf && uprobe_multi_is_supported();
	error = load(attach, target, options, uses_multi);
	if (error == 0)
		error = choose_first(attach, options);
	if (error == 0)
		error = open_ring(attach);
	if (error == 0)
		error = link_end_programs(attach);
	if (error == 0)
		error = link_probes(attach, target, uses_multi);
	if (error == 0 && options->may_unfollow && options->mode == ATTACH_EXACT)
		start_keeper(attach, target);
	if (error != 0) {
		attach_close(attach);
		return error;
	}
	*out = attach;
	return 0;
}

void attach_disarm(struct attach *attach)
{
	for (int i = 0; i < PROBES; i++) {
		if (attach->multi_links[i] >= 0)
			close(attach->multi_links[i]);
		attach->multi_links[i] = -1;
		bpf_link__destroy(attach->perf_links[i]);
		attach->perf_links[i] = NULL;
	}
}

void attach_close(struct attach *attach)
{
	if (attach == NULL)
		return;
	attach_disarm(attach);
	link_keeper_stop(attach->keeper);
	ring_buffer__free(attach->ring);
	unmap_position(attach->consumer_position);
	unmap_position(attach->producer_position);
	mmviz_bpf__destroy(attach->skeleton);
	free(attach);
}
