/* SPDX-License-Identifier: MIT */
/*
 * cell_pool.h - memory for the arrays of a replica, from huge pages.
 *
 * A replica of a million blocks is one big table that is filled at once: with small pages most of
 * that time would be page faults. Arrays are rounded up to eight size steps per doubling (on
 * average 6 % more) and given back to a free list of their size; memory returns to the system when
 * the pool ends. Knows nothing of blocks. One thread.
 */
#ifndef MMVIZ_MODEL_CELL_POOL_H
#define MMVIZ_MODEL_CELL_POOL_H

#include <stddef.h>
#include <stdint.h>

#define CELL_POOL_ARRAY_MAX_BYTES (2u << 20)
#define CELL_POOL_CLASSES	  104u /* class 103 has CELL_POOL_ARRAY_MAX_BYTES */

struct cell_pool {
	struct cell_pool_chunk *chunks;
	char *next, *end; /* the unused rest of the newest chunk */
	void *free[CELL_POOL_CLASSES];
	uint64_t reserved_bytes;
};

/* A zeroed pool is an empty pool. */
void cell_pool_fini(struct cell_pool *pool);

/* A zeroed array, aligned to 64 bytes; NULL with errno (also above CELL_POOL_ARRAY_MAX_BYTES). */
void *cell_pool_take(struct cell_pool *pool, size_t bytes);
/* `bytes` as in take; NULL is fine. */
void cell_pool_give(struct cell_pool *pool, void *array, size_t bytes);

#endif
