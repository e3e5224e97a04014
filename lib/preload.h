/* SPDX-License-Identifier: MIT */
/*
 * preload.h - the arenas that stand behind malloc in libmmviz-preload.so.
 *
 * "malloc" is made by the first call of the family, with as much address space as an arena can have
 * and the process may take; "malloc 2" and so on when there is no room in it. They stay for ever. A
 * block's arena is found by its address. Any thread; no lock of its own, so that a fork finds none
 * taken.
 */
#ifndef MMVIZ_LIB_PRELOAD_H
#define MMVIZ_LIB_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

#define PRELOAD_ARENAS_MAX 32

struct preload {
	unsigned flags;		     /* of the arenas to come */
	struct mmviz_arena *current; /* where new blocks come from; NULL before the first */
	struct mmviz_arena *all[PRELOAD_ARENAS_MAX]; /* in order of age; NULL ends */
};
extern struct preload preload __attribute__((visibility("hidden")));

static inline struct mmviz_arena *preload_current(void)
{
	/* Acquire: pairs with the release in preload_grow, so that the arena is whole. */
	return __atomic_load_n(&preload.current, __ATOMIC_ACQUIRE);
}
static inline struct mmviz_arena *preload_arena(unsigned number)
{
	return number < PRELOAD_ARENAS_MAX ? __atomic_load_n(&preload.all[number], __ATOMIC_ACQUIRE)
					   : NULL;
}
static inline bool preload_arena_holds(const struct mmviz_arena *arena, const void *address)
{
	return (size_t)address - arena->head.base_addr < arena->head.capacity_bytes;
}

/* The arena of this block, or NULL: it is not ours. */
struct mmviz_arena *preload_arena_of(const void *block);

/*
 * Make arena `number`, with room for a block of `bytes`, where arenas below it exist. True: it
 * exists now, made by this thread or by another; false: there is no memory for it. Leaves errno
 * alone.
 */
bool preload_grow(unsigned number, size_t bytes);

/* As MMVIZ_CHECKED_FREES, for the arenas that exist and those to come. In a constructor. */
void preload_check_frees(void);

/* Once, after the first arena was made: the registry's fork handlers must be the older ones. */
void preload_watch_forks(void);

#endif
