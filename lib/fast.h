/* SPDX-License-Identifier: MIT */
/*
 * fast.h - the way in and the way out for most blocks, to be inlined: no lock, no atomic
 * instruction, no line of the heap that is not written anyway. Everything rarer leaves by a tail
 * call, so that nothing is saved and restored here.
 */
#ifndef MMVIZ_LIB_FAST_H
#define MMVIZ_LIB_FAST_H

#include <string.h>

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
	uint64_t word;

	context &= CONTEXT_MASK;
	if (unlikely(bytes - 1 >= heap->cell_max_bytes))
		return general(arena, bytes, context, site);
	word = mmviz_word_make(0, context, 0, MMVIZ_LIFE_LIVE);
	if (!context) {
		const struct heap_site *known = heap_site_slot(heap, site);

		if (unlikely(known->return_address != site))
			return general(arena, bytes, 0, site);
		word = known->word;
	}
	header = heap_take(heap, span_class_of(bytes));
	if (unlikely(!header))
		return general(arena, bytes, mmviz_word_context(word), site);
	return block_born(heap, header, word | mmviz_word_make(bytes, 0, 0, 0), false, site);
}

/*
 * The table of owners says that this is ours. The header is marked, and read only while the heap is
 * small: its line may be far away. Otherwise it is examined before its cell is used again.
 */
hot_inline void fast_free_or(free_general_function *general, struct mmviz_arena *arena,
			     struct heap *heap, void *block, const void *site)
{
	struct mmviz_header *header = (struct mmviz_header *)((uint64_t)block - MMVIZ_HEADER_BYTES);
	uint64_t place = heap_offset(heap, header);
	struct magazine *magazine;
	listeners_free listeners;
	uint32_t *top;

	if (unlikely(place >= heap->places))
		goto rare;
	magazine = heap_owner_of(heap, header);
	if (unlikely(!heap_is_owner(heap, magazine)))
		goto rare;
	top = magazine->top;
	if (unlikely(heap->examines ? !heap_is_own_live(header)
				    : *top == (uint32_t)place)) /* freed just now */
		goto rare;
	span_mark_freed(header, site);
	STEP();
	listeners = listeners_of_free();
	if (unlikely(listeners != 0) &&
	    !tell_is_unsampled_free(heap_head(heap, header), listeners)) {
		free_told(heap, magazine, header, listeners);
		return;
	}
	log_count(heap, 1);
	heap_push_at(heap, magazine, top, (uint32_t)place);
	return;
rare:
	/* What it was called with, added up again: no register is kept for it. NULL is no header's. */
	__asm__("" : "+r"(header));
	general(arena, (void *)((uint64_t)header + MMVIZ_HEADER_BYTES), site);
}

/* Which of the heap's magazines serves the cell that this block lies in; HEAP_MAGAZINES: none does.
 * Nothing of the block is read. */
hot_inline unsigned fast_magazine_of(const struct heap *heap, const void *block)
{
	const struct magazine *magazine;

	if (unlikely(heap_offset(heap, block) >= heap->places))
		return HEAP_MAGAZINES;
	magazine = heap_owner_of(heap, (const char *)block - MMVIZ_HEADER_BYTES);
	if (unlikely(!heap_is_owner(heap, magazine)))
		return HEAP_MAGAZINES;
	return (unsigned)(magazine - heap->magazines);
}

/* The usable bytes of such a block; 0: it is none. */
hot_inline size_t fast_usable_bytes(const struct heap *heap, const void *block)
{
	unsigned number = fast_magazine_of(heap, block);

	return likely(number < HEAP_MAGAZINES) ? span_magazine_payloads[number] : 0;
}

/* A cell is kept if the new size fits and uses at least half of it. */
hot_inline bool fast_cell_suits(size_t usable_bytes, size_t bytes)
{
	return bytes <= usable_bytes && bytes * 2 + 64 > usable_bytes;
}

typedef void *realloc_general_function(struct mmviz_arena *arena, void *block, size_t bytes,
				       const void *site);

/*
 * A small block of the heap's own stays in its cell, or moves to another; the contract is that of
 * mmviz_realloc without a tag. `general` gets what is rarer, `alloc` and `release` what is so of the
 * two halves of a move.
 */
hot_inline void *fast_realloc_or(realloc_general_function *general, alloc_general_function *alloc,
				 free_general_function *release, struct mmviz_arena *arena,
				 struct heap *heap, void *block, size_t bytes, const void *site)
{
	struct mmviz_header *header = (struct mmviz_header *)((uint64_t)block - MMVIZ_HEADER_BYTES);
	unsigned number = fast_magazine_of(heap, block);
	size_t usable;
	void *moved;

	if (unlikely(number >= SPAN_TABLE_CLASSES || bytes - 1 >= heap->cell_max_bytes ||
		     !heap_is_own_live(header)))
		return general(arena, block, bytes, site);
	usable = span_magazine_payloads[number];
	if (fast_cell_suits(usable, bytes)) {
		block_resized(heap, header, bytes, mmviz_word_context(header->word));
		return block;
	}
	moved = fast_alloc_or(alloc, arena, heap, bytes, mmviz_word_context(header->word), site);
	if (unlikely(!moved))
		return NULL;
	memcpy(moved, block, usable < bytes ? usable : bytes); /* the program may use all of it */
	fast_free_or(release, arena, heap, block, site);
	return moved;
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
