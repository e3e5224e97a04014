/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the part of an arena that one thread owns: its spans, its log, and what others hand back
 * to it.
 *
 * Only the owner changes a heap, without locks or atomic instructions. A freed cell goes onto the
 * magazine of its class, the next allocation of the class takes it from there while it is still in
 * the CPU's cache (as in Bonwick's magazines, 2001). A magazine that grows too long gives its older
 * half back to the spans, and a span whose cells all came back goes back to the arena. Other
 * threads push blocks onto `returned`, an atomic stack that the owner takes whole (so there is no
 * ABA problem; Treiber 1986). A thread that ends leaves its heaps in their arenas' pools, where the
 * next thread takes them as they are: seq, log and returned blocks belong to the heap.
 */
#ifndef MMVIZ_LIB_HEAP_H
#define MMVIZ_LIB_HEAP_H

#include <stdalign.h>
#include <stdbool.h>
#include <mmviz/abi.h>

#include "registry.h"
#include "span.h"

#define HEAP_SITES     32u /* slots of the call-site cache; a power of two */
#define HEAP_MAGAZINES (MMVIZ_SHAPES * MMVIZ_CLASSES)

#define HEAP_WAITING 4u /* frees that pass while a header is on its way; a power of two */

struct magazine {
	uint32_t top_place; /* header of the cell freed last; 0: empty */
	int32_t room_cells; /* how many more it takes before it is halved */
};

/* Lives in META units of its arena. */
struct heap {
	struct mmviz_heap_head head;
	struct mmviz_arena *arena;
	uint64_t base_addr;	 /* of the arena */
	uint64_t places;	 /* that it has */
	uint64_t heads_bias;	 /* heads_addr less the head number of address 0: see heap_span */
	uint64_t medium_mask;	 /* of an address: its medium span */
	uint32_t cell_max_bytes; /* payloads up to this come from spans */
	uint32_t medium_class;	 /* classes from this on lie in medium spans */
	uint32_t small_shift;
	uint32_t log_events; /* hand over at this many */
	uint64_t *live;	     /* the arena's live bits */
	uint64_t *sampled;   /* blocks that `sample` told of and `sample_free` must tell of */
	/* ------------------------------------------------ owner */
	/* Blocks just freed, a ring: place | magazine << 32; 0: none. */
	uint64_t waiting[HEAP_WAITING];
	const void *waiting_sites[HEAP_WAITING];
	uint32_t waiting_at;			   /* the oldest */
	uint32_t readable_places;		   /* all cells of this heap lie below */
	struct magazine magazines[HEAP_MAGAZINES]; /* by shape * MMVIZ_CLASSES + class */
	struct mmviz_span *active[HEAP_MAGAZINES]; /* cells never used come from here; or NULL */
	uint32_t with_room[HEAP_MAGAZINES]; /* first span with a free list: head number + 1 */
	const void *site_pcs[HEAP_SITES];
	uint32_t site_ids[HEAP_SITES];
	int64_t lost_cells; /* given up after a write into a freed header; counted as used */
	int64_t sample_countdown_bytes;
	uint64_t random;	/* state of the sampler's generator */
	struct heap *pool_next; /* by the arena's lock, while nobody owns the heap */
	bool is_forked;		/* in a child: its thread does not exist here; never adopted */
	/* ------------------------------------------------ anybody */
	alignas(64) uint64_t returned; /* place of the newest returned block; each links the next
					  older one; 0: none */
	/* ------------------------------------------------ owner writes, anybody reads */
	alignas(64) struct mmviz_log log;
};

#define HEAP_UNITS ((uint32_t)((sizeof(struct heap) + MMVIZ_UNIT_BYTES - 1) >> MMVIZ_UNIT_SHIFT))

/* The calling thread's heap of this arena, made, adopted from the pool or looked up. NULL with
 * errno. */
struct heap *heap_of_thread(struct mmviz_arena *arena);
/* Its thread ends (caller holds the registry's lock). */
void heap_abandon(struct heap *heap);
/* In the child of a fork: empty the logs, put the heaps of threads that are not here out of use.
 * `mine` may be NULL. */
void heap_all_forked(struct mmviz_arena *arena, const struct heap *mine);
/* No spans, no cells, nothing returned: a new heap, or one in a reset. seq and log stay. */
void heap_clear(struct heap *heap);
struct heap *heap_next(const struct heap *heap);

/* A free cell, from wherever the heap finds one. NULL: no memory. */
struct mmviz_header *heap_take_slow(struct heap *heap, unsigned magazine);
/* Examine the headers of the blocks that wait, and put them onto their magazines. */
void heap_settle_waiting(struct heap *heap);
/* The same for the calling thread's heap of this arena, if it has one: before anybody looks. */
void heap_settle_mine(const struct mmviz_arena *arena);
/* No block waited there after all, or its header is broken: then tell of it first. */
void heap_settle_broken(struct heap *heap, uint64_t waiting, const void *site);
/* The magazine has no room: give its older half back to the spans. */
void heap_halve(struct heap *heap, unsigned magazine);
/* How many cells lie in the magazine. */
int32_t heap_magazine_cells(const struct heap *heap, unsigned magazine);
/* Hand a block over to its owner. */
void heap_return(struct heap *owner, struct mmviz_header *header);
/* The context of an untagged call: looked up, or interned. */
uint32_t heap_site(struct heap *heap, const void *return_address);

static inline uint32_t heap_site_slot(const void *return_address)
{
	return (uint32_t)((uint64_t)return_address * 0x9e3779b97f4a7c15ULL >> 59) &
	       (HEAP_SITES - 1);
}
/* 0: not in the heap's cache of call sites. */
static inline uint32_t heap_site_cached(const struct heap *heap, const void *return_address)
{
	uint32_t slot = heap_site_slot(return_address);

	return heap->site_pcs[slot] == return_address ? heap->site_ids[slot] : 0;
}

static inline uint32_t heap_place(const struct heap *heap, const void *address)
{
	return (uint32_t)(((uint64_t)address - heap->base_addr) >> MMVIZ_PLACE_SHIFT);
}
static inline struct mmviz_header *heap_header(const struct heap *heap, uint64_t place)
{
	return (struct mmviz_header *)(heap->base_addr + (place << MMVIZ_PLACE_SHIFT));
}

/* The head of the span that holds a small or medium block. */
static inline struct mmviz_span *heap_span(const struct heap *heap, const void *block, unsigned fit)
{
	uint64_t address = (uint64_t)block & (heap->medium_mask | ((uint64_t)(fit & 1) - 1));

	return (struct mmviz_span *)(heap->heads_bias +
				     (address >> heap->small_shift) * sizeof(struct mmviz_span));
}

/* A head of the span that holds this block, whatever its kind: good for owner, magazine and guard
 * flag only. */
static inline const struct mmviz_span *heap_any_head(const struct heap *heap, const void *block)
{
	return (const struct mmviz_span *)(heap->heads_bias +
					   ((uint64_t)block >> heap->small_shift) *
						   sizeof(struct mmviz_span));
}

/* The cell that was freed last; NULL: the magazine is empty (place 0 holds no header), or what it
 * leads to is no cell: heap_take_slow knows more. */
static inline struct mmviz_header *heap_take(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];
	struct mmviz_header *header = heap_header(heap, magazine->top_place);

	if (__builtin_expect(magazine->top_place >= heap->readable_places ||
				     !span_header_is_whole(header),
			     0))
		return NULL;
	magazine->top_place = header->link;
	magazine->room_cells++;
	return header;
}

/* Put a cell of this heap onto its magazine; true: that must be halved now. */
static inline bool heap_give(struct heap *heap, unsigned number, struct mmviz_header *header)
{
	struct magazine *magazine = &heap->magazines[number];

	span_push(&magazine->top_place, header, heap_place(heap, header));
	return --magazine->room_cells <= 0;
}

/* The live bit of a place; its word is written by the owner of its span alone. */
static inline bool heap_is_live(const struct heap *heap, uint32_t place)
{
	return __atomic_load_n(&heap->live[mmviz_live_word_index(place)], __ATOMIC_RELAXED) &
	       mmviz_live_bit(place);
}
static inline void heap_set_live(struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->live[mmviz_live_word_index(place)];

	__atomic_store_n(word, *word | mmviz_live_bit(place), __ATOMIC_RELAXED);
}
static inline void heap_clear_live(struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->live[mmviz_live_word_index(place)];

	__atomic_store_n(word, *word & ~mmviz_live_bit(place), __ATOMIC_RELAXED);
}

/* Whether a sampled block lies here; forgets it. Any thread: neighbours may be freed by others. */
static inline bool heap_take_sampled(const struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->sampled[mmviz_live_word_index(place)], bit = mmviz_live_bit(place);

	if (__builtin_expect(!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit), 1))
		return false;
	return __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED) & bit;
}
static inline void heap_set_sampled(const struct heap *heap, uint32_t place)
{
	__atomic_fetch_or(&heap->sampled[mmviz_live_word_index(place)], mmviz_live_bit(place),
			  __ATOMIC_RELAXED);
}

/* A block that waited: examine its header, and let the cell be used again. */
static inline void heap_settle(struct heap *heap, uint64_t waiting, const void *site)
{
	struct mmviz_header *header = heap_header(heap, (uint32_t)waiting);

	if (__builtin_expect(!span_header_is_whole(header), 0))
		heap_settle_broken(heap, waiting, site);
	else if (__builtin_expect(heap_give(heap, (unsigned)(waiting >> 32), header), 0))
		heap_halve(heap, (unsigned)(waiting >> 32));
}

/*
 * A block was freed, and told. Its header's cache line is asked for, and the block takes the place
 * of the one that has waited longest, whose line is here by now.
 */
static inline void heap_wait(struct heap *heap, struct mmviz_header *header, uint32_t number,
			     const void *site)
{
	uint32_t at = heap->waiting_at;
	uint64_t oldest = heap->waiting[at];
	const void *oldest_site = heap->waiting_sites[at];

	__builtin_prefetch(header, 1);
	heap->waiting[at] = heap_place(heap, header) | (uint64_t)number << 32;
	heap->waiting_sites[at] = site;
	heap->waiting_at = (at + 1) % HEAP_WAITING;
	heap_settle(heap, oldest, oldest_site);
}

#endif
