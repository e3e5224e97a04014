/* SPDX-License-Identifier: MIT */
/* heap.c - see heap.h. */
#include "heap.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "error.h"
#include "log.h"
#include "os.h"

/* What `active` points to before there is a span: no cells, so every take goes the slow way. Never written. */
static const struct mmviz_span no_span;

struct heap *heap_next(const struct heap *heap)
{
	return (struct heap *)__atomic_load_n(&heap->head.next_addr, __ATOMIC_ACQUIRE);
}

void heap_clear(struct heap *heap)
{
	for (unsigned shape = 0; shape < MMVIZ_SHAPES; shape++)
		for (unsigned size_class = 0; size_class < MMVIZ_CLASSES; size_class++)
			heap->active[shape][size_class] = (struct mmviz_span *)&no_span;
	memset(heap->with_room, 0, sizeof(heap->with_room));
	heap->returned = 0;
}

struct heap *heap_of_thread(struct mmviz_arena *arena)
{
	struct heap *heap = thread_heaps[arena->slot];
	int error;

	if (heap)
		return heap;
	error = registry_thread_join();
	if (error) {
		errno = -error;
		return NULL;
	}
	heap = arena->head.flags & MMVIZ_ARENA_SINGLE_THREADED ? arena->spare : arena_heap_take(arena);
	if (!heap) {
		errno = ENOMEM;
		return NULL;
	}
	heap->log.thread_id = os_thread_id();
	thread_heaps[arena->slot] = heap;
	return heap;
}

void heap_abandon(struct heap *heap)
{
	struct mmviz_arena *arena = heap->arena;

	heap->log.thread_id = 0;
	if (heap == arena->spare)
		return;
	arena_lock(arena);
	heap->pool_next = arena->pool;
	arena->pool = heap;
	arena_unlock(arena);
}

void heap_all_forked(struct mmviz_arena *arena, const struct heap *mine)
{
	arena->pool = NULL;
	for (struct heap *heap = arena_heap_first(arena); heap; heap = heap_next(heap)) {
		heap->log.first = heap->log.next = heap->log.seq;
		heap->is_forked = heap != mine && heap != arena->spare && heap->log.thread_id;
		if (heap == mine)
			heap->log.thread_id = os_thread_id();
		else if (!heap->is_forked && heap != arena->spare) {
			heap->pool_next = arena->pool;
			arena->pool = heap;
		}
	}
}

/* ------------------------------------------------------------------ spans with room */

static void list_push(struct heap *heap, struct mmviz_span *span)
{
	uint32_t *first = &heap->with_room[span->shape][span->size_class];

	span->prev_unit = 0;
	span->next_unit = *first;
	if (*first)
		((struct mmviz_span *)arena_unit_address(heap->arena, *first))->prev_unit =
			arena_unit(heap->arena, span);
	*first = arena_unit(heap->arena, span);
	span->flags |= SPAN_LISTED;
}

static void list_remove(struct heap *heap, struct mmviz_span *span)
{
	struct mmviz_arena *arena = heap->arena;

	if (span->prev_unit)
		((struct mmviz_span *)arena_unit_address(arena, span->prev_unit))->next_unit = span->next_unit;
	else
		heap->with_room[span->shape][span->size_class] = span->next_unit;
	if (span->next_unit)
		((struct mmviz_span *)arena_unit_address(arena, span->next_unit))->prev_unit = span->prev_unit;
	span->flags &= (uint8_t)~SPAN_LISTED;
}

void heap_span_changed(struct heap *heap, struct mmviz_span *span)
{
	if (span->flags & SPAN_ACTIVE)
		return;
	if (span->used_cells) {
		if (!(span->flags & SPAN_LISTED))
			list_push(heap, span);
		return;
	}
	if (span->flags & SPAN_LISTED)
		list_remove(heap, span);
	arena_span_give(heap->arena, heap, span);
}

/* ------------------------------------------------------------------ taking cells */

/* A free list that leads nowhere: its header was written to after the free. The rest of the list is given up. */
static void drop_free_list(struct heap *heap, struct mmviz_span *span)
{
	struct mmviz_header *header =
		(struct mmviz_header *)((char *)span + ((size_t)span->free_place << MMVIZ_PLACE_SHIFT));

	span->free_place = 0;
	error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, NULL);
}

static struct mmviz_header *take_from(struct heap *heap, struct mmviz_span *span)
{
	struct mmviz_header *header;

	if (span->free_place) {
		header = (struct mmviz_header *)((char *)span + ((size_t)span->free_place << MMVIZ_PLACE_SHIFT));
		if (header->check == mmviz_check_word((uint64_t)header, header->word)) {
			span->free_place = (uint32_t)mmviz_word_bytes(header->word);
			span->used_cells++;
			return header;
		}
		drop_free_list(heap, span);
	}
	if (span->bump_cells == span->cells)
		return NULL;
	header = span_header(span, span->bump_cells);
	span->bump_cells++;
	span->used_cells++;
	return header;
}

static struct mmviz_span *next_span(struct heap *heap, unsigned size_class, unsigned shape)
{
	uint32_t unit = heap->with_room[shape][size_class];
	struct mmviz_span *span;

	if (!unit)
		return arena_span_take(heap->arena, heap, size_class, shape);
	span = arena_unit_address(heap->arena, unit);
	list_remove(heap, span);
	return span;
}

struct mmviz_header *heap_take_slow(struct heap *heap, unsigned size_class, unsigned shape)
{
	struct mmviz_span **active = &heap->active[shape][size_class];
	struct mmviz_header *header = take_from(heap, *active);

	if (header)
		return header;
	if (__atomic_load_n(&heap->returned, __ATOMIC_RELAXED))
		heap_collect(heap);
	while (!(header = take_from(heap, *active))) {
		struct mmviz_span *span = next_span(heap, size_class, shape);

		if (!span)
			return NULL;
		if (*active != &no_span)
			(*active)->flags &= (uint8_t)~SPAN_ACTIVE;
		span->flags |= SPAN_ACTIVE;
		*active = span;
	}
	return header;
}

/* ------------------------------------------------------------------ returns */

/*
 * Header first, then the push, and nothing of the block is written afterwards: from then on it is the owner's (rule 6).
 * Release: the owner's acquire in heap_collect sees the header.
 */
void heap_return(struct heap *owner, struct mmviz_header *header, uint64_t word)
{
	uint64_t newest = __atomic_load_n(&owner->returned, __ATOMIC_RELAXED);
	uint64_t kept = word & ((1ULL << 28) - 4) & ~MMVIZ_WORD_SAMPLED, place = heap_place(owner, header);

	do {
		word = newest << 28 | kept | MMVIZ_LIFE_RETURNED;
		header->word = word;
		header->check = mmviz_check_word((uint64_t)header, word);
		STEP();
	} while (!__atomic_compare_exchange_n(&owner->returned, &newest, place, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
}

static void reclaim(struct heap *heap, struct mmviz_header *header, uint64_t word)
{
	struct mmviz_span *span =
		span_of(header, heap->arena->head.span_shift[mmviz_word_fit(word) == MMVIZ_FIT_MEDIUM]);
	listeners_free listeners;

	span_push(span, header, word);
	span->used_cells--;
	STEP();
	listeners = listeners_of_free();
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap, mmviz_event_what(MMVIZ_EVENT_RECLAIM, mmviz_word_context(word), heap_place(heap, header)), 0);
	else
		log_count(heap, 1);
	if (!(span->flags & (SPAN_ACTIVE | SPAN_LISTED)) || !span->used_cells)
		heap_span_changed(heap, span);
}

void heap_collect(struct heap *heap)
{
	uint64_t place = __atomic_exchange_n(&heap->returned, 0, __ATOMIC_ACQUIRE);

	while (place) {
		struct mmviz_header *header =
			(struct mmviz_header *)(heap->base_addr + (place << MMVIZ_PLACE_SHIFT));
		uint64_t word = header->word;

		if (header->check != mmviz_check_word((uint64_t)header, word) ||
		    mmviz_word_life(word) != MMVIZ_LIFE_RETURNED) {
			error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, NULL);
			return; /* the rest of the list cannot be found any more */
		}
		place = mmviz_word_bytes(word);
		reclaim(heap, header, word);
	}
}

/* ------------------------------------------------------------------ call sites */

uint32_t heap_site_slow(struct heap *heap, const void *return_address)
{
	uint32_t slot = (uint32_t)((uint64_t)return_address * 0x9e3779b97f4a7c15ULL >> 59) & (HEAP_SITES - 1);

	heap->site_ids[slot] = registry_intern_site(return_address);
	heap->site_pcs[slot] = return_address;
	return heap->site_ids[slot];
}
