/* SPDX-License-Identifier: MIT */
/* large.c - see large.h. */
#include "large.h"

#include <errno.h>
#include <string.h>

#include "change.h"
#include "poison.h"
#include "purge.h"

#define CACHE_UNITS ((1u << 20) >> MMVIZ_UNIT_SHIFT) /* what the bins may hold in any case */
#define ROUNDED_UNITS_MIN                                                                          \
	((4u << 20) >> MMVIZ_UNIT_SHIFT) /* smaller arenas have no room to round up */

/* Bytes from the first unit's start to the payload: the span's head, label and header, aligned. */
static size_t front_bytes_for(size_t alignment)
{
	size_t front = MMVIZ_SPAN_HEAD_BYTES + mmviz_shape_front_bytes(MMVIZ_SHAPE_LABELLED);

	alignment = alignment < 64		   ? 64
		    : alignment > MMVIZ_UNIT_BYTES ? MMVIZ_UNIT_BYTES
						   : alignment;
	return (front + alignment - 1) & ~(alignment - 1);
}

/* What the head says of the one cell; more than 32 bits are the most they can say, and `units` has it
 * all. */
static uint32_t cell_bytes_for(uint64_t units, uint32_t front_bytes)
{
	uint64_t bytes = (units << MMVIZ_UNIT_SHIFT) - front_bytes + MMVIZ_HEADER_BYTES;

	return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

/* A payload of no bytes lies in the block's units, too: its address must not be another block's. */
static uint64_t units_for(size_t front_bytes, size_t bytes)
{
	return (front_bytes + (uint64_t)bytes + !bytes + MMVIZ_UNIT_BYTES - 1) >> MMVIZ_UNIT_SHIFT;
}

/* Write span head, label and header of a new large block. `birth`: the number of its ALLOC event.
 */
static struct mmviz_header *init_block(struct mmviz_span *span, uint32_t units,
				       const struct large_request *request, uint64_t birth)
{
	uint32_t front = (uint32_t)front_bytes_for(request->alignment);
	struct mmviz_header *header = (struct mmviz_header *)((char *)span + front) - 1;
	uint64_t word = mmviz_word_make(request->bytes, request->context, 1, MMVIZ_LIFE_LIVE);

	*span = (struct mmviz_span){
		.owner_heap = MMVIZ_HEAP_NONE,
		.units = units,
		.first_header_bytes = front - MMVIZ_HEADER_BYTES,
		.cell_bytes = cell_bytes_for(units, front),
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
	header->incarnation = mmviz_incarnation(birth);
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

/* ------------------------------------------------------------------ classes of length, bins */

/* Lengths have the same classes as payloads, with a unit for 16 bytes. */
static unsigned run_class(uint32_t units)
{
	return span_class_of((size_t)units * 16);
}
static bool has_run_class(const struct mmviz_arena *arena, uint64_t units)
{
	return arena->units >= ROUNDED_UNITS_MIN && units * 16 <= SPAN_TABLE_BYTES;
}
static uint32_t rounded_units(const struct mmviz_arena *arena, uint32_t units)
{
	return has_run_class(arena, units) ? mmviz_class_payload_bytes(run_class(units)) / 16
					   : units;
}

/* Put a freed block into its bin; false: it has none, or the bins hold enough. */
static bool bin_push(struct mmviz_arena *arena, struct mmviz_span *span)
{
	uint32_t unit = arena_unit(arena, span), newest;
	unsigned size_class;

	if (rounded_units(arena, span->units) != span->units ||
	    !has_run_class(arena, span->units) ||
	    arena->cached_units + span->units > arena->large_units / 8 + CACHE_UNITS)
		return false;
	size_class = run_class(span->units);
	newest = arena->bins[size_class].newest;
	span->used_cells = 0;
	span->freed_tick = arena->tick;
	span->next_unit = newest;
	span->prev_unit = 0;
	if (newest)
		((struct mmviz_span *)arena_unit_address(arena, newest))->prev_unit = unit;
	else
		arena->bins[size_class].oldest = unit;
	arena->bins[size_class].newest = unit;
	arena->cached_units += span->units;
	return true;
}

static void bin_remove(struct mmviz_arena *arena, const struct mmviz_span *span)
{
	unsigned size_class = run_class(span->units);

	if (span->prev_unit)
		((struct mmviz_span *)arena_unit_address(arena, span->prev_unit))->next_unit =
			span->next_unit;
	else
		arena->bins[size_class].newest = span->next_unit;
	if (span->next_unit)
		((struct mmviz_span *)arena_unit_address(arena, span->next_unit))->prev_unit =
			span->prev_unit;
	else
		arena->bins[size_class].oldest = span->prev_unit;
	arena->cached_units -= span->units;
}

/* A freed block of this many (rounded) units, or EXTENT_NONE. */
static uint32_t bin_pop(struct mmviz_arena *arena, uint32_t units)
{
	uint32_t unit;

	if (!has_run_class(arena, units) || rounded_units(arena, units) != units)
		return EXTENT_NONE;
	unit = arena->bins[run_class(units)].newest;
	if (!unit)
		return EXTENT_NONE;
	bin_remove(arena, arena_unit_address(arena, unit));
	return unit;
}

static void give_run(struct change *change, const struct mmviz_span *span)
{
	uint32_t units = span->units, unit = arena_unit(change->arena, span);

	change->arena->large_units -= units;
	change_give(change, unit, units);
}

/* A freed block that has waited for `ticks` ticks, out of its bin; NULL: there is none. */
static struct mmviz_span *bin_pop_stale(struct mmviz_arena *arena, unsigned ticks)
{
	for (unsigned size_class = 0; size_class < SPAN_TABLE_CLASSES; size_class++) {
		uint32_t oldest = arena->bins[size_class].oldest;
		struct mmviz_span *span = arena_unit_address(arena, oldest);

		if (!oldest || purge_age(arena, (uint8_t)span->freed_tick) < ticks)
			continue;
		bin_remove(arena, span);
		return span;
	}
	return NULL;
}

/* Empty the bins of what has waited for `ticks` ticks, told in the log of `heap`. */
static void flush(struct mmviz_arena *arena, struct heap *heap, unsigned ticks)
{
	const struct mmviz_span *span;
	struct change change;
	uint32_t unit, units;

	for (;;) {
		change_begin(&change, arena, heap);
		span = bin_pop_stale(arena, ticks);
		if (!span)
			break;
		unit = arena_unit(arena, span);
		units = span->units;
		give_run(&change, span);
		if (ticks)
			purge_note_stale(arena, unit, units);
		change_end(&change);
	}
	change_cancel(&change);
}

void large_flush(struct mmviz_arena *arena, struct heap *heap)
{
	flush(arena, heap, 0);
}

void large_expire(struct mmviz_arena *arena, unsigned ticks)
{
	flush(arena, arena->spare, ticks);
}

/* ------------------------------------------------------------------ take, give, resize */

/* Units from a bin or from the tree; a fresh run counts as large from here on. */
static uint32_t take_run(struct change *change, uint32_t units, size_t alignment)
{
	struct mmviz_arena *arena = change->arena;
	uint32_t unit = EXTENT_NONE, unit_alignment = (uint32_t)(alignment >> MMVIZ_UNIT_SHIFT);

	if (unit_alignment <= 1)
		unit = bin_pop(arena, units);
	if (unit != EXTENT_NONE)
		return unit;
	unit = unit_alignment <= 1 ? change_take(change, units, 1, 0)
				   : change_take(change, units, unit_alignment, 1);
	if (unit != EXTENT_NONE)
		arena->large_units += units;
	return unit;
}

static struct mmviz_header *take(struct mmviz_arena *arena, struct heap *heap,
				 const struct large_request *request, uint32_t units)
{
	struct mmviz_header *header;
	struct change change;
	uint32_t unit, before;

	change_begin(&change, arena, heap);
	unit = take_run(&change, units, request->alignment);
	if (unit == EXTENT_NONE) {
		change_cancel(&change);
		return NULL;
	}
	/* ORDER, COMMIT if the arena grew, UNITS; then comes the ALLOC, whose number is the block's
	 * incarnation. */
	before = arena->head.frontier_units != change.frontier_before ? 3 : 2;
	poison_cells(arena_unit_address(arena, unit), (size_t)units << MMVIZ_UNIT_SHIFT);
	header =
		init_block(arena_unit_address(arena, unit), units, request, heap->log.seq + before);
	change_mark(&change, unit, units, MMVIZ_UNIT_LARGE, request->shape);
	tell_born(&change, header, request);
	change_end(&change);
	return header;
}

struct mmviz_header *large_take(struct mmviz_arena *arena, struct heap *heap,
				const struct large_request *request)
{
	uint64_t wanted = units_for(front_bytes_for(request->alignment),
				    request->bytes + request->extra_bytes);
	struct mmviz_header *header;

	if (request->bytes > arena->head.capacity_bytes || wanted > arena->units)
		return NULL;
	header = take(arena, heap, request, rounded_units(arena, (uint32_t)wanted));
	if (header)
		return header;
	arena_flush(arena, heap);
	return take(arena, heap, request, (uint32_t)wanted);
}

int large_give(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
	       const void *site)
{
	struct mmviz_span *span = span_of_large(header + 1);
	struct change change;
	uint64_t word;

	change_begin(&change, arena, heap ? heap : arena->spare);
	word = header->word;
	if (!heap_is_own_live(header) || arena->map[arena_unit(arena, span)] != MMVIZ_UNIT_LARGE) {
		change_cancel(&change);
		return -EINVAL;
	}
	span_mark_freed(header, site);
	span_header_flip_idle(header); /* no free cell, should it come to lie in a span */
	operation_add(&change.operation,
		      mmviz_event_what(MMVIZ_EVENT_FREE, mmviz_word_context(word),
				       heap_place(change.heap, header)),
		      0);
	STEP();
	if (!bin_push(arena, span))
		give_run(&change, span);
	change_end(&change);
	return 0;
}

/* Units that a block keeps when it becomes `wanted` units long: all of them, if it is not much too
 * long. */
static uint32_t kept_units(const struct mmviz_arena *arena, uint32_t has, uint32_t wanted)
{
	uint32_t rounded = rounded_units(arena, wanted);

	return has >= wanted && has <= rounded ? has : rounded;
}

int large_resize(struct mmviz_arena *arena, struct heap *heap, struct mmviz_header *header,
		 size_t bytes, uint32_t context, size_t extra_bytes)
{
	struct mmviz_span *span = span_of_large(header + 1);
	uint32_t front = span->first_header_bytes + MMVIZ_HEADER_BYTES,
		 unit = arena_unit(arena, span);
	uint64_t wanted = units_for(front, bytes + extra_bytes), word;
	struct change change;
	uint32_t has, units;

	if (bytes > arena->head.capacity_bytes || wanted > arena->units)
		return -ENOMEM;
	change_begin(&change, arena, heap);
	has = span->units;
	units = kept_units(arena, has, (uint32_t)wanted);
	if (units > has && change_take_at(&change, unit + has, units - has)) {
		change_cancel(&change);
		return -ENOMEM;
	}
	arena->large_units += units;
	arena->large_units -= has;
	span->units = units;
	span->cell_bytes = cell_bytes_for(units, front);
	STEP();
	word = mmviz_word_make(bytes, context, 1, MMVIZ_LIFE_LIVE);
	header->word = word;
	header->check = mmviz_check_word((uint64_t)header, word);
	if (units != has)
		change_mark(&change, unit, units, MMVIZ_UNIT_LARGE, span->shape);
	operation_add(&change.operation,
		      mmviz_event_what(MMVIZ_EVENT_RESIZE, context, heap_place(heap, header)),
		      bytes);
	if (units < has)
		change_give(&change, unit + units, has - units);
	change_end(&change);
	return 0;
}
