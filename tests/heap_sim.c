/* SPDX-License-Identifier: MIT */
/*
 * heap_sim.c - see heap_sim.h.
 */
#include "heap_sim.h"

#include <assert.h>
#include <string.h>

#define SMALL_SHIFT  13u
#define MEDIUM_SHIFT 14u
#define PLACES_EACH  (MMVIZ_UNIT_BYTES / MMVIZ_PLACE_BYTES)

enum phase { PHASE_NONE, PHASE_SEMAPHORE, PHASE_EVENTS, PHASE_SEQ, PHASE_UNLOCK };

/* ------------------------------------------------------------------ places */

static uint32_t unit_place(uint32_t unit)
{
	return unit * PLACES_EACH;
}

static uint32_t cell_place(const struct mmviz_span *head, uint32_t unit, uint32_t cell)
{
	return unit_place(unit) + (head->first_header_bytes + cell * head->cell_bytes) / 16;
}

/* The first unit of what holds `unit`; SIM_UNITS: nothing. */
static uint32_t start_of(const struct heap_sim *sim, uint32_t unit)
{
	while (unit > 0 && sim->map[unit] == MMVIZ_UNIT_CONTINUATION)
		unit--;
	return sim->map[unit] >= MMVIZ_UNIT_LARGE && sim->spans[unit] ? unit : SIM_UNITS;
}

static struct sim_cell *find_cell(const struct heap_sim *sim, uint32_t place)
{
	uint32_t start = start_of(sim, place / PLACES_EACH), offset;
	struct sim_span *span;

	if (start == SIM_UNITS)
		return NULL;
	span = sim->spans[start];
	offset = (place - unit_place(start)) * 16;
	if (offset < span->head.first_header_bytes)
		return NULL;
	offset -= span->head.first_header_bytes;
	if (offset % span->head.cell_bytes || offset / span->head.cell_bytes >= span->head.cells)
		return NULL;
	return &span->cells[offset / span->head.cell_bytes];
}

unsigned sim_cell_life(const struct sim_cell *cell)
{
	const struct mmviz_header header = {
		.word = mmviz_word_make(cell->bytes, cell->context, 0, cell->life),
		.incarnation = cell->incarnation,
	};

	if (mmviz_header_is_live(&header))
		return MMVIZ_LIFE_LIVE;
	return cell->life == MMVIZ_LIFE_RETURNED ? MMVIZ_LIFE_RETURNED : MMVIZ_LIFE_CACHED;
}

const struct sim_cell *heap_sim_header_at(const struct heap_sim *sim, uint32_t place)
{
	return find_cell(sim, place);
}

/* ------------------------------------------------------------------ operations in the making */

static uint32_t heap_id(const struct heap_sim *sim, const struct sim_heap *heap)
{
	return (uint32_t)(heap - sim->heaps) + 1;
}

static void tell(struct sim_heap *heap, uint64_t what, uint64_t data)
{
	heap->events[heap->events_count++] = (struct mmviz_event){what, data};
}

static void begin(struct heap_sim *sim, struct sim_heap *heap, bool is_structural)
{
	heap->events_count = 0;
	heap->is_structural = is_structural;
	heap->phase = PHASE_SEMAPHORE;
	sim->operations++;
	if (!is_structural)
		return;
	assert(sim->locked_by < 0);
	sim->locked_by = (int)(heap - sim->heaps);
	tell(heap, mmviz_event_what(MMVIZ_EVENT_ORDER, 0, 0), sim->order + 1);
}

static void tell_units(struct sim_heap *heap, uint32_t unit, uint32_t units, unsigned code,
		       unsigned shape)
{
	tell(heap, mmviz_event_what(MMVIZ_EVENT_UNITS, 0, unit_place(unit)),
	     (uint64_t)shape << 40 | (uint64_t)code << 32 | units);
}

static void set_map(struct heap_sim *sim, uint32_t unit, uint32_t units, unsigned first,
		    unsigned rest)
{
	sim->map[unit] = (uint8_t)first;
	memset(sim->map + unit + 1, (int)rest, units - 1);
}

/* First fit of free units, aligned; grows what is committed when needed. SIM_UNITS: none. */
static uint32_t find_units(struct heap_sim *sim, uint32_t units, uint32_t alignment)
{
	for (uint32_t unit = SIM_BOOKS; unit + units <= SIM_UNITS; unit++) {
		uint32_t run = 0;

		while (run < units && sim->map[unit + run] == MMVIZ_UNIT_FREE)
			run++;
		if (run == units && unit % alignment == 0)
			return unit;
	}
	return SIM_UNITS;
}

static void tell_growth(struct heap_sim *sim, struct sim_heap *heap, uint32_t end)
{
	if (end <= sim->committed_units)
		return;
	sim->committed_units = end + 8 < SIM_UNITS ? end + 8 : SIM_UNITS;
	tell(heap, mmviz_event_what(MMVIZ_EVENT_COMMIT, 0, 0), sim->committed_units);
}

static void free_units(struct heap_sim *sim, struct sim_heap *heap, uint32_t unit, uint32_t units)
{
	set_map(sim, unit, units, MMVIZ_UNIT_FREE, MMVIZ_UNIT_FREE);
	tell_units(heap, unit, units, MMVIZ_UNIT_FREE, 0);
}

/* ------------------------------------------------------------------ heaps and spans */

static void new_heap(struct heap_sim *sim)
{
	struct sim_heap *heap = &sim->heaps[sim->heaps_count];
	uint32_t unit = find_units(sim, 1, 1);

	if (unit == SIM_UNITS || sim->heaps_count == SIM_HEAPS)
		return;
	sim->heaps_count++;
	heap->exists = true;
	heap->seq = sim->is_listening ? 0 : sim->first_seq;
	begin(sim, heap, true);
	set_map(sim, unit, 1, MMVIZ_UNIT_META, MMVIZ_UNIT_META);
	tell_growth(sim, heap, unit + 1);
	tell_units(heap, unit, 1, MMVIZ_UNIT_META, 0);
}

static bool take_span(struct heap_sim *sim, struct sim_heap *heap, unsigned size_class,
		      unsigned shape)
{
	bool is_medium = size_class >= 24;
	uint32_t bytes = 1u << (is_medium ? MEDIUM_SHIFT : SMALL_SHIFT);
	uint32_t units = bytes / MMVIZ_UNIT_BYTES, unit = find_units(sim, units, units);
	struct sim_span *span;

	if (unit == SIM_UNITS || sim->locked_by >= 0)
		return false;
	begin(sim, heap, true);
	free(sim->spans[unit]);
	span = sim->spans[unit] = calloc(1, sizeof(*span));
	span->head = (struct mmviz_span){
		.owner_heap = heap_id(sim, heap),
		.units = units,
		.first_header_bytes = mmviz_span_first_header_bytes(shape),
		.cell_bytes = mmviz_cell_bytes(size_class, shape),
		.cells = mmviz_span_cells(bytes, size_class, shape),
		.size_class = (uint8_t)size_class,
		.shape = (uint8_t)shape,
		.fit = is_medium ? MMVIZ_FIT_MEDIUM : MMVIZ_FIT_SMALL,
	};
	set_map(sim, unit, units, MMVIZ_UNIT_SPAN + size_class, MMVIZ_UNIT_CONTINUATION);
	tell_growth(sim, heap, unit + units);
	tell_units(heap, unit, units, MMVIZ_UNIT_SPAN + size_class, shape);
	return true;
}

/* A span with nothing live in it, nor returned. */
static bool is_empty(const struct sim_span *span)
{
	for (uint32_t i = 0; i < span->head.bump_cells; i++)
		if (sim_cell_life(&span->cells[i]) != MMVIZ_LIFE_CACHED)
			return false;
	return true;
}

static bool give_span(struct heap_sim *sim, struct sim_heap *heap)
{
	for (uint32_t unit = 0; unit < SIM_UNITS && sim->locked_by < 0; unit++) {
		struct sim_span *span = sim->spans[unit];

		if (sim->map[unit] < MMVIZ_UNIT_SPAN ||
		    span->head.owner_heap != heap_id(sim, heap) || !is_empty(span))
			continue;
		begin(sim, heap, true);
		free_units(sim, heap, unit, span->head.units);
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ blocks */

static void fill(struct sim_cell *cell, struct random *random, uint64_t bytes, uint64_t number)
{
	*cell = (struct sim_cell){
		.bytes = bytes,
		.context = 1 + random_below(random, SIM_CONTEXTS),
		.incarnation = mmviz_incarnation(number),
		.life = MMVIZ_LIFE_LIVE,
	};
}

static void tell_alloc(struct sim_heap *heap, const struct sim_cell *cell, uint32_t place,
		       unsigned shape)
{
	uint64_t labelled = shape == MMVIZ_SHAPE_LABELLED ? MMVIZ_ALLOC_LABELLED : 0;

	tell(heap, mmviz_event_what(MMVIZ_EVENT_ALLOC, cell->context, place),
	     cell->bytes | labelled);
	if (!labelled)
		return;
	memcpy(&heap->events[heap->events_count], cell->label, MMVIZ_LABEL_BYTES);
	heap->events_count += 2;
}

static void mark_freed(struct heap_sim *sim, struct sim_cell *cell)
{
	cell->life = MMVIZ_LIFE_LIVE;
	cell->incarnation = mmviz_freed_by(random_next(&sim->random));
}

static uint32_t free_cell(const struct sim_span *span)
{
	for (uint32_t i = 0; i < span->head.bump_cells; i++)
		if (sim_cell_life(&span->cells[i]) == MMVIZ_LIFE_CACHED)
			return i;
	return span->head.bump_cells;
}

static bool alloc_small(struct heap_sim *sim, struct sim_heap *heap)
{
	static const unsigned classes[] = {3, 9, 17, 30};
	unsigned size_class = classes[random_below(&sim->random, 4)];
	unsigned shape = random_below(&sim->random, 4) ? MMVIZ_SHAPE_PLAIN : MMVIZ_SHAPE_LABELLED;

	for (uint32_t unit = 0; unit < SIM_UNITS; unit++) {
		struct sim_span *span = sim->spans[unit];
		uint32_t cell;

		if (sim->map[unit] != MMVIZ_UNIT_SPAN + size_class ||
		    span->head.owner_heap != heap_id(sim, heap) || span->head.shape != shape)
			continue;
		cell = free_cell(span);
		if (cell == span->head.cells)
			continue;
		if (cell == span->head.bump_cells)
			span->head.bump_cells++;
		begin(sim, heap, false);
		fill(&span->cells[cell], &sim->random,
		     random_below(&sim->random, mmviz_class_payload_bytes(size_class) + 1),
		     heap->seq);
		if (shape == MMVIZ_SHAPE_LABELLED)
			snprintf(span->cells[cell].label, MMVIZ_LABEL_BYTES, "label %u",
				 random_below(&sim->random, 1000));
		tell_alloc(heap, &span->cells[cell], cell_place(&span->head, unit, cell), shape);
		return true;
	}
	return take_span(sim, heap, size_class, shape);
}

static bool alloc_large(struct heap_sim *sim, struct sim_heap *heap)
{
	uint32_t units = 1 + random_below(&sim->random, 6), unit = find_units(sim, units, 1);
	uint32_t front = 64 + 16 * random_below(&sim->random, 8);
	struct sim_span *span;

	if (unit == SIM_UNITS || sim->locked_by >= 0)
		return false;
	begin(sim, heap, true);
	free(sim->spans[unit]);
	span = sim->spans[unit] = calloc(1, sizeof(*span));
	span->head = (struct mmviz_span){
		.owner_heap = MMVIZ_HEAP_NONE,
		.units = units,
		.first_header_bytes = front,
		.cell_bytes = units * MMVIZ_UNIT_BYTES - front,
		.bump_cells = 1,
		.cells = 1,
		.size_class = 0xff,
		.fit = MMVIZ_FIT_LARGE,
	};
	set_map(sim, unit, units, MMVIZ_UNIT_LARGE, MMVIZ_UNIT_CONTINUATION);
	tell_growth(sim, heap, unit + units);
	tell_units(heap, unit, units, MMVIZ_UNIT_LARGE, MMVIZ_SHAPE_PLAIN);
	fill(&span->cells[0], &sim->random,
	     random_below(&sim->random, span->head.cell_bytes - 16 + 1),
	     heap->seq + heap->events_count);
	tell_alloc(heap, &span->cells[0], cell_place(&span->head, unit, 0), MMVIZ_SHAPE_PLAIN);
	return true;
}

static void free_large(struct heap_sim *sim, struct sim_heap *heap, uint32_t unit)
{
	struct sim_span *span = sim->spans[unit];

	begin(sim, heap, true);
	mark_freed(sim, &span->cells[0]);
	tell(heap, mmviz_event_what(MMVIZ_EVENT_FREE, 0, cell_place(&span->head, unit, 0)),
	     span->cells[0].bytes);
	free_units(sim, heap, unit, span->head.units);
}

/* In place: longer where the units behind are free, or shorter. */
static void resize_large(struct heap_sim *sim, struct sim_heap *heap, uint32_t unit)
{
	struct sim_span *span = sim->spans[unit];
	uint32_t old_units = span->head.units, units = 1 + random_below(&sim->random, 6);

	for (uint32_t u = unit + old_units; u < unit + units; u++)
		if (u >= sim->committed_units || sim->map[u] != MMVIZ_UNIT_FREE)
			units = old_units;
	begin(sim, heap, true);
	set_map(sim, unit, units, MMVIZ_UNIT_LARGE, MMVIZ_UNIT_CONTINUATION);
	span->head.units = units;
	span->head.cell_bytes = units * MMVIZ_UNIT_BYTES - span->head.first_header_bytes;
	span->cells[0].bytes = random_below(&sim->random, span->head.cell_bytes - 16 + 1);
	tell_units(heap, unit, units, MMVIZ_UNIT_LARGE, MMVIZ_SHAPE_PLAIN);
	tell(heap,
	     mmviz_event_what(MMVIZ_EVENT_RESIZE, span->cells[0].context,
			      cell_place(&span->head, unit, 0)),
	     span->cells[0].bytes);
	if (units < old_units)
		free_units(sim, heap, unit + units, old_units - units);
}

static void resize_small(struct heap_sim *sim, struct sim_heap *heap, struct sim_span *span,
			 uint32_t cell, uint32_t place)
{
	uint32_t capacity = mmviz_class_payload_bytes(span->head.size_class);

	begin(sim, heap, false);
	span->cells[cell].bytes = random_below(&sim->random, capacity + 1);
	span->cells[cell].context = 1 + random_below(&sim->random, SIM_CONTEXTS);
	tell(heap, mmviz_event_what(MMVIZ_EVENT_RESIZE, span->cells[cell].context, place),
	     span->cells[cell].bytes);
}

static void free_small(struct heap_sim *sim, struct sim_heap *heap, struct sim_span *span,
		       uint32_t cell, uint32_t place)
{
	struct sim_heap *owner = &sim->heaps[span->head.owner_heap - 1];

	begin(sim, heap, false);
	if (owner == heap) {
		mark_freed(sim, &span->cells[cell]);
		tell(heap, mmviz_event_what(MMVIZ_EVENT_FREE, 0, place), span->cells[cell].bytes);
		return;
	}
	span->cells[cell].life = MMVIZ_LIFE_RETURNED;
	owner->returned[owner->returned_count++] = place;
	tell(heap, mmviz_event_what(MMVIZ_EVENT_RETURN, 0, place),
	     (uint64_t)span->head.owner_heap << 32 | span->cells[cell].incarnation);
}

static bool reclaim(struct heap_sim *sim, struct sim_heap *heap)
{
	uint32_t place;

	if (heap->returned_count == 0)
		return false;
	begin(sim, heap, false);
	place = heap->returned[--heap->returned_count];
	mark_freed(sim, find_cell(sim, place));
	tell(heap, mmviz_event_what(MMVIZ_EVENT_RECLAIM, 0, place), 0);
	return true;
}

/* A free cell of this heap becomes idle, or an idle one loses its page. No event. */
static void let_go_some(struct heap_sim *sim, const struct sim_heap *heap)
{
	uint32_t unit = random_below(&sim->random, SIM_UNITS);
	struct sim_span *span = sim->spans[unit];

	if (sim->map[unit] < MMVIZ_UNIT_SPAN || span->head.owner_heap != heap_id(sim, heap))
		return;
	for (uint32_t i = 0; i < span->head.bump_cells; i++) {
		struct sim_cell *cell = &span->cells[i];

		if (sim_cell_life(cell) != MMVIZ_LIFE_CACHED || random_below(&sim->random, 2))
			continue;
		if (cell->life == MMVIZ_LIFE_LIVE)
			cell->life = MMVIZ_LIFE_CACHED;
		else
			*cell = (struct sim_cell){0};
	}
}

/* Free or resize some live block. A block that another heap is just making is not known yet. */
static bool change_some(struct heap_sim *sim, struct sim_heap *heap, bool is_free)
{
	uint32_t start = random_below(&sim->random, SIM_UNITS);

	for (uint32_t i = 0; i < SIM_UNITS; i++) {
		uint32_t unit = (start + i) % SIM_UNITS, cell, place;
		struct sim_span *span = sim->spans[unit];
		bool is_own;

		if (sim->map[unit] < MMVIZ_UNIT_LARGE || !span || span->head.bump_cells == 0)
			continue;
		cell = random_below(&sim->random, span->head.bump_cells);
		if (sim_cell_life(&span->cells[cell]) != MMVIZ_LIFE_LIVE)
			continue;
		place = cell_place(&span->head, unit, cell);
		is_own = span->head.owner_heap == heap_id(sim, heap);
		if (sim->map[unit] == MMVIZ_UNIT_LARGE) {
			if (sim->locked_by >= 0)
				continue;
			if (is_free)
				free_large(sim, heap, unit);
			else
				resize_large(sim, heap, unit);
			return true;
		}
		/* A block becomes known to other threads when its alloc has returned. */
		if (!is_own && sim->heaps[span->head.owner_heap - 1].phase != PHASE_NONE)
			continue;
		if (!is_free && !is_own)
			continue;
		if (is_free)
			free_small(sim, heap, span, cell, place);
		else
			resize_small(sim, heap, span, cell, place);
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ steps */

static void start_operation(struct heap_sim *sim, struct sim_heap *heap)
{
	switch (random_below(&sim->random, 13)) {
	case 0:
		if (sim->locked_by < 0)
			new_heap(sim);
		return;
	case 1:
		give_span(sim, heap);
		return;
	case 2:
		alloc_large(sim, heap);
		return;
	case 3:
		change_some(sim, heap, false);
		return;
	case 4:
	case 5:
		reclaim(sim, heap);
		return;
	case 6:
	case 7:
	case 8:
		change_some(sim, heap, true);
		return;
	case 9:
		let_go_some(sim, heap);
		return;
	default:
		alloc_small(sim, heap);
	}
}

static void hand_over(struct heap_sim *sim, struct sim_heap *heap)
{
	struct sim_batch *batch = calloc(1, sizeof(*batch));

	batch->heap_id = heap_id(sim, heap);
	batch->first = heap->log_first;
	batch->next = heap->log_next;
	memcpy(batch->events, heap->log, (batch->next - batch->first) * sizeof(heap->log[0]));
	if (sim->ring_end)
		sim->ring_end->later = batch;
	else
		sim->ring = batch;
	sim->ring_end = batch;
	heap->log_first = heap->log_next;
}

static void store_events(struct sim_heap *heap)
{
	if (!heap->is_logged)
		return;
	if (heap->log_next != heap->seq)
		heap->log_first = heap->log_next = heap->seq;
	memcpy(&heap->log[heap->log_next - heap->log_first], heap->events,
	       heap->events_count * sizeof(heap->events[0]));
	heap->log_next += heap->events_count;
}

static void step_heap(struct heap_sim *sim, struct sim_heap *heap)
{
	switch (heap->phase) {
	case PHASE_NONE:
		start_operation(sim, heap);
		return;
	case PHASE_SEMAPHORE:
		heap->is_logged = sim->is_listening;
		break;
	case PHASE_EVENTS:
		store_events(heap);
		break;
	case PHASE_SEQ:
		heap->seq += heap->events_count;
		break;
	case PHASE_UNLOCK:
		if (heap->is_structural) {
			sim->order++;
			sim->locked_by = -1;
		}
		if (heap->log_next - heap->log_first >= SIM_LOG_EVENTS)
			hand_over(sim, heap);
		heap->phase = PHASE_NONE;
		return;
	}
	heap->phase++;
}

void heap_sim_step(struct heap_sim *sim)
{
	struct sim_heap *heap = &sim->heaps[random_below(&sim->random, SIM_HEAPS)];

	if (heap->exists)
		step_heap(sim, heap);
}

void heap_sim_quiesce(struct heap_sim *sim)
{
	for (uint32_t i = 0; i < SIM_HEAPS; i++)
		while (sim->heaps[i].phase != PHASE_NONE)
			step_heap(sim, &sim->heaps[i]);
}

void heap_sim_reset(struct heap_sim *sim)
{
	struct sim_heap *heap = &sim->heaps[random_below(&sim->random, sim->heaps_count)];

	heap_sim_quiesce(sim);
	begin(sim, heap, true);
	for (uint32_t unit = 0; unit < SIM_UNITS; unit++)
		if (sim->map[unit] != MMVIZ_UNIT_META)
			sim->map[unit] = MMVIZ_UNIT_FREE;
	for (uint32_t i = 0; i < sim->heaps_count; i++)
		sim->heaps[i].returned_count = 0;
	tell(heap, mmviz_event_what(MMVIZ_EVENT_RESET, 0, 0), 0);
}

/* ------------------------------------------------------------------ outside */

void heap_sim_init(struct heap_sim *sim, uint64_t seed)
{
	static const uint64_t firsts[] = {0, 1ull << 31, 1ull << 32};

	*sim = (struct heap_sim){.random = {seed}, .locked_by = -1, .committed_units = SIM_BOOKS};
	memset(sim->map, MMVIZ_UNIT_META, SIM_BOOKS);
	sim->first_seq = firsts[seed % 3] - (seed % 3 ? random_below(&sim->random, 1000) : 0);
	new_heap(sim);
	heap_sim_quiesce(sim);
}

void heap_sim_fini(struct heap_sim *sim)
{
	struct sim_batch *batch;

	while ((batch = heap_sim_take_batch(sim)))
		free(batch);
	for (uint32_t unit = 0; unit < SIM_UNITS; unit++)
		free(sim->spans[unit]);
}

void heap_sim_head(const struct heap_sim *sim, struct mmviz_arena_head *out)
{
	*out = (struct mmviz_arena_head){
		.magic = MMVIZ_ARENA_MAGIC,
		.id = 1,
		.base_addr = 1ull << 40,
		.capacity_bytes = SIM_UNITS * MMVIZ_UNIT_BYTES,
		.order = sim->order,
		.committed_units = sim->committed_units,
		.frontier_units = sim->committed_units,
		.span_shift = {SMALL_SHIFT, MEDIUM_SHIFT},
		.name = "simulated",
	};
}

struct sim_batch *heap_sim_take_batch(struct heap_sim *sim)
{
	struct sim_batch *batch = sim->ring;

	if (!batch)
		return NULL;
	sim->ring = batch->later;
	if (!sim->ring)
		sim->ring_end = NULL;
	return batch;
}
