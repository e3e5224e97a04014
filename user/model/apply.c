/* SPDX-License-Identifier: MIT */
/*
 * apply.c - see apply.h. The loop that costs is apply_plain: it asks for the cells of events to
 * come while it works on those that have come.
 */
#include "model/apply.h"

#include <errno.h>

#include "model/block_table_hot.h"
#include "model/rules.h"

#define PREFETCH_EVENTS	 16u
#define RETURN_AHEAD_MAX (1u << 24) /* rule 11: farther ahead is behind; in events */

void replica_break(struct replica_arena *arena, const char *trouble)
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
	replica_break(arena, trouble);
}

/* ------------------------------------------------------------------ kinds of events */

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

/* The event that is applied: when, and whose log tells it. */
struct moment {
	uint64_t at_q8, step_q8; /* event_clock.h */
	uint32_t heap_id;
};

static inline struct moment moment_of(const struct replica_arena *arena,
				      const struct replica_heap *heap,
				      const struct event_clock *clock)
{
	return (struct moment){event_clock_q8(clock, heap->applied), clock->step_q8,
			       (uint32_t)(heap - arena->heaps) + 1};
}

/*
 * Deaths are noted in a row and counted in a loop of their own: half the price of counting each one
 * between other work.
 *
 * Between two events of one heap the position tells more than the ticks do: where a block lived for
 * less than two of them, it is taken.
 */
static __attribute__((noinline)) unsigned rare_bucket(const struct noted_death *death,
						      const struct moment *run)
{
	uint32_t ticks = death->tick - death->born_tick;
	uint64_t by_position = death->events * run->step_q8 >> 8;

	if (death->born_tick == BORN_BEFORE_ATTACH)
		return LIFETIME_OLDER;
	/* Right after a walk a free may hit a block that is younger than it. */
	if (ticks < 2 && death->owner_heap == run->heap_id && by_position < 2 * TICK_NS)
		return lifetime_bucket(by_position);
	return lifetime_bucket(lifetime_of_ticks(ticks));
}

static void count_deaths(struct replica_arena *arena, const struct moment *run)
{
	for (uint32_t i = 0; i < arena->deaths_count; i++) {
		const struct noted_death *death = &arena->deaths[i];
		uint32_t ticks = death->tick - death->born_tick;
		struct lifetimes *of =
			totals_lifetimes(&arena->table.totals, mmviz_word_context(death->word));

		if (__builtin_expect(ticks - 2 >= INT32_MAX - 2 ||
					     death->born_tick == BORN_BEFORE_ATTACH,
				     0))
			of->deaths[rare_bucket(death, run)]++;
		else
			of->deaths[TICK_SHIFT + lifetime_log2(ticks)]++;
	}
	arena->deaths_count = 0;
}

static inline void note_death(struct replica_arena *arena, const struct replica_heap *heap,
			      const struct span *span, const struct cell *cell,
			      const struct moment *now)
{
	if (__builtin_expect(arena->deaths_count == REPLICA_DEATHS_MAX, 0))
		count_deaths(arena, now);
	arena->deaths[arena->deaths_count++] = (struct noted_death){
		.word = cell->word,
		.born_tick = cell->born_tick,
		.tick = tick_of_q8(now->at_q8),
		.events = (mmviz_incarnation(heap->applied) - cell->incarnation) / 2,
		.owner_heap = span->owner_heap,
	};
}

/* Free what lives in this cell. 0 or -ENOENT: nothing did. */
static inline __attribute__((always_inline)) int free_cell(struct replica_arena *arena,
							   const struct replica_heap *heap,
							   struct span *span, struct cell *cell,
							   unsigned life, const struct moment *now)
{
	if (mmviz_word_life(cell->word) == MMVIZ_LIFE_LIVE)
		note_death(arena, heap, span, cell, now);
	return block_table_free_cell(&arena->table, span, cell, life);
}

/* The block that was just born has been returned by another thread, at `tick`. */
static __attribute__((noinline)) void end_returned(struct replica_arena *arena,
						   struct block_birth birth, uint32_t tick)
{
	uint64_t age_ns = lifetime_of_ticks(tick - birth.born_tick);

	if (block_table_free(&arena->table, birth.place, MMVIZ_LIFE_RETURNED) == 0)
		totals_lifetimes(&arena->table.totals, birth.context)
			->deaths[lifetime_bucket(age_ns)]++;
}

static inline __attribute__((always_inline)) void apply_alloc(struct replica_arena *arena,
							      struct replica_heap *heap,
							      const struct mmviz_event *event,
							      const struct moment *now)
{
	struct block_birth birth = {
		.place = mmviz_event_place(event->what),
		.context = mmviz_event_context(event->what),
		.bytes = event->data & ~MMVIZ_ALLOC_LABELLED,
		.incarnation = mmviz_incarnation(heap->applied),
		.born_tick = tick_of_q8(now->at_q8),
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
			end_returned(arena, birth, wanted.tick);
	}
}

static inline __attribute__((always_inline)) void apply_free(struct replica_arena *arena,
							     struct replica_heap *heap,
							     const struct mmviz_event *event,
							     const struct moment *now)
{
	uint32_t place = mmviz_event_place(event->what);
	struct span *span;
	struct cell *cell = block_table_find(&arena->table, place, &span);
	int error = -EINVAL;

	if (__builtin_expect(cell != NULL, 1))
		error = free_cell(arena, heap, span, cell, MMVIZ_LIFE_CACHED, now);

	touch(arena, place);
	if (__builtin_expect(error == -EINVAL, 0))
		contradict(arena, heap, "a free where no block can be");
	else if (__builtin_expect(error && mmviz_event_kind(event->what) == MMVIZ_EVENT_FREE, 0))
		contradict(arena, heap, "a free of a block that is not live");
}

/* Has this block of that owner not been allocated yet, as far as events were applied? */
bool apply_is_ahead(const struct replica_arena *arena, uint32_t owner_heap, uint32_t incarnation)
{
	const struct replica_heap *owner = replica_heap_find(arena, owner_heap);
	uint32_t next = mmviz_incarnation(owner ? owner->applied : 0);

	return (incarnation - next) / 2 < RETURN_AHEAD_MAX;
}

/*
 * Rule 11, and two cases more. The walk may have seen the block before its alloc is applied: then
 * that alloc must still find the return pending. And it may have met it half resized and taken it
 * for dead: then a resize speaks of it yet, and must not make it live.
 */
static void apply_return(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *event, const struct moment *now)
{
	struct pending_return item = {
		.place = mmviz_event_place(event->what),
		.owner_heap = (uint32_t)(event->data >> 32),
		.incarnation = (uint32_t)event->data,
		.tick = tick_of_q8(now->at_q8),
	};
	struct span *span;
	struct cell *cell = block_table_find(&arena->table, item.place, &span);
	bool is_it = cell && cell->incarnation == item.incarnation &&
		     span->owner_heap == item.owner_heap;

	touch(arena, item.place);
	if (cell && (is_it || rule_is_off(RULE_INCARNATION)))
		free_cell(arena, heap, span, cell, MMVIZ_LIFE_RETURNED, now);
	if (item.place && apply_is_ahead(arena, item.owner_heap, item.incarnation) &&
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
static inline __attribute__((always_inline)) void apply_event(struct replica_arena *arena,
							      struct replica_heap *heap,
							      const struct mmviz_event *event,
							      const struct moment *now)
{
	unsigned kind = mmviz_event_kind(event->what);

	if (__builtin_expect(heap->applied < heap->owner_from, 0) &&
	    (kind != MMVIZ_EVENT_RETURN || heap->applied < heap->returns_from))
		return;
	switch (kind) {
	case MMVIZ_EVENT_ALLOC:
		apply_alloc(arena, heap, event, now);
		break;
	case MMVIZ_EVENT_FREE:
	case MMVIZ_EVENT_RECLAIM:
		apply_free(arena, heap, event, now);
		break;
	case MMVIZ_EVENT_RETURN:
		apply_return(arena, heap, event, now);
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
		arena->table.now_tick = tick_of_q8(now->at_q8);
		block_table_reset(&arena->table);
		arena->all_touched = arena->touched != NULL;
		break;
	default:
		contradict(arena, heap, "an event of no known kind");
	}
}

uint32_t apply_plain(struct replica_arena *arena, struct replica_heap *heap,
		     const struct mmviz_event *events, uint32_t count,
		     const struct event_clock *clock)
{
	struct moment now = moment_of(arena, heap, clock);
	uint32_t i = 0;

	while (i < count) {
		uint32_t slots = mmviz_event_slots(&events[i]);

		if (i + PREFETCH_EVENTS < count)
			block_table_prefetch(&arena->table,
					     mmviz_event_place(events[i + PREFETCH_EVENTS].what));
		if (mmviz_event_kind(events[i].what) == MMVIZ_EVENT_ORDER || slots > count - i)
			break;
		apply_event(arena, heap, &events[i], &now);
		now.at_q8 += slots * now.step_q8;
		heap->applied += slots;
		i += slots;
	}
	count_deaths(arena, &now);
	return i;
}

/* ------------------------------------------------------------------ operations */

uint32_t operation_slots(const struct mmviz_event *events, uint32_t count)
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

uint32_t apply_operation(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *events, uint32_t count,
			 const struct event_clock *clock)
{
	struct moment now = moment_of(arena, heap, clock);
	uint32_t slots = operation_slots(events, count);

	for (uint32_t i = 0; i < slots;) {
		uint32_t step = mmviz_event_slots(&events[i]);

		apply_event(arena, heap, &events[i], &now);
		now.at_q8 += step * now.step_q8;
		heap->applied += step;
		i += step;
	}
	count_deaths(arena, &now);
	return slots;
}
