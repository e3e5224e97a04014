/* SPDX-License-Identifier: MIT */
/*
 * block.h - the public functions of one block, with the call site as an argument: what preload.c,
 * whose callers call malloc, stands on.
 *
 * Contracts, errors and threads are those of the functions of the same names in mmviz.h. `site` is
 * the return address that an untagged block is attributed to, and that a report names. An alignment
 * may be any power of two.
 */
#ifndef MMVIZ_LIB_BLOCK_H
#define MMVIZ_LIB_BLOCK_H

#include <mmviz/mmviz.h>

void *block_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag, const void *site);
void *block_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag,
		   const void *site);
void *block_alloc_aligned(struct mmviz_arena *arena, size_t alignment, size_t bytes, mmviz_tag tag,
			  const void *site);
void *block_alloc_labelled(struct mmviz_arena *arena, size_t bytes, const char *label,
			   const void *site);
void *block_realloc(struct mmviz_arena *arena, void *block, size_t bytes, mmviz_tag tag,
		    const void *site);
size_t block_usable_bytes(const struct mmviz_arena *arena, const void *block);
void block_free(struct mmviz_arena *arena, void *block, const void *site);

#endif
