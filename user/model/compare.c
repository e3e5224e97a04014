/* SPDX-License-Identifier: MIT */
/*
 * compare.c - see compare.h.
 *
 * Both tables are passed over by spans in address order, first the walk's (missing, different),
 * then the replica's (extra).
 */
#include "model/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_live(const struct cell *cell)
{
	return cell && mmviz_word_life(cell->word) == MMVIZ_LIFE_LIVE;
}

static void note(const struct replica_arena *arena, uint32_t place, const char *what,
		 const struct cell *replica, const struct cell *walk, struct comparison *out)
{
	if (out->first[0])
		return;
	snprintf(out->first, sizeof(out->first),
		 "%s at arena %" PRIu32 " place 0x%" PRIx32 ": replica %" PRIx64 "/%" PRIx32
		 ", walk %" PRIx64 "/%" PRIx32,
		 what, arena->id, place, replica ? replica->word : 0,
		 replica ? replica->incarnation : 0, walk ? walk->word : 0,
		 walk ? walk->incarnation : 0);
}

static bool is_equal_block(const struct span *a, const struct cell *a_cell, const struct span *b,
			   const struct cell *b_cell)
{
	if (a_cell->word != b_cell->word || a_cell->incarnation != b_cell->incarnation)
		return false;
	return !a->labels || !b->labels ||
	       memcmp(a->labels[a_cell - a->cells], b->labels[b_cell - b->cells],
		      MMVIZ_LABEL_BYTES) == 0;
}

static void compare_block(const struct replica_arena *arena, const struct span *walked,
			  uint32_t index, struct comparison *out)
{
	const struct cell *cell = &walked->cells[index], *kept;
	uint32_t place = span_cell_place(walked, index);
	struct span *span;

	if (!is_live(cell) || replica_is_touched(arena, place))
		return;
	out->compared_blocks++;
	kept = block_table_find(&arena->table, place, &span);
	if (!is_live(kept)) {
		out->missing++;
		note(arena, place, "missing", kept, cell, out);
	} else if (!is_equal_block(span, kept, walked, cell)) {
		out->different++;
		note(arena, place, "different", kept, cell, out);
	}
}

static void find_extra(const struct replica_arena *arena, const struct block_table *fresh,
		       const struct span *kept, uint32_t index, struct comparison *out)
{
	const struct cell *cell = &kept->cells[index], *walked;
	uint32_t place = span_cell_place(kept, index);
	struct span *span;

	if (!is_live(cell) || replica_is_touched(arena, place))
		return;
	walked = block_table_find(fresh, place, &span);
	if (is_live(walked))
		return;
	out->compared_blocks++;
	out->extra++;
	note(arena, place, "extra", cell, walked, out);
}

/* Spans change hands by events that touch all of their units, so one place speaks for a span. */
static void compare_span(const struct replica_arena *arena, const struct span *walked,
			 struct comparison *out)
{
	const struct span *kept = block_table_span_at(&arena->table, walked->first_unit);

	if (replica_is_touched(arena, walked->first_unit * PLACES_PER_UNIT))
		return;
	if (kept && kept->first_unit == walked->first_unit && kept->units == walked->units &&
	    kept->size_class == walked->size_class && kept->shape == walked->shape &&
	    kept->owner_heap == walked->owner_heap)
		return;
	out->different++;
	note(arena, walked->first_unit * PLACES_PER_UNIT, "a different span", NULL, NULL, out);
}

void compare_arena(const struct replica_arena *arena, const struct block_table *fresh,
		   struct comparison *out)
{
	for (uint32_t s = SPANS_FIRST; s < fresh->spans_count; s++) {
		const struct span *walked = &fresh->spans[s];

		if (walked->units)
			compare_span(arena, walked, out);
		for (uint32_t i = 0; i < walked->used_cells; i++)
			compare_block(arena, walked, i, out);
	}
	for (uint32_t s = SPANS_FIRST; s < arena->table.spans_count; s++) {
		const struct span *kept = &arena->table.spans[s];

		for (uint32_t i = 0; i < kept->used_cells; i++)
			find_extra(arena, fresh, kept, i, out);
	}
}
