/* SPDX-License-Identifier: MIT */
/* heap.c - see heap.h. */
#include "heap.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "arena.h"
#include "error.h"
#include "keeper.h"
#include "log.h"
#include "os.h"
#include "poison.h"
#include "purge.h"

#define GIVE_CELLS     64u
#define FRESH_BYTES    (16u << 10) /* of new cells made ready at once */
#define GATHER_BYTES   (1u << 20)  /* of growth, before what lies in magazines is gathered, ... */
#define GATHER_EVENTS  4096u	   /* ... and so many events */
#define CACHED_BYTES   (1u << 20)  /* of spans, which lie in a core's own cache */
#define EXAMINED_BYTES (8u << 20)  /* of spans, whose headers are read at a free */

static const uint32_t nothing; /* the bottom of every magazine that is not opened yet */

struct heap heap_none;

static void collect(struct heap *heap);
static void trim(struct heap *heap, unsigned number, uint32_t keep);

struct heap *heap_next(const struct heap *heap)
{
	return (struct heap *)__atomic_load_n(&heap->head.next_addr, __ATOMIC_ACQUIRE);
}

void heap_clear(struct heap *heap)
{
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++)
		heap->magazines[number] =
			(struct magazine){(uint32_t *)&nothing, (uint32_t *)&nothing};
	memset(heap->active, 0, sizeof(heap->active));
	memset(heap->with_room, 0, sizeof(heap->with_room));
	heap->span_bytes = heap->grown_bytes = 0;
	heap->gather_bytes = GATHER_BYTES;
	heap->examines = true;
	heap->idle_bytes = 0;
	heap->returned = 0;
}

struct heap *heap_of_thread(struct mmviz_arena *arena)
{
	struct heap *heap = heap_mine(arena->slot);
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
	heap_flush(heap);
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
	uint32_t *first = &heap->with_room[span_magazine(span)],
		 number = head_number(heap, span) + 1;

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
		heap->with_room[span_magazine(span)] = span->next_unit;
	if (span->next_unit)
		head_at(heap, span->next_unit - 1)->prev_unit = span->prev_unit;
	span->flags &= (uint8_t)~SPAN_LISTED;
}

/*
 * What lies in a magazine is no free cell. If it is in use, or idle, it was freed twice, and stays what
 * it is. If something has written over its header nobody knows whether it is in use: should the handler
 * come back, the cell is lost, as if returned and never collected.
 */
__attribute__((noinline)) static void refuse_cell(struct heap *heap, struct mmviz_header *header)
{
	enum mmviz_error_kind kind = error_of_block(heap->arena, header + 1);

	error_report(heap->arena, kind, header + 1, NULL);
	if (kind != MMVIZ_ERROR_CORRUPT_HEADER)
		return;
	span_header_repair(header);
	span_set_word(header, (header->word & ~3ULL) | MMVIZ_LIFE_RETURNED);
}

/* Whether the cell, out of a magazine, may be used again. */
static inline bool is_free(struct heap *heap, struct mmviz_header *header)
{
	if (likely(span_header_is_whole(header) && span_is_marked_freed(header)))
		return true;
	refuse_cell(heap, header);
	return false;
}

static void note_span_bytes(struct heap *heap, int64_t more)
{
	heap->span_bytes += (uint64_t)more;
	heap->grown_bytes += more > 0 ? (uint64_t)more : 0;
	heap->examines = heap->span_bytes <= EXAMINED_BYTES ||
			 heap->arena->head.flags & MMVIZ_ARENA_CHECKED_FREES;
}

/*
 * A span goes back to the arena, and may be another heap's soon. What lies of it in the magazine still
 * was freed by mistake, and must not be looked for there then.
 */
static void drop_cells(struct heap *heap, const struct mmviz_span *span)
{
	struct magazine *magazine = &heap->magazines[span_magazine(span)];
	uint32_t first = heap_place(heap, (void *)span->start_addr), *kept = heap->waiting;
	uint32_t places = span->units << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);

	for (uint32_t *at = kept; at <= magazine->top; at++)
		if (likely(*at - first >= places))
			*kept++ = *at;
		else
			refuse_cell(heap, heap_header(heap, *at));
	magazine->top = kept - 1;
}

/* All its cells are idle. */
static void give_span(struct heap *heap, struct mmviz_span *span)
{
	note_span_bytes(heap, -(int64_t)span->units * MMVIZ_UNIT_BYTES);
	heap->idle_bytes -= (uint64_t)span->bump_cells * span->cell_bytes;
	arena_span_give(heap->arena, heap, span);
}

/* Cells of this span have become idle: it may be listed now, or empty and given back. */
static void settle_span(struct heap *heap, struct mmviz_span *span)
{
	if (span->flags & SPAN_ACTIVE)
		return;
	if (!span->used_cells) {
		if (span->flags & SPAN_LISTED)
			list_remove(heap, span);
		drop_cells(heap, span);
		give_span(heap, span);
	} else if (!(span->flags & SPAN_LISTED)) {
		list_push(heap, span);
	}
}

/* Cells that have just become idle are their spans'. What was freed together often lies together. */
static void give_to_spans(struct heap *heap, const uint32_t *places, uint32_t count)
{
	for (const uint32_t *end = places + count; places < end;) {
		struct mmviz_span *span = heap_span(heap, heap_header(heap, *places));
		uint32_t first = heap_place(heap, (void *)span->start_addr), given = 0;
		uint32_t span_places = span->units << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);
		uint32_t cell_bytes = span->cell_bytes, lowest = span->idle_place;

		for (; places < end && *places - first < span_places; places++, given++) {
			purge_note_idle(heap->arena, *places, cell_bytes);
			lowest = *places < lowest ? *places : lowest;
		}
		span->idle_place = lowest;
		span->used_cells -= given;
		heap->idle_bytes += (uint64_t)given * cell_bytes;
		settle_span(heap, span);
	}
}

/* ------------------------------------------------------------------ magazines */

/* A MiB, or two cells: what lies in a magazine is let go only when its thread does nothing. */
static uint32_t big_capacity_for(unsigned size_class)
{
	uint32_t cells = (1u << 20) / mmviz_class_payload_bytes(size_class);

	return cells < 2 ? 2 : cells > 8 ? 8 : cells;
}

/*
 * How many cells a magazine holds back at most: a share of the arena's size, so that a few classes
 * cannot keep all of a small one; labelled and aligned blocks are rarer.
 */
static uint32_t capacity_for(const struct mmviz_arena *arena, unsigned number)
{
	unsigned shape = span_magazine_shape(number), size_class = span_magazine_class(number);
	unsigned rarer = shape == MMVIZ_SHAPE_PLAIN ? 0 : 2;
	unsigned smaller = (16u - arena->head.span_shift[MMVIZ_FIT_SMALL]) * 3 / 2 + rarer;
	uint32_t cells = ((128u << 10) >> smaller) / mmviz_cell_bytes(size_class, shape);
	uint32_t most = 1024u >> smaller, least = 4;

	if (span_is_big_class(size_class))
		return arena->big_max_bytes ? big_capacity_for(size_class) : 0;
	if (mmviz_class_payload_bytes(size_class) > arena->cell_max_bytes)
		return 0;
	if (cells > most)
		cells = most;
	return cells < least ? least : cells;
}

/* Large arenas are for programs that call from many places; a miss takes the registry's lock. */
static unsigned sites_log2(const struct mmviz_arena *arena)
{
	return arena->head.span_shift[MMVIZ_FIT_SMALL] == 16 ? 9 : 5;
}

static size_t sites_bytes(const struct mmviz_arena *arena)
{
	return sizeof(struct heap_site) << sites_log2(arena);
}

void heap_sites_init(struct heap *heap)
{
	heap->sites_mask = sites_bytes(heap->arena) - sizeof(struct heap_site);
	memset(heap + 1, 0, sites_bytes(heap->arena));
}

uint32_t heap_layout(struct mmviz_arena *arena)
{
	size_t bytes;

	for (unsigned number = 0; number < HEAP_MAGAZINES; number++)
		arena->magazine_offsets[number + 1] =
			arena->magazine_offsets[number] + capacity_for(arena, number) + 1;
	bytes = sizeof(struct heap) + sites_bytes(arena) +
		arena->magazine_offsets[HEAP_MAGAZINES] * sizeof(uint32_t);
	return (uint32_t)((bytes + MMVIZ_UNIT_BYTES - 1) >> MMVIZ_UNIT_SHIFT);
}

static uint32_t magazine_capacity(const struct mmviz_arena *arena, unsigned number)
{
	return arena->magazine_offsets[number + 1] - arena->magazine_offsets[number] - 1;
}

static uint32_t *magazine_bottom(const struct heap *heap, unsigned number)
{
	return (uint32_t *)((char *)(heap + 1) + sites_bytes(heap->arena)) +
	       heap->arena->magazine_offsets[number];
}

static bool magazine_is_open(const struct magazine *magazine)
{
	return magazine->limit != &nothing;
}

static void magazine_open(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];

	magazine->top = magazine_bottom(heap, number);
	magazine->limit = magazine->top + magazine_capacity(heap->arena, number);
	*magazine->top = 0;
}

const uint32_t *heap_magazine(const struct heap *heap, unsigned number, uint32_t *cells)
{
	const struct magazine *magazine = &heap->magazines[number];
	const uint32_t *first;

	*cells = 0;
	if (!magazine_is_open(magazine))
		return NULL;
	first = magazine_bottom(heap, number) + 1;
	*cells = (uint32_t)(magazine->top + 1 - first);
	return first;
}

/*
 * Cells leave a magazine for their spans: so many at a time, that their headers, whose lines may be
 * far away, come all at once.
 */
static void give_cells(struct heap *heap, const uint32_t *places, uint32_t count)
{
	uint32_t given[GIVE_CELLS], given_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct mmviz_header *header = heap_header(heap, places[i]);

		__builtin_prefetch(heap_head(heap, header), 1);
		__builtin_prefetch(&heap->idle[span_bit_word(places[i])], 1);
		if (!is_free(heap, header))
			continue;
		span_header_flip_idle(header);
		given[given_count++] = places[i];
	}
	heap_lock(heap);
	for (uint32_t i = 0; i < given_count; i++)
		heap_set_idle(heap, given[i]);
	heap_unlock(heap);
	give_to_spans(heap, given, given_count);
}

/*
 * Keep the `keep` cells that were freed last and give the others back to their spans. Whoever calls wakes
 * the keeper when he is done: to make its thread is to call malloc, which must find no magazine halfway.
 */
static void trim(struct heap *heap, unsigned number, uint32_t keep)
{
	struct magazine *magazine = &heap->magazines[number];
	uint32_t cells, *first = (uint32_t *)heap_magazine(heap, number, &cells), *next = first;

	if (cells <= keep)
		return;
	for (; cells > keep; cells = (uint32_t)(magazine->top + 1 - next)) {
		uint32_t count = cells - keep < GIVE_CELLS ? cells - keep : GIVE_CELLS;

		heap->waiting = next + count;
		give_cells(heap, next, count);
		next += count;
	}
	memmove(first, next, cells * sizeof(*first));
	magazine->top = first - 1 + cells;
	heap->waiting = NULL;
}

void heap_push_slow(struct heap *heap, struct magazine *magazine, uint32_t place)
{
	unsigned number = (unsigned)(magazine - heap->magazines);
	struct mmviz_header *header = heap_header(heap, place);

	if (magazine_is_open(magazine))
		trim(heap, number, magazine_capacity(heap->arena, number) / 2);
	else
		magazine_open(heap, number);
	if (likely(heap_head(heap, header)->owner_heap == heap->head.id))
		*++magazine->top = place;
	else /* freed twice: its span has just been given back */
		refuse_cell(heap, header);
	keeper_wake();
}

/* No cells come from this span any more; it goes where a span goes that is not active. */
static void retire_active(struct heap *heap, unsigned number)
{
	struct mmviz_span *span;

	if (!heap->active[number])
		return;
	span = head_at(heap, heap->active[number] - 1);
	heap->active[number] = 0;
	span->flags &= (uint8_t)~SPAN_ACTIVE;
	if (!span->used_cells)
		give_span(heap, span);
	else if (span->used_cells < span->cells)
		list_push(heap, span);
}

void heap_flush(struct heap *heap)
{
	if (__atomic_load_n(&heap->returned, __ATOMIC_RELAXED))
		collect(heap);
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++) {
		trim(heap, number, 0);
		retire_active(heap, number);
	}
	keeper_wake();
}

/* ------------------------------------------------------------------ returns */

/*
 * Header first, then the push, and nothing of the block is written afterwards: from then on it is
 * the owner's (rule 6). Release: the owner's acquire in collect sees the header.
 */
void heap_return(struct heap *owner, struct mmviz_header *header, const void *site)
{
	uint64_t newest = __atomic_load_n(&owner->returned, __ATOMIC_RELAXED);
	uint32_t place = heap_place(owner, header);

	poison_open(span_returned(header), sizeof(struct span_returned));
	span_returned(header)->site = site;
	span_set_word(header, (header->word & ~3ULL) | MMVIZ_LIFE_RETURNED);
	do {
		STEP();
		span_returned(header)->next = (uint32_t)newest;
		STEP();
	} while (!__atomic_compare_exchange_n(&owner->returned, &newest, place, true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void reclaim(struct heap *heap, struct mmviz_header *header)
{
	uint64_t word = header->word;
	uint64_t what = mmviz_event_what(MMVIZ_EVENT_RECLAIM, mmviz_word_context(word),
					 heap_place(heap, header));
	listeners_free listeners;

	span_set_word(header, (word & ~3ULL) | MMVIZ_LIFE_LIVE);
	STEP();
	span_mark_freed(header, span_returned(header)->site);
	poison_close(span_returned(header), sizeof(struct span_returned));
	STEP();
	listeners = listeners_of_free();
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap, what, 0);
	else
		log_count(heap, 1);
	heap_push(heap, span_magazine(heap_head(heap, header)), heap_place(heap, header));
}

/* Take back what other threads returned. */
static void collect(struct heap *heap)
{
	uint64_t place = __atomic_exchange_n(&heap->returned, 0, __ATOMIC_ACQUIRE);

	while (place) {
		struct mmviz_header *header = heap_header(heap, place);

		if (place >= heap->places || !mmviz_header_is_whole(header, (uint64_t)header) ||
		    mmviz_word_life(header->word) != MMVIZ_LIFE_RETURNED) {
			error_report(heap->arena, MMVIZ_ERROR_CORRUPT_HEADER, header + 1, NULL);
			return; /* what is older stays returned for ever */
		}
		place = span_returned(header)->next;
		reclaim(heap, header);
	}
}

/* ------------------------------------------------------------------ taking cells */

void heap_wait(struct heap *heap)
{
	while (!heap_trylock(heap))
		sched_yield();
}

static struct mmviz_header *take_from_magazine(struct heap *heap, unsigned number)
{
	struct magazine *magazine = &heap->magazines[number];

	while (*magazine->top) {
		struct mmviz_header *header = heap_header(heap, *magazine->top--);

		if (is_free(heap, header))
			return header;
	}
	return NULL;
}

/* An idle cell goes onto the magazine, with a header, should its page have been let go. */
static void take_cell(struct heap *heap, struct magazine *magazine, uint32_t place)
{
	struct mmviz_header *header = heap_header(heap, place);

	if (likely(!span_header_is_gone(header)))
		span_header_flip_idle(header);
	else
		span_header_repair(header);
	*++magazine->top = place;
}

/* The lowest idle cells of one word of bits, at most `most`, go onto the magazine. How many. */
static uint32_t take_idle(struct heap *heap, unsigned number, uint32_t word, uint32_t most)
{
	struct magazine *magazine = &heap->magazines[number];
	uint64_t left = heap->idle[word];
	uint32_t cells = 0;

	if (!left)
		return 0;
	for (; left && cells < most; left &= left - 1, cells++)
		take_cell(heap, magazine, word * 64 + (uint32_t)__builtin_ctzl(left));
	__atomic_store_n(&heap->idle[word], left, __ATOMIC_RELAXED);
	return cells;
}

/* Cells of which no two lie in the same word are looked for one by one. */
static uint32_t refill_by_cell(struct heap *heap, struct mmviz_span *span, unsigned number,
			       uint32_t most)
{
	uint32_t first = heap_place(heap, span_header(span, 0)), taken = 0;
	uint32_t cell_places = span->cell_bytes >> MMVIZ_PLACE_SHIFT, place, end;

	end = first + span->bump_cells * cell_places;
	place = span->idle_place < first ? first : span->idle_place;
	for (; place < end && taken < most; place += cell_places)
		taken += take_idle(heap, number, place / 64, 1);
	span->idle_place = place;
	return taken;
}

/* The others by the word. */
static uint32_t refill_by_word(struct heap *heap, struct mmviz_span *span, unsigned number,
			       uint32_t most)
{
	uint32_t first = heap_place(heap, (void *)span->start_addr), taken = 0;
	uint32_t end = first + (span->units << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT)), place;

	place = span->idle_place < first ? first : span->idle_place & ~63u;
	for (; place < end && taken < most; place += 64)
		taken += take_idle(heap, number, place / 64, most - taken);
	span->idle_place = taken < most ? end : place - 64;
	return taken;
}

/* Idle cells of the active span go onto its magazine, those of low addresses first. */
static bool refill_from_idle(struct heap *heap, struct mmviz_span *span, unsigned number,
			     uint32_t most)
{
	uint32_t taken;

	heap_lock(heap);
	taken = span->cell_bytes > 64 * MMVIZ_PLACE_BYTES
			? refill_by_cell(heap, span, number, most)
			: refill_by_word(heap, span, number, most);
	heap_unlock(heap);
	span->used_cells += taken;
	heap->idle_bytes -= (uint64_t)taken * span->cell_bytes;
	if (taken < most && span->used_cells < span->bump_cells)
		span->idle_place = 0; /* the keeper had borrowed the others */
	return taken;
}

/*
 * Which of `cells` new cells is used first: each class begins at another offset in its page. The first
 * cells of spans, which all begin at multiples of 64 KiB, would meet in the same sets of the cache.
 */
static uint32_t first_of_fresh(const struct mmviz_span *span, uint32_t cells)
{
	uint32_t offset_bytes = span->size_class * 5u % 16 * (MMVIZ_UNIT_BYTES / 16);

	return offset_bytes / span->cell_bytes % cells;
}

/* Cells never used, with headers that say so. From the first on they lie from the top down, and those in front of it below. */
static void refill_from_bump(struct heap *heap, struct mmviz_span *span, unsigned number,
			     uint32_t cells)
{
	struct magazine *magazine = &heap->magazines[number];
	uint32_t first = first_of_fresh(span, cells);

	heap_lock(heap);
	for (uint32_t i = 0; i < cells; i++) {
		struct mmviz_header *header = span_header(span, span->bump_cells + i);
		uint32_t turn = i < first ? i + cells - first : i - first;

		span_header_repair(header);
		magazine->top[cells - turn] = heap_place(heap, header);
	}
	magazine->top += cells;
	STEP();
	span->used_cells += cells;
	__atomic_store_n(&span->bump_cells, span->bump_cells + cells, __ATOMIC_RELAXED);
	heap_unlock(heap);
}

/* Not all of it lies in the cache. */
static bool is_large(const struct heap *heap)
{
	return heap->span_bytes > CACHED_BYTES;
}

/* Half a magazine of freed cells, or some pages of new ones (one, while the heap is small). False: the active span has none. */
static bool refill_from_active(struct heap *heap, unsigned number)
{
	struct mmviz_span *span =
		heap->active[number] ? head_at(heap, heap->active[number] - 1) : NULL;
	uint32_t most = magazine_capacity(heap->arena, number) / 2, page, fresh;

	if (!span)
		return false;
	if (span->used_cells < span->bump_cells && refill_from_idle(heap, span, number, most))
		return true;
	page = (is_large(heap) ? FRESH_BYTES : MMVIZ_UNIT_BYTES) / span->cell_bytes;
	fresh = span->cells - span->bump_cells;
	if (fresh > most)
		fresh = most;
	if (fresh > page)
		fresh = page ? page : 1;
	if (fresh)
		refill_from_bump(heap, span, number, fresh);
	return fresh;
}

/* Bytes in the cells that its magazines hold. */
static uint64_t magazine_bytes(const struct heap *heap)
{
	uint64_t bytes = 0;

	for (unsigned number = 0; number < HEAP_MAGAZINES; number++) {
		uint32_t cells;

		if (heap_magazine(heap, number, &cells) && cells)
			bytes += (uint64_t)cells * mmviz_cell_bytes(span_magazine_class(number),
								    span_magazine_shape(number));
	}
	return bytes;
}

/*
 * Before the heap takes more memory: where a quarter of what it has lies free, but in the spans of other
 * classes, what their magazines hold goes back, and with it the spans that are empty then. Not again soon:
 * classes that are used by turns keep theirs. Where it brings little it is tried again after twice as much
 * growth.
 */
static void gather(struct heap *heap, unsigned wanted)
{
	uint64_t before = heap->span_bytes, grown = heap->grown_bytes;

	if (grown < heap->gather_bytes || grown < before / 16 ||
	    heap->log.seq - heap->gathered_seq < GATHER_EVENTS ||
	    heap->idle_bytes + magazine_bytes(heap) < before / 4)
		return;
	heap->grown_bytes = 0;
	heap->gathered_seq = heap->log.seq;
	for (unsigned number = 0; number < HEAP_MAGAZINES; number++) {
		struct mmviz_span *span;

		if (number == wanted)
			continue;
		trim(heap, number, 0);
		span = heap->active[number] ? head_at(heap, heap->active[number] - 1) : NULL;
		if (span && !span->used_cells)
			retire_active(heap, number);
	}
	heap->gather_bytes =
		before - heap->span_bytes < grown / 2 ? 2 * heap->gather_bytes : GATHER_BYTES;
	keeper_wake();
}

static int next_active(struct heap *heap, unsigned number)
{
	uint32_t before_units =
		heap->active[number] ? head_at(heap, heap->active[number] - 1)->units : 0;
	struct mmviz_span *span;

	if (heap->with_room[number]) {
		span = head_at(heap, heap->with_room[number] - 1);
		list_remove(heap, span);
	} else {
		gather(heap, number);
		span = arena_span_take(heap->arena, heap, span_magazine_class(number),
				       span_magazine_shape(number), before_units);
		if (!span)
			return -ENOMEM;
		note_span_bytes(heap, (int64_t)span->units * MMVIZ_UNIT_BYTES);
	}
	retire_active(heap, number);
	span->flags |= SPAN_ACTIVE;
	heap->active[number] = head_number(heap, span) + 1;
	return 0;
}

struct mmviz_header *heap_take_slow(struct heap *heap, unsigned number)
{
	bool is_flushed = false;
	struct mmviz_header *header;

	if (!magazine_is_open(&heap->magazines[number]))
		magazine_open(heap, number);
	if (__atomic_load_n(&heap->returned, __ATOMIC_RELAXED))
		collect(heap);
	header = take_from_magazine(heap, number);
	while (!header) {
		if (!refill_from_active(heap, number) && next_active(heap, number)) {
			if (is_flushed)
				return NULL;
			arena_flush(heap->arena, heap);
			is_flushed = true;
		}
		header = take_from_magazine(heap, number);
	}
	return header;
}

/* ------------------------------------------------------------------ call sites */

uint32_t heap_site(struct heap *heap, const void *return_address)
{
	struct heap_site *site = heap_site_slot(heap, return_address);
	uint32_t context;

	if (site->return_address == return_address)
		return mmviz_word_context(site->word);
	context = registry_intern_site(return_address);
	if (context)
		*site = (struct heap_site){return_address,
					   mmviz_word_make(0, context, 0, MMVIZ_LIFE_LIVE)};
	return context;
}
