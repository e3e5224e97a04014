/* SPDX-License-Identifier: MIT */
/* free.c - see free.h. */
#include "free.h"

#include "arena.h"
#include "error.h"
#include "guard.h"
#include "large.h"
#include "poison.h"
#include "tell.h"

void free_refused(struct mmviz_arena *arena, const void *block, const void *site)
{
	error_report(arena, error_of_block(arena, block), block, site);
}

/*
 * Whether a live block of this arena can begin here: address and header say so. A reset leaves whole
 * headers of dead blocks behind; only where cells begin they are not read.
 */
bool free_is_live_block(const struct mmviz_arena *arena, const void *block)
{
	uint64_t header_addr = (uint64_t)block - MMVIZ_HEADER_BYTES;

	return header_addr - arena->head.base_addr < arena_readable_bytes(arena) &&
	       !((uint64_t)block & 15) &&
	       heap_is_own_live((const struct mmviz_header *)header_addr) &&
	       (likely(!arena->was_reset) || arena_is_block_start(arena, block));
}

/* The guard bytes behind a block of a guarded arena; reports an overrun. False: leave the block
 * alone. */
bool free_guard_check(struct mmviz_arena *arena, const void *block, uint64_t word, const void *site)
{
	if (!guard_is_asked(arena) || guard_is_whole(block, mmviz_word_bytes(word)))
		return true;
	error_report(arena, MMVIZ_ERROR_OVERRUN, block, site);
	return false;
}

static void tell_return(struct heap *heap, const struct heap *owner,
			const struct mmviz_header *header, uint64_t word, uint32_t incarnation)
{
	listeners_free listeners;

	STEP();
	listeners = listeners_of_free();
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap,
			mmviz_event_what(MMVIZ_EVENT_RETURN, mmviz_word_context(word),
					 heap_place(owner, header)),
			incarnation | (uint64_t)owner->head.id << 32);
	else
		log_count(heap, 1);
	STEP();
}

/* A block of another thread's heap: hand it back, and tell so in our own log. */
static void free_foreign(struct mmviz_arena *arena, struct heap *heap,
			 const struct mmviz_span *head, struct mmviz_header *header,
			 const void *site)
{
	struct heap *owner = arena_heap_by_id(arena, head->owner_heap);
	uint32_t incarnation = header->incarnation;
	uint64_t word = header->word;
	bool is_labelled = head->shape == MMVIZ_SHAPE_LABELLED;
	listeners_free listeners;

	if (!owner) {
		error_report(arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, NULL);
		return;
	}
	listeners = listeners_of_free();
	/* Told before the push: afterwards label and header may be another block's. */
	if (unlikely(LISTENS_FREE(listeners) || LISTENS_SAMPLE_FREE(listeners)))
		tell_freed(arena->spare, header, is_labelled, listeners);
	if (!heap) {
		arena_return_spare(arena, owner, header, site);
		return;
	}
	if (rule_off(RULE_HEADER_BEFORE_PUSH)) {
		tell_return(heap, owner, header, word, incarnation);
		for (int i = 0; i < 10; i++) /* as wide as an operation */
			STEP();
		heap_return(owner, header, site);
		return;
	}
	heap_return(owner, header, site);
	tell_return(heap, owner, header, word, incarnation);
}

static void free_large(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
		       const void *site)
{
	listeners_free listeners = listeners_of_free();

	if (unlikely(LISTENS_FREE(listeners) || LISTENS_SAMPLE_FREE(listeners)))
		tell_freed(arena->spare, header,
			   span_of_large(header + 1)->shape == MMVIZ_SHAPE_LABELLED, listeners);
	if (large_give(arena, heap, header, site))
		error_report(arena, error_of_block(arena, header + 1), header + 1, site);
}

/* Every free that the fast path does not make; the header is examined at once. */
void free_general(struct mmviz_arena *arena, void *block, const void *site)
{
	struct mmviz_header *header;
	const struct mmviz_span *head;
	struct heap *heap;

	if (!block)
		return;
	if (!free_is_live_block(arena, block)) {
		free_refused(arena, block, site);
		return;
	}
	heap = heap_of_thread(arena);
	header = (struct mmviz_header *)block - 1;
	if (!free_guard_check(arena, block, header->word, site))
		return;
	if (poison_is_on())
		poison_ended(block, span_usable_bytes(arena_head_of(arena, block)));
	if (mmviz_word_is_large(header->word)) {
		free_large(arena, heap, header, site);
		return;
	}
	head = heap_head(arena->spare, block);
	if (!heap || head->owner_heap != heap->head.id) {
		free_foreign(arena, heap, head, header, site);
		return;
	}
	span_mark_freed(header, site);
	STEP();
	tell_free(heap, header, head->shape == MMVIZ_SHAPE_LABELLED, listeners_of_free());
	heap_push(heap, span_magazine(head), heap_place(heap, header));
}

/* Nothing was done for the listeners that were read before: they are read anew. */
static __attribute__((noinline)) void free_told_all(struct heap *heap, struct magazine *magazine,
						    struct mmviz_header *header)
{
	tell_free(heap, header, heap_head(heap, header)->shape == MMVIZ_SHAPE_LABELLED,
		  listeners_of_free());
	heap_push_at(heap, magazine, magazine->top, heap_place(heap, header));
}

void free_told(struct heap *heap, struct magazine *magazine, struct mmviz_header *header,
	       listeners_free listeners)
{
	uint32_t place = heap_place(heap, header);

	if (unlikely(!tell_is_for_log_free(heap_head(heap, header), listeners) ||
		     !log_has_room(heap))) {
		free_told_all(heap, magazine, header);
		return;
	}
	log_append_here(heap, mmviz_event_what(MMVIZ_EVENT_FREE, 0, place), 0);
	heap_push_at(heap, magazine, magazine->top, place);
}
