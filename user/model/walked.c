/* SPDX-License-Identifier: MIT */
/*
 * walked.c - see walked.h.
 */
#include "model/walked.h"

#include <errno.h>
#include <string.h>

void walked_units(struct block_table *table, uint32_t first, uint32_t units, unsigned code)
{
	block_table_set_units(table, first, units, code);
}

static int walked_cells(struct block_table *table, uint32_t first_unit,
			const struct mmviz_span *head)
{
	struct span span;
	int error = block_table_shape_span(table, first_unit, head->units, head->size_class,
					   head->shape, &span);

	if (error || head->bump_cells > span.cells_count)
		return -EINVAL;
	span.owner_heap = head->owner_heap;
	error = block_table_set_span(table, &span, true);
	if (!error)
		block_table_set_used(table, block_table_span_at(table, first_unit),
				     head->bump_cells);
	return error;
}

static int walked_large(struct block_table *table, uint32_t first_unit,
			const struct mmviz_span *head)
{
	const struct span *old = block_table_span_at(table, first_unit);
	uint32_t place =
		first_unit * PLACES_PER_UNIT + head->first_header_bytes / MMVIZ_PLACE_BYTES;
	struct span *span;
	int error;

	if (head->units == 0 || head->units > table->units_count)
		return -EINVAL;
	if (old && old->first_place != place)
		block_table_set_units(table, first_unit, 1, MMVIZ_UNIT_FREE);
	error = block_table_set_large(table, first_unit, head->units, head->shape);
	if (error || block_table_find(table, place, &span))
		return error;
	return block_table_open_large(table, place, &span) ? 0 : -EINVAL;
}

void walked_span(struct block_table *table, uint32_t first_unit, const struct mmviz_span *head)
{
	int error = head->fit == MMVIZ_FIT_LARGE ? walked_large(table, first_unit, head)
						 : walked_cells(table, first_unit, head);

	if (error)
		block_table_set_units(table, first_unit, 1, MMVIZ_UNIT_FREE);
}

static bool is_known(const struct block_table *table, const struct walked_block *block)
{
	struct span *span;
	const struct cell *cell = block_table_find(table, block->place, &span);

	return cell && cell->incarnation == block->incarnation && cell->word == block->word;
}

/*
 * A block that is being resized may look torn, or too large for the units that the map gave it, and
 * the event of its resize does not name all of it: so its incarnation and label are kept.
 */
static void walked_dead(struct block_table *table, const struct walked_block *block)
{
	struct span *span;
	struct cell *cell;

	if (block_table_take(table, block->place,
			     block->life == MMVIZ_LIFE_RETURNED ? MMVIZ_LIFE_RETURNED
								: MMVIZ_LIFE_CACHED))
		return;
	cell = block_table_find(table, block->place, &span);
	cell->incarnation = block->incarnation;
	cell->born_tick = block->born_tick;
	if (span->labels && block->label)
		memcpy(span->labels[cell - span->cells], block->label, MMVIZ_LABEL_BYTES);
}

void walked_block(struct block_table *table, const struct walked_block *block)
{
	struct block_birth birth = {
		.place = block->place,
		.context = mmviz_word_context(block->word),
		.bytes = mmviz_word_bytes(block->word),
		.incarnation = block->incarnation,
		.born_tick = block->born_tick,
		.label = block->label,
	};

	if (block->life == MMVIZ_LIFE_LIVE && is_known(table, block))
		return;
	if (block->life != MMVIZ_LIFE_LIVE || block_table_put(table, &birth))
		walked_dead(table, block);
}
