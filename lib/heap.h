/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the part of an arena that one thread owns: its spans, its log, and what others hand back
 * to it.
 *
 * Only the owner changes a heap, without locks or atomic instructions. A freed cell's place goes
 * onto the magazine of its class, an array, and the next allocation of the class takes it from
 * there (as in Bonwick's magazines, 2001): neither waits for a link in the cell. A magazine that is
 * full gives its older half back to the spans, and a span whose cells all came back goes back to
 * the arena. Other threads push blocks onto `returned`, an atomic stack that the owner takes whole
 * (so there is no ABA problem; Treiber 1986). A thread that ends leaves its heaps in their arenas'
 * pools, where the next thread takes them as they are: seq, log and returned blocks belong to the
 * heap.
 *
 *	magazine:   | 0 | place | place | ... | place |      |      |
 *	              ^ bottom            top ^        limit ^
 */
#ifndef MMVIZ_LIB_HEAP_H
#define MMVIZ_LIB_HEAP_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <mmviz/abi.h>

#include "likely.h"
#include "registry.h"
#include "span.h"

#define HEAP_MAGAZINES SPAN_MAGAZINES

struct heap_site {
	const void *return_address;
	uint64_t word; /* of a header of no bytes that tells of it */
};

struct magazine {
	uint32_t *top;	 /* the place freed last; at the bottom a 0, which is no block's */
	uint32_t *limit; /* == top: full. Both at a word that all share: not opened yet */
};

/* Lives in META units of its arena; behind it a cache of call sites, and its magazines' arrays. */
struct heap {
	struct mmviz_heap_head head;
	uint64_t base_addr;	 /* of the arena */
	uint64_t places;	 /* that it has; 0: no heap, all is slow */
	uint64_t owners_bias;	 /* of the arena's owners less their number of address 0 */
	uint64_t cell_max_bytes; /* payloads up to this come from spans */
	uint32_t small_shift;	 /* log2 of a small span's bytes */
	/* A free reads its block's header: the heap is small and lies in the cache, or was asked to. */
	uint32_t examines;
	/* ------------------------------------------------ owner */
	uint64_t sites_mask;		/* of addresses: which bytes of the cache of call sites */
	int64_t sample_countdown_bytes; /* to the next sample */
	uint64_t heads_bias; /* heads_addr less the head number of address 0: see heap_head */
	struct mmviz_arena *arena;
	uint64_t *idle;		/* the arena's idle bits */
	uint64_t *sampled;	/* blocks that `sample` told of and `sample_free` must tell of */
	uint32_t big_max_bytes; /* as in its arena; 0: no heap, or all is slow */
	uint32_t log_events;	/* hand over at this many */
	struct magazine magazines[HEAP_MAGAZINES]; /* by span_magazine_of */
	/* Spans by the numbers of their heads + 1; 0: none. */
	uint32_t active[HEAP_MAGAZINES];    /* cells never used come from here */
	uint32_t with_room[HEAP_MAGAZINES]; /* first of those with idle cells */
	uint64_t span_bytes;		    /* of all its spans */
	/* Taken since what lies in magazines was gathered; how many before it is again; when it was. */
	uint64_t grown_bytes, gather_bytes, gathered_seq;
	uint64_t idle_bytes; /* in cells that lie idle in their spans */
	uint32_t *waiting;   /* what comes next in a magazine that is trimmed; NULL: none is */

	uint64_t random;	/* state of the sampler's generator */
	struct heap *pool_next; /* by the arena's lock, while nobody owns the heap */
	bool is_forked;		/* in a child: its thread does not exist here; never adopted */
	/* The keeper's, by the arena's lock: for how many ticks the heap has had no event. */
	uint64_t quiet_seq;
	uint32_t quiet_ticks;
	/* Held while idle bits change and cells never used are taken, and by the keeper while it
	   borrows bits or lets go pages of such cells or of free big ones. */
	uint32_t lock;
	/* ------------------------------------------------ anybody */
	alignas(64) uint64_t returned; /* place of the newest returned block; each links the next
					  older one; 0: none */
	/* ------------------------------------------------ owner writes, anybody reads */
	alignas(64) struct mmviz_log log;
};

/* Where the magazines' arrays of this arena's heaps lie. Returns how many units a heap takes. */
uint32_t heap_layout(struct mmviz_arena *arena);
/* An empty cache of call sites. */
void heap_sites_init(struct heap *heap);

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
/* Give everything back that holds no block: what others returned, magazines, empty spans. */
void heap_flush(struct heap *heap);
/* Put a cell onto its magazine, which is full or was never opened. */
void heap_push_slow(struct heap *heap, struct magazine *magazine, uint32_t place);
/* The cells in a magazine, lowest first, and how many. */
const uint32_t *heap_magazine(const struct heap *heap, unsigned number, uint32_t *cells);
/* Hand a block, freed by the call at `site`, over to its owner. */
void heap_return(struct heap *owner, struct mmviz_header *header, const void *site);
/* The context of an untagged call: looked up, or interned. */
uint32_t heap_site(struct heap *heap, const void *return_address);

static inline struct heap_site *heap_site_slot(const struct heap *heap, const void *return_address)
{
	return (struct heap_site *)((char *)(heap + 1) +
				    ((uint64_t)return_address & heap->sites_mask));
}

/* The calling thread has no heap of this arena: every fast path leaves at once. */
extern struct heap heap_none __attribute__((visibility("hidden")));
/* The calling thread's heap of this arena, or NULL. */
static inline struct heap *heap_mine(uint32_t slot)
{
	return thread_heaps[slot] == &heap_none ? NULL : thread_heaps[slot];
}

/*
 * The place of an address, as the thread's own heap sees it. Rotated: what is no multiple of a place
 * is beyond every arena.
 */
hot_inline uint64_t heap_offset(const struct heap *heap, const void *address)
{
	uint64_t bytes = (uint64_t)address - heap->base_addr;

	return bytes >> MMVIZ_PLACE_SHIFT | bytes << (64 - MMVIZ_PLACE_SHIFT);
}
static inline uint32_t heap_place(const struct heap *heap, const void *address)
{
	return (uint32_t)(((uint64_t)address - heap->base_addr) >> MMVIZ_PLACE_SHIFT);
}
static inline struct mmviz_header *heap_header(const struct heap *heap, uint64_t place)
{
	return (struct mmviz_header *)(heap->base_addr + (place << MMVIZ_PLACE_SHIFT));
}

/*
 * A head of the span that holds this block. A medium span has one for each small span that would
 * fit; all of them know what never changes, and the owner and the SAMPLED flag of their own part.
 */
static inline struct mmviz_span *heap_head(const struct heap *heap, const void *block)
{
	return (struct mmviz_span *)(heap->heads_bias + ((uint64_t)block >> heap->small_shift) *
								sizeof(struct mmviz_span));
}
/* The one head that counts cells: the first. */
static inline struct mmviz_span *heap_span(const struct heap *heap, const void *block)
{
	return heap_head(heap, (const void *)heap_head(heap, block)->start_addr);
}

/*
 * The arena's owners, one for each small span that would fit: the magazine for its cells, NULL if a
 * free must look closer. (Eight bytes each, where heads have a line: the table of a heap of hundreds
 * of MiB lies in the cache.)
 */
hot_inline struct magazine *heap_owner_of(const struct heap *heap, const void *block)
{
	return *(struct magazine *const *)(heap->owners_bias +
					   ((uint64_t)block >> heap->small_shift) *
						   sizeof(struct magazine *));
}
/* Whether it is this heap's. */
hot_inline bool heap_is_owner(const struct heap *heap, const struct magazine *magazine)
{
	return (uint64_t)magazine - (uint64_t)heap <
	       offsetof(struct heap, magazines) + sizeof(heap->magazines);
}

/* Whether a header is that of a live block, not returned. */
hot_inline bool heap_is_own_live(const struct mmviz_header *header)
{
	return span_header_is_whole(header) && !span_is_marked_freed(header);
}

/*
 * The cell that was freed last; NULL: the magazine is empty, or that cell is not free, or its header
 * was written to: heap_take_slow knows more. (An empty magazine leads to the arena's base, whose
 * first bytes are no whole header: arena.c sees to that.)
 */
hot_inline struct mmviz_header *heap_take(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];
	struct mmviz_header *header = heap_header(heap, *magazine->top);

	if (unlikely(!span_header_is_whole(header) || !span_is_marked_freed(header)))
		return NULL;
	magazine->top--;
	return header;
}

/* `top` is magazine->top. */
hot_inline void heap_push_at(struct heap *heap, struct magazine *magazine, uint32_t *top,
			     uint32_t place)
{
	if (unlikely(top == magazine->limit)) {
		heap_push_slow(heap, magazine, place);
		return;
	}
	top[1] = place;
	magazine->top = top + 1;
}
static inline void heap_push(struct heap *heap, unsigned number, uint32_t place)
{
	struct magazine *magazine = &heap->magazines[number];

	heap_push_at(heap, magazine, magazine->top, place);
}

/* Nobody holds it for long; the keeper only tries. */
static inline bool heap_trylock(struct heap *heap)
{
	return !__atomic_exchange_n(&heap->lock, 1, __ATOMIC_ACQUIRE);
}
void heap_wait(struct heap *heap);
static inline void heap_lock(struct heap *heap)
{
	if (unlikely(!heap_trylock(heap)))
		heap_wait(heap);
}
static inline void heap_unlock(struct heap *heap)
{
	__atomic_store_n(&heap->lock, 0, __ATOMIC_RELEASE);
}

/* The idle bits of its spans: by who holds the lock. */
static inline bool heap_is_idle(const struct heap *heap, uint32_t place)
{
	return __atomic_load_n(&heap->idle[span_bit_word(place)], __ATOMIC_RELAXED) &
	       span_bit(place);
}
static inline void heap_set_idle(struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->idle[span_bit_word(place)];

	__atomic_store_n(word, *word | span_bit(place), __ATOMIC_RELAXED);
}
static inline void heap_clear_idle(struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->idle[span_bit_word(place)];

	__atomic_store_n(word, *word & ~span_bit(place), __ATOMIC_RELAXED);
}

/*
 * A big block is live by its header: if the keeper, who holds the lock, saw that it was not, wait
 * until it has let the pages go. Nothing is called while the lock is held, malloc least of all.
 */
static inline void heap_pass(struct heap *heap)
{
	heap_lock(heap);
	heap_unlock(heap);
}

/* Whether a sampled block lies here; forgets it. Any thread: neighbours may be freed by others. */
static inline bool heap_take_sampled(const struct heap *heap, uint32_t place)
{
	uint64_t *word = &heap->sampled[span_bit_word(place)], bit = span_bit(place);

	if (__builtin_expect(!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit), 1))
		return false;
	return __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED) & bit;
}
static inline void heap_set_sampled(const struct heap *heap, uint32_t place)
{
	__atomic_fetch_or(&heap->sampled[span_bit_word(place)], span_bit(place), __ATOMIC_RELAXED);
}

#endif
