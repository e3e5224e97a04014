/* SPDX-License-Identifier: MIT */
/*
 * check.c - every invariant of an arena, recomputed from ground truth: units, spans, free lists,
 * headers, heaps, logs.
 *
 * Allocates nothing. The first mismatch is named in a message, with both numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "error.h"
#include "guard.h"

static __thread char message[1024];
/* The block that something wrote over, or NULL, and what it is called. */
static __thread const void *suspect;
static __thread enum mmviz_error_kind suspect_kind;

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

/* The message so far names the mismatch; this names the block. Without the lock: symbols have locks
 * of their own. */
static void tell_suspect(const struct mmviz_arena *arena)
{
	size_t length = strnlen(message, sizeof(message) - 3);

	length += (size_t)snprintf(message + length, sizeof(message) - length, "\n  ");
	error_text_of_block(arena, suspect_kind, suspect, message + length,
			    sizeof(message) - length);
}

/* What was counted on the way, to be compared at the end. */
struct tally {
	int64_t in_magazines; /* cells that are free, and in no span's free list */
	uint64_t large_units, cached_units;
};

/* ------------------------------------------------------------------ cells */

/* Whether a header fits its life; counts those that are free. */
static int check_cell(const struct mmviz_arena *arena, const struct mmviz_span *span, uint32_t cell,
		      uint32_t *cached)
{
	const struct mmviz_header *header = span_header(span, cell);
	uint64_t word = header->word;
	bool is_live = mmviz_header_is_live(header);

	if (span_header_is_gone(header)) {
		++*cached;
		return 0;
	}
	suspect = header + 1;
	suspect_kind = MMVIZ_ERROR_CORRUPT_HEADER;
	if (!mmviz_header_is_whole(header, (uint64_t)header))
		return broken("block %p: check word %#x does not fit life %u and word %#llx",
			      (const void *)(header + 1), header->check, mmviz_word_life(word),
			      (unsigned long long)word);
	if (mmviz_word_is_large(word) != (span->fit == MMVIZ_FIT_LARGE))
		return broken("block %p: large is %u, its span's fit is %u",
			      (const void *)(header + 1), mmviz_word_is_large(word), span->fit);
	if (mmviz_word_life(word) == MMVIZ_LIFE_LIVE &&
	    mmviz_word_bytes(word) > span_usable_bytes(span))
		return broken("block %p: %llu bytes requested, %zu usable",
			      (const void *)(header + 1),
			      (unsigned long long)mmviz_word_bytes(word), span_usable_bytes(span));
	suspect_kind = MMVIZ_ERROR_OVERRUN;
	if (is_live && arena->head.flags & MMVIZ_ARENA_GUARD_BYTES &&
	    !guard_is_whole(header + 1, mmviz_word_bytes(word)))
		return broken("block %p: written behind its %llu bytes", (const void *)(header + 1),
			      (unsigned long long)mmviz_word_bytes(word));
	*cached += !is_live && mmviz_word_life(word) != MMVIZ_LIFE_RETURNED;
	suspect = NULL;
	return 0;
}

/* The idle bits of a span: each a cell that is not in use. How many, or -EUCLEAN. */
static int64_t check_idle(const struct mmviz_arena *arena, const struct mmviz_span *span)
{
	uint32_t first = heap_place(arena->spare, (void *)span->start_addr), idle = 0;
	uint32_t places = span->units << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);

	for (uint32_t place = first; place < first + places; place++) {
		const struct mmviz_header *header = heap_header(arena->spare, place);

		if (!(arena->idle[span_bit_word(place)] & span_bit(place)))
			continue;
		if (!arena_is_block_start(arena, header + 1) ||
		    (mmviz_word_life(header->word) != MMVIZ_LIFE_CACHED &&
		     !span_header_is_gone(header)))
			return broken("place %u is idle, and no cached cell", place);
		idle++;
	}
	return idle;
}

static int check_span(const struct mmviz_arena *arena, uint32_t unit, struct tally *tally)
{
	const struct mmviz_span *span = arena_head_at(arena, unit);
	uint8_t code = arena->map[unit];
	uint32_t cached = 0;
	int64_t listed;
	int error;

	if (code != (span->fit == MMVIZ_FIT_LARGE ? (unsigned)MMVIZ_UNIT_LARGE
						  : (unsigned)MMVIZ_UNIT_SPAN + span->size_class))
		return broken("unit %u: map says %#x, span's class is %u", unit, code,
			      span->size_class);
	if (!span->units || span->units > arena->units - unit)
		return broken("unit %u: span of %u units in an arena of %u", unit, span->units,
			      arena->units);
	for (uint32_t i = 1; i < span->units; i++)
		if (arena->map[unit + i] != MMVIZ_UNIT_CONTINUATION)
			return broken("unit %u: map says %#x inside a span", unit + i,
				      arena->map[unit + i]);
	if (span->bump_cells > span->cells)
		return broken("unit %u: bump %u over capacity %u", unit, span->bump_cells,
			      span->cells);
	for (uint32_t cell = 0; cell < span->bump_cells; cell++) {
		error = check_cell(arena, span, cell, &cached);
		if (error)
			return error;
	}
	if (span->fit == MMVIZ_FIT_LARGE) {
		tally->large_units += span->units;
		tally->cached_units += cached ? span->units : 0;
		return cached + span->used_cells == 1
			       ? 0
			       : broken("unit %u: large block counts %u used cells, has %u cached",
					unit, span->used_cells, cached);
	}
	if (!arena_heap_by_id(arena, span->owner_heap))
		return broken("unit %u: owner heap %u does not exist", unit, span->owner_heap);
	listed = check_idle(arena, span);
	if (listed < 0)
		return (int)listed;
	if (listed != (int64_t)span->bump_cells - span->used_cells)
		return broken("unit %u: %lld cells are idle, %u used of %u", unit,
			      (long long)listed, span->used_cells, span->bump_cells);
	tally->in_magazines += cached - listed;
	return 0;
}

/* ------------------------------------------------------------------ arena */

/* The map's runs of FREE are exactly the tree's extents. */
static int check_free_run(const struct mmviz_arena *arena, uint32_t *extent, uint32_t unit,
			  uint32_t units)
{
	if (*extent != unit)
		return broken("unit %u: free by the map, the next extent starts at %u", unit,
			      *extent);
	if (extent_tree_units(&arena->extents, *extent) != units)
		return broken("unit %u: %u units free by the map, %u by the tree", unit, units,
			      extent_tree_units(&arena->extents, *extent));
	*extent = extent_tree_next(&arena->extents, *extent);
	return 0;
}

static int check_units(const struct mmviz_arena *arena, struct tally *tally)
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
			error = check_span(arena, unit, tally);
			unit += arena_head_at(arena, unit)->units;
		}
	}
	if (!error && extent != EXTENT_NONE)
		error = broken("unit %u: free by the tree, not by the map", extent);
	return error;
}

static bool is_in_use(const struct mmviz_header *header)
{
	unsigned life = mmviz_word_life(header->word);

	return mmviz_header_is_live(header) || life == MMVIZ_LIFE_RETURNED ||
	       life == MMVIZ_LIFE_CACHED;
}

/* Every place in a magazine is that of a free cell. Their number, or -EUCLEAN. */
static int64_t check_magazine(const struct mmviz_arena *arena, const struct heap *heap,
			      unsigned number)
{
	uint32_t cells;
	const uint32_t *places = heap_magazine(heap, number, &cells);

	for (uint32_t i = 0; i < cells; i++) {
		const struct mmviz_header *header = heap_header(heap, places[i]);

		if (!arena_is_block_start(arena, header + 1) || is_in_use(header) ||
		    span_magazine(heap_head(heap, header + 1)) != number)
			return broken("heap %u: magazine %u holds place %u, which is no cached "
				      "cell of it",
				      heap->head.id, number, places[i]);
	}
	return cells;
}

static int check_heap(const struct mmviz_arena *arena, const struct heap *heap, struct tally *tally)
{
	const struct mmviz_log *log = &heap->log;

	if (heap->head.magic != MMVIZ_HEAP_MAGIC)
		return broken("heap %p: magic is %#x", (const void *)heap, heap->head.magic);
	if (log->next < log->first || log->next - log->first > MMVIZ_LOG_SLOTS)
		return broken("heap %u: log from %llu to %llu", heap->head.id,
			      (unsigned long long)log->first, (unsigned long long)log->next);
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++) {
		int64_t cells = check_magazine(arena, heap, number);
		uint32_t listed = heap->with_room[number];

		if (cells < 0)
			return (int)cells;
		tally->in_magazines -= cells;
		if (listed && (arena->heads[listed - 1].owner_heap != heap->head.id ||
			       !(arena->heads[listed - 1].flags & SPAN_LISTED)))
			return broken("heap %u: lists a span of heap %u", heap->head.id,
				      arena->heads[listed - 1].owner_heap);
	}
	return 0;
}

/* The bins hold exactly the freed large blocks. */
static int check_bins(const struct mmviz_arena *arena, const struct tally *tally)
{
	uint64_t units = 0;

	for (unsigned size_class = 0; size_class < SPAN_TABLE_CLASSES; size_class++) {
		uint32_t unit = arena->bins[size_class].newest;

		while (unit && units <= arena->units) {
			const struct mmviz_span *span = arena_unit_address(arena, unit);

			if (arena->map[unit] != MMVIZ_UNIT_LARGE || span->used_cells)
				return broken("bin %u leads to unit %u, which is no freed block",
					      size_class, unit);
			units += span->units;
			unit = span->next_unit;
		}
	}
	if (units != tally->cached_units || units != arena->cached_units)
		return broken("%llu units in bins, %llu in freed large blocks, %llu counted",
			      (unsigned long long)units, (unsigned long long)tally->cached_units,
			      (unsigned long long)arena->cached_units);
	if (tally->large_units != arena->large_units)
		return broken("%llu units in large blocks, %llu counted",
			      (unsigned long long)tally->large_units,
			      (unsigned long long)arena->large_units);
	return 0;
}

int mmviz_arena_check(struct mmviz_arena *arena)
{
	struct tally tally = {0};
	int error;

	if (!arena || arena->head.magic != MMVIZ_ARENA_MAGIC)
		return broken("not an arena");
	message[0] = '\0';
	suspect = NULL;
	arena_lock(arena);
	error = extent_tree_check(&arena->extents);
	if (error)
		error = broken("extent tree: rule %d fails", error);
	if (!error)
		error = check_units(arena, &tally);
	for (const struct heap *heap = arena_heap_first(arena); heap && !error;
	     heap = heap_next(heap))
		error = check_heap(arena, heap, &tally);
	if (!error)
		error = check_bins(arena, &tally);
	if (!error && tally.in_magazines)
		error = broken("%lld more cells are cached outside free lists than lie in "
			       "magazines or are lost",
			       (long long)tally.in_magazines);
	arena_unlock(arena);
	if (suspect)
		tell_suspect(arena);
	return error;
}
