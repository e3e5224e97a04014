/* SPDX-License-Identifier: MIT */
/*
 * fast.h - the way in and the way out for most blocks, to be inlined: no lock, no atomic
 * instruction, no line of the heap that is not written anyway. Everything rarer leaves by a tail
 * call, so that nothing is saved and restored here.
 */
#ifndef MMVIZ_LIB_FAST_H
#define MMVIZ_LIB_FAST_H

#include "alloc.h"
#include "arena.h"
#include "free.h"
#include "tell.h"

typedef void *alloc_general_function(struct mmviz_arena *arena, size_t bytes, uint32_t context,
				     const void *site);
typedef void free_general_function(struct mmviz_arena *arena, void *block, const void *site);

/*
 * A plain block; the contract is mmviz_alloc's. `site`: whom an untagged block is attributed to.
 * `heap` is the thread's, or heap_none; `general` gets what is rarer, and `arena` for it.
 */
hot_inline void *fast_alloc_or(alloc_general_function *general, struct mmviz_arena *arena,
			       struct heap *heap, size_t bytes, uint32_t context, const void *site)
{
	struct mmviz_header *header;

	context &= CONTEXT_MASK;
	if (unlikely(bytes - 1 >= heap->cell_max_bytes))
		return general(arena, bytes, context, site);
	if (!context) {
		context = heap_site_cached(heap, site);
		if (unlikely(!context))
			return general(arena, bytes, 0, site);
	}
	header = heap_take(heap, span_class_of(bytes));
	if (unlikely(!header))
		return general(arena, bytes, context, site);
	return block_born(heap, header, mmviz_word_make(bytes, context, 0, MMVIZ_LIFE_LIVE), false,
			  site);
}

/*
 * The live bit says that this is a block, a head says that it is ours. The header is not read: its
 * line may be far away.
 */
hot_inline void fast_free_or(free_general_function *general, struct mmviz_arena *arena,
			     struct heap *heap, void *block, const void *site)
{
	struct mmviz_header *header = (struct mmviz_header *)((uint64_t)block - MMVIZ_HEADER_BYTES);
	const struct mmviz_span *head;
	listeners_free listeners;
	uint64_t place, owner_and_magazine;

	/* Rotated, an offset that is no multiple of a place is beyond every arena. */
	place = (uint64_t)header - heap->base_addr;
	place = place >> MMVIZ_PLACE_SHIFT | place << (64 - MMVIZ_PLACE_SHIFT);
	if (unlikely(place >= heap->places))
		goto rare;
	head = heap_head(heap, header);
	owner_and_magazine = head->owner_and_magazine;
	if (unlikely((uint32_t)owner_and_magazine != heap->head.id ||
		     !heap_clear_live(heap, (uint32_t)place)))
		goto rare;
	STEP();
	listeners = listeners_of_free();
	if (unlikely(listeners != 0) && !tell_is_unsampled_free(head, listeners)) {
		free_told(heap, header, site, listeners);
		return;
	}
	log_count(heap, 1);
	heap_freed(heap, owner_and_magazine - heap->head.id + place, site, header);
	return;
rare:
	general(arena, block, site);
}

hot_inline void *fast_alloc(struct mmviz_arena *arena, size_t bytes, uint32_t context,
			    const void *site)
{
	return fast_alloc_or(alloc_general, arena, thread_heaps[arena->slot], bytes, context, site);
}

hot_inline void fast_free(struct mmviz_arena *arena, void *block, const void *site)
{
	fast_free_or(free_general, arena, thread_heaps[arena->slot], block, site);
}

#endif
