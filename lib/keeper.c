/* SPDX-License-Identifier: MIT */
/* keeper.c - see keeper.h. */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "large.h"
#include "likely.h"
#include "poison.h"
#include "purge.h"

#define TICK_NS		 250000000
#define STALE_TICKS	 3u
#define IDLE_STALE_TICKS 2u  /* they were seen to be idle a tick after they were */
#define IDLE_TICKS	 12u /* without work, and the thread ends */
#define STACK_BYTES	 (64u << 10)

static bool is_there; /* the thread, or whoever makes it just now */

enum work { LET_GO_FREE, LET_GO_IDLE };

/* One step of an arena that may be destroyed between two. False: there are no more. */
static bool step(unsigned slot, enum work work, uint32_t *cursor)
{
	struct mmviz_arena *arena;
	bool goes_on = false;

	registry_lock();
	arena = registry_arena_at(slot);
	if (arena) {
		arena_lock(arena);
		goes_on = work == LET_GO_FREE ? purge_step(arena, cursor, STALE_TICKS)
					      : purge_idle_step(arena, cursor, IDLE_STALE_TICKS);
		arena_unlock(arena);
	}
	registry_unlock();
	return goes_on;
}

/* Whether there is, or will be, anything to do. */
static bool begin_tick(unsigned slot)
{
	struct mmviz_arena *arena;
	bool has_work = false;

	registry_lock();
	arena = registry_arena_at(slot);
	if (arena && !(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY)) {
		arena_lock(arena);
		purge_tick(arena);
		has_work = arena->dirty_units || arena->cached_units;
		arena_unlock(arena);
		large_expire(arena, STALE_TICKS);
	}
	registry_unlock();
	return has_work;
}

static bool look_after(unsigned slot)
{
	bool has_work = begin_tick(slot);
	uint32_t cursor = 0;

	while (step(slot, LET_GO_FREE, &cursor))
		;
	for (cursor = 0; step(slot, LET_GO_IDLE, &cursor);)
		;
	return has_work;
}

static void *keep(void *argument)
{
	struct timespec pause = {.tv_nsec = TICK_NS};
	unsigned idle = 0;

	while (idle < IDLE_TICKS) {
		nanosleep(&pause, NULL);
		idle++;
		for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
			if (registry_arena_at(slot) && look_after(slot))
				idle = 0;
	}
	/* Release: the next one sees what was done. A free that just missed us wakes another. */
	__atomic_store_n(&is_there, false, __ATOMIC_RELEASE);
	return argument;
}

static void make_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attributes))
		return;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, &attributes, keep, NULL) == 0)
		pthread_setname_np(thread, "mmviz-keeper");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

void keeper_wake(const struct mmviz_arena *arena)
{
	int saved = errno;

	if (likely(__atomic_load_n(&is_there, __ATOMIC_RELAXED)) || registry_is_locked_here())
		return;
	if (!purge_is_wanted(arena))
		return;
	if (poison_is_on()) /* a thread of ours is not the program's to leak */
		return;
	/* Set while we make it, too: pthread_create may allocate, and come back here. */
	if (__atomic_exchange_n(&is_there, true, __ATOMIC_ACQUIRE))
		return;
	make_thread(); /* where there can be none, nobody tries again */
	errno = saved;
}

void keeper_wake_all(void)
{
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (registry_arena_at(slot))
			keeper_wake(registry_arena_at(slot));
}

void keeper_forked(void)
{
	is_there = false;
}
