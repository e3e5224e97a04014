/* SPDX-License-Identifier: MIT */
/*
 * walked.h - what a walk saw of an arena, put into a block table.
 *
 * Serves the baseline, the comparison with a fresh walk, and the snapshot. The target runs while it
 * is walked: what is not wholly right was in the making and is left out; whoever needs to be exact
 * hears of it by a later event. One thread.
 */
#ifndef MMVIZ_MODEL_WALKED_H
#define MMVIZ_MODEL_WALKED_H

#include "model/block_table.h"

struct walked_block {
	uint32_t place;
	unsigned life; /* LIVE only if the check word was right */
	uint64_t word;
	uint32_t incarnation, born_tick;
	const void *label; /* MMVIZ_LABEL_BYTES, or NULL */
};

void walked_units(struct block_table *table, uint32_t first, uint32_t units, unsigned code);
/* Cells of an equal span that is there already stay until walked_block tells of them. */
void walked_span(struct block_table *table, uint32_t first_unit, const struct mmviz_span *head);
/* An equal block that is there already keeps its birth. */
void walked_block(struct block_table *table, const struct walked_block *block);

#endif
