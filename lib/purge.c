/* SPDX-License-Identifier: MIT */
/* purge.c - see purge.h. */
#include "purge.h"

#include <string.h>

#include "os.h"
#include "poison.h"

#define TICKS		254u				 /* 1 .. 254, round and round */
#define STEP_UNITS	((1u << 20) >> MMVIZ_UNIT_SHIFT) /* let go under one lock */
#define SCAN_UNITS	(1u << 16)			 /* looked at under one lock */
#define IDLE_SCAN_UNITS (1u << 12)
#define LET_GO		255u /* arena.ages[] */
/* Instead of growing: */
#define INSTEAD_MIN_UNITS     ((64u << 20) >> MMVIZ_UNIT_SHIFT)
#define OWED_UNITS	      64u   /* let go at once; ... */
#define OWED_SCAN_UNITS	      1024u /* ... and looked at for that */
#define ALLOWED_AT_ONCE_SHARE 3u    /* of the arena may be let go so; and as time goes by, ... */
#define ALLOWED_SHARE	      64u   /* ... a 64th each second */
#define QUIET_TICKS	      3u /* without an event, and a heap keeps no pages of big free cells */
#define WANTED_UNITS	      ((1u << 20) >> MMVIZ_UNIT_SHIFT)

static uint8_t tick_before(const struct mmviz_arena *arena, unsigned ticks)
{
	return (uint8_t)((arena->tick + TICKS - 1 - ticks) % TICKS + 1);
}

unsigned purge_age(const struct mmviz_arena *arena, uint8_t tick)
{
	return (arena->tick + TICKS - tick) % TICKS;
}

/* How many of these bytes are not 0. Eight at a time: blocks of thousands of units come and go. */
static uint32_t count_set(const uint8_t *bytes, uint32_t count)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7fULL;
	uint32_t set = 0, i = 0;
	uint64_t eight;

	for (; i + sizeof(eight) <= count; i += sizeof(eight)) {
		memcpy(&eight, bytes + i, sizeof(eight));
		if (eight) /* the highest bit of each byte that has one */
			set += (uint32_t)__builtin_popcountll((((eight & low) + low) | eight) &
							      ~low);
	}
	for (; i < count; i++)
		set += bytes[i] != 0;
	return set;
}

static void note(struct mmviz_arena *arena, uint32_t unit, uint32_t units, uint8_t tick)
{
	arena->dirty_units -= count_set(arena->dirty + unit, units);
	arena->dirty_units += tick ? units : 0;
	memset(arena->dirty + unit, tick, units);
}

void purge_note_taken(struct mmviz_arena *arena, uint32_t unit, uint32_t units)
{
	note(arena, unit, units, 0);
}

void purge_note_free(struct mmviz_arena *arena, uint32_t unit, uint32_t units)
{
	note(arena, unit, units, arena->tick);
}

void purge_note_stale(struct mmviz_arena *arena, uint32_t unit, uint32_t units)
{
	note(arena, unit, units, tick_before(arena, TICKS / 2));
}

bool purge_is_wanted(const struct mmviz_arena *arena)
{
	if (arena->head.flags & MMVIZ_ARENA_OWN_MEMORY)
		return false;
	return arena->dirty_units + arena->cached_units + arena->big_units >= WANTED_UNITS;
}

void purge_tick(struct mmviz_arena *arena)
{
	arena->tick = (uint8_t)(arena->tick % TICKS + 1);
	for (struct heap *heap = arena_heap_first(arena); heap; heap = heap_next(heap)) {
		uint64_t seq = __atomic_load_n(&heap->log.seq, __ATOMIC_RELAXED);

		heap->quiet_ticks = seq == heap->quiet_seq ? heap->quiet_ticks + 1 : 0;
		heap->quiet_seq = seq;
	}
}

enum purge_work purge_work(const struct mmviz_arena *arena)
{
	enum purge_work work =
		arena->dirty_units || arena->cached_units ? PURGE_NOW : PURGE_NOTHING;
	const struct heap *heap = arena->big_units ? arena_heap_first(arena) : NULL;

	for (; heap && work != PURGE_NOW; heap = heap_next(heap))
		if (heap->quiet_ticks == QUIET_TICKS)
			work = PURGE_NOW;
		else if (heap->quiet_ticks < QUIET_TICKS)
			work = PURGE_LATER;
	return work;
}

/* ------------------------------------------------------------------ letting go */

static bool is_stale(const struct mmviz_arena *arena, uint32_t unit, unsigned ticks)
{
	return arena->dirty[unit] && arena->map[unit] == MMVIZ_UNIT_FREE &&
	       purge_age(arena, arena->dirty[unit]) >= ticks;
}

/* A page that cannot be let go (locked into memory, for instance) counts as clean all the same. */
static void let_go(struct mmviz_arena *arena, uint32_t unit, uint32_t units)
{
	os_purge(arena_unit_address(arena, unit), (size_t)units << MMVIZ_UNIT_SHIFT);
	note(arena, unit, units, 0);
}

bool purge_step(struct mmviz_arena *arena, uint32_t *cursor, unsigned ticks)
{
	uint32_t unit = *cursor, frontier = (uint32_t)arena->head.frontier_units, start;
	uint32_t end = frontier - unit > SCAN_UNITS ? unit + SCAN_UNITS : frontier;

	if (!arena->dirty_units || unit >= frontier)
		return false;
	while (unit < end && !is_stale(arena, unit, ticks))
		unit++;
	for (start = unit; unit < frontier && unit - start < STEP_UNITS; unit++)
		if (!is_stale(arena, unit, ticks))
			break;
	if (unit > start)
		let_go(arena, start, unit - start);
	*cursor = unit;
	return true;
}

bool purge_arena(struct mmviz_arena *arena)
{
	uint32_t cursor = 0;
	bool is_wanted = !(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY), has_purged, goes_on;

	has_purged = is_wanted && arena->dirty_units;
	for (goes_on = is_wanted; goes_on;) {
		arena_lock(arena);
		goes_on = purge_step(arena, &cursor, 0);
		arena_unlock(arena);
	}
	return has_purged;
}

/* ------------------------------------------------------------------ pages of idle cells */

/* Neighbouring cells of a span. */
struct cells {
	const struct mmviz_span *span;
	struct heap *owner;
	uint32_t first, count;
};

/* Those that have bytes in this unit. */
static struct cells cells_in(const struct mmviz_arena *arena, const struct cells *run,
			     uint32_t unit)
{
	const struct mmviz_span *span = run->span;
	uint64_t offset = (uint64_t)arena_unit_address(arena, unit) - span->start_addr;
	uint64_t first = offset / span->cell_bytes;
	uint64_t last = (offset + MMVIZ_UNIT_BYTES - 1) / span->cell_bytes;

	if (last >= span->cells)
		last = span->cells - 1;
	return (struct cells){
		.span = span,
		.owner = run->owner,
		.first = (uint32_t)first,
		.count = first > last ? 0 : (uint32_t)(last - first + 1),
	};
}

static uint32_t cell_place(const struct cells *cells, uint32_t i)
{
	return heap_place(cells->owner, span_header(cells->span, cells->first + i));
}

/* A look without the lock; borrow_cells makes sure. */
static bool are_idle(const struct cells *cells)
{
	for (uint32_t i = 0; i < cells->count; i++)
		if (!heap_is_idle(cells->owner, cell_place(cells, i)))
			return false;
	return true;
}

/* Give back the bits of the first `count` cells: the owner, who takes the lock, sees the pages gone.
 */
static void return_cells(const struct cells *cells, uint32_t count)
{
	if (!count)
		return;
	heap_lock(cells->owner);
	for (uint32_t i = 0; i < count; i++)
		heap_set_idle(cells->owner, cell_place(cells, i));
	heap_unlock(cells->owner);
}

/* Borrow the bits of all cells; false: the owner is busy, or was faster with one of them. */
static bool borrow_cells(const struct cells *cells)
{
	bool are_there;

	if (!heap_trylock(cells->owner))
		return false;
	are_there = are_idle(cells);
	for (uint32_t i = 0; are_there && i < cells->count; i++)
		heap_clear_idle(cells->owner, cell_place(cells, i));
	heap_unlock(cells->owner);
	return are_there;
}

/* Idle cells' pages have an age, too. `ticks` 0: whatever it is. Looked at for the first time, they
 * get it now. */
static bool is_old_enough(const struct mmviz_arena *arena, uint32_t unit, unsigned ticks)
{
	uint8_t *age = &arena->ages[unit], then = __atomic_load_n(age, __ATOMIC_RELAXED);

	if (!then && ticks)
		__atomic_store_n(age, arena->tick, __ATOMIC_RELAXED);
	return !ticks || (then && purge_age(arena, then) >= ticks);
}

static bool is_gone(const struct mmviz_arena *arena, uint32_t unit)
{
	return __atomic_load_n(&arena->ages[unit], __ATOMIC_RELAXED) == LET_GO;
}

/* The next page of a run that may be let go: borrows its cells, but for one that it shares with the
 * page before, and adds them to `run`. */
static bool borrow_page(const struct mmviz_arena *arena, struct cells *run, uint32_t unit,
			unsigned ticks)
{
	struct cells cells = cells_in(arena, run, unit);
	bool is_shared = run->count && cells.count && cells.first < run->first + run->count;

	if (is_gone(arena, unit) || !cells.count)
		return false;
	cells.first += is_shared;
	cells.count -= is_shared;
	if (!are_idle(&cells) || !is_old_enough(arena, unit, ticks) || !borrow_cells(&cells))
		return false;
	if (!run->count)
		run->first = cells.first;
	run->count += cells.count;
	return true;
}

/* Let the pages from `unit` on go, as far as all cells in them are idle; how many that were. */
static uint32_t let_go_run(struct mmviz_arena *arena, struct cells run, uint32_t unit, uint32_t end,
			   unsigned ticks)
{
	uint32_t units = 0;

	while (unit + units < end && units < STEP_UNITS &&
	       borrow_page(arena, &run, unit + units, ticks))
		units++;
	if (!units)
		return 0;
	os_purge(arena_unit_address(arena, unit), (size_t)units << MMVIZ_UNIT_SHIFT);
	for (uint32_t i = 0; i < units; i++)
		__atomic_store_n(&arena->ages[unit + i], LET_GO, __ATOMIC_RELAXED);
	return_cells(&run, run.count);
	return units;
}

static uint32_t let_go_between(uint64_t addr, uint64_t end)
{
	uint64_t mask = MMVIZ_UNIT_BYTES - 1, first = (addr + mask) & ~mask;

	os_purge((void *)first, (end & ~mask) - first);
	return (uint32_t)(((end & ~mask) - first) >> MMVIZ_UNIT_SHIFT);
}

static bool is_waiting(const struct mmviz_header *header)
{
	return (__atomic_load_n(&header->incarnation, __ATOMIC_ACQUIRE) & 1) &&
	       mmviz_word_life(__atomic_load_n(&header->word, __ATOMIC_RELAXED)) == MMVIZ_LIFE_LIVE;
}

/* A free cell that waits with a heap whose thread has done nothing for some time: that thread
 * cannot take it meanwhile. Its header is to stay, and the word behind. */
static uint32_t let_go_waiting(struct heap *heap, const struct mmviz_header *header,
			       uint32_t cell_bytes)
{
	uint32_t gone = 0;

	if (!is_waiting(header) || !heap_trylock(heap))
		return 0;
	if (is_waiting(header))
		gone = let_go_between((uint64_t)(header + 2), (uint64_t)header + cell_bytes);
	heap_unlock(heap);
	return gone;
}

/* The age of a big cell is that of its first unit. */
static uint32_t big_unit(const struct mmviz_arena *arena, const struct cells *cells, uint32_t i)
{
	return arena_unit(arena, span_header(cells->span, cells->first + i));
}

/* Borrow the idle cells from `cells->first` on; whether one of them has pages and is old enough. */
static bool borrow_big(const struct mmviz_arena *arena, struct cells *cells, unsigned ticks)
{
	bool is_wanted = false;

	for (; cells->first + cells->count < cells->span->cells; cells->count++) {
		struct cells next = {cells->span, cells->owner, cells->first + cells->count, 1};
		uint32_t unit = big_unit(arena, &next, 0);

		if (!are_idle(&next) ||
		    (!is_gone(arena, unit) && !is_old_enough(arena, unit, ticks)) ||
		    !borrow_cells(&next))
			break;
		is_wanted |= !is_gone(arena, unit);
	}
	return is_wanted;
}

/* What lies in neighbouring idle cells alone. */
static uint32_t let_go_big(struct mmviz_arena *arena, struct cells *cells, unsigned ticks)
{
	uint64_t addr = (uint64_t)span_header(cells->span, cells->first);
	uint32_t gone = 0;

	if (borrow_big(arena, cells, ticks))
		gone = let_go_between(addr,
				      addr + (uint64_t)cells->count * cells->span->cell_bytes);
	for (uint32_t i = 0; gone && i < cells->count; i++)
		__atomic_store_n(&arena->ages[big_unit(arena, cells, i)], LET_GO, __ATOMIC_RELAXED);
	return_cells(cells, cells->count);
	return gone;
}

static uint32_t let_go_big_cells(struct mmviz_arena *arena, const struct mmviz_span *span,
				 struct heap *owner, unsigned ticks)
{
	bool is_quiet = ticks && owner->quiet_ticks == QUIET_TICKS;
	struct cells cells = {.span = span, .owner = owner};
	uint32_t gone = 0;

	for (; cells.first < span->cells; cells.first += cells.count ? cells.count : 1) {
		cells.count = 0;
		gone += let_go_big(arena, &cells, ticks);
		if (!cells.count && is_quiet)
			gone += let_go_waiting(owner, span_header(span, cells.first),
					       span->cell_bytes);
	}
	return gone;
}

/* What lies behind the cells that were ever used may have been used by others before. The age of
 * its last unit is that of all. */
static uint32_t let_go_never_used(struct mmviz_arena *arena, const struct mmviz_span *span,
				  struct heap *owner, unsigned ticks)
{
	uint32_t bump = __atomic_load_n(&span->bump_cells, __ATOMIC_RELAXED), gone = 0;
	uint64_t end = span->start_addr + ((uint64_t)span->units << MMVIZ_UNIT_SHIFT);
	uint32_t last = arena_unit(arena, (const void *)(end - 1));

	if (bump == span->cells || is_gone(arena, last) || !is_old_enough(arena, last, ticks) ||
	    !heap_trylock(owner))
		return 0;
	bump = __atomic_load_n(&span->bump_cells, __ATOMIC_RELAXED);
	if (bump < span->cells) {
		gone = let_go_between(span->start_addr + (uint64_t)bump * span->cell_bytes, end);
		__atomic_store_n(&arena->ages[last], LET_GO, __ATOMIC_RELAXED);
	}
	heap_unlock(owner);
	return gone;
}

static uint32_t let_go_cells(struct mmviz_arena *arena, const struct mmviz_span *span,
			     struct heap *owner, uint32_t unit, unsigned ticks)
{
	const struct cells none = {.span = span, .owner = owner};
	uint32_t end = unit + span->units, gone = 0, run;

	for (; unit < end; unit += run ? run : 1) {
		run = let_go_run(arena, none, unit, end, ticks);
		gone += run;
	}
	return gone;
}

/* What can be let go of one span. */
static uint32_t let_go_in(struct mmviz_arena *arena, const struct mmviz_span *span, uint32_t unit,
			  unsigned ticks)
{
	struct heap *owner = arena_heap_by_id(arena, span->owner_heap);
	uint32_t gone = 0;

	if (!owner)
		return 0;
	if (ticks)
		gone += let_go_never_used(arena, span, owner, ticks);
	return gone + (span_is_big_class(span->size_class)
			       ? let_go_big_cells(arena, span, owner, ticks)
			       : let_go_cells(arena, span, owner, unit, ticks));
}

/* Whole spans from *unit on, which moves, up to `end`, until `most` units or more are let go. */
static uint32_t sweep(struct mmviz_arena *arena, uint32_t *unit, uint32_t end, uint32_t most,
		      unsigned ticks)
{
	uint32_t gone = 0;

	while (*unit < end && gone < most) {
		const struct mmviz_span *span;

		if (arena->map[*unit] < MMVIZ_UNIT_SPAN) {
			++*unit;
			continue;
		}
		span = arena_head_at(arena, *unit);
		gone += let_go_in(arena, span, *unit, ticks);
		*unit += span->units;
	}
	return gone;
}

bool purge_idle_step(struct mmviz_arena *arena, uint32_t *cursor, unsigned ticks)
{
	uint32_t unit = *cursor, frontier = (uint32_t)arena->head.frontier_units;

	if (unit >= frontier)
		return false;
	sweep(arena, cursor, frontier - unit > IDLE_SCAN_UNITS ? unit + IDLE_SCAN_UNITS : frontier,
	      STEP_UNITS, ticks);
	return true;
}

/* ------------------------------------------------------------------ instead of growing */

/* What may be let go by now, if all that was let go since then is taken off. */
static uint64_t allowance(struct mmviz_arena *arena)
{
	uint64_t now_ns = os_now_ns(), frontier = arena->head.frontier_units;
	uint64_t more = (now_ns - arena->allowed_ns) / 1000000 * (frontier / ALLOWED_SHARE) / 1000;

	if (more) {
		arena->allowed_ns = now_ns;
		arena->allowed_units += more;
	}
	if (arena->allowed_units > frontier / ALLOWED_AT_ONCE_SHARE)
		arena->allowed_units = frontier / ALLOWED_AT_ONCE_SHARE;
	return arena->allowed_units;
}

void purge_instead(struct mmviz_arena *arena, uint32_t units, uint64_t idle_bytes)
{
	uint32_t frontier = (uint32_t)arena->head.frontier_units, from, end, gone;

	if (frontier < INSTEAD_MIN_UNITS || idle_bytes >> MMVIZ_UNIT_SHIFT < frontier / 2 ||
	    arena->head.flags & MMVIZ_ARENA_OWN_MEMORY || poison_is_on())
		return;
	arena->owed_units += units + units / 2;
	if (arena->owed_units < OWED_UNITS || allowance(arena) < arena->owed_units)
		return;
	if (arena->sweep_unit >= frontier)
		arena->sweep_unit = 0;
	from = arena->sweep_unit;
	end = frontier - from > OWED_SCAN_UNITS ? from + OWED_SCAN_UNITS : frontier;
	gone = sweep(arena, &arena->sweep_unit, end, (uint32_t)arena->owed_units, 0);
	arena->owed_units -= gone < arena->owed_units ? gone : arena->owed_units;
	gone += (arena->sweep_unit - from) / 16; /* to look costs, too */
	arena->allowed_units -= gone < arena->allowed_units ? gone : arena->allowed_units;
}
