/* SPDX-License-Identifier: MIT */
/*
 * arena.c - see arena.h.
 *
 * Order of this file: spans, books, heaps, create, destroy, reset.
 */
#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <string.h>

#include "change.h"
#include "error.h"
#include "large.h"
#include "log.h"
#include "os.h"
#include "poison.h"
#include "probes.h"
#include "purge.h"

#define CAPACITY_MIN_BYTES     (64u << 10)
#define FLAGS		       (MMVIZ_SINGLE_THREADED | MMVIZ_HUGE_PAGES | MMVIZ_GUARD_BYTES | MMVIZ_CHECKED_FREES)
#define BASE_ALIGNMENT_BYTES   (2u << 20) /* a huge page */
#define BIG_MIN_CAPACITY_BYTES (1ULL << 30)
#define FIRST_SPAN_CELLS       1u
#define BIG_SPAN_BYTES	       (2u << 20) /* at least about so much, ... */
#define BIG_SPAN_CELLS	       8u	  /* ... and so many cells */

/* ------------------------------------------------------------------ spans */

/* A medium span has as many heads as small spans would fit: see heap_head. */
static uint32_t heads_of(const struct mmviz_arena *arena, const struct mmviz_span *span)
{
	return span->units >> (arena->head.span_shift[MMVIZ_FIT_SMALL] - MMVIZ_UNIT_SHIFT);
}

/* Guard bytes and memory checkers are the general paths': no block takes the fast one. */
static bool is_all_slow(const struct mmviz_arena *arena)
{
	return arena->head.flags & MMVIZ_ARENA_GUARD_BYTES || poison_is_on();
}

/*
 * The first span of cells that are not small is short, each next one twice as long as the last: what a
 * class does not need yet other classes take, pages and all. What cells leave over at its end is address
 * space. `before_units`: of the heap's last span of the kind; 0: it has none.
 */
static uint32_t span_bytes_for(const struct mmviz_arena *arena, unsigned size_class, unsigned shape,
			       uint32_t before_units)
{
	uint32_t small = 1u << arena->head.span_shift[MMVIZ_FIT_SMALL];
	uint32_t most = 1u << arena->head.span_shift[MMVIZ_FIT_MEDIUM];
	uint32_t cell = mmviz_cell_bytes(size_class, shape), bytes;

	if (size_class < arena->medium_class)
		return small;
	if (span_is_big_class(size_class))
		most = cell * (BIG_SPAN_BYTES / cell < BIG_SPAN_CELLS ? BIG_SPAN_CELLS
								      : BIG_SPAN_BYTES / cell);
	bytes = cell * FIRST_SPAN_CELLS;
	if (bytes < 2 * before_units * MMVIZ_UNIT_BYTES)
		bytes = 2 * before_units * MMVIZ_UNIT_BYTES;
	return ((bytes < most ? bytes : most) + small - 1) & ~(small - 1);
}

/* A reset leaves whole headers behind: from then on each free makes sure that there is a cell. */
static void set_owner(const struct mmviz_arena *arena, const struct mmviz_span *span,
		      struct magazine *owner)
{
	uint64_t first = mmviz_head_index(&arena->head, span->start_addr);

	if (is_all_slow(arena) || arena->was_reset)
		owner = NULL;
	for (uint32_t i = 0; i < heads_of(arena, span); i++)
		arena->owners[first + i] = owner;
}

struct mmviz_span *arena_span_take(struct mmviz_arena *arena, struct heap *heap,
				   unsigned size_class, unsigned shape, uint32_t before_units)
{
	uint32_t small = 1u << arena->head.span_shift[MMVIZ_FIT_SMALL];
	uint32_t bytes = span_bytes_for(arena, size_class, shape, before_units);
	struct span_kind kind = {size_class, shape,
				 bytes == small ? MMVIZ_FIT_SMALL : MMVIZ_FIT_MEDIUM, bytes};
	uint32_t units = bytes >> MMVIZ_UNIT_SHIFT, unit;
	struct mmviz_span *span;
	struct change change;

	change_begin(&change, arena, heap);
	unit = change_take(&change, units, small >> MMVIZ_UNIT_SHIFT, 0);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	span = &arena->heads[mmviz_head_index(&arena->head,
					      (uint64_t)arena_unit_address(arena, unit))];
	span_init(span, &kind, arena_unit_address(arena, unit), heap->head.id);
	poison_cells((const void *)span->start_addr, kind.bytes);
	for (uint32_t i = 1; i < heads_of(arena, span); i++)
		span[i] = *span;
	set_owner(arena, span, &heap->magazines[span_magazine(span)]);
	purge_note_span(arena, unit, units);
	arena->big_units += span_is_big_class(size_class) ? units : 0;
	change_mark(&change, unit, units, MMVIZ_UNIT_SPAN + size_class, shape);
	change_end(&change);
	return span;
}

/* All cells of a span that ends were idle, and some were sampled while nobody listened to their ends;
 * the next span here begins without. */
static void forget_bits(struct mmviz_arena *arena, const struct mmviz_span *span)
{
	uint64_t first = span_bit_word(heap_place(arena->spare, (void *)span->start_addr));
	size_t bytes = (size_t)span->units * (MMVIZ_UNIT_BYTES / MMVIZ_PLACE_BYTES / 8);
	bool is_sampled = false;

	for (uint32_t i = 0; i < heads_of(arena, span); i++)
		is_sampled |= span[i].flags & SPAN_SAMPLED;
	memset(arena->idle + first, 0, bytes);
	if (is_sampled)
		memset(arena->spare->sampled + first, 0, bytes);
}

void arena_span_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_span *span)
{
	struct change change;

	change_begin(&change, arena, heap);
	arena->big_units -= span_is_big_class(span->size_class) ? span->units : 0;
	forget_bits(arena, span);
	for (uint32_t i = 0; i < heads_of(arena, span); i++)
		span[i].owner_heap = 0;
	set_owner(arena, span, NULL);
	change_give(&change, arena_unit(arena, (void *)span->start_addr), span->units);
	change_end(&change);
}

/* ------------------------------------------------------------------ what lies where */

const struct mmviz_span *arena_span_around(const struct mmviz_arena *arena, const void *address)
{
	uint32_t unit = arena_unit(arena, address);

	if (unit >= arena->head.frontier_units)
		return NULL;
	while (unit && arena->map[unit] == MMVIZ_UNIT_CONTINUATION)
		unit--;
	return arena->map[unit] >= MMVIZ_UNIT_LARGE ? arena_head_at(arena, unit) : NULL;
}

bool arena_is_block_start(const struct mmviz_arena *arena, const void *block)
{
	const struct mmviz_span *span = arena_span_around(arena, block);
	uint64_t offset;

	if (!span)
		return false;
	offset = (uint64_t)block - MMVIZ_HEADER_BYTES - span->start_addr - span->first_header_bytes;
	return offset < (uint64_t)span->cell_bytes * span->bump_cells &&
	       offset % span->cell_bytes == 0;
}

/* ------------------------------------------------------------------ books */

static size_t align_up(size_t bytes, size_t alignment)
{
	return (bytes + alignment - 1) & ~(alignment - 1);
}

/*
 * Where unit map, span heads and extent nodes lie: in address space of their own right before the
 * base, where only what describes used memory is ever touched; in the caller's memory after struct
 * mmviz_arena. Offsets from their start.
 */
struct books {
	size_t dirty_offset, ages_offset, heads_offset, owners_offset, idle_offset, sampled_offset,
		extents_offset, bytes;
};

static struct books books_of(const struct mmviz_arena_head *head)
{
	size_t units = head->capacity_bytes >> MMVIZ_UNIT_SHIFT;
	size_t bits = (head->capacity_bytes >> MMVIZ_PLACE_SHIFT) / 8;
	struct books books = {.dirty_offset = align_up(units, 64)};

	books.ages_offset = books.dirty_offset + align_up(units, 64);
	books.heads_offset = books.ages_offset + align_up(units, 64);
	books.owners_offset =
		books.heads_offset + mmviz_heads_count(head) * sizeof(struct mmviz_span);
	books.idle_offset = books.owners_offset +
			    align_up(mmviz_heads_count(head) * sizeof(struct magazine *), 64);
	books.sampled_offset = books.idle_offset + bits;
	books.extents_offset = books.sampled_offset + bits;
	books.bytes = align_up(books.extents_offset + units * sizeof(struct extent_node),
			       MMVIZ_UNIT_BYTES);
	return books;
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
	heap->places = arena->head.capacity_bytes >> MMVIZ_PLACE_SHIFT;
	heap->owners_bias =
		(uint64_t)arena->owners -
		(arena->head.base_addr >> arena->head.span_shift[0]) * sizeof(struct magazine *);
	heap->idle = arena->idle;
	heap->sampled = (uint64_t *)(arena->head.map_addr + books_of(&arena->head).sampled_offset);
	heap->cell_max_bytes = is_all_slow(arena) ? 0 : arena->cell_max_bytes;
	heap->big_max_bytes = is_all_slow(arena) ? 0 : arena->big_max_bytes;
	heap->log_events = MMVIZ_LOG_EVENTS;
	heap_sites_init(heap);
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
	unit = change_take(&change, arena->heap_units, 1, 0);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	heap = arena_unit_address(arena, unit);
	poison_open(heap, (size_t)arena->heap_units << MMVIZ_UNIT_SHIFT);
	heap_init(heap, arena, arena->newest ? arena->newest->head.id + 1 : 1);
	heap_publish(arena, heap);
	change.heap = heap;
	change_mark(&change, unit, arena->heap_units, MMVIZ_UNIT_META, 0);
	change_end(&change);
	return heap;
}

static struct heap *pool_pop(struct mmviz_arena *arena)
{
	struct heap *heap;

	arena_lock(arena);
	heap = arena->pool;
	if (heap)
		arena->pool = heap->pool_next;
	arena_unlock(arena);
	return heap;
}

static void pool_push(struct mmviz_arena *arena, struct heap *heap)
{
	arena_lock(arena);
	heap->pool_next = arena->pool;
	arena->pool = heap;
	arena_unlock(arena);
}

/* Owned meanwhile, each of them: in the child of a fork a heap that is half flushed is nobody's. */
static void flush_pool(struct mmviz_arena *arena)
{
	struct heap *flushed = NULL, *heap;

	while ((heap = pool_pop(arena))) {
		heap->log.thread_id = os_thread_id();
		heap_flush(heap);
		heap->pool_next = flushed;
		flushed = heap;
	}
	while ((heap = flushed)) {
		flushed = heap->pool_next;
		heap->log.thread_id = 0;
		pool_push(arena, heap);
	}
}

void arena_flush(struct mmviz_arena *arena, struct heap *heap)
{
	if (heap)
		heap_flush(heap);
	flush_pool(arena);
	large_flush(arena, heap ? heap : arena->spare);
}

struct heap *arena_heap_take(struct mmviz_arena *arena)
{
	struct heap *heap = pool_pop(arena);

	if (!heap)
		heap = heap_new(arena);
	if (heap)
		return heap;
	arena_flush(arena, NULL);
	heap = pool_pop(arena);
	return heap ? heap : heap_new(arena);
}

void arena_return_spare(struct mmviz_arena *arena, struct heap *owner, struct mmviz_header *header,
			const void *site)
{
	uint64_t incarnation = header->incarnation;
	struct operation operation = {.count = 0};
	listeners_free listeners;

	operation_add(&operation,
		      mmviz_event_what(MMVIZ_EVENT_RETURN, mmviz_word_context(header->word),
				       heap_place(owner, header)),
		      incarnation | (uint64_t)owner->head.id << 32);
	arena_lock(arena);
	heap_return(owner, header, site);
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

/* Base address, capacity and span sizes, from which the size of the books follows. */
static void head_init(struct mmviz_arena_head *head, void *base, size_t bytes)
{
	memset(head, 0, sizeof(*head));
	head->magic = MMVIZ_ARENA_MAGIC;
	head->base_addr = (uint64_t)base;
	head->capacity_bytes = bytes;
	choose_spans(head);
}

/* The caller's memory: the books follow the struct. Returns the units that both take. */
static uint32_t lay_out_own(const struct mmviz_arena_options *options,
			    struct mmviz_arena_head *head)
{
	size_t unit = MMVIZ_UNIT_BYTES;
	char *aligned = (char *)align_up((size_t)options->memory, unit);

	head_init(head, aligned,
		  (options->capacity_bytes - (size_t)(aligned - (char *)options->memory)) &
			  ~(unit - 1));
	head->flags = options->flags | MMVIZ_ARENA_OWN_MEMORY;
	head->map_addr = head->base_addr + align_up(sizeof(struct mmviz_arena), 64);
	return (uint32_t)(align_up(head->map_addr - head->base_addr + books_of(head).bytes, unit) >>
			  MMVIZ_UNIT_SHIFT);
}

/* | ... | books | base: struct mmviz_arena, units ... |, with the books and the first unit
 * committed. 0: no memory. */
static uint32_t lay_out_mapped(const struct mmviz_arena_options *options,
			       struct mmviz_arena_head *head)
{
	size_t bytes = align_up(options->capacity_bytes, MMVIZ_UNIT_BYTES), books, front;
	char *start;

	head_init(head, NULL, bytes); /* any base of this alignment gives books of the same size */
	books = books_of(head).bytes;
	front = align_up(books, BASE_ALIGNMENT_BYTES);
	start = os_reserve(front + bytes, BASE_ALIGNMENT_BYTES);
	if (!start)
		return 0;
	head_init(head, start + front, bytes);
	head->flags = options->flags;
	head->map_addr = head->base_addr - books;
	if (os_commit((void *)head->map_addr, books + MMVIZ_UNIT_BYTES)) {
		os_release(start, front + bytes);
		errno = ENOMEM;
		return 0;
	}
	if (options->flags & MMVIZ_HUGE_PAGES)
		os_huge_pages(start + front, bytes);
	return 1;
}

static void release_memory(const struct mmviz_arena_head *head)
{
	size_t front = align_up(books_of(head).bytes, BASE_ALIGNMENT_BYTES);

	if (!(head->flags & MMVIZ_ARENA_OWN_MEMORY))
		os_release((void *)(head->base_addr - front), front + head->capacity_bytes);
}

/* Write the books of a new arena, whose first `meta_units` are taken. */
static struct mmviz_arena *arena_init(const struct mmviz_arena_head *head, uint32_t meta_units,
				      const char *name)
{
	struct mmviz_arena *arena = (struct mmviz_arena *)head->base_addr;
	struct books books = books_of(head);

	memset(arena, 0, sizeof(*arena));
	arena->head = *head;
	arena->head.heads_addr = head->map_addr + books.heads_offset;
	arena->head.created_ns = os_now_ns();
	arena->head.committed_units = arena->head.frontier_units = meta_units;
	strncpy(arena->head.name, name, sizeof(arena->head.name) - 1);
	arena->units = (uint32_t)(head->capacity_bytes >> MMVIZ_UNIT_SHIFT);
	arena->map = (uint8_t *)head->map_addr;
	arena->heads = (struct mmviz_span *)arena->head.heads_addr;
	arena->owners = (struct magazine **)(arena->map + books.owners_offset);
	arena->dirty = arena->map + books.dirty_offset;
	arena->ages = arena->map + books.ages_offset;
	arena->idle = (uint64_t *)(arena->map + books.idle_offset);
	arena->head.idle_addr = (uint64_t)arena->idle;
	arena->tick = 1;
	arena->allowed_units = arena->units;
	arena->allowed_ns = os_now_ns();
	/* Half of a cell is left over at the end of a span, on average. */
	arena->medium_class =
		span_class_of(head->span_shift[MMVIZ_FIT_SMALL] == 16
				      ? 2048
				      : 1u << (head->span_shift[MMVIZ_FIT_SMALL] - 4)) +
		1;
	arena->cell_max_bytes = 1u << (head->span_shift[MMVIZ_FIT_MEDIUM] - 4);
	if (head->capacity_bytes >= BIG_MIN_CAPACITY_BYTES)
		arena->big_max_bytes = mmviz_class_payload_bytes(MMVIZ_CLASSES - 1);
	arena->heap_units = heap_layout(arena);
	pthread_mutex_init(&arena->lock, NULL);
	if (head->flags & MMVIZ_ARENA_OWN_MEMORY) /* mapped memory is zero, better not touched */
		memset(arena->map, 0, books.extents_offset);
	memset(arena->map, MMVIZ_UNIT_META, meta_units);
	extent_tree_init(&arena->extents,
			 (struct extent_node *)(head->map_addr + books.extents_offset));
	extent_tree_give(&arena->extents, meta_units, arena->units - meta_units);
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
	do /* what an empty magazine leads to must not look like a block: see heap_take */
		arena->head.id = registry_arena_new_id();
	while (span_header_is_whole((const struct mmviz_header *)arena));
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
	uint32_t meta_units;
	int error;

	if (!options || options->options_bytes < sizeof(*options) || !options->name ||
	    !options->name[0] || options->capacity_bytes < CAPACITY_MIN_BYTES ||
	    options->capacity_bytes > MMVIZ_CAPACITY_MAX_BYTES || options->flags & ~FLAGS) {
		errno = EINVAL;
		return NULL;
	}
	meta_units = options->memory ? lay_out_own(options, &head) : lay_out_mapped(options, &head);
	if (!meta_units)
		return NULL;
	arena = arena_init(&head, meta_units, options->name);
	error = arena_publish(arena);
	if (error) {
		release_memory(&head);
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

static int end_for_checker(const struct mmviz_block *block, void *context)
{
	(void)context;
	poison_ended(block->address, block->usable_bytes);
	return 0;
}

void mmviz_arena_destroy(struct mmviz_arena *arena)
{
	if (!arena)
		return;
	if (poison_is_on()) {
		mmviz_arena_walk(arena, end_for_checker, NULL);
		poison_open((const void *)arena->head.base_addr,
			    arena->head.frontier_units << MMVIZ_UNIT_SHIFT);
	}
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
	release_memory(&arena->head);
}

/* No block is live, no span has an owner. */
static void forget_blocks(struct mmviz_arena *arena)
{
	uint64_t last =
		arena->head.base_addr + (arena->head.frontier_units << MMVIZ_UNIT_SHIFT) - 1;
	uint64_t heads = mmviz_head_index(&arena->head, last) + 1;

	memset(arena->idle, 0,
	       (arena->head.frontier_units << MMVIZ_UNIT_SHIFT) / MMVIZ_PLACE_BYTES / 8);
	memset(arena->spare->sampled, 0,
	       (arena->head.frontier_units << MMVIZ_UNIT_SHIFT) / MMVIZ_PLACE_BYTES / 8);
	memset(arena->heads, 0, heads * sizeof(*arena->heads));
	memset(arena->owners, 0, heads * sizeof(struct magazine *));
	arena->was_reset = true;
}

/* Every run of units that is not META becomes one free extent. The heads disown their spans, so
 * that a free of an old block is found out. */
static void free_all_units(struct mmviz_arena *arena)
{
	uint32_t unit = 0, start, frontier = (uint32_t)arena->head.frontier_units;

	extent_tree_init(&arena->extents, arena->extents.nodes);
	while (unit < arena->units) {
		while (unit < arena->units && arena->map[unit] == MMVIZ_UNIT_META)
			unit++;
		start = unit;
		for (; unit < arena->units && arena->map[unit] != MMVIZ_UNIT_META; unit++)
			if (arena->map[unit] >= MMVIZ_UNIT_SPAN)
				arena_head_at(arena, unit)->owner_heap = MMVIZ_HEAP_NONE;
		if (unit > start) {
			memset(arena->map + start, MMVIZ_UNIT_FREE, unit - start);
			extent_tree_give(&arena->extents, start, unit - start);
			if (start < frontier)
				purge_note_free(arena, start,
						(unit < frontier ? unit : frontier) - start);
		}
	}
}

void mmviz_arena_reset(struct mmviz_arena *arena)
{
	struct heap *heap = heap_of_thread(arena);
	struct change change;

	if (poison_is_on())
		mmviz_arena_walk(arena, end_for_checker, NULL);
	change_begin(&change, arena, heap ? heap : arena->spare);
	for (heap = arena_heap_first(arena); heap; heap = heap_next(heap))
		heap_clear(heap);
	memset(arena->bins, 0, sizeof(arena->bins));
	arena->cached_units = arena->large_units = arena->big_units = 0;
	forget_blocks(arena);
	free_all_units(arena);
	operation_add(&change.operation, mmviz_event_what(MMVIZ_EVENT_RESET, 0, 0), 0);
	change_end(&change);
	if (registry_here.semaphores.arena)
		mmviz_probe_arena(arena->head.id, MMVIZ_ARENA_RESET, arena->head.name);
}
