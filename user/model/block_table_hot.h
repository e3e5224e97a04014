/* SPDX-License-Identifier: MIT */
/*
 * block_table_hot.h - what each event does to the table, to be inlined into the loop over events.
 *
 * An event is some fifteen counters and a cell. Called as functions it was as many stores again: registers
 * saved, plain values passed in memory.
 */
#ifndef MMVIZ_MODEL_BLOCK_TABLE_HOT_H
#define MMVIZ_MODEL_BLOCK_TABLE_HOT_H

#include <errno.h>

#include "model/block_table.h"

#define table_inline static inline __attribute__((always_inline))

table_inline bool table_is_live(const struct span *span, uint32_t index)
{
	return mmviz_word_life(span->cells[index].word) == MMVIZ_LIFE_LIVE;
}

table_inline uint64_t table_payload_capacity(const struct span *span)
{
	uint64_t front_places = span->first_place + 1 - span->first_unit * PLACES_PER_UNIT;

	if (span->fit != MMVIZ_FIT_LARGE)
		return span->payload_bytes;
	return span_cell_bytes(span) - front_places * MMVIZ_PLACE_BYTES;
}

table_inline uint32_t table_cell_index(const struct span *span, const struct cell *cell)
{
	return (uint32_t)(cell - span->cells);
}

/* One more live block in the totals, or one less. */
table_inline struct context_total *table_count_live(struct block_table *table, struct span *span,
						    uint32_t index)
{
	struct totals_share share = span_share(span, index);

	span->live_cells++;
	return totals_add(&table->totals, &share);
}
table_inline struct context_total *table_discount_live(struct block_table *table, struct span *span,
						       uint32_t index)
{
	struct totals_share share = span_share(span, index);

	span->live_cells--;
	return totals_remove(&table->totals, &share);
}

table_inline void table_use_cells(struct block_table *table, struct span *span, uint32_t used_cells)
{
	table->used_cell_bytes += (used_cells - span->used_cells) * span_cell_bytes(span);
	span->used_cells = used_cells;
}

table_inline struct context_total *table_put(struct block_table *table,
					     const struct block_birth *birth, bool *was_live)
{
	struct span *span, *large;
	struct cell *cell = block_table_find(table, birth->place, &span);
	uint32_t index;

	if (__builtin_expect(!cell, 0)) {
		cell = block_table_open_large(table, birth->place, &large);
		if (!cell)
			return NULL;
		span = large;
	}
	if (__builtin_expect(birth->bytes > table_payload_capacity(span) ||
				     birth->context >= MMVIZ_CONTEXTS_MAX,
			     0))
		return NULL;
	index = table_cell_index(span, cell);
	*was_live = table_is_live(span, index);
	if (__builtin_expect(*was_live, 0))
		table_discount_live(table, span, index);
	if (index >= span->used_cells)
		table_use_cells(table, span, index + 1);
	if (span->labels)
		block_table_keep_label(span, index, birth->label);
	*cell = (struct cell){
		.word = mmviz_word_make(birth->bytes, birth->context, span->fit == MMVIZ_FIT_LARGE,
					MMVIZ_LIFE_LIVE),
		.incarnation = birth->incarnation,
		.born_tick = birth->born_tick,
	};
	return table_count_live(table, span, index);
}

/*
 * An event told of a block: it counts as an allocation or, if the block was live, as a free.
 * -EINVAL: no such cell. Done, but a surprise to a replica that is exact: -EEXIST, allocated though
 * it was live; -ENOENT, freed though it was not.
 */
table_inline int block_table_alloc(struct block_table *table, const struct block_birth *birth)
{
	bool was_live;
	struct context_total *context = table_put(table, birth, &was_live);

	if (!context)
		return -EINVAL;
	table->totals.allocations++;
	table->totals.allocated_bytes += birth->bytes;
	context->allocations++;
	context->allocated_bytes += birth->bytes;
	return was_live ? -EEXIST : 0;
}

table_inline int table_take(struct block_table *table, struct span *span, struct cell *cell,
			    unsigned life, bool is_counted)
{
	struct context_total *context;
	bool was_live = mmviz_word_life(cell->word) == MMVIZ_LIFE_LIVE;

	if (was_live) {
		context = table_discount_live(table, span, table_cell_index(span, cell));
		if (is_counted) {
			table->totals.frees++;
			table->totals.freed_bytes += mmviz_word_bytes(cell->word);
			context->frees++;
		}
	}
	cell->word = (cell->word & ~3ULL) | life;
	if (__builtin_expect(table_cell_index(span, cell) >= span->used_cells, 0))
		table_use_cells(table, span, table_cell_index(span, cell) + 1);
	return was_live ? 0 : -ENOENT;
}

/* Of a cell that block_table_find has found. */
table_inline int block_table_free_cell(struct block_table *table, struct span *span,
				       struct cell *cell, unsigned life)
{
	return table_take(table, span, cell, life, true);
}

#endif
