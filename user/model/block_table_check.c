/* SPDX-License-Identifier: MIT */
/*
 * block_table_check.c - every sum of a block table recounted from its cells.
 */
#include "model/block_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int mismatch(const char *what, uint64_t kept, uint64_t counted)
{
	if (kept == counted)
		return 0;
	fprintf(stderr, "block_table: %s is %" PRIu64 ", the cells say %" PRIu64 "\n", what, kept,
		counted);
	return -EUCLEAN;
}

static int check_span(const struct block_table *table, uint32_t index, struct totals *sum)
{
	const struct span *span = &table->spans[index];
	uint32_t live_cells = 0;

	for (uint32_t unit = span->first_unit; unit < span->first_unit + span->units; unit++)
		if (table->span_of_unit[unit] != index)
			return mismatch("a unit's span", table->span_of_unit[unit], index);
	for (uint32_t i = 0; i < span->cells_count; i++) {
		struct totals_share share;

		if (i >= span->used_cells && span->cells[i].word)
			return mismatch("a never used cell's word", 0, span->cells[i].word);
		if (mmviz_word_life(span->cells[i].word) != MMVIZ_LIFE_LIVE)
			continue;
		share = span_share(span, i);
		totals_add(sum, &share);
		live_cells++;
	}
	return mismatch("live cells of a span", span->live_cells, live_cells);
}

static int compare_sums(const struct totals *kept, const struct totals *sum)
{
	int error = 0;

	error = error ?: mismatch("live_blocks", kept->live_blocks, sum->live_blocks);
	error = error ?: mismatch("live_bytes", kept->live_bytes, sum->live_bytes);
	error = error ?: mismatch("live_cell_bytes", kept->live_cell_bytes, sum->live_cell_bytes);
	error = error ?: mismatch("live_labelled", kept->live_labelled, sum->live_labelled);
	error = error ?: mismatch("split_blocks", kept->split_blocks, sum->split_blocks);
	for (uint32_t i = 0; !error && i < kept->listed_count; i++) {
		const struct context_total *context = &kept->contexts[kept->listed[i]];
		const struct context_total *counted =
			totals_context((struct totals *)sum, kept->listed[i]);

		error = error
				?: mismatch("live_blocks of a context", context->live_blocks,
					    counted->live_blocks);
		error = error
				?: mismatch("live_bytes of a context", context->live_bytes,
					    counted->live_bytes);
	}
	return error;
}

int block_table_check(const struct block_table *table)
{
	struct totals sum = {0};
	uint64_t span_units = 0, used_cell_bytes = 0, meta_units = 0;
	int error = 0;

	for (uint32_t i = SPANS_FIRST; !error && i < table->spans_count; i++) {
		const struct span *span = &table->spans[i];

		if (!span->units)
			continue;
		span_units += span->units;
		used_cell_bytes += span->used_cells * span_cell_bytes(span);
		error = check_span(table, i, &sum);
	}
	for (uint32_t unit = 0; unit < table->units_count; unit++)
		meta_units += table->span_of_unit[unit] == UNIT_IS_META;
	error = error ?: compare_sums(&table->totals, &sum);
	error = error ?: mismatch("span_units", table->span_units, span_units);
	error = error ?: mismatch("used_cell_bytes", table->used_cell_bytes, used_cell_bytes);
	error = error ?: mismatch("meta_units", table->meta_units, meta_units);
	totals_fini(&sum);
	return error;
}
