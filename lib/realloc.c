/* SPDX-License-Identifier: MIT */
/* realloc.c - blocks that change their size, in place if they can. See block.h. */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "arena.h"
#include "block.h"
#include "error.h"
#include "fast.h"
#include "free.h"
#include "guard.h"
#include "large.h"
#include "poison.h"
#include "stack.h"
#include "tell.h"

/* 0: done. Only the owner may change a cell; a large block is changed under the lock. */
static int resize_in_place(struct mmviz_arena *arena, struct heap *heap,
			   struct mmviz_header *header, size_t bytes, uint32_t context)
{
	size_t guard = guard_is_asked(arena) ? GUARD_BYTES : 0;
	uint64_t word = header->word;
	const struct mmviz_span *head;
	int error;

	if (mmviz_word_is_large(word)) {
		if (bytes + guard <= arena->cell_max_bytes)
			return -ENOMEM;
		error = large_resize(arena, heap, header, bytes, context, guard);
		if (!error)
			tell_resized_for_events(heap, header, word,
						span_of_large(header + 1)->shape ==
							MMVIZ_SHAPE_LABELLED);
		return error;
	}
	head = heap_head(heap, header + 1);
	if (head->owner_heap != heap->head.id ||
	    !fast_cell_suits(mmviz_class_payload_bytes(head->size_class), bytes + guard))
		return -ENOMEM;
	block_resized(heap, header, bytes, context);
	return 0;
}

static void *realloc_moved(struct mmviz_arena *arena, void *block, struct wish *wish)
{
	struct mmviz_header *header = (struct mmviz_header *)block - 1;
	const struct mmviz_span *head = arena_head_of(arena, block);
	size_t old_bytes = guard_is_exact(arena)
				   ? mmviz_word_bytes(header->word)
				   : span_usable_bytes(head); /* the program may use all of them */
	void *moved;

	wish->shape = head->shape;
	wish->grows = wish->bytes > old_bytes;
	if (wish->shape == MMVIZ_SHAPE_LABELLED)
		wish->label = label_of(header);
	moved = alloc_wish(arena, wish);
	if (!moved)
		return NULL;
	memcpy(moved, block, old_bytes < wish->bytes ? old_bytes : wish->bytes);
	free_general(arena, block, wish->site);
	return moved;
}

void *block_realloc(struct mmviz_arena *arena, void *block, size_t bytes, mmviz_tag tag,
		    const void *site)
{
	struct wish wish = {.bytes = bytes, .context = tag & CONTEXT_MASK, .site = site};
	struct mmviz_header *header;
	struct heap *heap;
	uint64_t word;

	if (!block)
		return block_alloc(arena, bytes, tag, site);
	if (!free_is_live_block(arena, block)) {
		free_refused(arena, block, site);
		errno = EINVAL;
		return NULL;
	}
	if (bytes > arena->head.capacity_bytes)
		return alloc_failed(arena); /* before any sum of it can overflow */
	header = (struct mmviz_header *)block - 1;
	word = header->word;
	if (!wish.context)
		wish.context = mmviz_word_context(word);
	else if (unlikely(LISTENS_STACK(listeners_of_alloc())))
		wish.context = stack_context(wish.context, site);
	if (!free_guard_check(arena, block, word, site)) {
		errno = EINVAL;
		return NULL;
	}
	heap = heap_of_thread(arena);
	if (!heap || resize_in_place(arena, heap, header, bytes, wish.context))
		return realloc_moved(arena, block, &wish);
	if (guard_is_asked(arena))
		guard_write(block, bytes);
	poison_resized(block, mmviz_word_bytes(word), bytes,
		       span_usable_bytes(arena_head_of(arena, block)));
	return block;
}

size_t mmviz_usable_bytes(const void *block)
{
	const struct mmviz_arena *arena = block ? registry_arena_of(block) : NULL;

	return arena ? block_usable_bytes(arena, block) : 0;
}

size_t block_usable_bytes(const struct mmviz_arena *arena, const void *block)
{
	if (guard_is_exact(arena))
		return mmviz_word_bytes(((const struct mmviz_header *)block - 1)->word);
	return span_usable_bytes(arena_head_of(arena, block));
}
