/* SPDX-License-Identifier: MIT */
/*
 * log_reader.c - see log_reader.h.
 *
 * Order of this file: faults, the picture, events, logs, the comparison, public functions.
 */
#include "log_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "registry.h"
#include "spy.h"

struct cell {
	bool is_live, is_labelled;
	uint32_t context, incarnation, heap_id;
	uint64_t bytes;
	char label[MMVIZ_LABEL_BYTES];
};

struct log_reader {
	struct mmviz_arena *arena;
	const struct mmviz_arena_head *head;
	uint64_t expected[LOG_READER_HEAPS]; /* by heap id: number of the next event */
	uint64_t seen, lost, order, committed_units;
	struct cell *cells; /* by place */
	uint8_t *units;
	char trace[LOG_READER_TRACE];
	char fault[256];
};

static struct log_reader *attached; /* the spy calls without a context */

__attribute__((format(printf, 2, 3))) static void fault(struct log_reader *reader,
							const char *format, ...)
{
	va_list arguments;

	if (reader->fault[0])
		return; /* the first one counts */
	va_start(arguments, format);
	vsnprintf(reader->fault, sizeof(reader->fault), format, arguments);
	va_end(arguments);
}

/* ------------------------------------------------------------------ the picture */

static struct cell *cell_at(struct log_reader *reader, uint32_t place)
{
	if ((uint64_t)place << MMVIZ_PLACE_SHIFT < reader->head->capacity_bytes)
		return &reader->cells[place];
	fault(reader, "an event names place %#x, outside the arena", place);
	return &reader->cells[0];
}

static void erase_units(struct log_reader *reader, uint64_t unit, uint64_t units)
{
	const uint64_t places = MMVIZ_UNIT_BYTES / MMVIZ_PLACE_BYTES;

	memset(reader->cells + unit * places, 0, units * places * sizeof(struct cell));
}

static void change_units(struct log_reader *reader, uint32_t place, uint64_t data)
{
	uint64_t unit = place >> (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT), units = (uint32_t)data;
	uint8_t code = (uint8_t)(data >> 32);
	uint8_t rest =
		code == MMVIZ_UNIT_FREE || code == MMVIZ_UNIT_META ? code : MMVIZ_UNIT_CONTINUATION;

	if (!units || (unit + units) << MMVIZ_UNIT_SHIFT > reader->head->capacity_bytes) {
		fault(reader, "an event names units %llu + %llu", (unsigned long long)unit,
		      (unsigned long long)units);
		return;
	}
	/* A large block that changes its length stays where it is. */
	if (code == MMVIZ_UNIT_LARGE && reader->units[unit] == MMVIZ_UNIT_LARGE)
		erase_units(reader, unit + 1, units - 1);
	else
		erase_units(reader, unit, units);
	reader->units[unit] = code;
	memset(reader->units + unit + 1, rest, units - 1);
}

static void reset(struct log_reader *reader)
{
	uint64_t units = reader->head->capacity_bytes >> MMVIZ_UNIT_SHIFT;

	erase_units(reader, 0, units);
	for (uint64_t unit = 0; unit < units; unit++)
		if (reader->units[unit] != MMVIZ_UNIT_META)
			reader->units[unit] = MMVIZ_UNIT_FREE;
}

/* ------------------------------------------------------------------ events */

static const char *const names[] = {"?",      "ALLOC", "FREE",	"RETURN", "RECLAIM",
				    "RESIZE", "ORDER", "UNITS", "COMMIT", "RESET"};

static void trace(struct log_reader *reader, const char *word)
{
	size_t length = strlen(reader->trace);

	snprintf(reader->trace + length, sizeof(reader->trace) - length, "%s%s", length ? " " : "",
		 word);
}

static void born(struct log_reader *reader, uint32_t heap_id, uint64_t number,
		 const struct mmviz_event *event)
{
	struct cell *cell = cell_at(reader, mmviz_event_place(event->what));

	if (cell->is_live)
		fault(reader, "a block is born at place %#x, where one lives",
		      mmviz_event_place(event->what));
	*cell = (struct cell){
		.is_live = true,
		.is_labelled = event->data & MMVIZ_ALLOC_LABELLED,
		.context = mmviz_event_context(event->what),
		.incarnation = mmviz_incarnation(number),
		.heap_id = heap_id,
		.bytes = event->data & ~MMVIZ_ALLOC_LABELLED,
	};
	if (cell->is_labelled)
		memcpy(cell->label, event + 1, MMVIZ_LABEL_BYTES);
	if (cell->is_labelled)
		trace(reader, "ALLOC label label");
}

static void died(struct log_reader *reader, const struct mmviz_event *event)
{
	struct cell *cell = cell_at(reader, mmviz_event_place(event->what));

	if (!cell->is_live)
		fault(reader, "%s of place %#x, where nothing lives",
		      names[mmviz_event_kind(event->what)], mmviz_event_place(event->what));
	if (mmviz_event_kind(event->what) == MMVIZ_EVENT_RETURN &&
	    event->data != ((uint64_t)cell->heap_id << 32 | cell->incarnation))
		fault(reader, "RETURN of incarnation %#llx, %u of heap %u lives there",
		      (unsigned long long)event->data, cell->incarnation, cell->heap_id);
	if (mmviz_event_kind(event->what) == MMVIZ_EVENT_FREE && event->data != 0)
		fault(reader, "FREE with data %llu", (unsigned long long)event->data);
	if (mmviz_event_kind(event->what) != MMVIZ_EVENT_FREE &&
	    mmviz_event_context(event->what) != cell->context)
		fault(reader, "a block of context %u ends with context %u", cell->context,
		      mmviz_event_context(event->what));
	cell->is_live = false;
}

static void resized(struct log_reader *reader, const struct mmviz_event *event)
{
	struct cell *cell = cell_at(reader, mmviz_event_place(event->what));

	if (!cell->is_live)
		fault(reader, "RESIZE of place %#x, where nothing lives",
		      mmviz_event_place(event->what));
	cell->bytes = event->data;
	cell->context = mmviz_event_context(event->what);
}

static void apply(struct log_reader *reader, uint32_t heap_id, uint64_t number,
		  const struct mmviz_event *event)
{
	unsigned kind = mmviz_event_kind(event->what);

	if (mmviz_event_slots(event) == 1)
		trace(reader, kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?");
	switch (kind) {
	case MMVIZ_EVENT_ALLOC:
		born(reader, heap_id, number, event);
		break;
	case MMVIZ_EVENT_FREE:
	case MMVIZ_EVENT_RETURN:
		died(reader, event);
		break;
	case MMVIZ_EVENT_RECLAIM: /* it was returned: nothing lives there */
		if (cell_at(reader, mmviz_event_place(event->what))->is_live)
			fault(reader, "RECLAIM of a live block");
		break;
	case MMVIZ_EVENT_RESIZE:
		resized(reader, event);
		break;
	case MMVIZ_EVENT_ORDER:
		if (event->data != reader->order + 1)
			fault(reader, "order %llu after %llu", (unsigned long long)event->data,
			      (unsigned long long)reader->order);
		reader->order = event->data;
		break;
	case MMVIZ_EVENT_UNITS:
		change_units(reader, mmviz_event_place(event->what), event->data);
		break;
	case MMVIZ_EVENT_COMMIT:
		reader->committed_units = event->data;
		break;
	case MMVIZ_EVENT_RESET:
		reset(reader);
		break;
	default:
		fault(reader, "an event of kind %u", kind);
	}
}

/* ------------------------------------------------------------------ logs */

static void take(struct log_reader *reader, const struct mmviz_log *log)
{
	uint64_t *expected = &reader->expected[log->heap_id], first = log->first, next = log->next;

	if (next < first || next - first > MMVIZ_LOG_SLOTS ||
	    next > log->seq + MMVIZ_OPERATION_EVENTS_MAX)
		fault(reader, "a log from %llu to %llu, seq %llu", (unsigned long long)first,
		      (unsigned long long)next, (unsigned long long)log->seq);
	if (first > *expected) {
		reader->lost += first - *expected;
		*expected = first;
	}
	while (*expected < next) {
		const struct mmviz_event *event = &log->events[*expected - first];

		apply(reader, log->heap_id, *expected, event);
		reader->seen += mmviz_event_slots(event);
		*expected += mmviz_event_slots(event);
	}
}

static void take_batch(const struct mmviz_log *log, uint64_t bytes)
{
	if (!attached || log->arena_id != attached->head->id)
		return;
	if (bytes != MMVIZ_LOG_HEAD_BYTES + (log->next - log->first) * sizeof(log->events[0]))
		fault(attached, "a batch of %llu bytes from %llu to %llu",
		      (unsigned long long)bytes, (unsigned long long)log->first,
		      (unsigned long long)log->next);
	take(attached, log);
}

static const struct heap *first_heap(const struct log_reader *reader)
{
	return (const struct heap *)reader->head->first_heap_addr;
}

static const struct heap *next_heap(const struct heap *heap)
{
	return (const struct heap *)heap->head.next_addr;
}

void log_reader_drain(struct log_reader *reader)
{
	for (const struct heap *heap = first_heap(reader); heap; heap = next_heap(heap))
		take(reader, &heap->log);
}

/* ------------------------------------------------------------------ comparison */

struct comparison {
	struct log_reader *reader;
	uint64_t walked;
};

static int compare_block(const struct mmviz_block *block, void *context)
{
	struct comparison *comparison = context;
	struct log_reader *reader = comparison->reader;
	uint64_t offset = (uint64_t)block->address - MMVIZ_HEADER_BYTES - reader->head->base_addr;
	const struct cell *cell = cell_at(reader, (uint32_t)(offset >> MMVIZ_PLACE_SHIFT));

	comparison->walked++;
	if (!cell->is_live)
		fault(reader, "block %p is missing", block->address);
	else if (cell->bytes != block->bytes || cell->context != block->context ||
		 cell->incarnation != block->incarnation || strcmp(cell->label, block->label) != 0)
		fault(reader, "block %p: %zu %u %u '%s' by the walk, %llu %u %u '%s' by events",
		      block->address, block->bytes, block->context, block->incarnation,
		      block->label, (unsigned long long)cell->bytes, cell->context,
		      cell->incarnation, cell->label);
	return 0;
}

static uint64_t live_cells(const struct log_reader *reader)
{
	uint64_t live = 0;

	for (uint64_t place = 0; place < reader->head->capacity_bytes >> MMVIZ_PLACE_SHIFT; place++)
		live += reader->cells[place].is_live;
	return live;
}

const char *log_reader_compare(struct log_reader *reader)
{
	struct comparison comparison = {.reader = reader};
	const uint8_t *map = (const uint8_t *)reader->head->map_addr;
	uint64_t live;

	log_reader_drain(reader);
	mmviz_arena_walk(reader->arena, compare_block, &comparison);
	live = live_cells(reader);
	if (live != comparison.walked)
		fault(reader, "%llu blocks by the walk, %llu by events",
		      (unsigned long long)comparison.walked, (unsigned long long)live);
	for (uint64_t unit = 0; unit < reader->head->capacity_bytes >> MMVIZ_UNIT_SHIFT; unit++)
		if (reader->units[unit] != map[unit])
			fault(reader, "unit %llu: %#x by the map, %#x by events",
			      (unsigned long long)unit, map[unit], reader->units[unit]);
	if (reader->order != reader->head->order)
		fault(reader, "order is %llu, %llu by events",
		      (unsigned long long)reader->head->order, (unsigned long long)reader->order);
	if (reader->committed_units != reader->head->committed_units)
		fault(reader, "%llu units committed, %llu by events",
		      (unsigned long long)reader->head->committed_units,
		      (unsigned long long)reader->committed_units);
	return reader->fault[0] ? reader->fault : NULL;
}

/* ------------------------------------------------------------------ public */

struct log_reader *log_reader_attach(struct mmviz_arena *arena)
{
	struct log_reader *reader = calloc(1, sizeof(*reader));

	reader->arena = arena;
	reader->head = (const struct mmviz_arena_head *)arena;
	reader->cells =
		calloc(reader->head->capacity_bytes >> MMVIZ_PLACE_SHIFT, sizeof(struct cell));
	reader->units = malloc(reader->head->capacity_bytes >> MMVIZ_UNIT_SHIFT);
	memcpy(reader->units, (const void *)reader->head->map_addr,
	       reader->head->capacity_bytes >> MMVIZ_UNIT_SHIFT);
	reader->order = reader->head->order;
	reader->committed_units = reader->head->committed_units;
	for (const struct heap *heap = first_heap(reader); heap; heap = next_heap(heap))
		reader->expected[heap->head.id] = heap->log.seq;
	spy.on_batch = take_batch;
	attached = reader;
	registry_here.semaphores.batch++;
	return reader;
}

void log_reader_detach(struct log_reader *reader)
{
	registry_here.semaphores.batch--;
	attached = NULL;
	spy.on_batch = NULL;
	free(reader->cells);
	free(reader->units);
	free(reader);
}

const char *log_reader_trace(struct log_reader *reader)
{
	static char text[LOG_READER_TRACE];

	log_reader_drain(reader);
	memcpy(text, reader->trace, sizeof(text));
	reader->trace[0] = '\0';
	return text;
}

uint64_t log_reader_seen(const struct log_reader *reader)
{
	return reader->seen;
}

uint64_t log_reader_lost(const struct log_reader *reader)
{
	return reader->lost;
}
