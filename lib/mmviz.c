/* SPDX-License-Identifier: MIT */
/*
 * mmviz.c - the public functions of blocks and names: who calls, then the work, which is elsewhere.
 */
#include <mmviz/mmviz.h>

#include <errno.h>
#include <string.h>

#include "block.h"
#include "fast.h"

#define ALIGNMENT_MAX_BYTES (2u << 20)

/* ------------------------------------------------------------------ blocks */

void *block_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag, const void *site)
{
	return fast_alloc(arena, bytes, tag, site);
}

void *block_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag,
		   const void *site)
{
	size_t total;
	void *block;

	if (__builtin_mul_overflow(count, bytes, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	block = fast_alloc(arena, total, tag, site);
	return block ? memset(block, 0, total) : NULL;
}

void block_free(struct mmviz_arena *arena, void *block, const void *site)
{
	fast_free(arena, block, site);
}

void *mmviz_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag)
{
	return fast_alloc(arena, bytes, tag, __builtin_return_address(0));
}

void *mmviz_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag)
{
	return block_calloc(arena, count, bytes, tag, __builtin_return_address(0));
}

void *mmviz_alloc_aligned(struct mmviz_arena *arena, size_t alignment, size_t bytes, mmviz_tag tag)
{
	if (alignment > ALIGNMENT_MAX_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	return block_alloc_aligned(arena, alignment, bytes, tag, __builtin_return_address(0));
}

void *mmviz_alloc_labeled(struct mmviz_arena *arena, size_t bytes, const char *label)
{
	return block_alloc_labelled(arena, bytes, label, __builtin_return_address(0));
}

static void *realloc_untagged(struct mmviz_arena *arena, void *block, size_t bytes,
			      const void *site)
{
	return block_realloc(arena, block, bytes, 0, site);
}

void *mmviz_realloc(struct mmviz_arena *arena, void *block, size_t bytes, mmviz_tag tag)
{
	if (tag)
		return block_realloc(arena, block, bytes, tag, __builtin_return_address(0));
	return fast_realloc_or(realloc_untagged, alloc_general, free_general, arena,
			       thread_heaps[arena->slot], block, bytes,
			       __builtin_return_address(0));
}

void mmviz_free(struct mmviz_arena *arena, void *block)
{
	fast_free(arena, block, __builtin_return_address(0));
}

/* ------------------------------------------------------------------ names */

mmviz_tag mmviz_tag_intern(const char *name)
{
	return name && name[0] ? registry_intern_name(name, strlen(name)) : 0;
}

const char *mmviz_tag_name(mmviz_tag tag)
{
	struct mmviz_context context = registry_context(tag);

	return context.kind == MMVIZ_CONTEXT_TAG ? (const char *)context.value : NULL;
}

void mmviz_mark(const char *phase)
{
	if (phase)
		registry_mark(phase);
}
