/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the part of an arena that one thread owns: its spans, its log, and what others hand back to it.
 *
 * Only the owner changes a heap, without locks or atomic instructions. Other threads push blocks onto `returned`, an
 * atomic stack that the owner takes whole (so there is no ABA problem; Treiber 1986). A thread that ends leaves its heaps
 * in their arenas' pools, where the next thread takes them as they are: seq, log and returned blocks belong to the heap.
 */
#ifndef MMVIZ_LIB_HEAP_H
#define MMVIZ_LIB_HEAP_H

#include <stdalign.h>
#include <stdbool.h>
#include <mmviz/abi.h>

#include "registry.h"
#include "span.h"

#define HEAP_SITES 32u /* slots of the call-site cache; a power of two */

/* Lives in META units of its arena. */
struct heap {
	struct mmviz_heap_head head;
	struct mmviz_arena *arena;
	uint64_t base_addr, capacity_bytes; /* of the arena */
	uint32_t cell_max_bytes;	    /* payloads up to this come from spans */
	uint32_t medium_class;		    /* classes from this on lie in medium spans */
	uint32_t log_events;		    /* hand over at this many */
	/* ------------------------------------------------ owner */
	struct mmviz_span *active[MMVIZ_SHAPES][MMVIZ_CLASSES]; /* never NULL; a span without cells at first */
	uint32_t with_room[MMVIZ_SHAPES][MMVIZ_CLASSES];	/* first span's unit; 0: none */
	const void *site_pcs[HEAP_SITES];
	uint32_t site_ids[HEAP_SITES];
	int64_t sample_countdown_bytes;
	uint64_t random; /* state of the sampler's generator */
	struct heap *pool_next;		 /* by the arena's lock, while nobody owns the heap */
	bool is_forked;			 /* in a child: its thread does not exist here; never adopted */
	/* ------------------------------------------------ anybody */
	alignas(64) uint64_t returned; /* place of the newest returned block; each links the next older one; 0: none */
	/* ------------------------------------------------ owner writes, anybody reads */
	alignas(64) struct mmviz_log log;
};

#define HEAP_UNITS ((uint32_t)((sizeof(struct heap) + MMVIZ_UNIT_BYTES - 1) >> MMVIZ_UNIT_SHIFT))

/* The calling thread's heap of this arena, made, adopted from the pool or looked up. NULL with errno. */
struct heap *heap_of_thread(struct mmviz_arena *arena);
/* Its thread ends (caller holds the registry's lock). */
void heap_abandon(struct heap *heap);
/* In the child of a fork: empty the logs, put the heaps of threads that are not here out of use. `mine` may be NULL. */
void heap_all_forked(struct mmviz_arena *arena, const struct heap *mine);
/* In a reset: no spans, nothing returned; seq and log stay. Caller locks the arena. */
void heap_clear(struct heap *heap);
struct heap *heap_next(const struct heap *heap);

/* A free cell of the class, from the active span or wherever the heap finds one; used_cells counts it. NULL: no memory. */
struct mmviz_header *heap_take_slow(struct heap *heap, unsigned size_class, unsigned shape);
/* After a cell of `span` was pushed: it had been full, or it is empty now. */
void heap_span_changed(struct heap *heap, struct mmviz_span *span);
/* Collect what other threads handed back. */
void heap_collect(struct heap *heap);
/* Hand a block over to its owner. `word` is the header's. */
void heap_return(struct heap *owner, struct mmviz_header *header, uint64_t word);
/* The context of an untagged call. */
uint32_t heap_site_slow(struct heap *heap, const void *return_address);

static inline uint32_t heap_site(struct heap *heap, const void *return_address)
{
	uint32_t slot = (uint32_t)((uint64_t)return_address * 0x9e3779b97f4a7c15ULL >> 59) & (HEAP_SITES - 1);

	if (__builtin_expect(heap->site_pcs[slot] == return_address, 1))
		return heap->site_ids[slot];
	return heap_site_slow(heap, return_address);
}

static inline uint32_t heap_place(const struct heap *heap, const void *address)
{
	return (uint32_t)(((uint64_t)address - heap->base_addr) >> MMVIZ_PLACE_SHIFT);
}

static inline struct mmviz_header *heap_take(struct heap *heap, unsigned size_class, unsigned shape)
{
	struct mmviz_span *span = heap->active[shape][size_class];
	uint32_t place = span->free_place;
	struct mmviz_header *header;

	if (__builtin_expect(!place, 0))
		return heap_take_slow(heap, size_class, shape);
	header = (struct mmviz_header *)((char *)span + ((size_t)place << MMVIZ_PLACE_SHIFT));
	if (__builtin_expect(header->check != mmviz_check_word((uint64_t)header, header->word), 0))
		return heap_take_slow(heap, size_class, shape);
	span->free_place = (uint32_t)mmviz_word_bytes(header->word);
	span->used_cells++;
	return header;
}

#endif
