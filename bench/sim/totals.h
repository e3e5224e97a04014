/* SPDX-License-Identifier: MIT */
/*
 * totals.h - what each worker has allocated and freed, in a file that outlives the process.
 *
 * A worker writes the totals as they will be after its next operation beside the totals as they
 * are, says that it begins, does the operation, and counts it. So a reader that finds the process
 * killed at any instruction knows the worker's true totals of an arena: side[done & 1]; and if
 * begun is not done, perhaps side[begun & 1] instead, because the operation was complete but not
 * counted, or what that one has allocated without what it has freed: a resize that moves has both
 * blocks while it copies.
 *
 *   file = | header 64 | cell[thread 0][arena 0] | cell[0][1] | ... | cell[threads-1][arenas-1] |
 *
 * Arena i of the file is the arena with id i + 1 in the process. The worker alone writes its cells.
 */
#ifndef MMVIZ_BENCH_SIM_TOTALS_H
#define MMVIZ_BENCH_SIM_TOTALS_H

#include <stdint.h>

#define TOTALS_MAGIC 0x314d49535a564d4dULL /* "MMVZSIM1" */

struct totals_header {
	uint64_t magic;	  /* 0 */
	uint32_t threads; /* 8 */
	uint32_t arenas;  /* 12 */
	uint64_t reserved[6];
};

struct totals {
	uint64_t allocated_blocks, allocated_bytes, freed_blocks, freed_bytes;
};

struct totals_cell {
	struct totals side[2]; /*  0 */
	uint64_t begun;	       /* 64 operations: done, or one more */
	uint64_t done;	       /* 72 operations counted */
	uint64_t reserved[6];  /* 80 */
};
_Static_assert(sizeof(struct totals_header) == 64, "header is one line");
_Static_assert(sizeof(struct totals_cell) == 128, "a cell shares no line with another thread's");

/* Map `path`, made anew for threads x arenas cells. 0 or -errno. Lives until the process ends. */
int totals_create(const char *path, unsigned threads, unsigned arenas, struct totals_cell **out);

/* Two steps around an operation; `cell` is NULL when nobody asked for totals. A resize frees the
 * old bytes and allocates the new ones. */
static inline void totals_intend(struct totals_cell *cell, uint64_t allocated_blocks,
				 uint64_t allocated_bytes, uint64_t freed_blocks,
				 uint64_t freed_bytes)
{
	struct totals next;

	if (!cell)
		return;
	next = cell->side[cell->done & 1];
	next.allocated_blocks += allocated_blocks;
	next.allocated_bytes += allocated_bytes;
	next.freed_blocks += freed_blocks;
	next.freed_bytes += freed_bytes;
	cell->side[(cell->done + 1) & 1] = next;
	__asm__ volatile("" ::: "memory"); /* whole before it is announced */
	cell->begun = cell->done + 1;
	__asm__ volatile("" ::: "memory"); /* announced before it begins */
}
static inline void totals_done(struct totals_cell *cell)
{
	if (!cell)
		return;
	__asm__ volatile("" ::: "memory"); /* counted after it ended */
	cell->done = cell->begun;
}

#endif
