/* SPDX-License-Identifier: MIT */
/*
 * free.h - every free that the fast path does not make: blocks of other threads, large and guarded
 * ones, listeners, mistakes.
 */
#ifndef MMVIZ_LIB_FREE_H
#define MMVIZ_LIB_FREE_H

#include "heap.h"
#include "probes.h"

/* Examines the header at once. */
void free_general(struct mmviz_arena *arena, void *block, const void *site);
/* The rest of a fast free to which somebody listens; the header is marked already, its cell is one of this magazine's. */
void free_told(struct heap *heap, struct magazine *magazine, struct mmviz_header *header,
	       listeners_free listeners);
/* Tells of a pointer that is no live block. */
void free_refused(struct mmviz_arena *arena, const void *block, const void *site);
/* Whether a live block of this arena begins here: address and header say so. */
bool free_is_live_block(const struct mmviz_arena *arena, const void *block);
/* The guard bytes behind a block of a guarded arena; tells of an overrun. False: leave the block
 * alone. */
bool free_guard_check(struct mmviz_arena *arena, const void *block, uint64_t word,
		      const void *site);

#endif
