/* SPDX-License-Identifier: MIT */
/*
 * os.h - every call to the operating system that the library makes for memory, time and identity.
 *
 * Owns nothing. All sizes are whole pages. Any thread.
 */
#ifndef MMVIZ_LIB_OS_H
#define MMVIZ_LIB_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reserve address space, unreadable until committed; `alignment` is a power of two. NULL with
 * errno. */
void *os_reserve(size_t bytes, size_t alignment);
/* Make reserved pages readable and writable. 0 or -errno. */
int os_commit(void *address, size_t bytes);
/* Let the contents go: the pages read as zero, and the memory is the system's again. 0, or -errno:
 * nothing was let go. */
int os_purge(void *address, size_t bytes);
/* For each page: 1 if it is memory now, 0 if it is not (never touched, let go, or swapped out). 0 or
 * -errno. */
int os_residency(void *address, size_t bytes, unsigned char *pages);
void os_huge_pages(void *address, size_t bytes);
void os_release(void *address, size_t bytes);
/* How much address space the process may still take; without a limit SIZE_MAX. */
size_t os_address_room_bytes(void);
/* Whether the eight bytes here can be read. */
bool os_is_readable(const void *address);

uint64_t os_now_ns(void); /* CLOCK_MONOTONIC */
uint32_t os_thread_id(void);
bool os_thread_exists(uint32_t thread_id); /* in this process */

#endif
