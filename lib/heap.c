/* SPDX-License-Identifier: MIT */
/* heap.c - see heap.h. */
#include "heap.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "error.h"
#include "log.h"
#include "os.h"

#define MAGAZINE_BYTES                                                                             \
	(128u << 10) /* what a magazine may hold back, but at least and at most so many cells: */
#define MAGAZINE_CELLS_MIN 4
#define MAGAZINE_CELLS_MAX 1024

static int32_t magazine_limit(unsigned magazine);
static void trim(struct heap *heap, unsigned number, int32_t keep);

struct heap *heap_next(const struct heap *heap)
{
	return (struct heap *)__atomic_load_n(&heap->head.next_addr, __ATOMIC_ACQUIRE);
}

void heap_clear(struct heap *heap)
{
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++)
		heap->magazines[number] = (struct magazine){.room_cells = magazine_limit(number)};
	memset(heap->active, 0, sizeof(heap->active));
	memset(heap->with_room, 0, sizeof(heap->with_room));
	memset(heap->waiting, 0, sizeof(heap->waiting));
	heap->lost_cells = 0;
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
	heap = arena->head.flags & MMVIZ_ARENA_SINGLE_THREADED ? arena->spare
							       : arena_heap_take(arena);
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
	heap_settle_waiting(heap);
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++)
		trim(heap, number, 0);
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

/* ------------------------------------------------------------------ spans with a free list */

static struct mmviz_span *head_at(const struct heap *heap, uint32_t number)
{
	return (struct mmviz_span *)heap->arena->head.heads_addr + number;
}
static uint32_t head_number(const struct heap *heap, const struct mmviz_span *span)
{
	return (uint32_t)(span - (struct mmviz_span *)heap->arena->head.heads_addr);
}

static void list_push(struct heap *heap, struct mmviz_span *span)
{
	uint32_t *first = &heap->with_room[span->magazine], number = head_number(heap, span) + 1;

	span->prev_unit = 0;
	span->next_unit = *first;
	if (*first)
		head_at(heap, *first - 1)->prev_unit = number;
	*first = number;
	span->flags |= SPAN_LISTED;
}

static void list_remove(struct heap *heap, struct mmviz_span *span)
{
	if (span->prev_unit)
		head_at(heap, span->prev_unit - 1)->next_unit = span->next_unit;
	else
		heap->with_room[span->magazine] = span->next_unit;
	if (span->next_unit)
		head_at(heap, span->next_unit - 1)->prev_unit = span->prev_unit;
	span->flags &= (uint8_t)~SPAN_LISTED;
}

/* A cell leaves the magazine for its span, which may then be listed, or empty and given back. */
static void give_to_span(struct heap *heap, struct mmviz_header *header)
{
	struct mmviz_span *span = heap_span(heap, header + 1, mmviz_word_fit(header->word));

	span_push(&span->free_place, header, heap_place(heap, header));
	span->used_cells--;
	if (span->flags & SPAN_ACTIVE)
		return;
	if (!span->used_cells) {
		if (span->flags & SPAN_LISTED)
			list_remove(heap, span);
		arena_span_give(heap->arena, heap, span);
	} else if (!(span->flags & SPAN_LISTED)) {
		list_push(heap, span);
	}
}

/* ------------------------------------------------------------------ magazines */

static int32_t magazine_limit(unsigned magazine)
{
	uint32_t cells = MAGAZINE_BYTES /
			 mmviz_cell_bytes(magazine % MMVIZ_CLASSES, magazine / MMVIZ_CLASSES);

	return cells < MAGAZINE_CELLS_MIN   ? MAGAZINE_CELLS_MIN
	       : cells > MAGAZINE_CELLS_MAX ? MAGAZINE_CELLS_MAX
					    : (int32_t)cells;
}

int32_t heap_magazine_cells(const struct heap *heap, unsigned magazine)
{
	return magazine_limit(magazine) - heap->magazines[magazine].room_cells;
}

/*
 * A link that leads nowhere: a header was written to after its free. The `cells` that hang on it
 * cannot be found any more and are given up; they stay counted as used.
 */
static void give_up(struct heap *heap, unsigned number, uint32_t place, int32_t cells)
{
	heap->magazines[number].room_cells += cells;
	heap->lost_cells += cells;
	error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, heap_header(heap, place) + 1, NULL);
}

/* Whether a free list may lead here. */
static bool is_cell(const struct heap *heap, uint32_t place)
{
	return place && place < heap->readable_places &&
	       span_header_is_whole(heap_header(heap, place));
}

/* Cut the list after `keep` cells and give the rest back to their spans. */
static void trim(struct heap *heap, unsigned number, int32_t keep)
{
	struct magazine *magazine = &heap->magazines[number];
	int32_t cells = heap_magazine_cells(heap, number); /* from `rest` on */
	uint32_t rest = magazine->top_place, *cut = &magazine->top_place;

	for (; keep && is_cell(heap, rest); keep--, cells--) {
		cut = &heap_header(heap, rest)->link;
		rest = *cut;
	}
	*cut = 0;
	for (; is_cell(heap, rest); cells--) {
		struct mmviz_header *header = heap_header(heap, rest);

		rest = header->link;
		magazine->room_cells++;
		give_to_span(heap, header);
	}
	if (rest)
		give_up(heap, number, rest, cells);
}

void heap_settle_broken(struct heap *heap, uint64_t waiting, const void *site)
{
	struct mmviz_header *header = heap_header(heap, (uint32_t)waiting);
	unsigned number = (unsigned)(waiting >> 32);
	unsigned fit =
		number % MMVIZ_CLASSES >= heap->medium_class ? MMVIZ_FIT_MEDIUM : MMVIZ_FIT_SMALL;

	if (!waiting)
		return;
	error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, site);
	/* The handler came back. The next owner writes a new header, so the cell is as good as any.
	 */
	header->word = mmviz_word_make(0, 0, fit, MMVIZ_LIFE_LIVE);
	header->check = mmviz_check_word((uint64_t)header, header->word);
	if (heap_give(heap, number, header))
		heap_halve(heap, number);
}

void heap_settle_waiting(struct heap *heap)
{
	for (uint32_t i = 0; i < HEAP_WAITING; i++) {
		uint32_t at = (heap->waiting_at + i) % HEAP_WAITING;
		uint64_t waiting = heap->waiting[at];

		heap->waiting[at] = 0;
		if (waiting)
			heap_settle(heap, waiting, heap->waiting_sites[at]);
	}
}

void heap_settle_mine(const struct mmviz_arena *arena)
{
	if (thread_heaps[arena->slot])
		heap_settle_waiting(thread_heaps[arena->slot]);
}

/* The main thread ends with the process: what it freed last is examined all the same. */
__attribute__((destructor)) static void settle_at_exit(void)
{
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (thread_heaps[slot])
			heap_settle_waiting(thread_heaps[slot]);
}

void heap_halve(struct heap *heap, unsigned number)
{
	trim(heap, number, magazine_limit(number) / 2);
}

/* ------------------------------------------------------------------ returns */

/*
 * Header first, then the push, and nothing of the block is written afterwards: from then on it is
 * the owner's (rule 6). Release: the owner's acquire in collect sees the header.
 */
void heap_return(struct heap *owner, struct mmviz_header *header)
{
	uint64_t newest = __atomic_load_n(&owner->returned, __ATOMIC_RELAXED);
	uint32_t place = heap_place(owner, header);

	header->word = (header->word & ~3ULL) | MMVIZ_LIFE_RETURNED;
	do {
		STEP();
		header->link = (uint32_t)newest;
		STEP();
	} while (!__atomic_compare_exchange_n(&owner->returned, &newest, place, true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void reclaim(struct heap *heap, struct mmviz_header *header)
{
	uint64_t word = header->word;
	struct mmviz_span *span = heap_span(heap, header + 1, mmviz_word_fit(word));
	uint64_t what = mmviz_event_what(MMVIZ_EVENT_RECLAIM, mmviz_word_context(word),
					 heap_place(heap, header));
	listeners_free listeners;
	bool is_long;

	header->word = (word & ~3ULL) | MMVIZ_LIFE_LIVE;
	STEP();
	is_long = heap_give(heap, span->magazine, header);
	STEP();
	heap_clear_live(heap, heap_place(heap, header));
	STEP();
	listeners = listeners_of_free();
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap, what, 0);
	else
		log_count(heap, 1);
	if (is_long)
		heap_halve(heap, span->magazine);
}

/* Take back what other threads returned. */
static void collect(struct heap *heap)
{
	uint64_t place = __atomic_exchange_n(&heap->returned, 0, __ATOMIC_ACQUIRE);

	while (place) {
		struct mmviz_header *header = heap_header(heap, place);

		if (!mmviz_header_is_whole(header, (uint64_t)header) ||
		    mmviz_word_life(header->word) != MMVIZ_LIFE_RETURNED) {
			error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, NULL);
			return; /* what is older stays returned for ever */
		}
		place = header->link;
		reclaim(heap, header);
	}
}

/* ------------------------------------------------------------------ taking cells */

static struct mmviz_header *take_from_magazine(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];
	struct mmviz_header *header = heap_take(heap, number);

	if (!header && magazine->top_place) {
		give_up(heap, number, magazine->top_place, heap_magazine_cells(heap, number));
		magazine->top_place = 0;
	}
	return header;
}

/* The active span's free list becomes the magazine, whole; else a cell never used. */
static struct mmviz_header *take_from_active(struct heap *heap, unsigned number)
{
	struct mmviz_span *span = heap->active[number];
	struct magazine *magazine = &heap->magazines[number];

	if (!span)
		return NULL;
	if (span->free_place) {
		magazine->top_place = span->free_place;
		magazine->room_cells -= (int32_t)(span->bump_cells - span->used_cells);
		span->free_place = 0;
		span->used_cells = span->bump_cells;
		return take_from_magazine(heap, number);
	}
	if (span->bump_cells == span->cells)
		return NULL;
	span->used_cells++;
	return span_header(span, span->bump_cells++);
}

static int next_active(struct heap *heap, unsigned number)
{
	struct mmviz_span *span;

	if (heap->with_room[number]) {
		span = head_at(heap, heap->with_room[number] - 1);
		list_remove(heap, span);
	} else {
		span = arena_span_take(heap->arena, heap, number % MMVIZ_CLASSES,
				       number / MMVIZ_CLASSES);
	}
	if (!span)
		return -ENOMEM;
	heap->readable_places = (uint32_t)(arena_readable_bytes(heap->arena) >> MMVIZ_PLACE_SHIFT);
	if (heap->active[number])
		heap->active[number]->flags &= (uint8_t)~SPAN_ACTIVE;
	span->flags |= SPAN_ACTIVE;
	heap->active[number] = span;
	return 0;
}

struct mmviz_header *heap_take_slow(struct heap *heap, unsigned number)
{
	struct mmviz_header *header;

	if (__atomic_load_n(&heap->returned, __ATOMIC_RELAXED))
		collect(heap);
	heap_settle_waiting(heap);
	header = take_from_magazine(heap, number);
	while (!header) {
		header = take_from_active(heap, number);
		if (!header && next_active(heap, number))
			return NULL;
	}
	return header;
}

/* ------------------------------------------------------------------ call sites */

uint32_t heap_site(struct heap *heap, const void *return_address)
{
	uint32_t slot = heap_site_slot(return_address);

	if (heap->site_pcs[slot] != return_address) {
		heap->site_ids[slot] = registry_intern_site(return_address);
		heap->site_pcs[slot] = return_address;
	}
	return heap->site_ids[slot];
}
