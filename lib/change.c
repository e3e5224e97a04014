/* SPDX-License-Identifier: MIT */
/* change.c - see change.h. */
#include "change.h"

#include <errno.h>
#include <string.h>

#include "keeper.h"
#include "os.h"
#include "purge.h"

#define GROW_MIN_UNITS (2u << (20 - MMVIZ_UNIT_SHIFT))
#define GROW_MAX_UNITS (64u << (20 - MMVIZ_UNIT_SHIFT))

void change_begin(struct change *change, struct mmviz_arena *arena, struct heap *heap)
{
	change->arena = arena;
	change->heap = heap;
	change->operation.count = 0;
	arena_lock(arena);
	change->frontier_before = arena->head.frontier_units;
	operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_ORDER, 0, 0),
		      arena->head.order + 1);
}

void change_end(struct change *change)
{
	struct mmviz_arena *arena = change->arena;
	bool has_grown = arena->head.frontier_units != change->frontier_before;
	listeners_free listeners;

	STEP();
	listeners = listeners_of_free();
	log_store(change->heap, &change->operation, LISTENS_BATCH_FREE(listeners));
	STEP();
	__atomic_store_n(&arena->head.order, arena->head.order + 1, __ATOMIC_RELEASE);
	if (change->heap == arena->spare)
		log_flush(change->heap); /* the spare heap is everybody's: its log is the lock's */
	if (purge_is_wanted(arena))
		keeper_want();
	arena_unlock(arena);
	if (change->heap != arena->spare)
		log_flush(change->heap);
	if (!change->heap->waiting)
		keeper_wake();
	if (has_grown && registry_here.semaphores.arena)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_GROW, arena->head.name);
}

void change_cancel(struct change *change)
{
	arena_unlock(change->arena);
}

static int commit(const struct mmviz_arena *arena, uint32_t from, uint32_t end)
{
	if (arena->head.flags & MMVIZ_ARENA_OWN_MEMORY)
		return 0;
	return os_commit(arena_unit_address(arena, from), (size_t)(end - from) << MMVIZ_UNIT_SHIFT);
}

/*
 * Make the units below `end` readable and writable, by steps that grow with the arena; where a limit
 * forbids the step, just those. 0 or -errno.
 */
static int commit_up_to(struct mmviz_arena *arena, uint32_t end)
{
	uint32_t frontier = (uint32_t)arena->head.frontier_units, step = frontier / 4, more;
	int error;

	if (end <= frontier)
		return 0;
	step = step < GROW_MIN_UNITS   ? GROW_MIN_UNITS
	       : step > GROW_MAX_UNITS ? GROW_MAX_UNITS
				       : step;
	more = end < frontier + step ? frontier + step : end;
	if (more > arena->units)
		more = arena->units;
	error = commit(arena, frontier, more);
	if (error && more > end) {
		more = end;
		error = commit(arena, frontier, more);
	}
	if (error)
		return error;
	arena->head.committed_units = more;
	__atomic_store_n(&arena->head.frontier_units, more, __ATOMIC_RELEASE);
	return 0;
}

/* What has pages keeps them; what has none will get some, and others may go. */
static void take_pages(const struct change *change, uint32_t unit, uint32_t units)
{
	struct mmviz_arena *arena = change->arena;
	uint64_t dirty_before = arena->dirty_units;

	purge_note_taken(arena, unit, units);
	units -= (uint32_t)(dirty_before - arena->dirty_units);
	if (change->heap && units)
		purge_instead(arena, units, change->heap->idle_bytes);
}

uint32_t change_take(struct change *change, uint32_t units, uint32_t alignment, uint32_t bias)
{
	struct mmviz_arena *arena = change->arena;
	uint32_t base = (uint32_t)(arena->head.base_addr >> MMVIZ_UNIT_SHIFT) & (alignment - 1);
	struct extent_request request = {units, alignment, base + bias};
	uint32_t unit = extent_tree_take(&arena->extents, &request);

	if (unit != EXTENT_NONE && commit_up_to(arena, unit + units)) {
		extent_tree_give(&arena->extents, unit, units);
		return EXTENT_NONE;
	}
	if (unit != EXTENT_NONE)
		take_pages(change, unit, units);
	return unit;
}

int change_take_at(struct change *change, uint32_t unit, uint32_t units)
{
	struct mmviz_arena *arena = change->arena;

	if (extent_tree_take_at(&arena->extents, unit, units))
		return -ENOMEM;
	if (commit_up_to(arena, unit + units)) {
		extent_tree_give(&arena->extents, unit, units);
		return -ENOMEM;
	}
	purge_note_taken(arena, unit, units);
	return 0;
}

static void tell_units(struct change *change, uint32_t unit, uint32_t units, unsigned code,
		       unsigned shape)
{
	uint32_t place = unit << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);

	operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_UNITS, 0, place),
		      (uint64_t)shape << 40 | (uint64_t)code << 32 | units);
}

void change_mark(struct change *change, uint32_t unit, uint32_t units, unsigned code,
		 unsigned shape)
{
	struct mmviz_arena *arena = change->arena;
	unsigned rest = code == MMVIZ_UNIT_META ? MMVIZ_UNIT_META : MMVIZ_UNIT_CONTINUATION;

	STEP();
	arena->map[unit] = (uint8_t)code;
	memset(arena->map + unit + 1, (int)rest, units - 1);
	if (arena->head.frontier_units != change->frontier_before)
		operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_COMMIT, 0, 0),
			      arena->head.committed_units);
	tell_units(change, unit, units, code, shape);
}

void change_give(struct change *change, uint32_t unit, uint32_t units)
{
	memset(change->arena->map + unit, MMVIZ_UNIT_FREE, units);
	STEP();
	extent_tree_give(&change->arena->extents, unit, units);
	purge_note_free(change->arena, unit, units);
	tell_units(change, unit, units, MMVIZ_UNIT_FREE, 0);
}
