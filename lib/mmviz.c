/* SPDX-License-Identifier: MIT */
/*
 * mmviz.c - the public functions: validate, act, tell.
 *
 * An allocation takes a cell of the caller's own heap, writes its header and counts one event; a
 * free pushes it back. Neither takes a lock or an atomic instruction. Everything that is not this
 * (no heap yet, large, labelled, aligned or guarded blocks, blocks of other threads, listeners,
 * mistakes) is a function of its own, out of line.
 */
#define _GNU_SOURCE
#include <mmviz/mmviz.h>

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "block.h"
#include "error.h"
#include "heap.h"
#include "large.h"
#include "log.h"
#include "probes.h"
#include "sample.h"
#include "span.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline    __attribute__((noinline))

#define CONTEXT_MASK (MMVIZ_CONTEXTS_MAX - 1)
#define GUARD_BYTES  16u
#define GUARD_BYTE   0xa7

static char *label_of(struct mmviz_header *header)
{
	return (char *)header - MMVIZ_LABEL_BYTES;
}

/* ------------------------------------------------------------------ telling */

/* What a per-event probe says of a block: its label, or its tag's name. */
static const char *text_of(struct mmviz_header *header, uint32_t context, bool is_labelled)
{
	return is_labelled ? label_of(header) : registry_context_name(context);
}

/* Somebody listens: sample, log the ALLOC, fire the per-event probe. Returns the block. */
static noinline void *tell_alloc(struct heap *heap, struct mmviz_header *header, bool is_labelled,
				 listeners_alloc listeners)
{
	uint64_t word = header->word, bytes = mmviz_word_bytes(word), arena_id = heap->log.arena_id;
	uint32_t context = mmviz_word_context(word);
	uint64_t what = mmviz_event_what(MMVIZ_EVENT_ALLOC, context, heap_place(heap, header));

	if (LISTENS_SAMPLE(listeners))
		sample_alloc(heap, header);
	if (is_labelled) {
		struct operation operation = {.events = {{what, bytes | MMVIZ_ALLOC_LABELLED}},
					      .count = 3};

		memcpy(&operation.events[1], label_of(header), MMVIZ_LABEL_BYTES);
		log_store(heap, &operation, LISTENS_BATCH_ALLOC(listeners));
		log_flush(heap);
	} else if (LISTENS_BATCH_ALLOC(listeners)) {
		log_one(heap, what, bytes);
	} else {
		log_count(heap, 1);
	}
	if (LISTENS_ALLOC(listeners))
		mmviz_probe_alloc(arena_id, (uint64_t)(header + 1), bytes, context,
				  text_of(header, context, is_labelled));
	return header + 1;
}

/* Somebody listens to a block's end, whose header is still as it was. `heap`: any of the arena. */
static noinline void tell_freed(const struct heap *heap, struct mmviz_header *header,
				bool is_labelled, listeners_free listeners)
{
	bool is_sampled =
		LISTENS_SAMPLE_FREE(listeners) && heap_take_sampled(heap, heap_place(heap, header));
	uint64_t word = LISTENS_FREE(listeners) || is_sampled ? header->word : 0;
	uint32_t context = mmviz_word_context(word);

	if (LISTENS_FREE(listeners))
		mmviz_probe_free(heap->log.arena_id, (uint64_t)(header + 1), mmviz_word_bytes(word),
				 context, text_of(header, context, is_labelled));
	if (is_sampled)
		mmviz_probe_sample_free(heap->log.arena_id, (uint64_t)(header + 1),
					mmviz_word_bytes(word), context, sample_period_bytes());
}

/* Somebody listens to a free of the heap's own block: log it and tell it. */
static noinline void tell_free(struct heap *heap, struct mmviz_header *header, bool is_labelled,
			       listeners_free listeners)
{
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap, mmviz_event_what(MMVIZ_EVENT_FREE, 0, heap_place(heap, header)), 0);
	else
		log_count(heap, 1);
	if (LISTENS_FREE(listeners) || LISTENS_SAMPLE_FREE(listeners))
		tell_freed(heap, header, is_labelled, listeners);
}

/* ------------------------------------------------------------------ a block is born */

static inline void write_header(struct mmviz_header *header, uint64_t word, uint64_t seq)
{
	header->word = word;
	STEP();
	header->check = mmviz_check_word((uint64_t)header, word);
	STEP();
	header->incarnation = (uint32_t)seq;
	STEP();
}

/* Headers first, then who listens, then the event, then seq: the order that the replica's exactness
 * stands on. */
static inline void *block_born(struct heap *heap, struct mmviz_header *header, uint64_t word,
			       bool is_labelled)
{
	listeners_alloc listeners;

#ifdef MMVIZ_CHAOS
	listeners = listeners_of_alloc();
	if (rule_off(RULE_SEQ_LAST)) {
		uint64_t seq = heap->log.seq;

		header->word = word;
		tell_alloc(heap, header, is_labelled, listeners);
		header->word = 0;
		STEP();
		write_header(header, word, seq);
		heap_set_live(heap, heap_place(heap, header));
		return header + 1;
	}
	STEP();
	write_header(header, word, heap->log.seq);
	heap_set_live(heap, heap_place(heap, header));
	STEP();
	if (!rule_off(RULE_SEMAPHORE_LATE))
		listeners = listeners_of_alloc();
#else
	write_header(header, word, heap->log.seq);
	heap_set_live(heap, heap_place(heap, header));
	listeners = listeners_of_alloc();
#endif
	if (unlikely(listeners))
		return tell_alloc(heap, header, is_labelled, listeners);
	log_count(heap, is_labelled ? 3 : 1);
	return header + 1;
}

static noinline void *out_of_memory(struct mmviz_arena *arena)
{
	error_report(arena, MMVIZ_ERROR_OUT_OF_MEMORY, NULL, NULL);
	errno = ENOMEM;
	return NULL;
}

static void write_guard(void *block, size_t bytes)
{
	memset((char *)block + bytes, GUARD_BYTE, GUARD_BYTES);
}

static bool guard_is_whole(const void *block, size_t bytes)
{
	for (size_t i = 0; i < GUARD_BYTES; i++)
		if (((const unsigned char *)block)[bytes + i] != GUARD_BYTE)
			return false;
	return true;
}

/* What the general way in is asked for. */
struct wish {
	size_t bytes, alignment;
	unsigned shape;
	uint32_t context;  /* 0: the call site */
	const char *label; /* 32 bytes, with shape LABELLED */
	const void *site;
};

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
	header = large_take(arena, heap, &request);
	if (!header)
		return out_of_memory(arena);
	if (unlikely(LISTENS_ALLOC(listeners)))
		mmviz_probe_alloc(arena->head.id, (uint64_t)(header + 1), wish->bytes,
				  wish->context, text_of(header, wish->context, wish->label));
	if (unlikely(LISTENS_SAMPLE(listeners)))
		heap_take_sampled(heap, heap_place(heap, header));
	if (unlikely(weight)) {
		heap_set_sampled(heap, heap_place(heap, header));
		mmviz_probe_sample(arena->head.id, (uint64_t)(header + 1), wish->bytes,
				   wish->context, weight);
	}
	return header + 1;
}

/* Every allocation that the fast path does not make. */
static noinline void *alloc_wish(struct mmviz_arena *arena, struct wish *wish)
{
	struct heap *heap = heap_of_thread(arena);
	bool is_guarded = arena->head.flags & MMVIZ_ARENA_GUARD_BYTES;
	size_t room_bytes = wish->bytes + (is_guarded ? GUARD_BYTES : 0);
	struct mmviz_header *header;
	unsigned size_class;
	void *block;

	if (!heap)
		return out_of_memory(arena);
	if (room_bytes < wish->bytes)
		return out_of_memory(arena);
	if (!wish->context)
		wish->context = heap_site(heap, wish->site);
	if (room_bytes > arena->cell_max_bytes || wish->alignment > 64) {
		block = born_large(arena, heap, wish, room_bytes);
	} else {
		size_class = class_for(room_bytes, wish->shape);
		header = heap_take_slow(heap, wish->shape * MMVIZ_CLASSES + size_class);
		if (!header)
			return out_of_memory(arena);
		if (wish->label)
			memcpy(label_of(header), wish->label, MMVIZ_LABEL_BYTES);
		block = block_born(heap, header,
				   mmviz_word_make(wish->bytes, wish->context,
						   size_class >= heap->medium_class,
						   MMVIZ_LIFE_LIVE),
				   wish->label);
	}
	if (is_guarded && block)
		write_guard(block, wish->bytes);
	return block;
}

static noinline void *alloc_general(struct mmviz_arena *arena, size_t bytes, uint32_t context,
				    const void *site)
{
	struct wish wish = {.bytes = bytes, .context = context, .site = site};

	return alloc_wish(arena, &wish);
}

/* The way in for most: everything rarer leaves by a tail call, so that nothing is saved and
 * restored here. */
static inline void *alloc_plain(struct mmviz_arena *arena, size_t bytes, uint32_t context,
				const void *site)
{
	struct heap *heap = thread_heaps[arena->slot];
	struct mmviz_header *header;
	unsigned size_class;

	context &= CONTEXT_MASK;
	if (unlikely(!heap || bytes - 1 >= heap->cell_max_bytes))
		return alloc_general(arena, bytes, context, site);
	if (!context) {
		context = heap_site_cached(heap, site);
		if (unlikely(!context))
			return alloc_general(arena, bytes, 0, site);
	}
	size_class = span_class_of(bytes);
	header = heap_take(heap, MMVIZ_SHAPE_PLAIN * MMVIZ_CLASSES + size_class);
	if (unlikely(!header))
		return alloc_general(arena, bytes, context, site);
	return block_born(
		heap, header,
		mmviz_word_make(bytes, context, size_class >= heap->medium_class, MMVIZ_LIFE_LIVE),
		false);
}

void *block_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag, const void *site)
{
	return alloc_plain(arena, bytes, tag, site);
}

void *mmviz_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag)
{
	return alloc_plain(arena, bytes, tag, __builtin_return_address(0));
}

void *block_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag,
		   const void *site)
{
	size_t total;
	void *block;

	if (__builtin_mul_overflow(count, bytes, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	block = alloc_plain(arena, total, tag, site);
	return block ? memset(block, 0, total) : NULL;
}

void *mmviz_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag)
{
	return block_calloc(arena, count, bytes, tag, __builtin_return_address(0));
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

	if (!alignment || (alignment & (alignment - 1))) {
		errno = EINVAL;
		return NULL;
	}
	if (alignment > arena->head.capacity_bytes)
		return out_of_memory(arena);
	return alloc_wish(arena, &wish);
}

void *mmviz_alloc_aligned(struct mmviz_arena *arena, size_t alignment, size_t bytes, mmviz_tag tag)
{
	if (alignment > (2u << 20)) {
		errno = EINVAL;
		return NULL;
	}
	return block_alloc_aligned(arena, alignment, bytes, tag, __builtin_return_address(0));
}

void *mmviz_alloc_labeled(struct mmviz_arena *arena, size_t bytes, const char *label)
{
	char copy[MMVIZ_LABEL_BYTES] = "";
	struct wish wish = {
		.bytes = bytes,
		.shape = label ? MMVIZ_SHAPE_LABELLED : MMVIZ_SHAPE_PLAIN,
		.label = label ? copy : NULL,
		.site = __builtin_return_address(0),
	};

	if (label)
		memcpy(copy, label, strnlen(label, MMVIZ_LABEL_BYTES - 1));
	return alloc_wish(arena, &wish);
}

/* ------------------------------------------------------------------ a block ends */

static noinline void bad_free(struct mmviz_arena *arena, const void *block, const void *site)
{
	error_report(arena, error_of_block(arena, block), block, site);
}

/* Whether a live block of this arena can begin here: address, live bit and header say so. */
static bool is_live_block(const struct mmviz_arena *arena, const void *block)
{
	uint64_t header_addr = (uint64_t)block - MMVIZ_HEADER_BYTES;
	const struct mmviz_header *header = (const struct mmviz_header *)header_addr;

	return header_addr - arena->head.base_addr < arena_readable_bytes(arena) &&
	       !((uint64_t)block & 15) && arena_is_live(arena, header) &&
	       span_header_is_whole(header);
}

/* The guard bytes behind a block of a guarded arena; reports an overrun. False: leave the block
 * alone. */
static bool guard_check(struct mmviz_arena *arena, const void *block, uint64_t word,
			const void *site)
{
	if (!(arena->head.flags & MMVIZ_ARENA_GUARD_BYTES) ||
	    guard_is_whole(block, mmviz_word_bytes(word)))
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
static noinline void free_foreign(struct mmviz_arena *arena, struct heap *heap,
				  struct mmviz_span *span, struct mmviz_header *header)
{
	struct heap *owner = arena_heap_by_id(arena, span->owner_heap);
	uint32_t incarnation = header->incarnation;
	uint64_t word = header->word;
	bool is_labelled = span->shape == MMVIZ_SHAPE_LABELLED;
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
		arena_return_spare(arena, owner, header, word);
		return;
	}
	if (rule_off(RULE_HEADER_BEFORE_PUSH)) {
		tell_return(heap, owner, header, word, incarnation);
		for (int i = 0; i < 10; i++) /* as wide as an operation */
			STEP();
		heap_return(owner, header);
		return;
	}
	heap_return(owner, header);
	tell_return(heap, owner, header, word, incarnation);
}

static noinline void free_large(struct mmviz_arena *arena, struct heap *heap,
				struct mmviz_header *header, const void *site)
{
	listeners_free listeners = listeners_of_free();

	if (unlikely(LISTENS_FREE(listeners) || LISTENS_SAMPLE_FREE(listeners)))
		tell_freed(arena->spare, header,
			   span_of_large(header + 1)->shape == MMVIZ_SHAPE_LABELLED, listeners);
	if (large_give(arena, heap, header))
		error_report(arena, error_of_block(arena, header + 1), header + 1, site);
}

/* Every free that the fast path does not make; the header is examined at once. */
static noinline void free_general(struct mmviz_arena *arena, void *block, const void *site)
{
	struct mmviz_header *header;
	struct mmviz_span *span;
	struct heap *heap;
	unsigned fit;

	if (!block)
		return;
	if (!is_live_block(arena, block)) {
		bad_free(arena, block, site);
		return;
	}
	heap = heap_of_thread(arena);
	header = (struct mmviz_header *)block - 1;
	fit = mmviz_word_fit(header->word);
	if (!guard_check(arena, block, header->word, site))
		return;
	if (fit == MMVIZ_FIT_LARGE) {
		free_large(arena, heap, header, site);
		return;
	}
	span = arena_span_of(arena, block, fit);
	if (!heap || span->owner_heap != heap->head.id) {
		free_foreign(arena, heap, span, header);
		return;
	}
	heap_clear_live(heap, heap_place(heap, header));
	STEP();
	tell_free(heap, header, span->shape == MMVIZ_SHAPE_LABELLED, listeners_of_free());
	heap_wait(heap, header, span->magazine, site);
}

/* Somebody listens to the fast path's free. */
static noinline void free_told(struct heap *heap, struct mmviz_header *header, uint32_t magazine,
			       const void *site, listeners_free listeners)
{
	tell_free(heap, header, magazine / MMVIZ_CLASSES == MMVIZ_SHAPE_LABELLED, listeners);
	heap_wait(heap, header, magazine, site);
}

/*
 * The way out for most: the live bit says that this is a block, a head says that it is ours. The
 * header is not read: its line may be far away.
 */
static inline void free_block(struct mmviz_arena *arena, void *block, const void *site)
{
	struct heap *heap = thread_heaps[arena->slot];
	struct mmviz_header *header = (struct mmviz_header *)((uint64_t)block - MMVIZ_HEADER_BYTES);
	const struct mmviz_span *span;
	listeners_free listeners;
	uint64_t place;

	if (unlikely(!heap)) {
		free_general(arena, block, site);
		return;
	}
	/* Rotated, an offset that is no multiple of a place is beyond every arena. */
	place = (uint64_t)header - heap->base_addr;
	place = place >> MMVIZ_PLACE_SHIFT | place << (64 - MMVIZ_PLACE_SHIFT);
	if (unlikely(place >= heap->places || !heap_is_live(heap, (uint32_t)place))) {
		free_general(arena, block, site);
		return;
	}
	span = heap_any_head(heap, block);
	if (unlikely(span->owner_heap != heap->head.id || (span->flags & SPAN_GUARDED))) {
		free_general(arena, block, site);
		return;
	}
	heap_clear_live(heap, (uint32_t)place);
	STEP();
	listeners = listeners_of_free();
	if (unlikely(listeners)) {
		free_told(heap, header, span->magazine, site, listeners);
		return;
	}
	log_count(heap, 1);
	heap_wait(heap, header, span->magazine, site);
}

void block_free(struct mmviz_arena *arena, void *block, const void *site)
{
	free_block(arena, block, site);
}

void mmviz_free(struct mmviz_arena *arena, void *block)
{
	free_block(arena, block, __builtin_return_address(0));
}

/* ------------------------------------------------------------------ realloc */

/* A cell is kept if the new size fits and uses at least half of it. */
static bool cell_suits(const struct mmviz_span *span, size_t room_bytes)
{
	size_t payload = mmviz_class_payload_bytes(span->size_class);

	return room_bytes <= payload && room_bytes * 2 + 64 > payload;
}

/* 0: done. Only the owner may change a cell; a large block is changed under the lock. */
static int resize_in_place(struct mmviz_arena *arena, struct heap *heap,
			   struct mmviz_header *header, size_t bytes, uint32_t context)
{
	size_t guard = arena->head.flags & MMVIZ_ARENA_GUARD_BYTES ? GUARD_BYTES : 0;
	uint64_t word = header->word;
	unsigned fit = mmviz_word_fit(word);
	listeners_free listeners;
	struct mmviz_span *span;

	if (fit == MMVIZ_FIT_LARGE)
		return bytes + guard > arena->cell_max_bytes
			       ? large_resize(arena, heap, header, bytes, context, guard)
			       : -ENOMEM;
	span = arena_span_of(arena, header + 1, fit);
	if (span->owner_heap != heap->head.id || !cell_suits(span, bytes + guard))
		return -ENOMEM;
	word = mmviz_word_make(bytes, context, fit, MMVIZ_LIFE_LIVE);
	header->word = word;
	STEP();
	header->check = mmviz_check_word((uint64_t)header, word);
	listeners = listeners_of_free();
	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap,
			mmviz_event_what(MMVIZ_EVENT_RESIZE, context, heap_place(heap, header)),
			bytes);
	else
		log_count(heap, 1);
	return 0;
}

/* For those who follow single events, a block that changes in place ends and is born again. */
static void tell_resized(struct mmviz_arena *arena, struct mmviz_header *header, uint64_t old_word,
			 bool is_labelled)
{
	uint32_t context = mmviz_word_context(header->word);

	if (registry_here.semaphores.free)
		mmviz_probe_free(arena->head.id, (uint64_t)(header + 1), mmviz_word_bytes(old_word),
				 mmviz_word_context(old_word),
				 text_of(header, mmviz_word_context(old_word), is_labelled));
	if (registry_here.semaphores.alloc)
		mmviz_probe_alloc(arena->head.id, (uint64_t)(header + 1),
				  mmviz_word_bytes(header->word), context,
				  text_of(header, context, is_labelled));
}

static struct mmviz_span *span_of_block(const struct mmviz_arena *arena, const void *block)
{
	unsigned fit = mmviz_word_fit(((const struct mmviz_header *)block - 1)->word);

	return fit == MMVIZ_FIT_LARGE ? span_of_large(block) : arena_span_of(arena, block, fit);
}

static void *realloc_moved(struct mmviz_arena *arena, void *block, struct wish *wish)
{
	struct mmviz_header *header = (struct mmviz_header *)block - 1;
	const struct mmviz_span *span = span_of_block(arena, block);
	size_t old_bytes = arena->head.flags & MMVIZ_ARENA_GUARD_BYTES
				   ? mmviz_word_bytes(header->word)
				   : span_usable_bytes(span); /* the program may use all of them */
	void *moved;

	wish->shape = span->shape;
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
		return alloc_plain(arena, bytes, tag, site);
	if (!is_live_block(arena, block)) {
		bad_free(arena, block, site);
		errno = EINVAL;
		return NULL;
	}
	if (bytes > arena->head.capacity_bytes)
		return out_of_memory(arena); /* before any sum of it can overflow */
	header = (struct mmviz_header *)block - 1;
	word = header->word;
	if (!wish.context)
		wish.context = mmviz_word_context(word);
	if (!guard_check(arena, block, word, site)) {
		errno = EINVAL;
		return NULL;
	}
	heap = heap_of_thread(arena);
	if (!heap || resize_in_place(arena, heap, header, bytes, wish.context))
		return realloc_moved(arena, block, &wish);
	if (arena->head.flags & MMVIZ_ARENA_GUARD_BYTES)
		write_guard(block, bytes);
	tell_resized(arena, header, word,
		     span_of_block(arena, block)->shape == MMVIZ_SHAPE_LABELLED);
	return block;
}

void *mmviz_realloc(struct mmviz_arena *arena, void *block, size_t bytes, mmviz_tag tag)
{
	return block_realloc(arena, block, bytes, tag, __builtin_return_address(0));
}

size_t mmviz_usable_bytes(const void *block)
{
	const struct mmviz_arena *arena = block ? registry_arena_of(block) : NULL;

	if (!arena)
		return 0;
	if (arena->head.flags & MMVIZ_ARENA_GUARD_BYTES)
		return mmviz_word_bytes(((const struct mmviz_header *)block - 1)->word);
	return span_usable_bytes(span_of_block(arena, block));
}

/* ------------------------------------------------------------------ names */

mmviz_tag mmviz_tag_intern(const char *name)
{
	return name && name[0] ? registry_intern_name(name, strlen(name)) : 0;
}

const char *mmviz_tag_name(mmviz_tag tag)
{
	struct mmviz_context context = registry_context(tag);

	return context.kind == MMVIZ_CONTEXT_TAG ? (const char *)context.value : NULL;
}

void mmviz_mark(const char *phase)
{
	if (phase)
		registry_mark(phase);
}
