/* SPDX-License-Identifier: MIT */
/*
 * arena.h - a reserved range of addresses, its units, and every structural change.
 *
 *	                            base
 *	| map | ages | heads | owners | idle, sampled bits | extent nodes | struct mmviz_arena | heaps, spans, large blocks,
 *free units
 *... |
 *
 * (In the caller's own memory the books come after the struct, as META units.)
 *
 * Structural changes (a span taken or given back, a large block, a new heap, growth, reset) run
 *under the arena's lock, carry the arena-wide number `order`, and are told in the log of the heap
 *that makes them (rule 4). Each function below that takes a heap does all of that, and hands the
 *log over afterwards, without the lock.
 *
 *	capacity == META + spans + large blocks + free extents;    committed <= capacity
 */
#ifndef MMVIZ_LIB_ARENA_H
#define MMVIZ_LIB_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "extent_tree.h"
#include "heap.h"
#include "span.h"

struct mmviz_arena {
	struct mmviz_arena_head head;
	uint32_t slot;		 /* in the registry and in every thread's table */
	uint32_t cell_max_bytes; /* payloads up to this come from spans */
	uint32_t
		big_max_bytes; /* plain payloads up to this come from big spans; 0: there are none */
	uint32_t medium_class; /* classes from this on lie in medium spans */
	uint32_t units, heap_units;
	uint8_t *map;
	struct mmviz_span *heads;
	struct magazine **owners; /* of cells, by small span: heap_owner_of */
	uint64_t *idle;		  /* bits, by place: cells that lie free in their span */
	uint8_t *dirty, *ages;	  /* purge.h: by unit */
	uint64_t dirty_units;	  /* free ones whose pages were used */
	uint64_t big_units;	  /* in spans of big cells */
	uint8_t tick;		  /* of the keeper */
	/* purge_instead: what growth is to be paid with, and what was allowed until when. */
	uint64_t owed_units, allowed_units, allowed_ns;
	uint32_t sweep_unit;
	bool was_reset; /* whole headers of dead blocks may lie where cells will be */
	struct extent_tree extents;
	struct {
		uint32_t newest, oldest;    /* first units of freed blocks; 0: none */
	} bins[SPAN_TABLE_CLASSES];	    /* large.c: by class of length */
	uint64_t cached_units, large_units; /* in the bins; in all large blocks, those included */
	/* Of a magazine's array behind its heap, in cells; each has one more, the 0 at its bottom. */
	uint32_t magazine_offsets[HEAP_MAGAZINES + 1];
	pthread_mutex_t lock;
	struct heap *pool;  /* heaps whose thread has ended */
	struct heap *spare; /* for threads that must free but cannot get a heap; used under the
			       lock. Single-threaded arenas: the one heap */
	struct heap *newest;
};

static inline void arena_lock(struct mmviz_arena *arena)
{
	pthread_mutex_lock(&arena->lock);
}
static inline void arena_unlock(struct mmviz_arena *arena)
{
	pthread_mutex_unlock(&arena->lock);
}
static inline uint32_t arena_unit(const struct mmviz_arena *arena, const void *address)
{
	return (uint32_t)(((uint64_t)address - arena->head.base_addr) >> MMVIZ_UNIT_SHIFT);
}
static inline void *arena_unit_address(const struct mmviz_arena *arena, uint32_t unit)
{
	return (char *)arena->head.base_addr + ((size_t)unit << MMVIZ_UNIT_SHIFT);
}
/* How far the arena can be read without a fault. Grows only, so a block's holder need not look at
 * the newest value. */
static inline uint64_t arena_readable_bytes(const struct mmviz_arena *arena)
{
	return __atomic_load_n(&arena->head.frontier_units, __ATOMIC_RELAXED) << MMVIZ_UNIT_SHIFT;
}

/* The head of the span or large block that starts at this unit. */
static inline struct mmviz_span *arena_head_at(const struct mmviz_arena *arena, uint32_t unit)
{
	void *start = arena_unit_address(arena, unit);

	return arena->map[unit] == MMVIZ_UNIT_LARGE
		       ? start
		       : &arena->heads[mmviz_head_index(&arena->head, (uint64_t)start)];
}
/* A head of the span that holds this live block, whatever its kind. */
static inline const struct mmviz_span *arena_head_of(const struct mmviz_arena *arena,
						     const void *block)
{
	return mmviz_word_is_large(((const struct mmviz_header *)block - 1)->word)
		       ? span_of_large(block)
		       : heap_head(arena->spare, block);
}
/* The head of the span or large block whose units hold the address, or NULL. */
const struct mmviz_span *arena_span_around(const struct mmviz_arena *arena, const void *address);
/* Whether a block's payload can begin here, by the map and the span's head alone. */
bool arena_is_block_start(const struct mmviz_arena *arena, const void *block);

/* A new span for the heap; NULL: no memory. */
struct mmviz_span *arena_span_take(struct mmviz_arena *arena, struct heap *heap,
				   unsigned size_class, unsigned shape, uint32_t before_units);
void arena_span_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_span *span);

/* A heap from the pool or a new one; NULL: no memory. */
struct heap *arena_heap_take(struct mmviz_arena *arena);
/* A return told in the spare heap's log, by a thread that cannot get a heap of its own. */
void arena_return_spare(struct mmviz_arena *arena, struct heap *owner, struct mmviz_header *header,
			const void *site);
/* Give back what no block lies in, before memory is said to be exhausted: of the calling thread's
 * heap (NULL: it has none), of heaps whose thread has ended, and freed large blocks. */
void arena_flush(struct mmviz_arena *arena, struct heap *heap);
struct heap *arena_heap_by_id(const struct mmviz_arena *arena, uint32_t id); /* NULL: none */
struct heap *arena_heap_first(const struct mmviz_arena *arena);

#endif
