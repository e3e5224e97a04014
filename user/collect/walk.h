/* SPDX-License-Identifier: MIT */
/*
 * walk.h - read every span head and block header of an arena of a target, while it runs.
 *
 * Starts come from the unit map, cells from the heads of spans; no chain of headers is followed.
 * Spans of small cells are read whole, in large pieces; of large cells only the headers are read,
 * and not those of idle cells, whose pages may be gone.
 * What the target is changing just now may look torn: it is passed on as far as it makes sense, and
 * is right only if no later event of the target names it. Knows nothing of replicas. One thread.
 */
#ifndef MMVIZ_COLLECT_WALK_H
#define MMVIZ_COLLECT_WALK_H

#include <mmviz/abi.h>

#include "collect/target.h"

struct walk_block {
	uint32_t place; /* of the header */
	unsigned life;	/* LIVE or RETURNED only if the check word is right; otherwise CACHED */
	uint64_t word;	/* bits 28..63 are bytes only while LIVE */
	uint32_t incarnation; /* odd: freed */
	const char
		*label; /* MMVIZ_LABEL_BYTES of a labelled block, or NULL; valid during the call */
};

/* Called in order of address. `context` is the struct's. NULL: not wanted. */
struct walk_callbacks {
	void *context;
	/* A run of units with the same code, FREE or META. */
	void (*units)(void *context, uint32_t first, uint32_t units, unsigned code);
	/* A span or large block; its head fits the map. Its blocks follow, those ever used. */
	void (*span)(void *context, uint32_t first_unit, const struct mmviz_span *head);
	void (*block)(void *context, const struct walk_block *block);
	/* Between two pieces, every half millisecond or so. Non-zero ends the walk with that value.
	 */
	int (*pause)(void *context);
};

/*
 * Walk the arena whose head was read last as `head` (its addresses have been checked by the
 * registry reader). 0, what `pause` returned, or -EFAULT (the arena is gone), -ESRCH, -ENOMEM.
 */
int walk_arena(const struct target *target, const struct mmviz_arena_head *head,
	       const struct walk_callbacks *callbacks);
/* The same for a part of it: `first` is where a span, a large block or a run begins. */
int walk_units(const struct target *target, const struct mmviz_arena_head *head, uint64_t first,
	       uint64_t units, const struct walk_callbacks *callbacks);

#endif
