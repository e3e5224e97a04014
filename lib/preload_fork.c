/* SPDX-License-Identifier: MIT */
/*
 * preload_fork.c - the order of locks across fork, where malloc is ours.
 *
 * The registry's handlers hold every arena's lock while the process forks, and glibc's fork takes
 * the lock of its list of files after that. Another thread may hold the list (fflush(NULL)) and
 * wait for an arena: both would wait for ever. So the list is locked here first: our handler is
 * younger than the registry's, and the youngest prepares first. glibc takes the lock again (it
 * counts), and makes it new in the child, as do we.
 *
 * One more order is out of reach: the first look-up of a name (getpwnam and the like) allocates
 * under a lock of glibc's own that fork takes too.
 */
#include <pthread.h>

#include "preload.h"

/* Exported by glibc since 2.2.5, declared nowhere. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

static void prepare(void)
{
	if (_IO_list_lock)
		_IO_list_lock();
}

static void in_parent(void)
{
	if (_IO_list_unlock)
		_IO_list_unlock();
}

static void in_child(void)
{
	if (_IO_list_resetlock)
		_IO_list_resetlock();
}

void preload_watch_forks(void)
{
	pthread_atfork(prepare, in_parent, in_child);
}
