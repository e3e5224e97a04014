/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - a queue, a thread, a table.
 *
 *	stacks_take -> queue -> thread: unwind -> table        (lock: queue; then table)
 *	                                names, when the queue is empty
 *
 * The queue is a list of copies, bounded in bytes: at STACK_BYTES_MAX samples are queued without
 * their stack. The end of a block is never left out but for want of memory: what was freed would
 * stay live for ever.
 *
 * Modules, unwinder and symbols belong to the thread alone. Names of an address are found once, at
 * the first stack that has it, and kept: they tell what was there when the sample was taken. Code
 * that nobody has named yet is asked for some times more: a just-in-time compiler may tell later.
 */
#define _GNU_SOURCE
#include "collect/stacks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "collect/retry.h"
#include "collect/unwind.h"

#define STACK_BYTES_MAX (64u << 20) /* as much as a full ring */
#define DEPTH_MAX	128
#define RED_ZONE_BYTES	128
#define PLACES_MAX	(256u << 10)
#define CACHE_BYTES	(1u << 20) /* of symbols: the places here are the cache */
#define THREAD_NICE	5	   /* who takes events in goes before, and so does the target */

struct item {
	struct item *next;
	struct stack_sample sample;
	bool is_free, is_reset, is_names; /* names: `stack` holds addresses */
	uint64_t registers[UNWIND_REGISTERS];
	uint64_t stack_addr;
	size_t stack_bytes;
	char stack[];
};

/* An address and its names, once they are found. */
struct place {
	uint64_t addr;
	struct place *next_in_bucket, *next_unnamed;
	uint32_t frames_count; /* 0: not found yet */
	struct stacks_frame *frames;
	struct stacks_frame *older_frames; /* that snapshots may still refer to */
	uint32_t tries;
	uint64_t due_ns; /* CLOCK_MONOTONIC of the next try */
};
#define PLACE_BUCKETS 16384
#define TRIES_MAX     10
#define TRY_PERIOD_NS 1000000000ull

struct stacks {
	pthread_t thread;
	bool is_started;

	pthread_mutex_t queue_lock;
	pthread_cond_t queue_filled, queue_drained;
	struct item *first, **last;
	size_t queued_bytes;
	bool is_busy, is_closing;
	uint64_t samples, lost;

	pthread_mutex_t table_lock;
	struct stack_table *table;
	uint64_t without_stack;
	struct place *places[PLACE_BUCKETS];
	uint32_t places_count, unnamed_count;

	/* Of the thread: */
	struct place *first_unnamed, **last_unnamed;
	struct place *first_nameless, **last_nameless; /* tried again, in order of due_ns */
	struct modules *modules;
	struct unwind *unwind;
	struct symbols *symbols;
};

/* ------------------------------------------------------------------ the queue */

static void put(struct stacks *stacks, struct item *item)
{
	pthread_mutex_lock(&stacks->queue_lock);
	item->next = NULL;
	*stacks->last = item;
	stacks->last = &item->next;
	__atomic_fetch_add(&stacks->queued_bytes, item->stack_bytes, __ATOMIC_RELAXED);
	stacks->samples += !item->is_free && !item->is_reset && !item->is_names;
	pthread_cond_signal(&stacks->queue_filled);
	pthread_mutex_unlock(&stacks->queue_lock);
}

/* From the red zone on: what lies below it is dead. */
static size_t live_part(const struct attach_sample *sample, uint64_t *addr)
{
	uint64_t from, end = sample->stack_addr + sample->stack_bytes;

	if (sample->registers == NULL)
		return 0;
	from = sample->registers[UNWIND_RSP] - RED_ZONE_BYTES;
	if (from < sample->stack_addr || from > end)
		from = sample->stack_addr;
	*addr = from;
	return end - from;
}

void stacks_take(struct stacks *stacks, const struct attach_sample *sample, uint64_t mean_bytes)
{
	uint64_t from = 0;
	size_t bytes = live_part(sample, &from);
	struct item *item;

	/* Without the lock: meanwhile it can only get smaller. */
	if (__atomic_load_n(&stacks->queued_bytes, __ATOMIC_RELAXED) + bytes > STACK_BYTES_MAX)
		bytes = 0;
	item = malloc(sizeof(*item) + bytes);
	if (item == NULL) {
		__atomic_fetch_add(&stacks->lost, 1, __ATOMIC_RELAXED);
		return;
	}
	item->sample = (struct stack_sample){
		.addr = sample->addr,
		.bytes = sample->bytes,
		.arena_id = sample->arena_id,
		.weight_bytes = sample->weight_bytes,
		.mean_bytes = mean_bytes,
	};
	item->is_free = sample->is_free;
	item->is_reset = item->is_names = false;
	item->stack_bytes = bytes;
	item->stack_addr = from;
	if (bytes > 0) {
		memcpy(item->registers, sample->registers, sizeof(item->registers));
		memcpy(item->stack, (const char *)sample->stack + (from - sample->stack_addr),
		       bytes);
	}
	put(stacks, item);
}

void stacks_reset_arena(struct stacks *stacks, uint32_t arena_id)
{
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL) {
		__atomic_fetch_add(&stacks->lost, 1, __ATOMIC_RELAXED);
		return;
	}
	item->is_reset = true;
	item->sample.arena_id = arena_id;
	put(stacks, item);
}

void stacks_want_names(struct stacks *stacks, const uint64_t *addrs, uint32_t count)
{
	size_t bytes = count * sizeof(*addrs);
	struct item *item = count > 0 ? calloc(1, sizeof(*item) + bytes) : NULL;

	if (item == NULL)
		return;
	item->is_names = true;
	item->stack_bytes = bytes;
	memcpy(item->stack, addrs, bytes);
	put(stacks, item);
}

/* ------------------------------------------------------------------ names */

static struct place *find_place(struct stacks *stacks, uint64_t addr)
{
	struct place *place = stacks->places[addr * 0x9e3779b97f4a7c15 >> 50];

	while (place != NULL && place->addr != addr)
		place = place->next_in_bucket;
	return place;
}

static void append_place(struct place ***last, struct place *place)
{
	place->next_unnamed = NULL;
	**last = place;
	*last = &place->next_unnamed;
}

static struct place *take_place(struct place **first, struct place ***last)
{
	struct place *place = *first;

	*first = place->next_unnamed;
	if (*first == NULL)
		*last = first;
	return place;
}

/* Under the table's lock. */
static void want_name(struct stacks *stacks, uint64_t addr)
{
	struct place **bucket = &stacks->places[addr * 0x9e3779b97f4a7c15 >> 50];
	struct place *place;

	if (find_place(stacks, addr) != NULL || stacks->places_count == PLACES_MAX)
		return;
	place = calloc(1, sizeof(*place));
	if (place == NULL)
		return;
	place->addr = addr;
	place->next_in_bucket = *bucket;
	*bucket = place;
	append_place(&stacks->last_unnamed, place);
	stacks->places_count++;
	stacks->unnamed_count++;
}

static char *append(char **text, const char *from)
{
	char *start = *text;

	*text = stpcpy(start, from) + 1;
	return start;
}

/* A copy of an answer in one block: frames, then text. NULL: no memory. */
static struct stacks_frame *copy_frames(const struct symbol_place *place)
{
	size_t bytes = place->frames_count * sizeof(struct stacks_frame) + strlen(place->module) +
		       strlen(place->build_id) + 2;
	struct stacks_frame *frames;
	char *text, *module, *build_id;

	for (uint32_t i = 0; i < place->frames_count; i++)
		bytes += strlen(place->frames[i].function) + strlen(place->frames[i].file) + 2;
	frames = malloc(bytes);
	if (frames == NULL)
		return NULL;
	text = (char *)(frames + place->frames_count);
	module = append(&text, place->module);
	build_id = append(&text, place->build_id);
	for (uint32_t i = 0; i < place->frames_count; i++)
		frames[i] = (struct stacks_frame){
			.addr = place->addr,
			.function = append(&text, place->frames[i].function),
			.file = append(&text, place->frames[i].file),
			.module = module,
			.build_id = build_id,
			.module_offset = place->module_offset,
			.line = place->frames[i].line,
			.is_inlined = place->frames[i].is_inlined,
			.is_own = place->is_own,
		};
	return frames;
}

/* Under the table's lock. No name again: what it had stays. */
static void set_names(struct place *place, struct stacks_frame *frames, uint32_t count)
{
	if (frames == NULL)
		return;
	place->older_frames = place->frames;
	place->frames = frames;
	place->frames_count = count;
}

/* Name one address. The slow part happens without a lock: only this thread changes places. */
static void name_next(struct stacks *stacks)
{
	struct place *place = stacks->first_unnamed;
	const struct symbol_place *answer = symbols_resolve(stacks->symbols, place->addr);
	bool is_nameless = answer != NULL && answer->source == SYMBOL_UNKNOWN &&
			   answer->module[0] == '\0' && place->tries < TRIES_MAX;
	struct stacks_frame *frames =
		answer == NULL || (is_nameless && place->tries > 0) ? NULL : copy_frames(answer);

	pthread_mutex_lock(&stacks->table_lock);
	take_place(&stacks->first_unnamed, &stacks->last_unnamed);
	stacks->unnamed_count -= place->tries == 0;
	set_names(place, frames, frames != NULL ? answer->frames_count : 0);
	pthread_mutex_unlock(&stacks->table_lock);
	place->tries++;
	if (is_nameless) {
		place->due_ns = retry_now_ns() + TRY_PERIOD_NS;
		append_place(&stacks->last_nameless, place);
	}
}

/* Move what is due to the places that want a name. */
static void try_nameless(struct stacks *stacks)
{
	uint64_t now_ns = retry_now_ns();

	while (stacks->first_nameless != NULL && stacks->first_nameless->due_ns <= now_ns)
		append_place(&stacks->last_unnamed,
			     take_place(&stacks->first_nameless, &stacks->last_nameless));
}

/* ------------------------------------------------------------------ the thread */

static uint32_t unwind_item(struct stacks *stacks, const struct item *item, uint64_t *addrs,
			    bool *is_complete)
{
	struct unwind_frame frames[DEPTH_MAX];
	struct unwind_input input = {
		.stack_addr = item->stack_addr,
		.stack = item->stack,
		.stack_bytes = item->stack_bytes,
	};
	uint32_t count;

	memcpy(input.registers, item->registers, sizeof(input.registers));
	count = unwind_stack(stacks->unwind, &input, frames, DEPTH_MAX, is_complete);
	for (uint32_t i = 0; i < count; i++)
		addrs[i] = unwind_code_addr(&frames[i]);
	return count;
}

static void handle_names(struct stacks *stacks, const struct item *item)
{
	pthread_mutex_lock(&stacks->table_lock);
	for (size_t at = 0; at < item->stack_bytes; at += sizeof(uint64_t)) {
		uint64_t addr;

		memcpy(&addr, item->stack + at, sizeof(addr));
		want_name(stacks, addr);
	}
	pthread_mutex_unlock(&stacks->table_lock);
}

static void handle(struct stacks *stacks, struct item *item)
{
	uint64_t addrs[DEPTH_MAX];
	bool is_complete = false;
	uint32_t depth = item->stack_bytes > 0 ? unwind_item(stacks, item, addrs, &is_complete) : 0;

	pthread_mutex_lock(&stacks->table_lock);
	if (item->is_reset) {
		stack_table_reset_arena(stacks->table, item->sample.arena_id);
	} else if (item->is_free) {
		stack_table_free(stacks->table, item->sample.addr);
	} else {
		item->sample.stack_id =
			stack_table_intern(stacks->table, addrs, depth, is_complete);
		stack_table_alloc(stacks->table, &item->sample);
		stacks->without_stack += depth == 0;
		for (uint32_t i = 0; i < depth; i++)
			want_name(stacks, addrs[i]);
	}
	pthread_mutex_unlock(&stacks->table_lock);
}

/* Under the queue's lock: until something comes, or a nameless place is due. */
static void wait_for_work(struct stacks *stacks)
{
	uint64_t due_ns;
	struct timespec due;

	stacks->is_busy = false;
	pthread_cond_broadcast(&stacks->queue_drained);
	if (stacks->first_nameless == NULL) {
		pthread_cond_wait(&stacks->queue_filled, &stacks->queue_lock);
		return;
	}
	due_ns = stacks->first_nameless->due_ns;
	due = (struct timespec){(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
	pthread_cond_timedwait(&stacks->queue_filled, &stacks->queue_lock, &due);
	try_nameless(stacks);
}

/* The next item, or NULL: then there is a name to be found, or the end has come. */
static struct item *next_item(struct stacks *stacks, bool *is_end)
{
	struct item *item;

	pthread_mutex_lock(&stacks->queue_lock);
	while (stacks->first == NULL && stacks->first_unnamed == NULL && !stacks->is_closing)
		wait_for_work(stacks);
	stacks->is_busy = true;
	*is_end = stacks->is_closing;
	item = stacks->first;
	if (item != NULL) {
		stacks->first = item->next;
		if (stacks->first == NULL)
			stacks->last = &stacks->first;
		__atomic_fetch_sub(&stacks->queued_bytes, item->stack_bytes, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&stacks->queue_lock);
	return item;
}

static void *work(void *context)
{
	struct stacks *stacks = context;
	bool is_end = false;

	setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_NICE);
	while (!is_end) {
		struct item *item = next_item(stacks, &is_end);

		if (item != NULL && item->is_names)
			handle_names(stacks, item);
		else if (item != NULL)
			handle(stacks, item);
		else if (stacks->first_unnamed != NULL && !is_end)
			name_next(stacks);
		free(item);
	}
	return NULL;
}

void stacks_finish(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->queue_lock);
	while (stacks->first != NULL || stacks->is_busy)
		pthread_cond_wait(&stacks->queue_drained, &stacks->queue_lock);
	pthread_mutex_unlock(&stacks->queue_lock);
}

/* ------------------------------------------------------------------ open, close */

static int open_parts(struct stacks *stacks, pid_t pid)
{
	int error = modules_open(pid, &stacks->modules);

	if (error == 0)
		error = unwind_open(stacks->modules, &stacks->unwind);
	if (error == 0)
		error = symbols_open(stacks->modules, CACHE_BYTES, &stacks->symbols);
	if (error == 0) {
		stacks->table = stack_table_create();
		error = stacks->table != NULL ? 0 : -ENOMEM;
	}
	return error;
}

int stacks_open(pid_t pid, struct stacks **out)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	pthread_condattr_t attributes;
	int error;

	if (stacks == NULL)
		return -ENOMEM;
	stacks->last = &stacks->first;
	stacks->last_unnamed = &stacks->first_unnamed;
	stacks->last_nameless = &stacks->first_nameless;
	stacks->is_busy = true;
	pthread_mutex_init(&stacks->queue_lock, NULL);
	pthread_mutex_init(&stacks->table_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stacks->queue_filled, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_cond_init(&stacks->queue_drained, NULL);
	error = open_parts(stacks, pid);
	if (error != 0) {
		stacks_close(stacks);
		return error;
	}
	*out = stacks;
	return 0;
}

/* Signals are for the other threads. */
int stacks_start(struct stacks *stacks)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	error = pthread_create(&stacks->thread, NULL, work, stacks);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stacks->is_started = error == 0;
	return -error;
}

bool stacks_is_started(const struct stacks *stacks)
{
	return stacks->is_started;
}

static void stop_thread(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->queue_lock);
	stacks->is_closing = true;
	pthread_cond_signal(&stacks->queue_filled);
	pthread_mutex_unlock(&stacks->queue_lock);
	pthread_join(stacks->thread, NULL);
}

static void free_places(struct stacks *stacks)
{
	for (uint32_t i = 0; i < PLACE_BUCKETS; i++)
		for (struct place *place = stacks->places[i], *next; place != NULL; place = next) {
			next = place->next_in_bucket;
			free(place->frames);
			free(place->older_frames);
			free(place);
		}
}

void stacks_close(struct stacks *stacks)
{
	if (stacks == NULL)
		return;
	if (stacks->is_started)
		stop_thread(stacks);
	for (struct item *item = stacks->first, *next; item != NULL; item = next) {
		next = item->next;
		free(item);
	}
	free_places(stacks);
	stack_table_destroy(stacks->table);
	symbols_close(stacks->symbols);
	unwind_close(stacks->unwind);
	modules_close(stacks->modules);
	pthread_mutex_destroy(&stacks->queue_lock);
	pthread_mutex_destroy(&stacks->table_lock);
	pthread_cond_destroy(&stacks->queue_filled);
	pthread_cond_destroy(&stacks->queue_drained);
	free(stacks);
}

/* ------------------------------------------------------------------ snapshots */

static uint32_t frames_of(struct stacks *stacks, uint64_t addr, struct stacks_frame *out)
{
	const struct place *place = find_place(stacks, addr);

	if (place == NULL || place->frames_count == 0) {
		if (out != NULL)
			*out = (struct stacks_frame){.addr = addr,
						     .function = "?",
						     .file = "",
						     .module = "",
						     .build_id = ""};
		return 1;
	}
	if (out != NULL)
		memcpy(out, place->frames, place->frames_count * sizeof(*out));
	return place->frames_count;
}

/* Does the frame belong to the library's own way from its public function to the probe? Its code
 * has a section, or a file, of its own; after link-time optimisation names are all that is left. */
static bool is_library(const struct stacks_frame *frame)
{
	const char *slash = strrchr(frame->module, '/');

	return frame->is_own || (slash != NULL && strncmp(slash + 1, "libmmviz", 8) == 0) ||
	       strncmp(frame->function, "mmviz_", 6) == 0;
}

/* The first frame is the probe's. */
static uint32_t library_frames(const struct stacks_frame *frames, uint32_t count)
{
	uint32_t own = 1;

	while (own < count && is_library(&frames[own]))
		own++;
	return own < count ? own : 0;
}

/* ------------------------------------------------------------------ which stacks */

struct rank {
	double bytes;
	uint32_t id;
};

static int by_bytes(const void *a, const void *b)
{
	const struct rank *left = a, *right = b;

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	return left->id < right->id ? -1 : left->id > right->id;
}

/* Mark the first `max` by live bytes, or by allocated bytes. */
static void mark_first(const struct stack_table *table, struct rank *ranks, uint32_t max,
		       bool by_live, bool *is_wanted)
{
	uint32_t count = stack_table_count(table);

	for (uint32_t id = 0; id < count; id++) {
		const struct stack_row *row = stack_table_row(table, id);

		ranks[id] = (struct rank){by_live ? row->live.bytes : row->allocated.bytes, id};
	}
	qsort(ranks, count, sizeof(*ranks), by_bytes);
	for (uint32_t i = 0; i < count && i < max; i++)
		is_wanted[ranks[i].id] = true;
}

/* By id, which stacks are to be told of. NULL: no memory. */
static bool *choose(const struct stack_table *table, uint32_t max)
{
	uint32_t count = stack_table_count(table);
	bool *is_wanted = calloc(count, sizeof(*is_wanted));
	struct rank *ranks = calloc(count, sizeof(*ranks));

	if (is_wanted == NULL || ranks == NULL) {
		free(is_wanted);
		is_wanted = NULL;
	} else if (max == 0 || count <= max + 2) {
		memset(is_wanted, true, count);
	} else {
		mark_first(table, ranks, (max + 1) / 2, true, is_wanted);
		mark_first(table, ranks, max / 2, false, is_wanted);
		is_wanted[STACK_NONE] = is_wanted[STACK_OTHER] = true;
	}
	free(ranks);
	return is_wanted;
}

static size_t count_frames(struct stacks *stacks, const bool *is_wanted)
{
	size_t total = 0;

	for (uint32_t id = 0; id < stack_table_count(stacks->table); id++) {
		const struct stack_row *row = stack_table_row(stacks->table, id);

		for (uint32_t i = 0; is_wanted[id] && i < row->depth; i++)
			total += frames_of(stacks, row->addrs[i], NULL);
	}
	return total;
}

static void fill_row(struct stacks *stacks, uint32_t id, struct stacks_frame **frames,
		     struct stacks_row *out)
{
	const struct stack_row *row = stack_table_row(stacks->table, id);
	struct stacks_frame *first = *frames;
	uint32_t own;

	for (uint32_t i = 0; i < row->depth; i++)
		*frames += frames_of(stacks, row->addrs[i], *frames);
	own = library_frames(first, (uint32_t)(*frames - first));
	*out = (struct stacks_row){
		.id = id,
		.is_complete = row->is_complete,
		.allocated = row->allocated,
		.live = row->live,
		.frames_count = (uint32_t)(*frames - first) - own,
		.frames = first + own,
	};
}

/* STACK_OTHER comes before all that is added to it. */
static void fill_rows(struct stacks *stacks, const bool *is_wanted, struct stacks_frame *frames,
		      struct stacks_snapshot *out)
{
	for (uint32_t id = 0; id < stack_table_count(stacks->table); id++) {
		const struct stack_row *row = stack_table_row(stacks->table, id);

		if (is_wanted[id]) {
			fill_row(stacks, id, &frames, &out->rows[out->rows_count++]);
			continue;
		}
		stack_estimate_add(&out->rows[STACK_OTHER].allocated, &row->allocated);
		stack_estimate_add(&out->rows[STACK_OTHER].live, &row->live);
		out->left_out++;
	}
}

static bool is_same_path(const struct stacks_row *a, const struct stacks_row *b)
{
	if (a->frames_count != b->frames_count || a->is_complete != b->is_complete)
		return false;
	for (uint32_t i = 0; i < a->frames_count; i++)
		if (a->frames[i].addr != b->frames[i].addr)
			return false;
	return true;
}

static uint64_t hash_path(const struct stacks_row *row)
{
	uint64_t hash = row->frames_count;

	for (uint32_t i = 0; i < row->frames_count; i++) {
		hash = (hash ^ row->frames[i].addr) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return hash;
}

/* Stacks that differ in the library alone are one: the first. `slots`: zeroed, a power of two, more
 * than rows; number of a row that was kept. */
static void merge_paths(struct stacks_snapshot *snapshot, uint32_t *slots, uint32_t slots_count)
{
	uint32_t kept = STACK_OTHER + 1;

	for (uint32_t i = kept; i < snapshot->rows_count; i++) {
		const struct stacks_row *row = &snapshot->rows[i];
		uint32_t at = (uint32_t)hash_path(row) & (slots_count - 1);

		while (slots[at] != 0 && !is_same_path(&snapshot->rows[slots[at]], row))
			at = (at + 1) & (slots_count - 1);
		if (slots[at] != 0) {
			stack_estimate_add(&snapshot->rows[slots[at]].allocated, &row->allocated);
			stack_estimate_add(&snapshot->rows[slots[at]].live, &row->live);
			continue;
		}
		slots[at] = kept;
		snapshot->rows[kept++] = *row;
	}
	snapshot->rows_count = kept;
}

static int merge_rows(struct stacks_snapshot *snapshot)
{
	uint32_t slots_count = 16;
	uint32_t *slots;

	while (slots_count < 2 * snapshot->rows_count)
		slots_count *= 2;
	slots = calloc(slots_count, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	merge_paths(snapshot, slots, slots_count);
	free(slots);
	return 0;
}

/* Under the table's lock. */
static int take_snapshot(struct stacks *stacks, uint32_t max, struct stacks_snapshot *out)
{
	bool *is_wanted = choose(stacks->table, max);
	int error = -ENOMEM;

	if (is_wanted != NULL) {
		out->rows = calloc(stack_table_count(stacks->table), sizeof(*out->rows));
		out->frames =
			calloc(count_frames(stacks, is_wanted) + 1, sizeof(struct stacks_frame));
	}
	if (out->rows != NULL && out->frames != NULL) {
		fill_rows(stacks, is_wanted, out->frames, out);
		error = merge_rows(out);
	}
	free(is_wanted);
	out->untracked = stack_table_untracked(stacks->table);
	out->without_stack = stacks->without_stack;
	out->unnamed = stacks->unnamed_count;
	return error;
}

/* Names outlive the snapshot: places are freed by stacks_close only. */
int stacks_snapshot(struct stacks *stacks, uint32_t max, struct stacks_snapshot *out)
{
	struct stacks_snapshot snapshot = {0};
	int error;

	pthread_mutex_lock(&stacks->table_lock);
	error = take_snapshot(stacks, max, &snapshot);
	pthread_mutex_unlock(&stacks->table_lock);
	pthread_mutex_lock(&stacks->queue_lock);
	snapshot.samples = stacks->samples;
	pthread_mutex_unlock(&stacks->queue_lock);
	snapshot.lost = __atomic_load_n(&stacks->lost, __ATOMIC_RELAXED);
	if (error != 0) {
		stacks_snapshot_free(&snapshot);
		return error;
	}
	*out = snapshot;
	return 0;
}

void stacks_snapshot_free(struct stacks_snapshot *snapshot)
{
	free(snapshot->rows);
	free(snapshot->frames);
	*snapshot = (struct stacks_snapshot){0};
}

int stacks_names(struct stacks *stacks, const uint64_t *addrs, uint32_t count, uint32_t *counts,
		 struct stacks_frame **out)
{
	struct stacks_frame *frames;
	size_t total = 0;

	pthread_mutex_lock(&stacks->table_lock);
	for (uint32_t i = 0; i < count; i++)
		total += counts[i] = frames_of(stacks, addrs[i], NULL);
	frames = calloc(total + 1, sizeof(*frames));
	total = 0;
	for (uint32_t i = 0; frames != NULL && i < count; i++)
		total += frames_of(stacks, addrs[i], frames + total);
	pthread_mutex_unlock(&stacks->table_lock);
	if (frames == NULL)
		return -ENOMEM;
	*out = frames;
	return 0;
}

uint32_t stacks_unnamed(struct stacks *stacks)
{
	uint32_t unnamed;

	pthread_mutex_lock(&stacks->table_lock);
	unnamed = stacks->unnamed_count;
	pthread_mutex_unlock(&stacks->table_lock);
	return unnamed;
}
