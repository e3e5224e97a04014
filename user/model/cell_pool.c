/* SPDX-License-Identifier: MIT */
/*
 * cell_pool.c - size steps, free lists and huge-page chunks; see cell_pool.h.
 *
 * A chunk is aligned to a huge page, and its first line links it to the older chunks. Memory that
 * was never handed out is zero already, and only arrays that come from a free list are cleared.
 */
#define _GNU_SOURCE
#include "model/cell_pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LINE_BYTES	64u
#define HUGE_PAGE_BYTES (2ul << 20)
#define CHUNK_BYTES	(32ul << 20)

struct cell_pool_chunk {
	struct cell_pool_chunk *older;
	void *mapping;
	size_t mapping_bytes;
};

/* The same steps as the size classes of the library: 1..8, then eight per doubling. */
static unsigned class_of_lines(size_t lines)
{
	unsigned shift;

	if (lines <= 8)
		return lines == 0 ? 0 : (unsigned)lines - 1;
	shift = 60u - (unsigned)__builtin_clzl(lines - 1);
	return (shift + 1) * 8 + (unsigned)((lines - 1) >> shift) - 8;
}

static size_t lines_of_class(unsigned class)
{
	return class < 8 ? class + 1 : (size_t)(class % 8 + 9) << (class / 8 - 1);
}

static int add_chunk(struct cell_pool *pool)
{
	size_t bytes = CHUNK_BYTES + HUGE_PAGE_BYTES;
	char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct cell_pool_chunk *chunk;

	if (mapping == MAP_FAILED)
		return -errno;
	chunk = (void *)(((uintptr_t)mapping + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1));
	madvise(chunk, CHUNK_BYTES, MADV_HUGEPAGE); /* refused: slower, not wrong */
	*chunk = (struct cell_pool_chunk){
		.older = pool->chunks, .mapping = mapping, .mapping_bytes = bytes};
	pool->chunks = chunk;
	pool->next = (char *)chunk + LINE_BYTES;
	pool->end = (char *)chunk + CHUNK_BYTES;
	pool->reserved_bytes += CHUNK_BYTES;
	return 0;
}

void cell_pool_fini(struct cell_pool *pool)
{
	while (pool->chunks) {
		struct cell_pool_chunk *chunk = pool->chunks;

		pool->chunks = chunk->older;
		munmap(chunk->mapping, chunk->mapping_bytes);
	}
	memset(pool, 0, sizeof(*pool));
}

void *cell_pool_take(struct cell_pool *pool, size_t bytes)
{
	unsigned class = class_of_lines((bytes + LINE_BYTES - 1) / LINE_BYTES);
	size_t rounded_bytes = lines_of_class(class) * LINE_BYTES;
	void *array;

	if (class >= CELL_POOL_CLASSES) {
		errno = ENOMEM;
		return NULL;
	}
	array = pool->free[class];
	if (array) {
		memcpy(&pool->free[class], array, sizeof(void *));
		return memset(array, 0, bytes);
	}
	if ((size_t)(pool->end - pool->next) < rounded_bytes) {
		int error = add_chunk(pool);

		if (error) {
			errno = -error;
			return NULL;
		}
	}
	array = pool->next;
	pool->next += rounded_bytes;
	return array;
}

void cell_pool_give(struct cell_pool *pool, void *array, size_t bytes)
{
	unsigned class = class_of_lines((bytes + LINE_BYTES - 1) / LINE_BYTES);

	if (!array)
		return;
	memcpy(array, &pool->free[class], sizeof(void *));
	pool->free[class] = array;
}
