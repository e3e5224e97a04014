/* SPDX-License-Identifier: MIT */
/*
 * check.c - every invariant of an arena, recomputed from ground truth: units, spans, free lists, headers, heaps, logs.
 *
 * Allocates nothing. The first mismatch is named in a message, with both numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"

static __thread char message[256];

const char *mmviz_check_message(void)
{
	return message;
}

__attribute__((format(printf, 1, 2))) static int broken(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

/* ------------------------------------------------------------------ cells */

/* Whether a header fits its life; counts live and returned ones. */
static int check_cell(const struct mmviz_span *span, uint32_t cell, uint32_t *used)
{
	const struct mmviz_header *header = span_header(span, cell);
	uint64_t word = header->word;
	uint32_t expected = mmviz_check_word((uint64_t)header, word);

	if (header->check != expected)
		return broken("block %p: check word is %#x, must be %#x", (const void *)(header + 1), header->check,
			      expected);
	if (mmviz_word_fit(word) != span->fit)
		return broken("block %p: fit is %u, its span's is %u", (const void *)(header + 1),
			      mmviz_word_fit(word), span->fit);
	if (mmviz_word_life(word) == MMVIZ_LIFE_NEVER)
		return broken("block %p: never used, but below the span's bump %u", (const void *)(header + 1),
			      span->bump_cells);
	if (mmviz_word_life(word) == MMVIZ_LIFE_LIVE && mmviz_word_bytes(word) > span_usable_bytes(span))
		return broken("block %p: %llu bytes requested, %zu usable", (const void *)(header + 1),
			      (unsigned long long)mmviz_word_bytes(word), span_usable_bytes(span));
	*used += mmviz_word_life(word) != MMVIZ_LIFE_CACHED;
	return 0;
}

/* The free list: every link a cached cell of this span, as many as counted. */
static int check_free_list(const struct mmviz_span *span, uint32_t cached)
{
	uint32_t place = span->free_place, length = 0;

	for (; place && length <= cached; length++) {
		uint64_t offset = ((uint64_t)place << MMVIZ_PLACE_SHIFT) - span->first_header_bytes;
		const struct mmviz_header *header = span_header(span, (uint32_t)(offset / span->cell_bytes));

		if (offset % span->cell_bytes || offset / span->cell_bytes >= span->bump_cells)
			return broken("span %p: free list leads to place %u, which is no cell", (const void *)span,
				      place);
		if (mmviz_word_life(header->word) != MMVIZ_LIFE_CACHED)
			return broken("span %p: free list leads to block %p, whose life is %u", (const void *)span,
				      (const void *)(header + 1), mmviz_word_life(header->word));
		place = (uint32_t)mmviz_word_bytes(header->word);
	}
	if (length != cached)
		return broken("span %p: %u cells in the free list, %u cached", (const void *)span, length, cached);
	return 0;
}

static int check_span(const struct mmviz_arena *arena, uint32_t unit)
{
	const struct mmviz_span *span = arena_unit_address(arena, unit);
	uint8_t code = arena->map[unit];
	uint32_t used = 0;
	int error;

	if (code != (span->fit == MMVIZ_FIT_LARGE ? (unsigned)MMVIZ_UNIT_LARGE
						   : (unsigned)MMVIZ_UNIT_SPAN + span->size_class))
		return broken("unit %u: map says %#x, span's class is %u", unit, code, span->size_class);
	if (!span->units || span->units > arena->units - unit)
		return broken("unit %u: span of %u units in an arena of %u", unit, span->units, arena->units);
	for (uint32_t i = 1; i < span->units; i++)
		if (arena->map[unit + i] != MMVIZ_UNIT_CONTINUATION)
			return broken("unit %u: map says %#x inside a span", unit + i, arena->map[unit + i]);
	if (span->bump_cells > span->cells)
		return broken("span %p: bump %u over capacity %u", (const void *)span, span->bump_cells, span->cells);
	for (uint32_t cell = 0; cell < span->bump_cells; cell++) {
		error = check_cell(span, cell, &used);
		if (error)
			return error;
	}
	if (used != span->used_cells)
		return broken("span %p: counts %u used cells, has %u", (const void *)span, span->used_cells, used);
	if (span->fit != MMVIZ_FIT_LARGE && !arena_heap_by_id(arena, span->owner_heap))
		return broken("span %p: owner heap %u does not exist", (const void *)span, span->owner_heap);
	return span->fit == MMVIZ_FIT_LARGE ? 0 : check_free_list(span, span->bump_cells - used);
}

/* ------------------------------------------------------------------ arena */

/* The map's runs of FREE are exactly the tree's extents. */
static int check_free_run(const struct mmviz_arena *arena, uint32_t *extent, uint32_t unit, uint32_t units)
{
	if (*extent != unit)
		return broken("unit %u: free by the map, the next extent starts at %u", unit, *extent);
	if (extent_tree_units(&arena->extents, *extent) != units)
		return broken("unit %u: %u units free by the map, %u by the tree", unit, units,
			      extent_tree_units(&arena->extents, *extent));
	*extent = extent_tree_next(&arena->extents, *extent);
	return 0;
}

static int check_units(const struct mmviz_arena *arena)
{
	uint32_t unit = 0, extent = extent_tree_first(&arena->extents), start;
	int error = 0;

	while (unit < arena->units && !error) {
		start = unit;
		switch (arena->map[unit]) {
		case MMVIZ_UNIT_FREE:
			while (unit < arena->units && arena->map[unit] == MMVIZ_UNIT_FREE)
				unit++;
			error = check_free_run(arena, &extent, start, unit - start);
			break;
		case MMVIZ_UNIT_META:
			unit++;
			break;
		case MMVIZ_UNIT_CONTINUATION:
			error = broken("unit %u: continues nothing", unit);
			break;
		default:
			error = check_span(arena, unit);
			unit += ((const struct mmviz_span *)arena_unit_address(arena, unit))->units;
		}
	}
	if (!error && extent != EXTENT_NONE)
		error = broken("unit %u: free by the tree, not by the map", extent);
	return error;
}

static int check_heap(const struct mmviz_arena *arena, const struct heap *heap)
{
	const struct mmviz_log *log = &heap->log;

	if (heap->head.magic != MMVIZ_HEAP_MAGIC)
		return broken("heap %p: magic is %#x", (const void *)heap, heap->head.magic);
	if (log->next < log->first || log->next - log->first > MMVIZ_LOG_SLOTS)
		return broken("heap %u: log from %llu to %llu", heap->head.id, (unsigned long long)log->first,
			      (unsigned long long)log->next);
	for (unsigned shape = 0; shape < MMVIZ_SHAPES; shape++)
		for (unsigned size_class = 0; size_class < MMVIZ_CLASSES; size_class++) {
			uint32_t unit = heap->with_room[shape][size_class];
			const struct mmviz_span *span = arena_unit_address(arena, unit);

			if (unit && (span->owner_heap != heap->head.id || !(span->flags & SPAN_LISTED)))
				return broken("heap %u: lists span %p of heap %u", heap->head.id, (const void *)span,
					      span->owner_heap);
		}
	return 0;
}

int mmviz_arena_check(struct mmviz_arena *arena)
{
	int error;

	if (!arena || arena->head.magic != MMVIZ_ARENA_MAGIC)
		return broken("not an arena");
	message[0] = '\0';
	arena_lock(arena);
	error = extent_tree_check(&arena->extents);
	if (error)
		error = broken("extent tree: rule %d fails", error);
	if (!error)
		error = check_units(arena);
	for (const struct heap *heap = arena_heap_first(arena); heap && !error; heap = heap_next(heap))
		error = check_heap(arena, heap);
	arena_unlock(arena);
	return error;
}
