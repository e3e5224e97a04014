/* SPDX-License-Identifier: MIT */
/*
 * arena.c - see arena.h.
 *
 * Order of this file: units, structural changes, spans, large blocks, heaps, create, destroy,
 * reset.
 */
#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "os.h"
#include "probes.h"

#define CAPACITY_MIN_BYTES   (64u << 10)
#define BASE_ALIGNMENT_BYTES (2u << 20) /* a huge page */
#define GROW_MIN_UNITS	     64u
#define GROW_MAX_UNITS	     (64u << (20 - MMVIZ_UNIT_SHIFT))
#define PURGE_UNITS                                                                                \
	((1u << 20) >> MMVIZ_UNIT_SHIFT) /* runs of a MiB go back to the system at once */

/* ------------------------------------------------------------------ units */

static void map_run(struct mmviz_arena *arena, uint32_t unit, uint32_t units, uint8_t first,
		    uint8_t rest)
{
	arena->map[unit] = first;
	memset(arena->map + unit + 1, rest, units - 1);
}

/* Make the units below `end` readable and writable, by steps that grow with the arena. 0 or -errno.
 */
static int commit_up_to(struct mmviz_arena *arena, uint32_t end)
{
	uint32_t frontier = (uint32_t)arena->head.frontier_units, step = frontier / 8;
	int error;

	if (end <= frontier)
		return 0;
	step = step < GROW_MIN_UNITS   ? GROW_MIN_UNITS
	       : step > GROW_MAX_UNITS ? GROW_MAX_UNITS
				       : step;
	if (end < frontier + step)
		end = frontier + step;
	if (end > arena->units)
		end = arena->units;
	if (!(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY)) {
		error = os_commit(arena_unit_address(arena, frontier), (size_t)(end - frontier)
									       << MMVIZ_UNIT_SHIFT);
		if (error)
			return error;
	}
	arena->head.committed_units = end;
	__atomic_store_n(&arena->head.frontier_units, end, __ATOMIC_RELEASE);
	return 0;
}

/* Free and committed units, lowest address first, with (address + bias) aligned; EXTENT_NONE: no
 * memory. */
static uint32_t take_units(struct mmviz_arena *arena, uint32_t units, uint32_t alignment,
			   uint32_t bias)
{
	uint32_t base = (uint32_t)(arena->head.base_addr >> MMVIZ_UNIT_SHIFT) & (alignment - 1);
	struct extent_request request = {units, alignment, base + bias};
	uint32_t unit = extent_tree_take(&arena->extents, &request);

	if (unit != EXTENT_NONE && commit_up_to(arena, unit + units)) {
		extent_tree_give(&arena->extents, unit, units);
		return EXTENT_NONE;
	}
	return unit;
}

/* ------------------------------------------------------------------ structural changes */

/* One structural change in the making, under the arena's lock. */
struct change {
	struct mmviz_arena *arena;
	struct heap *heap; /* in whose log it is told */
	struct operation operation;
	uint64_t frontier_before;
};

static void change_begin(struct change *change, struct mmviz_arena *arena, struct heap *heap)
{
	change->arena = arena;
	change->heap = heap;
	change->operation.count = 0;
	arena_lock(arena);
	change->frontier_before = arena->head.frontier_units;
	operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_ORDER, 0, 0),
		      arena->head.order + 1);
}

static void change_units(struct change *change, uint32_t unit, uint32_t units, unsigned code,
			 unsigned shape)
{
	uint32_t place = unit << (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);

	operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_UNITS, 0, place),
		      (uint64_t)shape << 40 | (uint64_t)code << 32 | units);
}

/* Growth is part of the change that needed it; to be called before that change's units are told. */
static void change_growth(struct change *change)
{
	if (change->arena->head.frontier_units != change->frontier_before)
		operation_add(&change->operation, mmviz_event_what(MMVIZ_EVENT_COMMIT, 0, 0),
			      change->arena->head.committed_units);
}

/* Events, seq, only then the arena's order (rule 4). The log is handed over without the lock. */
static void change_end(struct change *change)
{
	struct mmviz_arena *arena = change->arena;
	listeners_free listeners;

	STEP();
	listeners = listeners_of_free();
	log_store(change->heap, &change->operation, LISTENS_BATCH_FREE(listeners));
	STEP();
	__atomic_store_n(&arena->head.order, arena->head.order + 1, __ATOMIC_RELEASE);
	if (change->heap == arena->spare)
		log_flush(change->heap); /* the spare heap is everybody's: its log is the lock's */
	arena_unlock(arena);
	if (change->heap != arena->spare)
		log_flush(change->heap);
	if (registry_here.semaphores.arena && arena->head.frontier_units != change->frontier_before)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_GROW, arena->head.name);
}

/* Nothing was changed after all. */
static void change_cancel(struct change *change)
{
	arena_unlock(change->arena);
}

static void give_units(struct change *change, uint32_t unit, uint32_t units)
{
	map_run(change->arena, unit, units, MMVIZ_UNIT_FREE, MMVIZ_UNIT_FREE);
	STEP();
	extent_tree_give(&change->arena->extents, unit, units);
	change_units(change, unit, units, MMVIZ_UNIT_FREE, 0);
}

/* ------------------------------------------------------------------ spans */

struct mmviz_span *arena_span_take(struct mmviz_arena *arena, struct heap *heap,
				   unsigned size_class, unsigned shape)
{
	unsigned fit = size_class >= arena->medium_class ? MMVIZ_FIT_MEDIUM : MMVIZ_FIT_SMALL;
	struct span_kind kind = {size_class, shape, fit, 1u << arena->head.span_shift[fit]};
	uint32_t units = kind.bytes >> MMVIZ_UNIT_SHIFT, unit;
	struct mmviz_span *span;
	struct change change;

	change_begin(&change, arena, heap);
	unit = take_units(arena, units, units, 0);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	span = &arena->heads[mmviz_head_index(&arena->head,
					      (uint64_t)arena_unit_address(arena, unit))];
	span_init(span, &kind, arena_unit_address(arena, unit), heap->head.id);
	if (arena->head.flags & MMVIZ_ARENA_GUARD_BYTES)
		span->flags = SPAN_GUARDED;
	STEP();
	map_run(arena, unit, units, (uint8_t)(MMVIZ_UNIT_SPAN + size_class),
		MMVIZ_UNIT_CONTINUATION);
	change_growth(&change);
	change_units(&change, unit, units, MMVIZ_UNIT_SPAN + size_class, shape);
	change_end(&change);
	return span;
}

void arena_span_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_span *span)
{
	struct change change;

	change_begin(&change, arena, heap);
	give_units(&change, arena_unit(arena, (void *)span->start_addr), span->units);
	change_end(&change);
}

/* ------------------------------------------------------------------ large blocks */

/* Bytes from the first unit's start to the payload: the span's head, label and header, aligned. */
static size_t large_front_bytes(size_t alignment)
{
	size_t front = MMVIZ_SPAN_HEAD_BYTES + mmviz_shape_front_bytes(MMVIZ_SHAPE_LABELLED);

	alignment = alignment < 64		   ? 64
		    : alignment > MMVIZ_UNIT_BYTES ? MMVIZ_UNIT_BYTES
						   : alignment;
	return (front + alignment - 1) & ~(alignment - 1);
}

static uint64_t large_units(size_t front_bytes, size_t bytes)
{
	return (front_bytes + (uint64_t)bytes + MMVIZ_UNIT_BYTES - 1) >> MMVIZ_UNIT_SHIFT;
}

/* Write span head, label and header of a new large block. `birth`: the number of its ALLOC event.
 */
static struct mmviz_header *large_init(struct mmviz_span *span, uint32_t units,
				       const struct large_request *request, uint64_t birth)
{
	uint32_t front = (uint32_t)large_front_bytes(request->alignment);
	struct mmviz_header *header = (struct mmviz_header *)((char *)span + front) - 1;
	uint64_t word =
		mmviz_word_make(request->bytes, request->context, MMVIZ_FIT_LARGE, MMVIZ_LIFE_LIVE);

	*span = (struct mmviz_span){
		.owner_heap = MMVIZ_HEAP_NONE,
		.units = units,
		.first_header_bytes = front - MMVIZ_HEADER_BYTES,
		.cell_bytes = (uint32_t)(((uint64_t)units << MMVIZ_UNIT_SHIFT) - front +
					 MMVIZ_HEADER_BYTES),
		.bump_cells = 1,
		.cells = 1,
		.size_class = 0xff,
		.shape = (uint8_t)request->shape,
		.fit = MMVIZ_FIT_LARGE,
		.used_cells = 1,
		.start_addr = (uint64_t)span,
	};
	STEP();
	if (request->shape == MMVIZ_SHAPE_LABELLED)
		memcpy((char *)header - MMVIZ_LABEL_BYTES, request->label, MMVIZ_LABEL_BYTES);
	STEP();
	header->word = word;
	header->check = mmviz_check_word((uint64_t)header, word);
	header->incarnation = (uint32_t)birth;
	return header;
}

static void tell_born(struct change *change, const struct mmviz_header *header,
		      const struct large_request *request)
{
	struct operation *operation = &change->operation;
	uint64_t labelled = request->shape == MMVIZ_SHAPE_LABELLED ? MMVIZ_ALLOC_LABELLED : 0;

	operation_add(operation,
		      mmviz_event_what(MMVIZ_EVENT_ALLOC, request->context,
				       heap_place(change->heap, header)),
		      request->bytes | labelled);
	if (labelled) {
		memcpy(&operation->events[operation->count], request->label, MMVIZ_LABEL_BYTES);
		operation->count += 2;
	}
}

struct mmviz_header *arena_large_take(struct mmviz_arena *arena, struct heap *heap,
				      const struct large_request *request)
{
	uint64_t wanted = large_units(large_front_bytes(request->alignment),
				      request->bytes + request->extra_bytes);
	uint32_t alignment = request->alignment > MMVIZ_UNIT_BYTES
				     ? (uint32_t)(request->alignment >> MMVIZ_UNIT_SHIFT)
				     : 1;
	struct mmviz_header *header;
	struct change change;
	uint32_t unit, units = (uint32_t)wanted;

	if (request->bytes > arena->head.capacity_bytes || wanted > arena->units)
		return NULL;
	change_begin(&change, arena, heap);
	unit = take_units(arena, units, alignment, alignment > 1);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	change_growth(&change);
	header = large_init(arena_unit_address(arena, unit), units, request,
			    heap->log.seq + change.operation.count + 1);
	STEP();
	map_run(arena, unit, units, MMVIZ_UNIT_LARGE, MMVIZ_UNIT_CONTINUATION);
	change_units(&change, unit, units, MMVIZ_UNIT_LARGE, request->shape);
	tell_born(&change, header, request);
	change_end(&change);
	return header;
}

int arena_large_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header)
{
	struct mmviz_span *span = span_of_large(header + 1);
	struct change change;
	uint64_t word;

	change_begin(&change, arena, heap ? heap : arena->spare);
	word = header->word;
	if (mmviz_word_life(word) != MMVIZ_LIFE_LIVE ||
	    arena->map[arena_unit(arena, span)] != MMVIZ_UNIT_LARGE) {
		change_cancel(&change);
		return -EINVAL;
	}
	span_write_freed(header, MMVIZ_LIFE_CACHED, MMVIZ_FIT_LARGE, 0);
	operation_add(&change.operation,
		      mmviz_event_what(MMVIZ_EVENT_FREE, mmviz_word_context(word),
				       heap_place(change.heap, header)),
		      mmviz_word_bytes(word));
	STEP();
	give_units(&change, arena_unit(arena, span), span->units);
	if (span->units >= PURGE_UNITS && !(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY))
		os_purge((char *)span + MMVIZ_UNIT_BYTES, (size_t)(span->units - 1)
								  << MMVIZ_UNIT_SHIFT);
	change_end(&change);
	return 0;
}

int arena_large_resize(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
		       size_t bytes, uint32_t context, size_t extra_bytes)
{
	struct mmviz_span *span = span_of_large(header + 1);
	uint32_t front = span->first_header_bytes + MMVIZ_HEADER_BYTES,
		 unit = arena_unit(arena, span);
	uint64_t wanted = large_units(front, bytes + extra_bytes), word;
	struct change change;
	uint32_t units;

	change_begin(&change, arena, heap);
	units = span->units;
	if (wanted > units) {
		uint32_t more = (uint32_t)(wanted - units);

		if (wanted > arena->units ||
		    extent_tree_take_at(&arena->extents, unit + units, more)) {
			change_cancel(&change);
			return -ENOMEM;
		}
		if (commit_up_to(arena, unit + units + more)) {
			extent_tree_give(&arena->extents, unit + units, more);
			change_cancel(&change);
			return -ENOMEM;
		}
		change_growth(&change);
		memset(arena->map + unit + units, MMVIZ_UNIT_CONTINUATION, more);
	}
	span->units = (uint32_t)wanted;
	span->cell_bytes = (uint32_t)((wanted << MMVIZ_UNIT_SHIFT) - front + MMVIZ_HEADER_BYTES);
	STEP();
	word = mmviz_word_make(bytes, context, MMVIZ_FIT_LARGE, MMVIZ_LIFE_LIVE) |
	       (header->word & MMVIZ_WORD_SAMPLED);
	header->word = word;
	header->check = mmviz_check_word((uint64_t)header, word);
	change_units(&change, unit, (uint32_t)wanted, MMVIZ_UNIT_LARGE, span->shape);
	operation_add(&change.operation,
		      mmviz_event_what(MMVIZ_EVENT_RESIZE, context, heap_place(heap, header)),
		      bytes);
	if (wanted < units)
		give_units(&change, unit + (uint32_t)wanted, units - (uint32_t)wanted);
	change_end(&change);
	return 0;
}

/* ------------------------------------------------------------------ heaps */

struct heap *arena_heap_first(const struct mmviz_arena *arena)
{
	return (struct heap *)__atomic_load_n(&arena->head.first_heap_addr, __ATOMIC_ACQUIRE);
}

struct heap *arena_heap_by_id(const struct mmviz_arena *arena, uint32_t id)
{
	struct heap *heap = arena_heap_first(arena);

	while (heap && heap->head.id != id)
		heap = heap_next(heap);
	return heap;
}

/* A whole heap in fresh META units, not yet published. */
static void heap_init(struct heap *heap, struct mmviz_arena *arena, uint32_t id)
{
	memset(heap, 0, offsetof(struct heap, log) + MMVIZ_LOG_HEAD_BYTES);
	heap->head = (struct mmviz_heap_head){
		.magic = MMVIZ_HEAP_MAGIC, .id = id, .log_addr = (uint64_t)&heap->log};
	heap->arena = arena;
	heap->base_addr = arena->head.base_addr;
	heap->heads_bias =
		arena->head.heads_addr -
		(arena->head.base_addr >> arena->head.span_shift[0]) * sizeof(struct mmviz_span);
	heap->small_shift = arena->head.span_shift[MMVIZ_FIT_SMALL];
	heap->medium_mask = ~0ULL << arena->head.span_shift[MMVIZ_FIT_MEDIUM];
	/* Guard bytes are the slow path's: no size takes the fast one. */
	heap->cell_max_bytes =
		arena->head.flags & MMVIZ_ARENA_GUARD_BYTES ? 0 : arena->cell_max_bytes;
	heap->medium_class = arena->medium_class;
	heap->log_events = MMVIZ_LOG_EVENTS;
	heap->random = os_now_ns() | 1;
	heap->log.arena_id = arena->head.id;
	heap->log.heap_id = id;
	heap_clear(heap);
}

/* Readers follow the list: a heap is whole before the link to it is stored. Caller locks. */
static void heap_publish(struct mmviz_arena *arena, struct heap *heap)
{
	uint64_t *link =
		arena->newest ? &arena->newest->head.next_addr : &arena->head.first_heap_addr;

	__atomic_store_n(link, (uint64_t)heap, __ATOMIC_RELEASE);
	arena->newest = heap;
}

static struct heap *heap_new(struct mmviz_arena *arena)
{
	struct change change;
	struct heap *heap;
	uint32_t unit;

	change_begin(&change, arena, NULL);
	unit = take_units(arena, HEAP_UNITS, 1, 0);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	heap = arena_unit_address(arena, unit);
	heap_init(heap, arena, arena->newest ? arena->newest->head.id + 1 : 1);
	map_run(arena, unit, HEAP_UNITS, MMVIZ_UNIT_META, MMVIZ_UNIT_META);
	heap_publish(arena, heap);
	change.heap = heap;
	change_growth(&change);
	change_units(&change, unit, HEAP_UNITS, MMVIZ_UNIT_META, 0);
	change_end(&change);
	return heap;
}

struct heap *arena_heap_take(struct mmviz_arena *arena)
{
	struct heap *heap;

	arena_lock(arena);
	heap = arena->pool;
	if (heap)
		arena->pool = heap->pool_next;
	arena_unlock(arena);
	return heap ? heap : heap_new(arena);
}

void arena_return_spare(struct mmviz_arena *arena, struct heap *owner, struct mmviz_header *header,
			uint64_t word)
{
	uint64_t incarnation = header->incarnation;
	struct operation operation = {.count = 0};
	listeners_free listeners;

	operation_add(&operation,
		      mmviz_event_what(MMVIZ_EVENT_RETURN, mmviz_word_context(word),
				       heap_place(owner, header)),
		      incarnation | (uint64_t)owner->head.id << 32);
	arena_lock(arena);
	heap_return(owner, header);
	listeners = listeners_of_free();
	log_store(arena->spare, &operation, LISTENS_BATCH_FREE(listeners));
	log_flush(arena->spare);
	arena_unlock(arena);
}

/* ------------------------------------------------------------------ create */

/* Span sizes by capacity: in a small arena a few classes must not take all of it. */
static void choose_spans(struct mmviz_arena_head *head)
{
	size_t capacity = head->capacity_bytes;

	head->span_shift[MMVIZ_FIT_SMALL] = capacity >= (64u << 20)  ? 16
					    : capacity >= (4u << 20) ? 14
								     : 12;
	head->span_shift[MMVIZ_FIT_MEDIUM] = capacity >= (64u << 20)  ? 19
					     : capacity >= (4u << 20) ? 16
								      : 14;
}

static size_t align_up(size_t bytes, size_t alignment)
{
	return (bytes + alignment - 1) & ~(alignment - 1);
}

/* Where the arena's own books lie: offsets from its base, and their end, in whole units. */
struct books {
	size_t map_offset, heads_offset, extents_offset, end;
};

static struct books books_of(const struct mmviz_arena_head *head)
{
	size_t units = head->capacity_bytes >> MMVIZ_UNIT_SHIFT;
	struct books books = {.map_offset = align_up(sizeof(struct mmviz_arena), 64)};

	books.heads_offset = books.map_offset + align_up(units, 64);
	books.extents_offset =
		books.heads_offset + mmviz_heads_count(head) * sizeof(struct mmviz_span);
	books.end = align_up(books.extents_offset + units * sizeof(struct extent_node),
			     MMVIZ_UNIT_BYTES);
	return books;
}

/* Base address, capacity and span sizes, from which the books' places follow. */
static void head_init(struct mmviz_arena_head *head, void *base, size_t bytes)
{
	memset(head, 0, sizeof(*head));
	head->magic = MMVIZ_ARENA_MAGIC;
	head->base_addr = (uint64_t)base;
	head->capacity_bytes = bytes;
	choose_spans(head);
}

/* The memory, with its books committed; NULL with errno. */
static void *arena_memory(const struct mmviz_arena_options *options, struct mmviz_arena_head *head)
{
	size_t unit = MMVIZ_UNIT_BYTES, bytes;
	char *base = options->memory;

	if (base) {
		char *aligned = (char *)align_up((size_t)base, unit);

		head_init(head, aligned,
			  (options->capacity_bytes - (size_t)(aligned - base)) & ~(unit - 1));
		return aligned;
	}
	bytes = align_up(options->capacity_bytes, unit);
	base = os_reserve(bytes, BASE_ALIGNMENT_BYTES);
	if (!base)
		return NULL;
	head_init(head, base, bytes);
	if (os_commit(base, books_of(head).end)) {
		os_release(base, bytes);
		errno = ENOMEM;
		return NULL;
	}
	if (options->flags & MMVIZ_HUGE_PAGES)
		os_huge_pages(base, bytes);
	return base;
}

/* Write the books of a new arena at its base. */
static struct mmviz_arena *arena_init(const struct mmviz_arena_head *head,
				      const struct mmviz_arena_options *options)
{
	struct mmviz_arena *arena = (struct mmviz_arena *)head->base_addr;
	struct books books = books_of(head);
	uint32_t end = (uint32_t)(books.end >> MMVIZ_UNIT_SHIFT);

	memset(arena, 0, sizeof(*arena));
	arena->head = *head;
	arena->head.flags = options->flags | (options->memory ? MMVIZ_ARENA_OWN_MEMORY : 0);
	arena->head.created_ns = os_now_ns();
	strncpy(arena->head.name, options->name, sizeof(arena->head.name) - 1);
	arena->units = (uint32_t)(head->capacity_bytes >> MMVIZ_UNIT_SHIFT);
	arena->map = (uint8_t *)arena + books.map_offset;
	arena->heads = (struct mmviz_span *)((char *)arena + books.heads_offset);
	arena->head.map_addr = (uint64_t)arena->map;
	arena->head.heads_addr = (uint64_t)arena->heads;
	arena->head.committed_units = arena->head.frontier_units = end;
	arena->medium_class =
		span_class_of((size_t)1 << (head->span_shift[MMVIZ_FIT_SMALL] - 4)) + 1;
	arena->cell_max_bytes = 1u << (head->span_shift[MMVIZ_FIT_MEDIUM] - 4);
	pthread_mutex_init(&arena->lock, NULL);
	if (options->memory) /* mapped memory is zero already; touching all of it would cost what it
				describes */
		memset(arena->map, 0, arena->units);
	map_run(arena, 0, end, MMVIZ_UNIT_META, MMVIZ_UNIT_META);
	extent_tree_init(&arena->extents,
			 (struct extent_node *)((char *)arena + books.extents_offset));
	extent_tree_give(&arena->extents, end, arena->units - end);
	return arena;
}

/* Give the arena its slot and id and let readers see it. 0 or -errno. */
static int arena_publish(struct mmviz_arena *arena)
{
	int slot;

	registry_lock();
	slot = registry_arena_slot();
	if (slot < 0) {
		registry_unlock();
		return -ENFILE;
	}
	arena->slot = (uint32_t)slot;
	arena->head.id = registry_arena_new_id();
	arena->spare = heap_new(arena);
	if (arena->spare)
		registry_arena_publish(slot, arena);
	registry_unlock();
	return arena->spare ? 0 : -ENOMEM;
}

struct mmviz_arena *mmviz_arena_create_with(const struct mmviz_arena_options *options)
{
	struct mmviz_arena_head head;
	struct mmviz_arena *arena;
	int error;

	if (!options || options->options_bytes < sizeof(*options) || !options->name ||
	    !options->name[0] || options->capacity_bytes < CAPACITY_MIN_BYTES ||
	    options->capacity_bytes > MMVIZ_CAPACITY_MAX_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	if (!arena_memory(options, &head))
		return NULL;
	arena = arena_init(&head, options);
	error = arena_publish(arena);
	if (error) {
		if (!options->memory)
			os_release(arena, head.capacity_bytes);
		errno = -error;
		return NULL;
	}
	if (registry_here.semaphores.arena)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_CREATE, arena->head.name);
	return arena;
}

struct mmviz_arena *mmviz_arena_create(const char *name, size_t capacity_bytes)
{
	struct mmviz_arena_options options = {
		.options_bytes = sizeof(options),
		.name = name,
		.capacity_bytes = capacity_bytes,
	};

	return mmviz_arena_create_with(&options);
}

/* ------------------------------------------------------------------ destroy, reset */

void mmviz_arena_destroy(struct mmviz_arena *arena)
{
	if (!arena)
		return;
	if (registry_here.semaphores.batch)
		for (struct heap *heap = arena_heap_first(arena); heap; heap = heap_next(heap))
			if (heap->log.next == heap->log.seq)
				log_flush_all(heap);
	if (registry_here.semaphores.arena)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_DESTROY, arena->head.name);
	registry_lock();
	registry_arena_retract((int)arena->slot);
	registry_unlock();
	pthread_mutex_destroy(&arena->lock);
	arena->head.magic = 0;
	if (!(arena->head.flags & MMVIZ_ARENA_OWN_MEMORY))
		os_release(arena, arena->head.capacity_bytes);
}

/* Every run of units that is not META becomes one free extent. */
static void free_all_units(struct mmviz_arena *arena)
{
	uint32_t unit = 0, start;

	extent_tree_init(&arena->extents, arena->extents.nodes);
	while (unit < arena->units) {
		while (unit < arena->units && arena->map[unit] == MMVIZ_UNIT_META)
			unit++;
		start = unit;
		while (unit < arena->units && arena->map[unit] != MMVIZ_UNIT_META)
			unit++;
		if (unit > start) {
			memset(arena->map + start, MMVIZ_UNIT_FREE, unit - start);
			extent_tree_give(&arena->extents, start, unit - start);
		}
	}
}

void mmviz_arena_reset(struct mmviz_arena *arena)
{
	struct heap *heap = heap_of_thread(arena);
	struct change change;

	change_begin(&change, arena, heap ? heap : arena->spare);
	for (heap = arena_heap_first(arena); heap; heap = heap_next(heap))
		heap_clear(heap);
	free_all_units(arena);
	operation_add(&change.operation, mmviz_event_what(MMVIZ_EVENT_RESET, 0, 0), 0);
	change_end(&change);
	if (registry_here.semaphores.arena)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_RESET, arena->head.name);
}
