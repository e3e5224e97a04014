/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * mmviz.bpf.c - carries what the probes of one target say into one ring buffer.
 *
 *	probe batch               a full log, copied whole              -> RING_BATCH
 *	probes alloc, free        a chosen block; its end               -> RING_EVENT
 *	probes sample(_free)      one sampled block; registers, stack   -> RING_SAMPLE(_FREE)
 *	probe arena               reset, destroyed                      -> RING_ARENA_EMPTY; or, with
 *	                                                                   alloc and free, nothing
 *	probe stack               a new call stack                      -> nothing
 *	the target exits, execs   what is left in its logs              -> RING_TAIL..., RING_END
 *
 * Each program filters, reserves, fills, submits; what cannot be reserved or read is counted. The
 * collector loads only the programs that its mode needs. The uprobes are filtered by process where
 * they are attached; the tracepoints see every process and filter here.
 *
 * Nothing from the target is trusted but to be copied: lengths are bounded, loops too.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "ring.bpf.h"

#define HEAPS_MAX 4096 /* whose tails are copied, in all arenas */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before load. The target by its pid in its own pid namespace: right from any namespace. */
const volatile __u64 namespace_dev, namespace_inode;
const volatile __u32 target_tgid;
const volatile __u64 registry_addr;
const volatile __u64 room_bytes; /* batches and events fill the ring up to here; the rest is kept */
const volatile bool copies_tails, copies_stacks;

/* Changed by the collector while the programs run. */
volatile struct ring_settings settings[RING_SETTINGS_SLOTS];
volatile __u32 settings_slot;
volatile __u64 wakeup_bytes = 1 << 20;	/* wake the collector when so much lies in the ring */
volatile bool discards_batches = false; /* the collector sees the heap by walks for now */

/* Read by the collector. */
__u64 dropped_batches, dropped_samples, copy_failures;
struct ring_counters counters[RING_CPUS];
__u32 has_ended;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

/* By thread: the page behind its stack, which cannot be read. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} stack_ends SEC(".maps");

static __always_inline __u64 wakeup_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wakeup_bytes ? BPF_RB_FORCE_WAKEUP
									   : BPF_RB_NO_WAKEUP;
}

/*
 * What is kept at the end of the ring is for the last words of a target: when it ends while the
 * ring is full, the numbers of its logs still come through, and tell how much is missing.
 */
static __always_inline bool has_room(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) <= room_bytes;
}

static __always_inline void head_fill(struct ring_head *head, __u32 kind)
{
	head->kind = kind;
	head->thread_id = (__u32)bpf_get_current_pid_tgid();
	head->at_ns = bpf_ktime_get_ns();
}

/* ------------------------------------------------------------------ probes */

SEC("uprobe.s")
int BPF_KPROBE(on_batch, const void *log, __u64 bytes)
{
	struct ring_log *record;

	if (discards_batches)
		return 0;
	record = has_room() ? bpf_ringbuf_reserve(&ring, sizeof(*record), 0) : NULL;
	if (!record) {
		__sync_fetch_and_add(&dropped_batches, 1);
		return 0;
	}
	if (bytes > sizeof(record->log))
		bytes = sizeof(record->log);
	if (bpf_copy_from_user(&record->log, bytes, log)) {
		__sync_fetch_and_add(&copy_failures, 1);
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	head_fill(&record->head, RING_BATCH);
	record->log_bytes = bytes;
	bpf_ringbuf_submit(record, wakeup_flags());
	return 0;
}

/* ------------------------------------------------------------------ events mode */

/*
 * A chosen allocation, until its end. `free` fires before the cell can be used again, so every end
 * is heard of but those by the reset or the end of an arena: who lies at the address then is another
 * block. When there is no room, those that were chosen longest ago are forgotten.
 */
struct chosen_block {
	__u64 birth_ns, bytes, chance;
	__u32 arena_id, context, thread_id, reserved;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 18);
	__type(key, __u64); /* address */
	__type(value, struct chosen_block);
} chosen_blocks SEC(".maps");

/* By arena: when it was reset last. Numbers of arenas are not used again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} resets SEC(".maps");

/* Programs that sleep can be preempted, and another one run on this CPU: hence atomic. */
static __always_inline struct ring_counters *counters_here(void)
{
	return &counters[bpf_get_smp_processor_id() & (RING_CPUS - 1)];
}

static __always_inline void count(uint64_t *counter, __u64 more)
{
	__sync_fetch_and_add(counter, more);
}

static __always_inline bool does_pass(const volatile struct ring_settings *now,
				      const struct chosen_block *block)
{
	return block->bytes >= now->min_bytes && block->bytes <= now->max_bytes &&
	       (now->context == RING_ANY_CONTEXT || now->context == block->context) &&
	       (now->thread_id == 0 || now->thread_id == block->thread_id);
}

/* Never 0: what can never be chosen could not be estimated. No bytes count as one. */
static __always_inline __u64 chance_of(const volatile struct ring_settings *now, __u64 bytes)
{
	__u64 spared = RING_CERTAIN - 1;

	if (now->chance != 0)
		return now->chance;
	if (bytes == 0)
		bytes = 1;
	for (int i = 0; i < RING_SIZE_BITS && bytes >> i != 0; i++)
		if (bytes >> i & 1)
			spared = spared * now->spared[i] >> 32;
	return RING_CERTAIN - spared;
}

/* Whether an arena still holds what was chosen in it: the block whose end is told now is the one. */
static __always_inline bool is_still_there(const struct chosen_block *block, __u32 arena_id)
{
	const __u64 *reset_ns = bpf_map_lookup_elem(&resets, &arena_id);

	return block->arena_id == arena_id && (!reset_ns || *reset_ns < block->birth_ns);
}

static __always_inline void event_fill(struct ring_event *record, struct pt_regs *ctx, __u32 kind,
				       const struct chosen_block *block)
{
	head_fill(&record->head, kind);
	record->addr = PT_REGS_PARM2(ctx);
	record->bytes = PT_REGS_PARM3(ctx);
	record->chance = block->chance;
	record->birth_ns = block->birth_ns;
	record->arena_id = block->arena_id;
	record->context = (__u32)PT_REGS_PARM4(ctx);
	record->birth_thread_id = block->thread_id;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
}

/* The text of a labelled block is its label, right before the header; else it is its tag's name. */
static __always_inline bool is_labelled(struct pt_regs *ctx)
{
	return PT_REGS_PARM5(ctx) == PT_REGS_PARM2(ctx) - MMVIZ_HEADER_BYTES - MMVIZ_LABEL_BYTES;
}

static __always_inline bool
put_labelled_event(struct pt_regs *ctx, const struct chosen_block *block, __u32 slot, bool is_free)
{
	struct ring_event *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return false;
	event_fill(record, ctx, RING_EVENT_LABELLED, block);
	record->is_free = is_free;
	record->slot = slot;
	if (bpf_copy_from_user(record->label, sizeof(record->label),
			       (const void *)PT_REGS_PARM5(ctx)))
		record->label[0] = 0;
	bpf_ringbuf_submit(record, wakeup_flags());
	return true;
}

static __always_inline bool put_plain_event(struct pt_regs *ctx, const struct chosen_block *block,
					    __u32 slot, bool is_free)
{
	struct ring_event *record = bpf_ringbuf_reserve(&ring, RING_EVENT_BYTES, 0);

	if (!record)
		return false;
	event_fill(record, ctx, RING_EVENT, block);
	record->is_free = is_free;
	record->slot = slot;
	bpf_ringbuf_submit(record, wakeup_flags());
	return true;
}

static __always_inline bool put_event(struct pt_regs *ctx, const struct chosen_block *block,
				      __u32 slot, bool is_free)
{
	bool is_told =
		has_room() && (is_labelled(ctx) ? put_labelled_event(ctx, block, slot, is_free)
						: put_plain_event(ctx, block, slot, is_free));
	struct ring_counters *here = counters_here();

	count(is_told ? &here->told : &here->dropped, 1);
	return is_told;
}

/* Not in the map is not told: of a block whose allocation was dropped nothing is heard any more. */
SEC("uprobe.s")
int on_alloc(struct pt_regs *ctx)
{
	const __u32 slot = settings_slot & (RING_SETTINGS_SLOTS - 1);
	const volatile struct ring_settings *now = &settings[slot];
	struct ring_counters *here = counters_here();
	struct chosen_block block = {
		.bytes = PT_REGS_PARM3(ctx),
		.arena_id = (__u32)PT_REGS_PARM1(ctx),
		.context = (__u32)PT_REGS_PARM4(ctx),
		.thread_id = (__u32)bpf_get_current_pid_tgid(),
	};
	__u64 addr = PT_REGS_PARM2(ctx);

	count(&here->hits, 1);
	if (!does_pass(now, &block))
		return 0;
	count(&here->allocations, 1);
	count(&here->allocated_bytes, block.bytes);
	block.chance = chance_of(now, block.bytes);
	if (bpf_get_prandom_u32() >= block.chance)
		return 0;
	if (!put_event(ctx, &block, slot, false))
		return 0;
	block.birth_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&chosen_blocks, &addr, &block, BPF_ANY) == 0)
		count(&counters_here()->remembered, 1);
	return 0;
}

/* Judged by what its allocation was: bytes may have changed since, and another thread may free. */
SEC("uprobe.s")
int on_free(struct pt_regs *ctx)
{
	const __u32 slot = settings_slot & (RING_SETTINGS_SLOTS - 1);
	const volatile struct ring_settings *now = &settings[slot];
	__u64 addr = PT_REGS_PARM2(ctx);
	struct chosen_block *found, block;

	count(&counters_here()->hits, 1);
	found = bpf_map_lookup_elem(&chosen_blocks, &addr);
	if (!found)
		return 0;
	block = *found;
	bpf_map_delete_elem(&chosen_blocks, &addr);
	count(&counters_here()->ended, 1);
	if (is_still_there(&block, (__u32)PT_REGS_PARM1(ctx)) && does_pass(now, &block))
		put_event(ctx, &block, slot, true);
	return 0;
}

/* The other program of the probe `arena`. It fires when the reset is done; allocations come after it.
 */
SEC("uprobe")
int on_reset(struct pt_regs *ctx)
{
	__u32 arena_id = (__u32)PT_REGS_PARM1(ctx);
	__u64 now_ns = bpf_ktime_get_ns();

	if (PT_REGS_PARM2(ctx) == MMVIZ_ARENA_RESET)
		bpf_map_update_elem(&resets, &arena_id, &now_ns, BPF_ANY);
	return 0;
}

/* ------------------------------------------------------------------ samples */

static __always_inline void sample_fill(struct ring_sample *record, struct pt_regs *ctx, __u32 kind)
{
	head_fill(&record->head, kind);
	record->arena_id = (__u32)PT_REGS_PARM1(ctx);
	record->addr = PT_REGS_PARM2(ctx);
	record->bytes = PT_REGS_PARM3(ctx);
	record->context = (__u32)PT_REGS_PARM4(ctx);
	record->weight_bytes = PT_REGS_PARM5(ctx);
	record->stack_addr = ctx->sp & ~(__u64)(RING_PAGE_BYTES - 1);
	record->stack_bytes = 0;
}

static __always_inline void registers_fill(uint64_t *registers, const struct pt_regs *ctx)
{
	registers[0] = ctx->ax;
	registers[1] = ctx->dx;
	registers[2] = ctx->cx;
	registers[3] = ctx->bx;
	registers[4] = ctx->si;
	registers[5] = ctx->di;
	registers[6] = ctx->bp;
	registers[7] = ctx->sp;
	registers[8] = ctx->r8;
	registers[9] = ctx->r9;
	registers[10] = ctx->r10;
	registers[11] = ctx->r11;
	registers[12] = ctx->r12;
	registers[13] = ctx->r13;
	registers[14] = ctx->r14;
	registers[15] = ctx->r15;
	registers[16] = ctx->ip;
}

/*
 * Where the stack ends is not known: a page is there as a whole or not at all. To find out costs a
 * page fault, which is more than the copies, so the end that was found is remembered.
 */
static __always_inline void stack_copy(struct ring_sample *record)
{
	__u32 thread = record->head.thread_id;
	__u64 *known = bpf_map_lookup_elem(&stack_ends, &thread), end = known ? *known : 0;

	for (int page = 0; page < RING_STACK_PAGES; page++) {
		const __u64 offset = page * RING_PAGE_BYTES;
		__u64 addr = record->stack_addr + offset;

		if (addr == end)
			return;
		if (bpf_copy_from_user(record->stack + offset, RING_PAGE_BYTES,
				       (const void *)addr)) {
			bpf_map_update_elem(&stack_ends, &thread, &addr, BPF_ANY);
			return;
		}
		record->stack_bytes = offset + RING_PAGE_BYTES;
	}
}

/* A sample without its stack still counts: nobody wants stacks, or the ring is half full and logs
 * come first. */
static __always_inline int put_bare_sample(struct pt_regs *ctx, __u32 kind)
{
	struct ring_sample *record =
		has_room() ? bpf_ringbuf_reserve(&ring, RING_SAMPLE_HEAD_BYTES, 0) : NULL;

	if (!record) {
		__sync_fetch_and_add(&dropped_samples, 1);
		return 0;
	}
	sample_fill(record, ctx, kind);
	bpf_ringbuf_submit(record, wakeup_flags());
	return 0;
}

SEC("uprobe.s")
int on_sample(struct pt_regs *ctx)
{
	struct ring_sample *record = NULL;

	if (copies_stacks && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < room_bytes / 2)
		record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return put_bare_sample(ctx, RING_SAMPLE_BARE);
	sample_fill(record, ctx, RING_SAMPLE);
	registers_fill(record->registers, ctx);
	stack_copy(record);
	bpf_ringbuf_submit(record, wakeup_flags());
	return 0;
}

SEC("uprobe")
int on_sample_free(struct pt_regs *ctx)
{
	return put_bare_sample(ctx, RING_SAMPLE_FREE);
}

/* It grows, too: nothing follows from that. */
SEC("uprobe")
int on_arena(struct pt_regs *ctx)
{
	__u64 change = PT_REGS_PARM2(ctx);
	struct ring_arena *record;

	if (change != MMVIZ_ARENA_RESET && change != MMVIZ_ARENA_DESTROY)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&dropped_samples, 1);
		return 0;
	}
	head_fill(&record->head, RING_ARENA_EMPTY);
	record->arena_id = PT_REGS_PARM1(ctx);
	bpf_ringbuf_submit(record, wakeup_flags());
	return 0;
}

/* Its semaphore is what the target is told by; which stacks there are is read from its registry. */
SEC("uprobe")
int on_stack(struct pt_regs *ctx)
{
	return 0;
}

/* ------------------------------------------------------------------ the end of the target */

/* Where the way through registry -> arenas -> heaps stands. */
struct tail_walk {
	__u64 heap_addr; /* 0: take the next slot of the registry */
	__u32 slot;
};

/* These programs cannot sleep: memory that is not resident fails, and is counted by the caller. */
static __always_inline long read_user(void *to, __u32 bytes, __u64 addr)
{
	return bpf_probe_read_user(to, bytes, (const void *)addr);
}

/*
 * Copy `bytes` of a log. Only at exec can another thread still be running: when it has handed the
 * log over meanwhile, the events are in the ring already and the copy is worth its numbers only.
 */
static __always_inline void put_tail(__u64 log_addr, const __u64 record_bytes, __u64 bytes)
{
	const __u64 room = record_bytes - __builtin_offsetof(struct ring_log, log);
	struct ring_log *record = bpf_ringbuf_reserve(&ring, record_bytes, 0);
	__u64 first = 0;

	if (!record) {
		__sync_fetch_and_add(&dropped_batches, 1);
		return;
	}
	if (bytes > room)
		bytes = room;
	if (read_user(&record->log, bytes, log_addr)) {
		__sync_fetch_and_add(&copy_failures, 1);
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	head_fill(&record->head, RING_TAIL);
	read_user(&first, sizeof(first), log_addr + __builtin_offsetof(struct mmviz_log, first));
	if (first != record->log.first)
		record->log.next = record->log.first;
	record->log_bytes = bytes;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline int walk_heap(struct tail_walk *walk)
{
	struct mmviz_heap_head heap;
	__u64 numbers[3]; /* seq, first, next of its log */
	__u64 events;

	if (read_user(&heap, sizeof(heap), walk->heap_addr) || heap.magic != MMVIZ_HEAP_MAGIC ||
	    read_user(numbers, sizeof(numbers), heap.log_addr)) {
		__sync_fetch_and_add(&copy_failures, 1);
		walk->heap_addr = 0;
		return 0;
	}
	walk->heap_addr = heap.next_addr;
	events = numbers[2] - numbers[1];
	if (events != 0 && !has_room())
		__sync_fetch_and_add(&dropped_batches, 1);
	if (events == 0 || !has_room())
		put_tail(heap.log_addr, RING_LOG_HEAD_BYTES, MMVIZ_LOG_HEAD_BYTES);
	else
		put_tail(heap.log_addr, sizeof(struct ring_log),
			 MMVIZ_LOG_HEAD_BYTES + events * sizeof(struct mmviz_event));
	return 0;
}

static __always_inline int walk_arena(struct tail_walk *walk)
{
	struct mmviz_arena_head arena;
	__u64 slot_addr, arena_addr;

	if (walk->slot >= MMVIZ_ARENAS_MAX)
		return 1;
	slot_addr = registry_addr + __builtin_offsetof(struct mmviz_registry, arena_addr) +
		    walk->slot * sizeof(arena_addr);
	walk->slot++;
	if (read_user(&arena_addr, sizeof(arena_addr), slot_addr)) {
		__sync_fetch_and_add(&copy_failures, 1);
		return 1;
	}
	if (arena_addr == 0)
		return 0;
	if (read_user(&arena, sizeof(arena), arena_addr) || arena.magic != MMVIZ_ARENA_MAGIC)
		__sync_fetch_and_add(&copy_failures, 1);
	else
		walk->heap_addr = arena.first_heap_addr;
	return 0;
}

/*
 * A global function is verified once, for any `walk`: a static one would be verified for each slot
 * that the loop can reach, which took 100 ms of every attach.
 */
__weak int walk_on(struct tail_walk *walk)
{
	if (!walk)
		return 1;
	return walk->heap_addr != 0 ? walk_heap(walk) : walk_arena(walk);
}

static long walk_step(__u32 index, struct tail_walk *walk)
{
	return walk_on(walk) != 0;
}

static __always_inline void copy_tails(void)
{
	struct tail_walk walk = {};

	bpf_loop(MMVIZ_ARENAS_MAX + HEAPS_MAX + 1, walk_step, &walk, 0);
	if (walk.heap_addr != 0 || walk.slot < MMVIZ_ARENAS_MAX)
		__sync_fetch_and_add(&copy_failures, 1);
}

/* The last thing that is said of a target; two threads that exit at once may both say it. */
static __always_inline int put_end(__u32 how, int exit_code)
{
	struct ring_end *record;

	has_ended = 1;
	if (copies_tails)
		copy_tails();
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return 0; /* the collector has the pidfd, too */
	head_fill(&record->head, RING_END);
	record->how = how;
	record->exit_code = exit_code;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline bool is_target(void)
{
	struct bpf_pidns_info ids = {};

	return !has_ended &&
	       bpf_get_ns_current_pid_tgid(namespace_dev, namespace_inode, &ids, sizeof(ids)) ==
		       0 &&
	       ids.tgid == target_tgid;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (task->signal->live.counter != 0 || !is_target())
		return 0;
	return put_end(RING_END_EXIT, task->signal->group_exit_code ?: task->exit_code);
}

SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(on_exec)
{
	return is_target() ? put_end(RING_END_EXEC, 0) : 0;
}
