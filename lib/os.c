/* SPDX-License-Identifier: MIT */
/*
 * os.c - see os.h. Reserved space is PROT_NONE, so that it counts against no overcommit limit;
 * committing is an mprotect, which merges with the committed neighbour.
 */
#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void *os_reserve(size_t bytes, size_t alignment)
{
	size_t asked = bytes + alignment;
	char *raw =
		mmap(NULL, asked, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (raw == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	start = (char *)(((uintptr_t)raw + alignment - 1) & ~(uintptr_t)(alignment - 1));
	if (start > raw)
		munmap(raw, (size_t)(start - raw));
	if (raw + asked > start + bytes)
		munmap(start + bytes, (size_t)(raw + asked - (start + bytes)));
	return start;
}

int os_commit(void *address, size_t bytes)
{
	return mprotect(address, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
}

int os_purge(void *address, size_t bytes)
{
	int saved = errno, error; /* freeing leaves errno alone */

	error = madvise(address, bytes, MADV_DONTNEED) ? -errno : 0;
	errno = saved;
	return error;
}

void os_huge_pages(void *address, size_t bytes)
{
	madvise(address, bytes, MADV_HUGEPAGE);
}

void os_release(void *address, size_t bytes)
{
	munmap(address, bytes);
}

uint64_t os_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t os_thread_id(void)
{
	return (uint32_t)gettid();
}

bool os_thread_exists(uint32_t thread_id)
{
	int saved = errno;
	bool exists = tgkill(getpid(), (pid_t)thread_id, 0) == 0 || errno != ESRCH;

	errno = saved;
	return exists;
}
