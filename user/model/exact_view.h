/* SPDX-License-Identifier: MIT */
/*
 * exact_view.h - the live blocks by the call stack of each, at one instant: exact numbers, no
 * estimates. Plain values, for whoever shows them.
 *
 * Every live block is in one row, or in `left_out`: blocks that have no stack (older than the attach,
 * or beyond the target's bound) are in the row of their tag or site. So rows add up to all, and rows
 * of one base to what that tag has. Text is safe text, and never NULL.
 */
#ifndef MMVIZ_MODEL_EXACT_VIEW_H
#define MMVIZ_MODEL_EXACT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "model/stack_view.h"

struct exact_amount {
	uint64_t blocks, bytes;
};
struct exact_row {
	uint32_t id;			     /* of the context, in the target */
	uint32_t base;			     /* of the tag or site that it counts as */
	uint32_t kind;			     /* enum mmviz_context_kind */
	const char *text;		     /* the tag's name, or the site's place */
	bool is_complete;		     /* the outermost frame said that nobody called it */
	bool is_deep;			     /* there are more frames than the target keeps */
	struct exact_amount live, allocated; /* allocated: since the attach */
	uint32_t frames_count;
	const struct stack_view_frame *frames; /* innermost first, from the program's call on */
};
struct exact_view {
	uint64_t at_ns; /* CLOCK_REALTIME */
	struct exact_amount live;
	uint32_t stacks;    /* that the target knows */
	uint64_t refused;   /* blocks that it made without a stack: no room for more */
	uint32_t unnamed;   /* addresses that still wait for their names */
	uint32_t rows_left; /* that are not listed */
	struct exact_amount left_out;
	uint32_t rows_count;
	struct exact_row *rows; /* most live bytes first */
	struct stack_view_frame *frames;
};

#endif
