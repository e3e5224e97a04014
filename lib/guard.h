/* SPDX-License-Identifier: MIT */
/*
 * guard.h - the bytes behind each payload of an arena with MMVIZ_GUARD_BYTES.
 *
 * Written when a block is born or changes its length, compared when it ends, changes its length, or
 * the arena is checked. By the thread that holds the block, but for the checker, which nobody
 * disturbs.
 */
#ifndef MMVIZ_LIB_GUARD_H
#define MMVIZ_LIB_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "poison.h"

#define GUARD_BYTES 16u
#define GUARD_BYTE  0xa7

static inline bool guard_is_asked(const struct mmviz_arena *arena)
{
	return arena->head.flags & MMVIZ_ARENA_GUARD_BYTES;
}

/* Whether the program may use the bytes that it asked for, and none of those that round them up. */
static inline bool guard_is_exact(const struct mmviz_arena *arena)
{
	return guard_is_asked(arena) || poison_is_on();
}

static inline void guard_write(void *block, size_t bytes)
{
	unsigned char *guard = (unsigned char *)block + bytes;

	poison_open(guard, GUARD_BYTES);
	for (size_t i = 0; i < GUARD_BYTES; i++)
		guard[i] = GUARD_BYTE;
}

static inline bool guard_is_whole(const void *block, size_t bytes)
{
	const unsigned char *guard = (const unsigned char *)block + bytes;
	bool is_whole = true;

	poison_open(guard, GUARD_BYTES);
	for (size_t i = 0; i < GUARD_BYTES; i++)
		is_whole &= guard[i] == GUARD_BYTE;
	poison_close(guard, GUARD_BYTES);
	return is_whole;
}

#endif
