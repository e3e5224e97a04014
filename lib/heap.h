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
#include <mmviz/abi.h>

#include "bits.h"
#include "likely.h"
#include "registry.h"
#include "span.h"

#define HEAP_MAGAZINES SPAN_MAGAZINES

/*
 * A ring of the blocks that were freed last. A free writes its block into one and examines the
 * header of the block in the next, which was freed first and whose cache line was asked for then.
 * While the heap is small and lies in the cache the ring has one slot: a free examines its own block.
 */
struct freed {
	uint64_t what;	  /* place of its header | offset of its magazine << 32; 0: none */
	const void *site; /* the call that freed it */
	struct freed *next;
};
#define HEAP_FREED 8u

struct heap_site {
	const void *return_address;
	uint64_t context;
};

struct magazine {
	uint32_t *top;	 /* the place freed last; at the bottom a 0, which is no block's */
	uint32_t *limit; /* == top: full. Both at a word that all share: not opened yet */
};

/* Lives in META units of its arena, its magazines' arrays behind it. */
struct heap {
	struct mmviz_heap_head head;
	uint64_t base_addr;	 /* of the arena */
	uint64_t places;	 /* that it has; 0: no heap, all is slow */
	uint64_t *live;		 /* the arena's live bits */
	uint64_t heads_bias;	 /* heads_addr less the head number of address 0: see heap_head */
	uint64_t cell_max_bytes; /* payloads up to this come from spans */
	uint32_t small_shift;	 /* log2 of a small span's bytes */
	/* ------------------------------------------------ owner */
	struct heap_site *sites;   /* a cache of call sites, behind the magazines */
	uint64_t sites_mask;	   /* of addresses: which bytes of it */
	struct freed *freed_first; /* this one is examined; the others wait, the next one longest */
	int64_t sample_countdown_bytes; /* to the next sample */
	struct freed freed[HEAP_FREED];
	struct mmviz_arena *arena;
	uint64_t *idle;		/* the arena's idle bits */
	uint64_t *sampled;	/* blocks that `sample` told of and `sample_free` must tell of */
	uint32_t big_max_bytes; /* as in its arena; 0: no heap, or all is slow */
	uint32_t log_events;	/* hand over at this many */
	struct magazine magazines[HEAP_MAGAZINES]; /* by span_magazine_of */
	/* Spans by the numbers of their heads + 1; 0: none. */
	uint32_t active[HEAP_MAGAZINES];    /* cells never used come from here */
	uint32_t with_room[HEAP_MAGAZINES]; /* first of those with idle cells */
	uint32_t spans;			    /* taken into use so far */
	uint64_t idle_bytes;		    /* in cells that lie idle in their spans */

	uint64_t random;	/* state of the sampler's generator */
	struct heap *pool_next; /* by the arena's lock, while nobody owns the heap */
	bool is_forked;		/* in a child: its thread does not exist here; never adopted */
	/* The keeper's, by the arena's lock: for how many ticks the heap has had no event. */
	uint64_t quiet_seq;
	uint32_t quiet_ticks;
	/* Held while cells never used are taken, and by the keeper while it lets go pages of such,
	   or of free big cells. */
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
/* Examine the headers of the blocks that wait for it, and put them onto their magazines. */
void heap_settle(struct heap *heap);
/* The same for the calling thread's heap of this arena, if it has one: before anybody looks. */
void heap_settle_mine(const struct mmviz_arena *arena);
/* Give everything back that holds no block: what others returned, magazines, empty spans. */
void heap_flush(struct heap *heap);
/* No block waited after all, or its header is broken: then tell of it first. */
void heap_settle_broken(struct heap *heap, uint64_t what, const void *site);
/* Put a cell onto its magazine, which is full or was never opened. */
void heap_push_slow(struct heap *heap, struct magazine *magazine, uint32_t place);
/* How many blocks wait to be examined. */
uint32_t heap_freed_count(const struct heap *heap);
/* The cells in a magazine, lowest first, and how many. */
const uint32_t *heap_magazine(const struct heap *heap, unsigned number, uint32_t *cells);
/* Hand a block over to its owner. */
void heap_return(struct heap *owner, struct mmviz_header *header);
/* The context of an untagged call: looked up, or interned. */
uint32_t heap_site(struct heap *heap, const void *return_address);

static inline struct heap_site *heap_site_slot(const struct heap *heap, const void *return_address)
{
	return (struct heap_site *)((char *)heap->sites +
				    ((uint64_t)return_address & heap->sites_mask));
}
/* 0: not in the heap's cache of call sites. */
static inline uint32_t heap_site_cached(const struct heap *heap, const void *return_address)
{
	const struct heap_site *site = heap_site_slot(heap, return_address);

	return site->return_address == return_address ? (uint32_t)site->context : 0;
}

/* The calling thread has no heap of this arena: every fast path leaves at once. */
extern struct heap heap_none __attribute__((visibility("hidden")));
/* The calling thread's heap of this arena, or NULL. */
static inline struct heap *heap_mine(uint32_t slot)
{
	return thread_heaps[slot] == &heap_none ? NULL : thread_heaps[slot];
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
 * The cell that was freed last; NULL: the magazine is empty, or that cell's header was written to:
 * heap_take_slow knows more. (An empty magazine leads to the arena's base, whose first bytes are no
 * whole header: arena.c sees to that.)
 */
hot_inline struct mmviz_header *heap_take(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];
	struct mmviz_header *header = heap_header(heap, *magazine->top);

	if (unlikely(!span_header_is_whole(header)))
		return NULL;
	magazine->top--;
	return header;
}

hot_inline void heap_push_at(struct heap *heap, uint64_t magazine_offset, uint32_t place)
{
	struct magazine *magazine = (struct magazine *)((char *)heap->magazines + magazine_offset);
	uint32_t *top = magazine->top;

	if (unlikely(top == magazine->limit)) {
		heap_push_slow(heap, magazine, place);
		return;
	}
	top[1] = place;
	magazine->top = top + 1;
}
static inline void heap_push(struct heap *heap, unsigned number, uint32_t place)
{
	heap_push_at(heap, number * sizeof(struct magazine), place);
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

/*
 * A big block is live by its bit: if the keeper, who holds the lock, saw that it was not, wait until
 * it has let the pages go. Nothing is called while the lock is held, malloc least of all.
 */
static inline void heap_pass(struct heap *heap)
{
	heap_lock(heap);
	heap_unlock(heap);
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

	__atomic_store_n(word, bits_set(__atomic_load_n(word, __ATOMIC_RELAXED), place),
			 __ATOMIC_RELAXED);
}
/* Whether it was set. */
static inline bool heap_clear_live(struct heap *heap, uint32_t place)
{
	uint64_t *at = &heap->live[mmviz_live_word_index(place)];
	uint64_t word = __atomic_load_n(at, __ATOMIC_RELAXED);

	if (unlikely(!bits_clear(&word, place)))
		return false;
	__atomic_store_n(at, word, __ATOMIC_RELAXED);
	return true;
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

/*
 * A block was freed, and told. Its header's cache line is asked for; the block that has waited
 * longest, and whose line is here by now, is examined and goes onto its magazine.
 */
hot_inline void heap_freed(struct heap *heap, uint64_t what, const void *site,
			   const struct mmviz_header *freed)
{
	struct freed *slot = heap->freed_first, *oldest = slot->next;
	struct mmviz_header *header;

	__builtin_prefetch(freed, 1);
	slot->what = what;
	slot->site = site;
	heap->freed_first = oldest;
	what = oldest->what;
	header = heap_header(heap, (uint32_t)what);
	if (unlikely(!span_header_is_whole(header))) {
		heap_settle_broken(heap, what, oldest->site);
		return;
	}
	span_note_freed(header, oldest->site);
	heap_push_at(heap, what >> 32, (uint32_t)what);
}
static inline uint64_t heap_freed_what(uint32_t place, const struct mmviz_span *head)
{
	return place | head->owner_and_magazine >> 32 << 32;
}

#endif
