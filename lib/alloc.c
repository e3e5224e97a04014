/* SPDX-License-Identifier: MIT */
/* alloc.c - see alloc.h. */
#include "alloc.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "block.h"
#include "error.h"
#include "guard.h"
#include "large.h"
#include "poison.h"
#include "sample.h"
#include "stack.h"
#include "tell.h"

void *alloc_failed(struct mmviz_arena *arena)
{
	error_report(arena, MMVIZ_ERROR_OUT_OF_MEMORY, NULL, NULL);
	errno = ENOMEM;
	return NULL;
}

/* The class for a shape: aligned cells need payloads that are whole lines. */
static unsigned class_for(size_t bytes, unsigned shape)
{
	unsigned size_class = span_class_of(bytes + !bytes);

	while (shape == MMVIZ_SHAPE_ALIGNED && mmviz_class_payload_bytes(size_class) % 64)
		size_class++;
	return size_class;
}

static void *born_large(struct mmviz_arena *arena, struct heap *heap, const struct wish *wish,
			size_t room_bytes)
{
	struct large_request request = {
		.bytes = wish->bytes,
		.alignment = wish->alignment,
		.shape = wish->shape,
		.context = wish->context,
		.label = wish->label,
		.extra_bytes = room_bytes - wish->bytes,
	};
	listeners_alloc listeners = listeners_of_alloc();
	struct mmviz_header *header;
	uint64_t weight = 0;

	if (unlikely(LISTENS_SAMPLE(listeners)))
		weight = sample_weight(heap, wish->bytes);
	if (unlikely(LISTENS_STACK(listeners)))
		request.context = stack_context(wish->context, wish->site);
	header = large_take(arena, heap, &request);
	if (!header)
		return alloc_failed(arena);
	if (unlikely(LISTENS_ALLOC(listeners)))
		mmviz_probe_alloc(arena->head.id, (uint64_t)(header + 1), wish->bytes,
				  request.context, tell_text(header, request.context, wish->label));
	if (unlikely(LISTENS_SAMPLE(listeners)))
		heap_take_sampled(heap, heap_place(heap, header));
	if (unlikely(weight)) {
		heap_set_sampled(heap, heap_place(heap, header));
		mmviz_probe_sample(arena->head.id, (uint64_t)(header + 1), wish->bytes,
				   request.context, weight);
	}
	return header + 1;
}

static void tell_checker(const struct mmviz_arena *arena, const void *block, size_t bytes)
{
	const struct mmviz_span *head = arena_head_of(arena, block);

	poison_born(block, bytes, head->first_header_bytes + MMVIZ_HEADER_BYTES,
		    span_usable_bytes(head));
}

/* A cell's block; NULL: no memory. */
static void *born_in_cell(struct heap *heap, const struct wish *wish, unsigned size_class)
{
	struct mmviz_header *header =
		heap_take_slow(heap, span_magazine_of(size_class, wish->shape));

	if (!header)
		return NULL;
	if (wish->label)
		memcpy(label_of(header), wish->label, MMVIZ_LABEL_BYTES);
	return block_born(heap, header,
			  mmviz_word_make(wish->bytes, wish->context, 0, MMVIZ_LIFE_LIVE),
			  wish->label, wish->site);
}

/* Where there is no memory for a span of big cells there may be some for one block. */
static void *born_big(struct mmviz_arena *arena, struct heap *heap, const struct wish *wish,
		      size_t room_bytes)
{
	void *block = NULL;

	if (room_bytes <= arena->big_max_bytes && wish->shape == MMVIZ_SHAPE_PLAIN &&
	    !wish->grows) {
		block = born_in_cell(heap, wish, span_big_class_of(room_bytes));
		heap_pass(heap);
	}
	return block ? block : born_large(arena, heap, wish, room_bytes);
}

/* Every allocation that the fast path does not make. */
void *alloc_wish(struct mmviz_arena *arena, struct wish *wish)
{
	struct heap *heap = heap_of_thread(arena);
	bool is_guarded = guard_is_asked(arena);
	size_t room_bytes = wish->bytes + (is_guarded ? GUARD_BYTES : 0);
	void *block;

	if (!heap)
		return alloc_failed(arena);
	if (room_bytes < wish->bytes)
		return alloc_failed(arena);
	if (!wish->context)
		wish->context = heap_site(heap, wish->site);
	if (wish->alignment > 64)
		block = born_large(arena, heap, wish, room_bytes);
	else if (room_bytes > arena->cell_max_bytes)
		block = born_big(arena, heap, wish, room_bytes);
	else if (!(block = born_in_cell(heap, wish, class_for(room_bytes, wish->shape))))
		return alloc_failed(arena);
	if (is_guarded && block)
		guard_write(block, wish->bytes);
	if (block && poison_is_on())
		tell_checker(arena, block, wish->bytes);
	return block;
}

void *alloc_general(struct mmviz_arena *arena, size_t bytes, uint32_t context, const void *site)
{
	struct wish wish = {.bytes = bytes, .context = context, .site = site};
	struct heap *heap = thread_heaps[arena->slot];
	struct mmviz_header *header;
	void *block;

	if (bytes <= arena->cell_max_bytes || bytes > heap->big_max_bytes)
		return alloc_wish(arena, &wish);
	if (!wish.context)
		wish.context = heap_site(heap, site);
	header = heap_take(heap, span_magazine_of(span_big_class_of(bytes), MMVIZ_SHAPE_PLAIN));
	if (!header)
		return alloc_wish(arena, &wish);
	block = block_born(heap, header, mmviz_word_make(bytes, wish.context, 0, MMVIZ_LIFE_LIVE),
			   false, site);
	heap_pass(heap);
	return block;
}

/* A cell of an aligned span, if one was freed just now; NULL: as every other block. */
static void *born_aligned(struct mmviz_arena *arena, size_t bytes, uint32_t context,
			  const void *site)
{
	struct heap *heap = thread_heaps[arena->slot];
	struct mmviz_header *header;

	if (bytes - 1 >= heap->cell_max_bytes)
		return NULL;
	header = heap_take(
		heap, span_magazine_of(class_for(bytes, MMVIZ_SHAPE_ALIGNED), MMVIZ_SHAPE_ALIGNED));
	if (!header)
		return NULL;
	if (!context)
		context = heap_site(heap, site);
	return block_born(heap, header, mmviz_word_make(bytes, context, 0, MMVIZ_LIFE_LIVE), false,
			  site);
}

void *block_alloc_aligned(struct mmviz_arena *arena, size_t alignment, size_t bytes, mmviz_tag tag,
			  const void *site)
{
	struct wish wish = {
		.bytes = bytes,
		.alignment = alignment,
		.shape = alignment > 16 ? MMVIZ_SHAPE_ALIGNED : MMVIZ_SHAPE_PLAIN,
		.context = tag & CONTEXT_MASK,
		.site = site,
	};
	void *block;

	if (!alignment || (alignment & (alignment - 1))) {
		errno = EINVAL;
		return NULL;
	}
	if (wish.shape == MMVIZ_SHAPE_ALIGNED && alignment <= 64 &&
	    (block = born_aligned(arena, bytes, wish.context, site)))
		return block;
	if (alignment > arena->head.capacity_bytes)
		return alloc_failed(arena);
	return alloc_wish(arena, &wish);
}

void *block_alloc_labelled(struct mmviz_arena *arena, size_t bytes, const char *label,
			   const void *site)
{
	char copy[MMVIZ_LABEL_BYTES] = "";
	struct wish wish = {
		.bytes = bytes,
		.shape = label ? MMVIZ_SHAPE_LABELLED : MMVIZ_SHAPE_PLAIN,
		.label = label ? copy : NULL,
		.site = site,
	};

	if (label)
		memcpy(copy, label, strnlen(label, MMVIZ_LABEL_BYTES - 1));
	return alloc_wish(arena, &wish);
}
