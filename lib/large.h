/* SPDX-License-Identifier: MIT */
/*
 * large.h - blocks with units of their own.
 *
 *	first unit's start            payload, aligned to at least 64
 *	| head 64 | ... label | header | payload ..................... |
 *
 * They belong to the arena, not to a heap: any thread frees one, under the arena's lock. Lengths
 *are rounded up to a class (eight steps to a doubling; the tail is address space until it is
 *touched), and freed ones wait in a bin of their class for the next that asks: taking one from
 *there costs neither tree nor page faults. A cached block stays LARGE in the map, with a CACHED
 *header. The bins hold at most an eighth of the large units and 16 MiB; what is more goes back to
 *the tree.
 */
#ifndef MMVIZ_LIB_LARGE_H
#define MMVIZ_LIB_LARGE_H

#include "arena.h"

struct large_request {
	size_t bytes, alignment;
	unsigned shape;
	uint32_t context;
	const char *label;  /* 32 bytes, with shape LABELLED */
	size_t extra_bytes; /* room behind the payload: guard bytes */
};

/* A large block, born; NULL: no memory. */
struct mmviz_header *large_take(struct mmviz_arena *arena, struct heap *heap,
				const struct large_request *request);
/* 0, or -EINVAL: the block is not live any more. `heap` NULL: the spare one is used. */
int large_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
	       const void *site);
/* Change the length in place; 0, or -ENOMEM: the units behind it are taken. */
int large_resize(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
		 size_t bytes, uint32_t context, size_t extra_bytes);
/* Everything in the bins back to the tree: memory is short. */
void large_flush(struct mmviz_arena *arena, struct heap *heap);
/* Those that have waited there for `ticks` ticks of the keeper, told in the spare heap's log. */
void large_expire(struct mmviz_arena *arena, unsigned ticks);

#endif
