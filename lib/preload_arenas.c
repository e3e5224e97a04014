/* SPDX-License-Identifier: MIT */
/* preload_arenas.c - see preload.h. */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "os.h"

#define SLACK_BYTES    (4u << 20) /* an arena's own needs, and rounding */
#define CAPACITY_UNIT  (2u << 20)
#define DECIMAL_DIGITS 10

struct preload preload;

struct mmviz_arena *preload_arena_of(const void *block)
{
	struct mmviz_arena *arena;

	for (unsigned number = 0; (arena = preload_arena(number)); number++)
		if (preload_arena_holds(arena, block))
			return arena;
	return NULL;
}

/* ------------------------------------------------------------------ how much */

/* Half of what a limited process still has: the rest is for its stacks, files and next arenas. */
static size_t allowed_bytes(void)
{
	size_t allowed = os_address_room_bytes() / 2;
	struct rlimit limit;

	if (allowed > MMVIZ_CAPACITY_MAX_BYTES)
		allowed = MMVIZ_CAPACITY_MAX_BYTES;
	if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur < allowed)
		allowed = limit.rlim_cur;
	return allowed;
}

/* ------------------------------------------------------------------ one more */

static void make_name(unsigned number, char name[static 16])
{
	char *end = stpcpy(name, "malloc");

	if (number == 0)
		return;
	*end++ = ' ';
	if (number + 1 >= DECIMAL_DIGITS)
		*end++ = (char)('0' + (number + 1) / DECIMAL_DIGITS);
	*end++ = (char)('0' + (number + 1) % DECIMAL_DIGITS);
	*end = '\0';
}

/* The largest arena that can be had, if that is large enough. */
static struct mmviz_arena *create(unsigned number, size_t bytes)
{
	size_t capacity = allowed_bytes(), least;
	struct mmviz_arena *arena = NULL;
	char name[16];

	if (bytes > MMVIZ_CAPACITY_MAX_BYTES - SLACK_BYTES)
		return NULL;
	make_name(number, name);
	least = bytes + SLACK_BYTES;
	if (capacity < least && least - capacity <= capacity)
		capacity = least; /* more than half, but there */
	for (; !arena && capacity >= least; capacity /= 2) {
		struct mmviz_arena_options options = {
			.options_bytes = sizeof(options),
			.name = name,
			.capacity_bytes = capacity & ~(size_t)(CAPACITY_UNIT - 1),
			.flags = preload.flags,
		};

		arena = mmviz_arena_create_with(&options);
	}
	return arena;
}

void preload_check_frees(void)
{
	struct mmviz_arena *arena;

	preload.flags |= MMVIZ_CHECKED_FREES;
	for (unsigned number = 0; (arena = preload_arena(number)); number++)
		arena->head.flags |= MMVIZ_ARENA_CHECKED_FREES; /* heaps look when they grow */
}

bool preload_grow(unsigned number, size_t bytes)
{
	struct mmviz_arena *arena, *expected = NULL;
	int saved = errno;

	if (number >= PRELOAD_ARENAS_MAX)
		return false;
	arena = create(number, bytes);
	errno = saved;
	if (!arena)
		return preload_arena(number);
	if (__atomic_compare_exchange_n(&preload.all[number], &expected, arena, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&preload.current, arena, __ATOMIC_RELEASE);
		if (number == 0)
			preload_watch_forks();
	} else {
		mmviz_arena_destroy(arena); /* another thread was faster */
	}
	errno = saved;
	return true;
}
