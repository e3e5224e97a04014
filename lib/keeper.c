/* SPDX-License-Identifier: MIT */
/* keeper.c - see keeper.h. */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
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

static bool is_wanted;	  /* since the thread last found nothing to do */
static uint8_t is_there;  /* the thread, or whoever makes it just now */
static time_t next_try_s; /* where there could be none, not before this */

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

/* What there is to do, or will be. */
static enum purge_work begin_tick(unsigned slot)
{
	struct mmviz_arena *arena;
	enum purge_work found = PURGE_NOTHING;

	registry_lock();
	arena = registry_arena_at(slot);
	if (arena && !(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY)) {
		arena_lock(arena);
		purge_tick(arena);
		found = purge_work(arena);
		arena_unlock(arena);
		/* A single-threaded arena's spare heap is its thread's, and so is the log. */
		if (!(arena->head.flags & MMVIZ_ARENA_SINGLE_THREADED))
			large_expire(arena, STALE_TICKS);
	}
	registry_unlock();
	return found;
}

/* `is_idle`: there has been nothing for so long that what waits is not looked at before its time. */
static enum purge_work look_after(unsigned slot, bool is_idle)
{
	enum purge_work found = begin_tick(slot);
	uint32_t cursor = 0;

	if (is_idle && found == PURGE_LATER)
		return found;
	while (step(slot, LET_GO_FREE, &cursor))
		;
	for (cursor = 0; step(slot, LET_GO_IDLE, &cursor);)
		;
	return found;
}

/* One tick of all arenas. */
static enum purge_work tick(bool is_idle)
{
	enum purge_work most = PURGE_NOTHING, found;

	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++) {
		found = registry_arena_at(slot) ? look_after(slot, is_idle) : PURGE_NOTHING;
		most = found > most ? found : most;
	}
	return most;
}

static void *keep(void *argument)
{
	struct timespec pause = {.tv_nsec = TICK_NS};
	unsigned idle = 0;

	/* pthread_setname_np would open a file of /proc, which makes the end of a short process longer. */
	prctl(PR_SET_NAME, "mmviz-keeper");
	while (idle < IDLE_TICKS) {
		enum purge_work found;

		nanosleep(&pause, NULL);
		idle++;
		if (idle == IDLE_TICKS) /* before the last look: what comes later wants another */
			__atomic_store_n(&is_wanted, false, __ATOMIC_RELAXED);
		found = tick(idle > IDLE_TICKS / 2);
		if (found == PURGE_NOW)
			idle = 0;
		else if (found == PURGE_LATER && idle == IDLE_TICKS)
			idle--;
	}
	/* Release: the next one sees what was done. */
	__atomic_exchange_n(&is_there, false, __ATOMIC_ACQ_REL);
	/* What was freed since the last look found us still there, and woke nobody. */
	keeper_wake();
	return argument;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* Whether there is one now. */
static bool make_thread(void)
{
	bool is_made;
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	is_made = pthread_create(&thread, &attributes, keep, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return is_made;
}

/*
 * A thread of ours is not the program's to leak; and with two threads, ThreadSanitizer ends children
 * that make one. (When the library itself is built with it, that is a test of this file.)
 */
static bool has_checker(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	extern void __tsan_acquire(void *address) __attribute__((weak));

	return poison_is_on() || __tsan_acquire;
#endif
}

void keeper_want(void)
{
	if (!__atomic_load_n(&is_wanted, __ATOMIC_RELAXED))
		__atomic_store_n(&is_wanted, true, __ATOMIC_RELAXED);
}

void keeper_wake(void)
{
	int saved = errno;

	if (likely(!__atomic_load_n(&is_wanted, __ATOMIC_RELAXED)))
		return;
	/* A store, too: so either we see the thread gone, or it, at its end, that it is wanted. */
	if (__atomic_fetch_or(&is_there, 0, __ATOMIC_ACQ_REL) || registry_is_locked_here() ||
	    has_checker() || now_s() < __atomic_load_n(&next_try_s, __ATOMIC_RELAXED))
		return;
	/* Set while we make it, too: pthread_create may allocate, and come back here. */
	if (__atomic_exchange_n(&is_there, true, __ATOMIC_ACQUIRE))
		return;
	if (!make_thread()) {
		__atomic_store_n(&next_try_s, now_s() + 1, __ATOMIC_RELAXED);
		__atomic_store_n(&is_there, false, __ATOMIC_RELEASE);
	}
	errno = saved;
}

void keeper_forked(void)
{
#ifdef __SANITIZE_THREAD__
	is_there = true; /* its runtime ends a child that makes a thread */
#else
	is_there = false;
#endif
}
