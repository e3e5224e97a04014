/* SPDX-License-Identifier: MIT */
/*
 * exact_stacks.h - joins what the replica counts by context, what the registry says of contexts,
 * and the names of code: the live blocks by call stack.
 *
 * One thread, that of the view. Names are found elsewhere, some time after they were wanted.
 */
#ifndef MMVIZ_EXACT_STACKS_H
#define MMVIZ_EXACT_STACKS_H

#include "collect/registry_reader.h"
#include "collect/stacks.h"
#include "model/exact_view.h"
#include "model/view.h"

struct exact_source {
	const struct view *view;
	struct registry_reader *registry;
	struct stacks *stacks; /* names */
};

/* Have the stacks among the next contexts named, `max` contexts at most: those from `id` on. Returns
 * the id to go on from. */
uint32_t exact_stacks_want(const struct exact_source *source, uint32_t id, uint32_t max);
/* The `max` contexts with most live bytes (0: all). To be freed before `stacks` is closed. 0 or
 * -errno. */
int exact_stacks_take(const struct exact_source *source, uint32_t max, struct exact_view *out);
void exact_stacks_free(struct exact_view *view);

#endif
