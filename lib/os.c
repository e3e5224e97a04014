/* SPDX-License-Identifier: MIT */
/*
 * os.c - see os.h. Reserved space is PROT_NONE, so that it counts against no overcommit limit;
 * committing is an mprotect, which merges with the committed neighbour.
 */
#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

int os_residency(void *address, size_t bytes, unsigned char *pages)
{
	int saved = errno, error = mincore(address, bytes, pages) ? -errno : 0;

	for (size_t i = 0, count = bytes / (size_t)sysconf(_SC_PAGESIZE); !error && i < count; i++)
		pages[i] &= 1;
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

/* The first number in statm, in pages. */
static size_t taken_bytes(void)
{
	char text[64];
	ssize_t length;
	size_t pages = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text));
	close(fd);
	for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		pages = pages * 10 + (size_t)(text[i] - '0');
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t os_address_room_bytes(void)
{
	struct rlimit limit;
	size_t taken;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	taken = taken_bytes();
	return limit.rlim_cur > taken ? limit.rlim_cur - taken : 0;
}

/* The kernel reads the new mask before it looks at what to do with it, which is nothing it knows.
 * (The same trick finds readable memory in Abseil.) */
bool os_is_readable(const void *address)
{
	int saved = errno;
	bool is_there = syscall(SYS_rt_sigprocmask, ~0, address, NULL, sizeof(uint64_t)) == 0 ||
			errno != EFAULT;

	errno = saved;
	return is_there;
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
