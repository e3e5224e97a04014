/* SPDX-License-Identifier: MIT */
/*
 * preload.c - the malloc family of libmmviz-preload.so, with the semantics of glibc's.
 *
 * Every function is the straight way to block.h and the current arena; what is rare (no arena yet,
 * no room in it, blocks of older arenas) is a function of its own, out of line. Each block is
 * attributed to the caller of the family's function. Never calls malloc, directly or through libc:
 * it is called from the dynamic linker before any constructor has run. Any thread; not in signal
 * handlers, as everywhere.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block.h"
#include "error.h"
#include "fast.h"
#include "large.h"
#include "os.h"
#include "preload_family.h"
#include "purge.h"

#define noinline __attribute__((noinline))
#define SITE	 __builtin_return_address(0)
#define EXPORT	 __attribute__((visibility("default")))

#define MALLOC_ALIGNMENT 16u
#define PAGE_BYTES	 MMVIZ_UNIT_BYTES
#define ZERO_PAGES_BYTES (1u << 20) /* from here on it pays to ask which pages are memory */
#define CHUNK_BYTES	 (8u << 20)

/* ------------------------------------------------------------------ out of the ordinary */

static void *out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *try_arena(struct mmviz_arena *arena, size_t alignment, size_t bytes, const void *site)
{
	return alignment <= MALLOC_ALIGNMENT
		       ? block_alloc(arena, bytes, 0, site)
		       : block_alloc_aligned(arena, alignment, bytes, 0, site);
}

/* The current arena has no room, or there is none yet: every arena, then a new one. */
static noinline void *alloc_anywhere(size_t alignment, size_t bytes, const void *site)
{
	bool is_last = false;
	int saved = errno;
	size_t room_bytes;
	void *block = NULL;

	if (bytes > PTRDIFF_MAX || __builtin_add_overflow(bytes, alignment, &room_bytes))
		return out_of_memory();
	for (unsigned number = 0; !block && !is_last; number++) {
		is_last = !preload_arena(number);
		if (is_last && !preload_grow(number, room_bytes))
			return out_of_memory();
		block = try_arena(preload_arena(number), alignment, bytes, site);
	}
	if (block)
		errno = saved;
	return block;
}

/* A block of another arena, of none, or a thread without a heap. */
static noinline void free_anywhere(void *block, const void *site)
{
	struct mmviz_arena *arena = preload_arena_of(block);
	int saved = errno;

	if (!block)
		return;
	if (!arena)
		arena = preload_current();
	if (arena || (preload_grow(0, 0) && (arena = preload_current())))
		free_general(arena, block, site); /* who reports it, if it is not ours */
	errno = saved;
}

/* ------------------------------------------------------------------ malloc and free */

static noinline void *general_alloc(struct mmviz_arena *arena, size_t bytes, uint32_t context,
				    const void *site)
{
	void *block;

	arena = preload_current();
	block = arena ? alloc_general(arena, bytes, context, site) : NULL;
	if (likely(arena))
		thread_current = thread_heaps[arena->slot];
	return likely(block) ? block : alloc_anywhere(MALLOC_ALIGNMENT, bytes, site);
}

static noinline void general_free(struct mmviz_arena *arena, void *block, const void *site)
{
	(void)arena;
	free_anywhere(block, site);
}

hot_inline void *allocate(size_t bytes, const void *site)
{
	return fast_alloc_or(general_alloc, NULL, thread_current, bytes, 0, site);
}

EXPORT void *malloc(size_t bytes)
{
	return allocate(bytes, SITE);
}

void *preload_alloc(size_t bytes, const void *site)
{
	return allocate(bytes, site);
}

hot_inline void release(void *block, const void *site)
{
	fast_free_or(general_free, NULL, thread_current, block, site);
}

EXPORT void free(void *block)
{
	release(block, SITE);
}

void preload_free(void *block, const void *site)
{
	release(block, site);
}

/* Up to CHUNK_BYTES of whole pages. Those that are no memory are let go, lest they be swapped out. */
static void zero_pages(char *first, size_t bytes)
{
	unsigned char is_there[CHUNK_BYTES / PAGE_BYTES];
	size_t pages = bytes / PAGE_BYTES, start = 0, end;
	bool is_known = os_residency(first, bytes, is_there) == 0;

	for (; start < pages; start = end) {
		end = start + 1;
		while (end < pages && (!is_known || is_there[end] == is_there[start]))
			end++;
		if (!is_known || is_there[start] ||
		    os_purge(first + start * PAGE_BYTES, (end - start) * PAGE_BYTES))
			memset(first + start * PAGE_BYTES, 0, (end - start) * PAGE_BYTES);
	}
}

/* A table that is hardly used must not become memory: pages that are none stay so. */
static noinline void *zero_large(char *block, size_t bytes)
{
	char *first = (char *)(((uintptr_t)block + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1));
	char *last = (char *)((uintptr_t)(block + bytes) & ~(uintptr_t)(PAGE_BYTES - 1));

	memset(block, 0, (size_t)(first - block));
	for (char *at = first; at < last; at += CHUNK_BYTES)
		zero_pages(at,
			   (size_t)(last - at) < CHUNK_BYTES ? (size_t)(last - at) : CHUNK_BYTES);
	memset(last, 0, (size_t)(block + bytes - last));
	return block;
}

EXPORT void *calloc(size_t count, size_t bytes)
{
	size_t total;
	void *block;

	if (unlikely(__builtin_mul_overflow(count, bytes, &total)))
		return out_of_memory();
	block = allocate(total, SITE);
	if (unlikely(!block))
		return NULL;
	return likely(total < ZERO_PAGES_BYTES) ? memset(block, 0, total)
						: zero_large(block, total);
}

/* ------------------------------------------------------------------ realloc */

static noinline void *move(struct mmviz_arena *arena, void *block, size_t bytes, const void *site)
{
	size_t kept = mmviz_usable_bytes(block);
	void *moved = alloc_anywhere(MALLOC_ALIGNMENT, bytes, site);

	if (!moved)
		return NULL;
	memcpy(moved, block, kept < bytes ? kept : bytes);
	block_free(arena, block, site);
	return moved;
}

static noinline void *general_realloc(struct mmviz_arena *arena, void *block, size_t bytes,
				      const void *site)
{
	int saved = errno;
	void *moved;

	if (!block)
		return allocate(bytes, site);
	if (!bytes) {
		free_anywhere(block, site);
		return NULL;
	}
	if (bytes > PTRDIFF_MAX)
		return out_of_memory();
	arena = preload_arena_of(block);
	if (unlikely(!arena)) {
		free_anywhere(block, site); /* reports it */
		errno = EINVAL;
		return NULL;
	}
	moved = block_realloc(arena, block, bytes, 0, site);
	if (likely(moved)) {
		errno = saved;
		return moved;
	}
	return errno == ENOMEM ? move(arena, block, bytes, site) : NULL;
}

hot_inline void *resize(void *block, size_t bytes, const void *site)
{
	return fast_realloc_or(general_realloc, general_alloc, general_free, NULL, thread_current,
			       block, bytes, site);
}

EXPORT void *realloc(void *block, size_t bytes)
{
	return resize(block, bytes, SITE);
}

EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, bytes, &total))
		return out_of_memory();
	return resize(block, total, SITE);
}

/* ------------------------------------------------------------------ aligned */

/* `alignment` is a power of two. */
void *preload_alloc_aligned(size_t alignment, size_t bytes, const void *site)
{
	struct mmviz_arena *arena = preload_current();
	int saved = errno;
	void *block;

	if (alignment <= MALLOC_ALIGNMENT)
		return allocate(bytes, site);
	block = arena ? block_alloc_aligned(arena, alignment, bytes, 0, site) : NULL;
	if (block)
		return block;
	errno = saved;
	return alloc_anywhere(alignment, bytes, site);
}

/* As glibc: an alignment that is no power of two is rounded up to one. */
static void *align(size_t alignment, size_t bytes, const void *site)
{
	if (alignment > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (alignment > 1)
		alignment = (size_t)1 << (64 - __builtin_clzl(alignment - 1));
	return preload_alloc_aligned(alignment, bytes, site);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
	return align(alignment, bytes, SITE);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
	return align(alignment, bytes, SITE);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	int saved = errno;
	void *block;

	if (alignment % sizeof(void *) || !alignment || (alignment & (alignment - 1)))
		return EINVAL;
	block = preload_alloc_aligned(alignment, bytes, SITE);
	errno = saved;
	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

EXPORT void *valloc(size_t bytes)
{
	return preload_alloc_aligned(PAGE_BYTES, bytes, SITE);
}

EXPORT void *pvalloc(size_t bytes)
{
	size_t rounded;

	if (__builtin_add_overflow(bytes, PAGE_BYTES - 1, &rounded))
		return out_of_memory();
	return preload_alloc_aligned(PAGE_BYTES, rounded & ~(size_t)(PAGE_BYTES - 1), SITE);
}

/* ------------------------------------------------------------------ looking and tuning */

static noinline size_t usable_anywhere(const void *block)
{
	const struct mmviz_arena *arena = block ? preload_arena_of(block) : NULL;

	return arena ? block_usable_bytes(arena, block) : 0;
}

EXPORT size_t malloc_usable_size(void *block)
{
	size_t bytes = fast_usable_bytes(thread_current, block);

	return likely(bytes) ? bytes : usable_anywhere(block);
}

/* `pad` bytes may stay: what is kept here is not much, so all goes. */
EXPORT int malloc_trim(size_t pad)
{
	struct mmviz_arena *arena;
	int has_released = 0, saved = errno;

	(void)pad;
	for (unsigned number = 0; (arena = preload_arena(number)); number++) {
		struct heap *heap = heap_of_thread(arena);

		large_flush(arena, heap ? heap : arena->spare);
		has_released |= purge_arena(arena);
	}
	errno = saved;
	return has_released;
}

/* Any parameter is accepted: there is nothing here that they could mean. */
EXPORT int mallopt(int parameter, int value)
{
	(void)parameter;
	(void)value;
	return 1;
}

static struct mmviz_stats sum_stats(void)
{
	struct mmviz_stats sum = {0}, one;
	struct mmviz_arena *arena;

	for (unsigned number = 0; (arena = preload_arena(number)); number++) {
		if (mmviz_arena_stats(arena, &one))
			continue;
		sum.committed_bytes += one.committed_bytes;
		sum.live_blocks += one.live_blocks;
		sum.live_bytes += one.live_bytes;
		sum.header_bytes += one.header_bytes;
		sum.padding_bytes += one.padding_bytes;
		sum.spans += one.spans;
	}
	return sum;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mmviz_stats stats = sum_stats();
	size_t used = stats.live_bytes + stats.header_bytes + stats.padding_bytes;

	return (struct mallinfo2){
		.arena = stats.committed_bytes,
		.ordblks = stats.spans,
		.uordblks = used,
		.fordblks = stats.committed_bytes - used,
	};
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 all = mallinfo2();

	return (struct mallinfo){
		.arena = (int)all.arena,
		.ordblks = (int)all.ordblks,
		.uordblks = (int)all.uordblks,
		.fordblks = (int)all.fordblks,
	};
}

EXPORT void malloc_stats(void)
{
	struct mmviz_stats stats = sum_stats();
	char text[200];
	int length = snprintf(text, sizeof(text),
			      "mmviz malloc: %zu live blocks, %zu bytes asked for, %zu bytes of "
			      "memory made usable\n",
			      (size_t)stats.live_blocks, (size_t)stats.live_bytes,
			      (size_t)stats.committed_bytes);

	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		return;
}

EXPORT int malloc_info(int options, FILE *stream)
{
	struct mmviz_stats stats;

	if (options)
		return EINVAL;
	stats = sum_stats();
	fprintf(stream,
		"<malloc version=\"mmviz-1\">\n<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
		(size_t)stats.live_blocks, (size_t)stats.live_bytes, (size_t)stats.committed_bytes);
	return 0;
}

/* ------------------------------------------------------------------ glibc's other names */

#if __has_attribute(copy)
#define ALIAS(name) __attribute__((alias(#name), visibility("default"), copy(name)))
#else
#define ALIAS(name) __attribute__((alias(#name), visibility("default")))
#endif

void *__libc_malloc(size_t bytes) ALIAS(malloc);
void *__libc_calloc(size_t count, size_t bytes) ALIAS(calloc);
void *__libc_realloc(void *block, size_t bytes) ALIAS(realloc);
void __libc_free(void *block) ALIAS(free);
void cfree(void *block) ALIAS(free);
void *__libc_memalign(size_t alignment, size_t bytes) ALIAS(memalign);
void *__libc_valloc(size_t bytes) ALIAS(valloc);
void *__libc_pvalloc(size_t bytes) ALIAS(pvalloc);
int __posix_memalign(void **out, size_t alignment, size_t bytes) ALIAS(posix_memalign);
