/* SPDX-License-Identifier: MIT */
/*
 * compare.h - is a replica equal to a fresh walk, wherever no event touched it meanwhile?
 */
#ifndef MMVIZ_MODEL_COMPARE_H
#define MMVIZ_MODEL_COMPARE_H

#include "model/replica.h"

struct comparison {
	uint64_t compared_blocks;
	uint64_t missing;   /* the walk saw a live block, the replica has none */
	uint64_t extra;	    /* the replica has one, the walk saw none */
	uint64_t different; /* both have one; bytes, context, incarnation or label differ. Or a span
			     */
	char first[128];    /* the first difference, in words */
};

/* Adds to `out`. `arena` notes touched places (replica_touch_begin) since before the walk began, or
 * nothing has happened since. */
void compare_arena(const struct replica_arena *arena, const struct block_table *fresh,
		   struct comparison *out);

#endif
