/* SPDX-License-Identifier: MIT */
/* purge.c - see purge.h. */
#include "purge.h"

#include <string.h>

#include "os.h"

#define TICKS		254u				 /* 1 .. 254, round and round */
#define STEP_UNITS	((1u << 20) >> MMVIZ_UNIT_SHIFT) /* let go under one lock */
#define SCAN_UNITS	(1u << 16)			 /* looked at under one lock */
#define IDLE_SCAN_UNITS (1u << 12)
#define LET_GO		255u /* arena.ages[] */
#define WANTED_UNITS	((1u << 20) >> MMVIZ_UNIT_SHIFT)

static uint8_t tick_before(const struct mmviz_arena *arena, unsigned ticks)
{
	return (uint8_t)((arena->tick + TICKS - 1 - ticks) % TICKS + 1);
}

unsigned purge_age(const struct mmviz_arena *arena, uint8_t tick)
{
	return (arena->tick + TICKS - tick) % TICKS;
}

static void note(struct mmviz_arena *arena, uint32_t unit, uint32_t units, uint8_t tick)
{
	for (uint32_t i = unit; i < unit + units; i++) {
		arena->dirty_units += !arena->dirty[i] && tick;
		arena->dirty_units -= arena->dirty[i] && !tick;
		arena->dirty[i] = tick;
	}
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
	return arena->dirty_units + arena->cached_units >= WANTED_UNITS;
}

void purge_tick(struct mmviz_arena *arena)
{
	arena->tick = (uint8_t)(arena->tick % TICKS + 1);
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

/* The cells that have bytes in this unit: headers from *first on, `step` bytes apart, `count`. */
struct cells {
	uint64_t first_addr;
	uint32_t step_bytes, count;
};

static struct cells cells_in(const struct mmviz_span *span, uint64_t unit_addr)
{
	uint64_t offset = unit_addr - span->start_addr, last = offset + MMVIZ_UNIT_BYTES - 1;
	uint64_t first_cell = offset / span->cell_bytes, last_cell = last / span->cell_bytes;

	if (last_cell >= span->cells)
		last_cell = span->cells - 1;
	return (struct cells){
		.first_addr = (uint64_t)span_header(span, (uint32_t)first_cell),
		.step_bytes = span->cell_bytes,
		.count = first_cell > last_cell ? 0 : (uint32_t)(last_cell - first_cell + 1),
	};
}

/* The word and the bit of a cell. */
static uint64_t *idle_word(const struct mmviz_arena *arena, const struct cells *cells, uint32_t i,
			   uint64_t *bit)
{
	uint32_t place = (uint32_t)((cells->first_addr + (uint64_t)i * cells->step_bytes -
				     arena->head.base_addr) >>
				    MMVIZ_PLACE_SHIFT);

	*bit = mmviz_live_bit(place);
	return &arena->idle[mmviz_live_word_index(place)];
}

static bool are_idle(const struct mmviz_arena *arena, const struct cells *cells)
{
	uint64_t bit;

	for (uint32_t i = 0; i < cells->count; i++) {
		const uint64_t *word = idle_word(arena, cells, i, &bit);

		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
			return false;
	}
	return cells->count;
}

/* Give back the bits of the first `count` cells. Release: the owner's acquire sees the pages gone. */
static void return_cells(const struct mmviz_arena *arena, const struct cells *cells, uint32_t count)
{
	uint64_t bit;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t *word = idle_word(arena, cells, i, &bit);

		__atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
	}
}

/* Borrow the bits of all cells; false: the owner was faster with one of them. */
static bool borrow_cells(const struct mmviz_arena *arena, const struct cells *cells)
{
	uint64_t bit;

	for (uint32_t i = 0; i < cells->count; i++) {
		uint64_t *word = idle_word(arena, cells, i, &bit);

		if (__atomic_fetch_and(word, ~bit, __ATOMIC_ACQUIRE) & bit)
			continue;
		return_cells(arena, cells, i);
		return false;
	}
	return true;
}

/* One page of a span: looked at, and let go if it is old enough. Whether it was let go. */
static bool let_go_idle(struct mmviz_arena *arena, const struct mmviz_span *span, uint32_t unit,
			unsigned ticks)
{
	void *address = arena_unit_address(arena, unit);
	struct cells cells = cells_in(span, (uint64_t)address);
	uint8_t age = __atomic_load_n(&arena->ages[unit], __ATOMIC_RELAXED);

	if (age == LET_GO || !are_idle(arena, &cells))
		return false;
	if (!age) {
		__atomic_store_n(&arena->ages[unit], arena->tick, __ATOMIC_RELAXED);
		return false;
	}
	if (purge_age(arena, age) < ticks || !borrow_cells(arena, &cells))
		return false;
	os_purge(address, MMVIZ_UNIT_BYTES);
	__atomic_store_n(&arena->ages[unit], LET_GO, __ATOMIC_RELAXED);
	return_cells(arena, &cells, cells.count);
	return true;
}

bool purge_idle_step(struct mmviz_arena *arena, uint32_t *cursor, unsigned ticks)
{
	uint32_t unit = *cursor, frontier = (uint32_t)arena->head.frontier_units, gone = 0;
	uint32_t end = frontier - unit > IDLE_SCAN_UNITS ? unit + IDLE_SCAN_UNITS : frontier;

	if (unit >= frontier)
		return false;
	while (unit < end && gone < STEP_UNITS) {
		const struct mmviz_span *span;
		uint32_t next;

		if (arena->map[unit] < MMVIZ_UNIT_SPAN) {
			unit++;
			continue;
		}
		span = arena_head_at(arena, unit);
		next = unit + span->units;
		for (; unit < next; unit++)
			gone += let_go_idle(arena, span, unit, ticks);
	}
	*cursor = unit;
	return true;
}
