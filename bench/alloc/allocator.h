/* SPDX-License-Identifier: MIT */
/*
 * allocator.h - the allocator that the workloads run on, chosen when they are compiled:
 *
 *	(nothing)	malloc and free of whatever library the process has
 *	BENCH_MMVIZ	an mmviz arena
 *	BENCH_NONE	nothing: every block is the same memory; what remains is the workload itself
 *
 * Calls are as direct in one as in the others: malloc is called without a PLT, the tag of the
 * arena's blocks is one static load.
 */
#ifndef MMVIZ_BENCH_ALLOCATOR_H
#define MMVIZ_BENCH_ALLOCATOR_H

#include <stddef.h>

#if defined(BENCH_MMVIZ)
#include <mmviz/mmviz.h>

extern struct mmviz_arena *allocator_arena;
extern mmviz_tag allocator_tag;

static inline void *allocator_alloc(size_t bytes)
{
	return mmviz_alloc(allocator_arena, bytes, allocator_tag);
}
static inline void allocator_free(void *block)
{
	mmviz_free(allocator_arena, block);
}
#elif defined(BENCH_NONE)
extern char allocator_scratch[];

static inline void *allocator_alloc(size_t bytes)
{
	void *block = allocator_scratch;

	__asm__ volatile("" : "+r"(block) : "r"(bytes)); /* the compiler must not know it */
	return block;
}
static inline void allocator_free(void *block)
{
	__asm__ volatile("" : : "r"(block));
}
#else
#include <stdlib.h>

static inline void *allocator_alloc(size_t bytes)
{
	return malloc(bytes);
}
static inline void allocator_free(void *block)
{
	free(block);
}
#endif

#endif
