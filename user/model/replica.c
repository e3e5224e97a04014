/* SPDX-License-Identifier: MIT */
/*
 * replica.c - the rules of replica.h, at work.
 *
 * Order of this file: arenas, queues, trouble, one event, operations, settling, feeding, baseline,
 * verify. The loop that costs is apply_plain: it asks for the cells of events to come while it
 * works on those that have come.
 */
#define _GNU_SOURCE
#include "model/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/rules.h"

#define PREFETCH_EVENTS	   16u
#define QUEUE_MAX_EVENTS   (16u << 20) /* of one heap; more than a ring can hold */
#define RETURN_AHEAD_MAX   (1 << 24)   /* rule 11: farther ahead is behind */
#define NANOSECONDS_PER_MS 1000000u

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
		free(arena->heaps[i].queue.events);
		free(arena->heaps[i].queue.stamps);
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
	}
}

void replica_arena_remove(struct replica *replica, struct replica_arena *arena)
{
	uint32_t at = 0;

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

/* ------------------------------------------------------------------ trouble */

/* Loss, or bytes that cannot be: the arena is not exact until its next baseline. */
static void break_arena(struct replica_arena *arena, const char *trouble)
{
	if (arena->state != REPLICA_WALKING)
		arena->state = REPLICA_BROKEN;
	if (!arena->trouble)
		arena->trouble = trouble;
}

/* An event contradicts the replica. Right after a walk that is as it should be: the walk saw later
 * state, and later events make up for it. */
static void contradict(struct replica_arena *arena, const struct replica_heap *heap,
		       const char *trouble)
{
	if (arena->state != REPLICA_EXACT || heap->applied < heap->trusted_from)
		return;
	arena->violations++;
	arena->violation = trouble;
	break_arena(arena, trouble);
}

/* ------------------------------------------------------------------ queues */

static void queue_clear(struct event_queue *queue)
{
	queue->begin = queue->end = 0;
	queue->stamps_begin = queue->stamps_end = 0;
}

static uint32_t queue_count(const struct event_queue *queue)
{
	return queue->end - queue->begin;
}

/* Room for `count` more of `size` bytes behind *end, moving [begin, end) to the front first. */
static int make_room(void **items, size_t size, uint32_t *begin, uint32_t *end, uint32_t *capacity,
		     uint32_t count)
{
	uint32_t wanted = *end - *begin + count;
	char *bytes = *items;

	if (*end + count <= *capacity)
		return 0;
	if (wanted > *capacity) {
		bytes = realloc(*items, 2 * wanted * size);
		if (!bytes)
			return -ENOMEM;
		*items = bytes;
		*capacity = 2 * wanted;
	}
	memmove(bytes, bytes + *begin * size, (*end - *begin) * size);
	*end -= *begin;
	*begin = 0;
	return 0;
}

static int queue_add(struct replica_heap *heap, const struct mmviz_event *events, uint32_t count,
		     uint32_t at_ms)
{
	struct event_queue *queue = &heap->queue;

	if (queue_count(queue) + count > QUEUE_MAX_EVENTS)
		return -E2BIG;
	if (make_room((void **)&queue->events, sizeof(*events), &queue->begin, &queue->end,
		      &queue->capacity, count) ||
	    make_room((void **)&queue->stamps, sizeof(*queue->stamps), &queue->stamps_begin,
		      &queue->stamps_end, &queue->stamps_capacity, 1))
		return -ENOMEM;
	memcpy(queue->events + queue->end, events, count * sizeof(*events));
	queue->end += count;
	queue->stamps[queue->stamps_end++] = (struct queue_stamp){heap->expected, at_ms};
	return 0;
}

/* ------------------------------------------------------------------ one event */

static inline void touch(struct replica_arena *arena, uint32_t place)
{
	if (__builtin_expect(arena->touched != NULL, 0) &&
	    place / PLACES_PER_UNIT < arena->table.units_count)
		arena->touched[place / 64] |= 1ULL << place % 64;
}

static void touch_units(struct replica_arena *arena, uint32_t first, uint32_t units)
{
	if (!arena->touched)
		return;
	for (uint32_t word = 0; word < units * (PLACES_PER_UNIT / 64); word++)
		arena->touched[first * (PLACES_PER_UNIT / 64) + word] = ~0ULL;
}

static void apply_alloc(struct replica_arena *arena, struct replica_heap *heap,
			const struct mmviz_event *event, uint32_t at_ms)
{
	struct block_birth birth = {
		.place = mmviz_event_place(event->what),
		.context = mmviz_event_context(event->what),
		.bytes = event->data & ~MMVIZ_ALLOC_LABELLED,
		.incarnation = (uint32_t)heap->applied,
		.born_ms = at_ms,
		.label = event->data & MMVIZ_ALLOC_LABELLED ? event + 1 : NULL,
	};
	int error = block_table_alloc(&arena->table, &birth);

	touch(arena, birth.place);
	if (__builtin_expect(error, 0))
		contradict(arena, heap,
			   error == -EEXIST ? "an allocation of a block that is live"
					    : "an allocation where no block can be");
	if (__builtin_expect(arena->pending.count, 0)) {
		struct pending_return wanted = {
			.place = birth.place,
			.owner_heap = (uint32_t)(heap - arena->heaps) + 1,
			.incarnation = birth.incarnation,
		};

		if (pending_consume(&arena->pending, &wanted))
			block_table_free(&arena->table, birth.place, MMVIZ_LIFE_RETURNED);
	}
}

static void apply_free(struct replica_arena *arena, struct replica_heap *heap,
		       const struct mmviz_event *event)
{
	uint32_t place = mmviz_event_place(event->what);
	int error = block_table_free(&arena->table, place, MMVIZ_LIFE_CACHED);

	touch(arena, place);
	if (__builtin_expect(error == -EINVAL, 0))
		contradict(arena, heap, "a free where no block can be");
	else if (__builtin_expect(error && mmviz_event_kind(event->what) == MMVIZ_EVENT_FREE, 0))
		contradict(arena, heap, "a free of a block that is not live");
}

/* Has this block of that owner not been allocated yet, as far as events were applied? */
static bool is_ahead(const struct replica_arena *arena, uint32_t owner_heap, uint32_t incarnation)
{
	const struct replica_heap *owner = replica_heap_find(arena, owner_heap);
	int32_t ahead = (int32_t)(incarnation - (owner ? (uint32_t)owner->applied : 0));

	return ahead >= 0 && ahead < RETURN_AHEAD_MAX;
}

/*
 * Rule 11, and two cases more. The walk may have seen the block before its alloc is applied: then
 * that alloc must still find the return pending. And it may have met it half resized and taken it
 * for dead: then a resize speaks of it yet, and must not make it live.
 */
static void apply_return(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *event)
{
	struct pending_return item = {
		.place = mmviz_event_place(event->what),
		.owner_heap = (uint32_t)(event->data >> 32),
		.incarnation = (uint32_t)event->data,
	};
	struct span *span;
	const struct cell *cell = block_table_find(&arena->table, item.place, &span);
	bool is_it = cell && cell->incarnation == item.incarnation &&
		     span->owner_heap == item.owner_heap;

	touch(arena, item.place);
	if (cell && (is_it || rule_is_off(RULE_INCARNATION)))
		block_table_free(&arena->table, item.place, MMVIZ_LIFE_RETURNED);
	if (item.place && is_ahead(arena, item.owner_heap, item.incarnation) &&
	    !rule_is_off(RULE_PENDING) && pending_add(&arena->pending, &item))
		contradict(arena, heap, "more early returns than there can be");
}

static void apply_resize(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *event)
{
	uint32_t place = mmviz_event_place(event->what);

	touch(arena, place);
	/* Right after a walk: it met the header half written, and took it for dead. */
	if (block_table_resize(&arena->table, place, event->data, mmviz_event_context(event->what),
			       heap->applied < heap->trusted_from))
		contradict(arena, heap, "a resize of a block that is not live");
}

static int set_span(struct replica_arena *arena, const struct replica_heap *heap, uint32_t first,
		    uint32_t units, uint64_t data)
{
	const struct span *walked = block_table_span_at(&arena->table, first);
	bool is_kept = walked && rule_is_off(RULE_PAGE);
	struct span span;
	int error = block_table_shape_span(&arena->table, first, units,
					   (data >> 32 & 0xff) - MMVIZ_UNIT_SPAN, data >> 40 & 0xff,
					   &span);

	span.owner_heap = is_kept ? walked->owner_heap : (uint32_t)(heap - arena->heaps) + 1;
	return error ?: block_table_set_span(&arena->table, &span, is_kept);
}

/* Rule 9: whatever was there is gone, be it from the walk or from a span that was given back. */
static void apply_units(struct replica_arena *arena, struct replica_heap *heap,
			const struct mmviz_event *event)
{
	uint32_t place = mmviz_event_place(event->what), first = place / PLACES_PER_UNIT;
	uint32_t units = (uint32_t)event->data;
	unsigned code = event->data >> 32 & 0xff;
	int error = -EINVAL;

	if (rule_is_off(RULE_PAGE) && code == MMVIZ_UNIT_FREE)
		return;
	if (place % PLACES_PER_UNIT == 0) {
		if (code >= MMVIZ_UNIT_SPAN)
			error = set_span(arena, heap, first, units, event->data);
		else if (code == MMVIZ_UNIT_LARGE)
			error = block_table_set_large(&arena->table, first, units,
						      event->data >> 40 & 0xff);
		else
			error = block_table_set_units(&arena->table, first, units, code);
	}
	if (error)
		contradict(arena, heap, "units that cannot be");
	else
		touch_units(arena, first, units);
}

static void apply_commit(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *event)
{
	if (event->data > arena->table.units_count) {
		contradict(arena, heap, "more committed memory than the arena has");
		return;
	}
	arena->committed_units = event->data;
	arena->table.frontier_units = (uint32_t)event->data;
}

/* Event number heap->applied; does not count it. */
static inline void apply_event(struct replica_arena *arena, struct replica_heap *heap,
			       const struct mmviz_event *event, uint32_t at_ms)
{
	unsigned kind = mmviz_event_kind(event->what);

	if (__builtin_expect(heap->applied < heap->owner_from, 0) &&
	    (kind != MMVIZ_EVENT_RETURN || heap->applied < heap->returns_from))
		return;
	switch (kind) {
	case MMVIZ_EVENT_ALLOC:
		apply_alloc(arena, heap, event, at_ms);
		break;
	case MMVIZ_EVENT_FREE:
	case MMVIZ_EVENT_RECLAIM:
		apply_free(arena, heap, event);
		break;
	case MMVIZ_EVENT_RETURN:
		apply_return(arena, heap, event);
		break;
	case MMVIZ_EVENT_RESIZE:
		apply_resize(arena, heap, event);
		break;
	case MMVIZ_EVENT_ORDER:
		arena->order_applied = event->data;
		break;
	case MMVIZ_EVENT_UNITS:
		apply_units(arena, heap, event);
		break;
	case MMVIZ_EVENT_COMMIT:
		apply_commit(arena, heap, event);
		break;
	case MMVIZ_EVENT_RESET:
		block_table_reset(&arena->table);
		arena->all_touched = arena->touched != NULL;
		break;
	default:
		contradict(arena, heap, "an event of no known kind");
	}
}

/*
 * Apply events up to the first structural change, or to the last that is whole. Returns how many.
 */
static uint32_t apply_plain(struct replica_arena *arena, struct replica_heap *heap,
			    const struct mmviz_event *events, uint32_t count, uint32_t at_ms)
{
	uint32_t i = 0;

	while (i < count) {
		uint32_t slots = mmviz_event_slots(&events[i]);

		if (i + PREFETCH_EVENTS < count)
			block_table_prefetch(&arena->table,
					     mmviz_event_place(events[i + PREFETCH_EVENTS].what));
		if (mmviz_event_kind(events[i].what) == MMVIZ_EVENT_ORDER || slots > count - i)
			break;
		apply_event(arena, heap, &events[i], at_ms);
		heap->applied += slots;
		i += slots;
	}
	return i;
}

/* ------------------------------------------------------------------ operations */

/* Slots of the structural operation that begins with the ORDER at events[0]. Its parts stand
 * together, and none of them but the first could begin an operation. */
static uint32_t operation_slots(const struct mmviz_event *events, uint32_t count)
{
	bool after_large = false;
	uint32_t i = 1;

	while (i < count && i < MMVIZ_OPERATION_EVENTS_MAX) {
		unsigned kind = mmviz_event_kind(events[i].what);
		bool is_part = kind == MMVIZ_EVENT_UNITS || kind == MMVIZ_EVENT_COMMIT ||
			       kind == MMVIZ_EVENT_RESET || (kind == MMVIZ_EVENT_FREE && i == 1) ||
			       (kind == MMVIZ_EVENT_ALLOC && after_large) ||
			       (kind == MMVIZ_EVENT_RESIZE && (i == 1 || after_large));

		if (!is_part || mmviz_event_slots(&events[i]) > count - i)
			break;
		after_large = kind == MMVIZ_EVENT_UNITS &&
			      (events[i].data >> 32 & 0xff) == MMVIZ_UNIT_LARGE;
		i += mmviz_event_slots(&events[i]);
	}
	return i;
}

static uint32_t stamp_of(const struct replica_heap *heap)
{
	const struct event_queue *queue = &heap->queue;

	return queue->stamps_begin < queue->stamps_end ? queue->stamps[queue->stamps_begin].at_ms
						       : 0;
}

/* `count` events were applied: they leave the queue. */
static void queue_drop(struct replica_heap *heap, uint32_t count)
{
	struct event_queue *queue = &heap->queue;

	queue->begin += count;
	while (queue->stamps_begin < queue->stamps_end &&
	       queue->stamps[queue->stamps_begin].until <= heap->applied)
		queue->stamps_begin++;
	if (queue_count(queue) == 0)
		queue_clear(queue);
}

/* The structural operation at the head of the queue. */
static void apply_operation(struct replica_arena *arena, struct replica_heap *heap)
{
	struct event_queue *queue = &heap->queue;
	const struct mmviz_event *events = queue->events + queue->begin;
	uint32_t slots = operation_slots(events, queue_count(queue)), at_ms = stamp_of(heap);

	for (uint32_t i = 0; i < slots;) {
		uint32_t step = mmviz_event_slots(&events[i]);

		apply_event(arena, heap, &events[i], at_ms);
		heap->applied += step;
		i += step;
	}
	queue_drop(heap, slots);
}

/* Apply the queue up to its first structural change, stamp by stamp. */
static void apply_queue(struct replica_arena *arena, struct replica_heap *heap)
{
	struct event_queue *queue = &heap->queue;

	while (queue_count(queue) > 0) {
		uint64_t until = queue->stamps[queue->stamps_begin].until;
		uint32_t count = queue_count(queue), done;

		/* Events may straddle two stamps: then what is whole goes by the first. */
		if (until - heap->applied < count)
			count = (uint32_t)(until - heap->applied);
		done = apply_plain(arena, heap, queue->events + queue->begin, count,
				   stamp_of(heap));
		if (done == 0 && count < queue_count(queue))
			done = apply_plain(arena, heap, queue->events + queue->begin,
					   queue_count(queue), stamp_of(heap));
		if (done == 0)
			return;
		queue_drop(heap, done);
	}
}

/* ------------------------------------------------------------------ settling */

/* Rule 8: the walk has seen every change up to order_walked, by whichever heap. */
static void raise_owner_from(struct replica_arena *arena, struct replica_heap *heap)
{
	const struct event_queue *queue = &heap->queue;
	uint32_t i = 0, count = queue_count(queue);

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

		if (queue_count(queue) == 0 || mmviz_event_kind(event->what) != MMVIZ_EVENT_ORDER)
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
	return is_ahead(context, item->owner_heap, item->incarnation);
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
		apply_operation(arena, heap);
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
		break_arena(arena, "events were lost");
	queue_clear(&heap->queue);
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
	struct replica_heap *heap = heap_make(arena, heap_id);

	if (heap && seq > heap->expected)
		skip_numbers(arena, heap, seq);
}

static uint32_t ms_since_attach(const struct replica *replica, uint64_t at_ns)
{
	return at_ns < replica->attach_ns
		       ? 0
		       : (uint32_t)((at_ns - replica->attach_ns) / NANOSECONDS_PER_MS);
}

/* In place as far as it goes, if nothing waits before it; the rest is queued. */
static void take_events(struct replica_arena *arena, struct replica_heap *heap,
			const struct mmviz_event *events, uint32_t count, uint32_t at_ms)
{
	bool may_apply = arena->state == REPLICA_EXACT || arena->state == REPLICA_BROKEN;
	uint32_t done = 0;

	heap->expected += count;
	if (may_apply && queue_count(&heap->queue) == 0)
		done = apply_plain(arena, heap, events, count, at_ms);
	if (done < count && queue_add(heap, events + done, count - done, at_ms)) {
		arena->lost += count - done;
		arena->seen -= count - done;
		queue_clear(&heap->queue);
		heap->applied = heap->expected;
		break_arena(arena, "more events were waiting than there is memory for");
	}
}

void replica_feed(struct replica *replica, struct replica_arena *arena,
		  const struct replica_batch *batch)
{
	struct replica_heap *heap;
	uint64_t first = batch->first;

	if (arena->is_from_attach && !arena->baselines)
		return; /* older than the cut that is to come; none comes if it is destroyed first */
	heap = heap_make(arena, batch->heap_id);
	if (!heap || batch->next < first || batch->next - first > MMVIZ_LOG_SLOTS) {
		arena->violations++;
		break_arena(arena, "a log that cannot be");
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
	take_events(arena, heap, batch->events + (first - batch->first),
		    (uint32_t)(batch->next - first), ms_since_attach(replica, batch->at_ns));
}

/* ------------------------------------------------------------------ baseline */

int replica_baseline_begin(struct replica *replica, struct replica_arena *arena,
			   const struct replica_cut *cuts, uint32_t heaps, uint64_t order,
			   uint64_t now_ns)
{
	for (uint32_t i = 0; i < heaps; i++) {
		bool is_new = !replica_heap_find(arena, i + 1);
		struct replica_heap *heap = heap_make(arena, i + 1);

		if (!heap)
			return -ENOMEM;
		if (is_new)
			heap->attach_seq = heap->expected = heap->applied = cuts[i].s1;
		heap->returns_from = cuts[i].s1;
		heap->owner_from = cuts[i].s2;
	}
	replica->resyncs += arena->baselines > 0;
	arena->baselines++;
	arena->walk_ms = ms_since_attach(replica, now_ns);
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

/* Of blocks that a later baseline finds, those with incarnations since the attach are young. */
static bool is_older_than_attach(const struct replica_arena *arena,
				 const struct walked_block *block)
{
	const struct span *span =
		block_table_span_at(&arena->table, block->place / PLACES_PER_UNIT);
	const struct replica_heap *owner = span ? replica_heap_find(arena, span->owner_heap) : NULL;

	if (!owner)
		return arena->baselines == 1;
	return (int32_t)(block->incarnation - (uint32_t)owner->attach_seq) < 0;
}

void replica_walk_block(struct replica_arena *arena, struct walked_block *block)
{
	block->born_ms = is_older_than_attach(arena, block) ? BORN_BEFORE_ATTACH : arena->walk_ms;
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
