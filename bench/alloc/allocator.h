/* SPDX-License-Identifier: MIT */
/*
 * allocator.h - the allocator that the workloads run on, chosen when they are compiled: malloc and
 * free of whatever library the process has, or an mmviz arena. Calls are direct in both: the malloc
 * build is linked without a PLT.
 */
#ifndef MMVIZ_BENCH_ALLOCATOR_H
#define MMVIZ_BENCH_ALLOCATOR_H

#include <stddef.h>

#ifdef BENCH_MMVIZ
#include <mmviz/mmviz.h>

extern struct mmviz_arena *allocator_arena;

static inline void *allocator_alloc(size_t bytes)
{
	return mmviz_alloc(allocator_arena, bytes, MMVIZ_TAG("bench"));
}
static inline void allocator_free(void *block)
{
	mmviz_free(allocator_arena, block);
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
