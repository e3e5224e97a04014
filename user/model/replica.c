/* SPDX-License-Identifier: MIT */
/*
 * replica.c - the rules of replica.h, at work.
 *
 * Which events may be applied, and when; what one event changes is apply.c. Order of this file:
 * arenas, settling, feeding, baseline, verify.
 */
#define _GNU_SOURCE
#include "model/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/apply.h"
#include "model/rules.h"

#define TICKS_MAX	0xf0000000u  /* then time 0 moves on, by half of them */
#define WALK_EVENTS_MAX (1ull << 24) /* of a heap, while the arena is walked: farther is long ago */

/* ------------------------------------------------------------------ arenas */

struct replica_arena *replica_arena_find(const struct replica *replica, uint32_t id)
{
	for (uint32_t i = 0; i < replica->arenas_count; i++)
		if (replica->arenas[i]->id == id)
			return replica->arenas[i];
	return NULL;
}

static void arena_free(struct replica_arena *arena)
{
	for (uint32_t i = 0; i < arena->heaps_count; i++) {
		event_queue_fini(&arena->heaps[i].queue);
		seq_times_fini(&arena->heaps[i].times);
	}
	free(arena->heaps);
	replica_touch_end(arena);
	pending_fini(&arena->pending);
	block_table_fini(&arena->table);
	free(arena);
}

void replica_fini(struct replica *replica)
{
	for (uint32_t i = 0; i < replica->arenas_count; i++)
		arena_free(replica->arenas[i]);
	free(replica->arenas);
	totals_fini(&replica->past);
	cell_pool_fini(&replica->pool);
	*replica = (struct replica){0};
}

static int insert_by_id(struct replica *replica, struct replica_arena *arena)
{
	struct replica_arena **arenas =
		realloc(replica->arenas, (replica->arenas_count + 1) * sizeof(*arenas));
	uint32_t at = replica->arenas_count;

	if (!arenas)
		return -ENOMEM;
	for (; at > 0 && arenas[at - 1]->id > arena->id; at--)
		arenas[at] = arenas[at - 1];
	arenas[at] = arena;
	replica->arenas = arenas;
	replica->arenas_count++;
	return 0;
}

int replica_arena_add(struct replica *replica, const struct mmviz_arena_head *head,
		      bool is_from_attach, struct replica_arena **out)
{
	struct replica_arena *arena;
	int error;

	if (replica_arena_find(replica, head->id))
		return -EEXIST;
	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return -ENOMEM;
	arena->id = head->id;
	arena->head = *head;
	arena->head.name[MMVIZ_NAME_BYTES - 1] = '\0';
	arena->is_from_attach = is_from_attach;
	arena->state = is_from_attach ? REPLICA_BROKEN : REPLICA_EXACT;
	arena->committed_units = head->committed_units;
	error = block_table_init(&arena->table, &replica->pool, head);
	error = error ?: insert_by_id(replica, arena);
	if (error) {
		arena_free(arena);
		return error;
	}
	*out = arena;
	return 0;
}

/* Counts of a context go on when its arena is gone; what was live is freed. */
static void keep_counts(struct totals *past, const struct totals *totals)
{
	past->allocations += totals->allocations;
	past->frees += totals->frees;
	past->allocated_bytes += totals->allocated_bytes;
	past->freed_bytes += totals->freed_bytes;
	for (uint32_t i = 0; i < totals->listed_count; i++) {
		const struct context_total *from = &totals->contexts[totals->listed[i]];
		struct context_total *to = totals_context(past, totals->listed[i]);

		to->allocations += from->allocations;
		to->frees += from->frees;
		to->allocated_bytes += from->allocated_bytes;
		if (totals->listed[i] >= past->contexts_capacity)
			continue; /* no memory */
		lifetimes_add(&past->lifetime_sums[totals->listed[i]],
			      &totals->lifetimes[totals->listed[i]]);
		lifetimes_add_sums(&past->lifetime_sums[totals->listed[i]],
				   &totals->lifetime_sums[totals->listed[i]]);
	}
}

void replica_arena_remove(struct replica *replica, struct replica_arena *arena)
{
	uint64_t end_ns = 0; /* the last that was heard of it */
	uint32_t at = 0;

	for (uint32_t i = 0; i < arena->heaps_count; i++)
		if (arena->heaps[i].clock_ns > end_ns)
			end_ns = arena->heaps[i].clock_ns;
	arena->table.now_tick = tick_of_ns(replica_ns(replica, end_ns));
	block_table_reset(&arena->table);
	keep_counts(&replica->past, &arena->table.totals);
	replica->past_seen += arena->seen;
	replica->past_lost += arena->lost;
	while (replica->arenas[at] != arena)
		at++;
	replica->arenas_count--;
	memmove(&replica->arenas[at], &replica->arenas[at + 1],
		(replica->arenas_count - at) * sizeof(*replica->arenas));
	arena_free(arena);
}

struct replica_heap *replica_heap_find(const struct replica_arena *arena, uint32_t heap_id)
{
	if (heap_id == 0 || heap_id > arena->heaps_count || !arena->heaps[heap_id - 1].is_known)
		return NULL;
	return &arena->heaps[heap_id - 1];
}

/* The heap, which begins at number 0 if it was not known. NULL: impossible id, or no memory. */
static struct replica_heap *heap_make(struct replica_arena *arena, uint32_t heap_id)
{
	struct replica_heap *heap;

	if (heap_id == 0 || heap_id > REPLICA_HEAPS_MAX)
		return NULL;
	if (heap_id > arena->heaps_count) {
		struct replica_heap *heaps = realloc(arena->heaps, heap_id * sizeof(*arena->heaps));

		if (!heaps)
			return NULL;
		memset(heaps + arena->heaps_count, 0,
		       (heap_id - arena->heaps_count) * sizeof(*heaps));
		arena->heaps = heaps;
		arena->heaps_count = heap_id;
	}
	heap = &arena->heaps[heap_id - 1];
	if (!heap->is_known)
		*heap = (struct replica_heap){.is_known = true,
					      .has_start_gap = arena->is_from_attach};
	return heap;
}

/* ------------------------------------------------------------------ settling */

/* Apply the queue up to its first structural change, stamp by stamp. */
static void apply_queue(struct replica_arena *arena, struct replica_heap *heap)
{
	struct event_queue *queue = &heap->queue;

	while (event_queue_count(queue) > 0) {
		const struct queue_stamp *stamp = event_queue_stamp(queue);
		uint32_t all = event_queue_count(queue), count = all, done;

		if (stamp->until - heap->applied < all)
			count = (uint32_t)(stamp->until - heap->applied);
		done = apply_plain(arena, heap, event_queue_head(queue), count, &stamp->clock);
		if (done == 0 && count < all) /* one that straddles two stamps goes by the first */
			done = apply_plain(arena, heap, event_queue_head(queue), all,
					   &stamp->clock);
		if (done == 0)
			return;
		event_queue_drop(queue, done, heap->applied);
	}
}

/* The structural change at the head of the queue. */
static void apply_change(struct replica_arena *arena, struct replica_heap *heap)
{
	struct event_queue *queue = &heap->queue;
	uint32_t done = apply_operation(arena, heap, event_queue_head(queue),
					event_queue_count(queue), &event_queue_stamp(queue)->clock);

	event_queue_drop(queue, done, heap->applied);
}

/* Rule 8: the walk has seen every change up to order_walked, by whichever heap. */
static void raise_owner_from(struct replica_arena *arena, struct replica_heap *heap)
{
	const struct event_queue *queue = &heap->queue;
	uint32_t i = 0, count = event_queue_count(queue);

	while (i < count) {
		const struct mmviz_event *event = &queue->events[queue->begin + i];
		uint32_t slots = mmviz_event_slots(event);

		if (mmviz_event_kind(event->what) == MMVIZ_EVENT_ORDER) {
			slots = operation_slots(event, count - i);
			if (event->data <= arena->order_walked &&
			    heap->applied + i + slots > heap->owner_from)
				heap->owner_from = heap->applied + i + slots;
		}
		i += slots;
	}
}

/* The first settle after a walk: everything that happened before its end has been fed. */
static void begin_following(struct replica_arena *arena)
{
	for (uint32_t i = 0; i < arena->heaps_count; i++) {
		struct replica_heap *heap = &arena->heaps[i];

		if (!rule_is_off(RULE_RAISE_S2))
			raise_owner_from(arena, heap);
		/* One operation may have been under way all the time, and is told yet. */
		heap->trusted_from = heap->expected + MMVIZ_OPERATION_EVENTS_MAX;
	}
	arena->state = REPLICA_EXACT;
	arena->trouble = NULL;
}

/* Among the heaps that wait at a structural change, the one whose change comes first. */
static struct replica_heap *next_in_order(const struct replica_arena *arena, uint64_t horizon)
{
	struct replica_heap *next = NULL;
	uint64_t least = 0;

	for (uint32_t i = 0; i < arena->heaps_count; i++) {
		const struct event_queue *queue = &arena->heaps[i].queue;
		const struct mmviz_event *event = queue->events + queue->begin;

		if (event_queue_count(queue) == 0 ||
		    mmviz_event_kind(event->what) != MMVIZ_EVENT_ORDER)
			continue;
		if (rule_is_off(RULE_ORDER))
			return &arena->heaps[i];
		if (event->data <= horizon && (!next || event->data < least)) {
			next = &arena->heaps[i];
			least = event->data;
		}
	}
	return next;
}

static bool is_worth_keeping(const struct pending_return *item, const void *context)
{
	return apply_is_ahead(context, item->owner_heap, item->incarnation);
}

void replica_settle(struct replica_arena *arena, uint64_t horizon)
{
	struct replica_heap *heap;

	if (arena->state == REPLICA_WALKING)
		return;
	if (arena->state == REPLICA_SETTLING)
		begin_following(arena);
	for (uint32_t i = 0; i < arena->heaps_count; i++)
		apply_queue(arena, &arena->heaps[i]);
	while ((heap = next_in_order(arena, horizon))) {
		apply_change(arena, heap);
		apply_queue(arena, heap);
	}
	pending_filter(&arena->pending, is_worth_keeping, arena);
}

/* ------------------------------------------------------------------ feeding */

/* Numbers up to `first` were never fed. */
static void skip_numbers(struct replica_arena *arena, struct replica_heap *heap, uint64_t first)
{
	arena->lost += first - heap->expected;
	if (first > heap->returns_from)
		replica_break(arena, "events were lost");
	event_queue_clear(&heap->queue);
	heap->expected = heap->applied = first;
}

/* Rule 12: the operation that read its semaphore before the attach was walked, not logged. */
static bool is_start_gap(const struct replica_heap *heap, uint64_t first)
{
	return heap->has_start_gap && first > heap->expected &&
	       first - heap->expected <= MMVIZ_OPERATION_EVENTS_MAX && !rule_is_off(RULE_START_GAP);
}

static void raise_start(struct replica_heap *heap, uint64_t first)
{
	heap->has_start_gap = false;
	heap->expected = heap->applied = first;
	if (heap->owner_from < first)
		heap->owner_from = first;
	if (heap->returns_from < first)
		heap->returns_from = first;
}

bool replica_accept_unlogged(struct replica_arena *arena, uint32_t heap_id, uint64_t seq)
{
	struct replica_heap *heap = heap_make(arena, heap_id);

	if (!heap || !is_start_gap(heap, seq))
		return false;
	raise_start(heap, seq);
	return true;
}

void replica_declare_lost(struct replica_arena *arena, uint32_t heap_id, uint64_t seq)
{
	struct replica_heap *heap = replica_awaits_cut(arena) ? NULL : heap_make(arena, heap_id);

	if (heap && seq > heap->expected)
		skip_numbers(arena, heap, seq);
}

/* When the events from `first` on happened: after all that were fed before, and not after now. */
static struct event_clock clock_of(const struct replica *replica, struct replica_heap *heap,
				   const struct replica_batch *batch, uint64_t first)
{
	uint64_t until_ns = batch->until_ns, from_ns = batch->first_ns;

	if (until_ns < heap->clock_ns)
		until_ns = heap->clock_ns;
	if (from_ns < heap->clock_ns)
		from_ns = heap->clock_ns;
	if (from_ns > until_ns || from_ns == 0)
		from_ns = until_ns;
	heap->clock_ns = until_ns;
	return event_clock_make(first, (uint32_t)(batch->next - first),
				replica_ns(replica, from_ns), replica_ns(replica, until_ns));
}

/* In place as far as it goes, if nothing waits before it; the rest is queued. */
static void take_events(struct replica_arena *arena, struct replica_heap *heap,
			const struct mmviz_event *events, uint32_t count,
			const struct event_clock *clock)
{
	bool may_apply = arena->state == REPLICA_EXACT || arena->state == REPLICA_BROKEN;
	uint32_t done = 0;

	heap->expected += count;
	if (may_apply && event_queue_count(&heap->queue) == 0)
		done = apply_plain(arena, heap, events, count, clock);
	if (done < count && event_queue_add(&heap->queue, events + done, count - done,
					    &(struct queue_stamp){heap->expected, *clock})) {
		arena->lost += count - done;
		arena->seen -= count - done;
		event_queue_clear(&heap->queue);
		heap->applied = heap->expected;
		replica_break(arena, "more events were waiting than there is memory for");
	}
}

void replica_feed(struct replica *replica, struct replica_arena *arena,
		  const struct replica_batch *batch)
{
	struct replica_heap *heap;
	uint64_t first = batch->first;
	struct event_clock clock;

	if (replica_awaits_cut(arena))
		return;
	heap = heap_make(arena, batch->heap_id);
	if (!heap || batch->next < first || batch->next - first > MMVIZ_LOG_SLOTS) {
		arena->violations++;
		arena->violation = "a log that cannot be";
		replica_break(arena, arena->violation);
		return;
	}
	heap->thread_id = batch->thread_id;
	if (batch->next <= heap->expected && !rule_is_off(RULE_DEDUPE))
		return;
	if (is_start_gap(heap, first))
		raise_start(heap, first);
	heap->has_start_gap = false;
	if (first > heap->expected)
		skip_numbers(arena, heap, first);
	if (first < heap->expected && !rule_is_off(RULE_DEDUPE))
		first = heap->expected;
	arena->seen += batch->next - first;
	clock = clock_of(replica, heap, batch, first);
	take_events(arena, heap, batch->events + (first - batch->first),
		    (uint32_t)(batch->next - first), &clock);
}

/* ------------------------------------------------------------------ time */

void replica_note_seq(struct replica_arena *arena, uint32_t heap_id, uint64_t seq,
		      uint64_t begun_ns, uint64_t now_ns)
{
	struct replica_heap *heap = replica_heap_find(arena, heap_id);

	if (!heap)
		return;
	if (seq == heap->expected && begun_ns > heap->clock_ns)
		heap->clock_ns = begun_ns; /* nothing has happened since, so far */
	seq_times_note(&heap->times, seq, now_ns);
}

static void rebase_queue(struct event_queue *queue, uint64_t by_q8)
{
	for (uint32_t i = queue->stamps_begin; i < queue->stamps_end; i++)
		queue->stamps[i].clock.at_q8 -=
			queue->stamps[i].clock.at_q8 < by_q8 ? queue->stamps[i].clock.at_q8 : by_q8;
}

/* What is older than the new time 0 is said to be as old as that. */
void replica_keep_time(struct replica *replica, uint64_t now_ns)
{
	const uint32_t by = TICKS_MAX / 2;

	if (replica_ns(replica, now_ns) < tick_ns(TICKS_MAX))
		return;
	replica->moved_ns += tick_ns(by);
	for (uint32_t i = 0; i < replica->arenas_count; i++) {
		struct replica_arena *arena = replica->arenas[i];

		block_table_rebase(&arena->table, by);
		for (uint32_t h = 0; h < arena->heaps_count; h++)
			rebase_queue(&arena->heaps[h].queue, tick_ns(by) << 8);
	}
}

/* ------------------------------------------------------------------ baseline */

void replica_unfollow(struct replica_arena *arena)
{
	arena->is_unfollowed = true;
	replica_break(arena, "its events are not followed");
}

/* What was not heard is lost; what comes from here on is heard as after an attach. */
static void begin_anew(struct replica_arena *arena, struct replica_heap *heap, uint64_t s1)
{
	if (s1 > heap->expected)
		skip_numbers(arena, heap, s1);
	heap->has_start_gap = true;
}

int replica_baseline_begin(struct replica *replica, struct replica_arena *arena,
			   const struct replica_cut *cuts, uint32_t heaps, uint64_t order,
			   uint64_t now_ns)
{
	for (uint32_t i = 0; i < heaps; i++) {
		bool is_new = !replica_heap_find(arena, i + 1);
		struct replica_heap *heap = heap_make(arena, i + 1);

		if (!heap)
			return -ENOMEM;
		if (arena->is_unfollowed)
			begin_anew(arena, heap, cuts[i].s1);
		else if (is_new && arena->baselines == 0) /* later ones are followed from 0 on */
			heap->attach_seq = heap->expected = heap->applied = cuts[i].s1;
		replica_note_seq(arena, i + 1, cuts[i].s1, 0, now_ns);
		heap->thread_id = cuts[i].thread_id;
		heap->returns_from = cuts[i].s1;
		heap->owner_from = cuts[i].s2;
	}
	replica->resyncs += arena->baselines > 0;
	arena->baselines++;
	arena->zero_ns = replica->attach_ns + replica->moved_ns;
	arena->walk_tick = tick_of_ns(replica_ns(replica, now_ns));
	arena->order_walked = order;
	arena->state = REPLICA_WALKING;
	arena->trouble = NULL;
	pending_fini(&arena->pending);
	return 0;
}

void replica_walk_units(struct replica_arena *arena, uint32_t first, uint32_t units, unsigned code)
{
	walked_units(&arena->table, first, units, code);
}

void replica_walk_span(struct replica_arena *arena, uint32_t first_unit,
		       const struct mmviz_span *head)
{
	walked_span(&arena->table, first_unit, head);
}

/*
 * The number of a birth, of which the block has 31 bits: the last that can be. Negative, or before
 * the attach: long ago.
 */
static int64_t birth_number(const struct replica_heap *owner, uint32_t incarnation)
{
	uint64_t last =
		owner->expected > owner->returns_from ? owner->expected : owner->returns_from;

	last += WALK_EVENTS_MAX;
	return (int64_t)(last - (mmviz_incarnation(last) - incarnation) / 2);
}

/*
 * Of blocks that a later baseline finds, those with incarnations since the attach are young: born
 * while events were lost or not followed. When their heap had come so far is known from its numbers.
 */
static uint32_t birth_of(const struct replica_arena *arena, const struct walked_block *block)
{
	const struct span *span =
		block_table_span_at(&arena->table, block->place / PLACES_PER_UNIT);
	const struct replica_heap *owner = span ? replica_heap_find(arena, span->owner_heap) : NULL;
	uint64_t born_ns;
	int64_t number;

	if (!owner)
		return arena->baselines == 1 ? BORN_BEFORE_ATTACH : arena->walk_tick;
	number = birth_number(owner, block->incarnation);
	if (number < (int64_t)owner->attach_seq)
		return BORN_BEFORE_ATTACH;
	born_ns = seq_times_find(&owner->times, (uint64_t)number);
	if (born_ns == 0)
		return arena->walk_tick;
	return born_ns > arena->zero_ns ? tick_of_ns(born_ns - arena->zero_ns) : 0;
}

void replica_walk_block(struct replica_arena *arena, struct walked_block *block)
{
	block->born_tick = birth_of(arena, block);
	walked_block(&arena->table, block);
}

void replica_baseline_end(struct replica_arena *arena, uint64_t committed_units)
{
	if (committed_units <= arena->table.units_count) {
		arena->committed_units = committed_units;
		arena->table.frontier_units = (uint32_t)committed_units;
	}
	arena->state = arena->trouble ? REPLICA_BROKEN : REPLICA_SETTLING;
}

/* ------------------------------------------------------------------ verify */

static size_t touched_bytes(const struct replica_arena *arena)
{
	return (size_t)arena->table.units_count * (PLACES_PER_UNIT / 8);
}

int replica_touch_begin(struct replica_arena *arena)
{
	void *bits = mmap(NULL, touched_bytes(arena), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (bits == MAP_FAILED)
		return -ENOMEM;
	arena->touched = bits;
	arena->all_touched = false;
	return 0;
}

void replica_touch_end(struct replica_arena *arena)
{
	if (arena->touched)
		munmap(arena->touched, touched_bytes(arena));
	arena->touched = NULL;
}

void replica_catch_up_begin(struct replica_arena *arena)
{
	for (uint32_t i = 0; i < arena->heaps_count; i++)
		arena->heaps[i].catch_up = arena->heaps[i].expected;
}

bool replica_has_caught_up(const struct replica_arena *arena)
{
	for (uint32_t i = 0; i < arena->heaps_count; i++)
		if (arena->heaps[i].applied < arena->heaps[i].catch_up)
			return false;
	return true;
}
