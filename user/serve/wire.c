/* SPDX-License-Identifier: MIT */
/*
 * wire.c - columns of numbers and texts, laid out as WIRE.md says.
 *
 * Every column is taken with grow(), which starts it at a multiple of 8 and zeroes the padding
 * before it. A table of doubles is written row by row: a row is an array in the order of WIRE.md,
 * put_row() spreads it over the columns. The machine is little-endian like the wire.
 */
#define _GNU_SOURCE
#include "serve/wire.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/abi.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");

#define FIELDS(row) (sizeof(row) / sizeof((row)[0]))

struct wire_header {
	uint8_t magic, version; /* 0 */
	uint16_t type;		/* 2 */
	uint32_t count;		/* 4 */
	double at_ms;		/* 8 */
};
_Static_assert(sizeof(struct wire_header) == WIRE_HEADER_BYTES, "header is 16 bytes");

void wire_buffer_fini(struct wire_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct wire_buffer){0};
}

/* Room for `bytes`, zeroed, at the next multiple of 8; NULL when memory is short. */
static void *grow(struct wire_buffer *buffer, size_t bytes)
{
	size_t start = (buffer->used + 7) & ~(size_t)7;
	size_t end = start + bytes;

	if (buffer->is_failed)
		return NULL;
	if (end > buffer->capacity) {
		size_t capacity = end + end / 2 + 256;
		uint8_t *grown = realloc(buffer->bytes, capacity);

		if (grown == NULL) {
			buffer->is_failed = true;
			return NULL;
		}
		buffer->bytes = grown;
		buffer->capacity = capacity;
	}
	memset(buffer->bytes + buffer->used, 0, end - buffer->used);
	buffer->used = end;
	return buffer->bytes + start;
}

static void begin(struct wire_buffer *buffer, enum wire_type type, uint64_t at_ns, size_t count)
{
	struct wire_header *header;

	buffer->used = 0;
	buffer->is_failed = false;
	header = grow(buffer, sizeof(*header));
	if (header == NULL)
		return;
	*header = (struct wire_header){.magic = WIRE_MAGIC,
				       .version = WIRE_VERSION,
				       .type = (uint16_t)type,
				       .count = (uint32_t)count,
				       .at_ms = (double)at_ns / 1e6};
}

static double *grow_table(struct wire_buffer *buffer, size_t fields, uint32_t count)
{
	return grow(buffer, fields * count * sizeof(double));
}

static void put_row(double *table, const double *row, size_t fields, uint32_t index, uint32_t count)
{
	for (size_t field = 0; field < fields; field++)
		table[field * count + index] = row[field];
}

/* ------------------------------------------------------------------ texts */

/* Length of the UTF-8 sequence that begins here, 0 if it is not a valid one (RFC 3629). */
static size_t utf8_length(const uint8_t *text, size_t available)
{
	uint8_t first = text[0], second_min = 0x80, second_max = 0xbf;
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || length > available)
		return 0;
	if (first == 0xe0)
		second_min = 0xa0;
	else if (first == 0xed)
		second_max = 0x9f;
	else if (first == 0xf0)
		second_min = 0x90;
	else if (first == 0xf4)
		second_max = 0x8f;
	if (length > 1 && (text[1] < second_min || text[1] > second_max))
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* Byte for byte: the cleaned text is as long as the raw one. */
static void clean(const char *raw, size_t length, char *out)
{
	for (size_t i = 0; i < length;) {
		uint8_t first = (uint8_t)raw[i];
		size_t sequence = utf8_length((const uint8_t *)raw + i, length - i);

		if (sequence > 1)
			memcpy(out + i, raw + i, sequence);
		else if (sequence == 1)
			out[i] = first < 0x20 || first == 0x7f ? ' ' : (char)first;
		else
			out[i] = '?';
		i += sequence > 0 ? sequence : 1;
	}
}

size_t wire_text_clean(const char *text, char *out, size_t max)
{
	size_t length = strnlen(text, max - 1);

	clean(text, length, out);
	out[length] = '\0';
	return length;
}

/* u32[count] cumulative ends, then the bytes. */
static void put_texts(struct wire_buffer *buffer, const char *const *texts, uint32_t count)
{
	uint32_t *ends = grow(buffer, count * sizeof(uint32_t)), end = 0;
	char *out;

	if (ends == NULL)
		return;
	for (uint32_t i = 0; i < count; i++)
		ends[i] = end += (uint32_t)strnlen(texts[i], WIRE_TEXT_MAX - 1);
	out = grow(buffer, end);
	if (out == NULL)
		return;
	for (uint32_t i = 0; i < count; i++) {
		size_t length = strnlen(texts[i], WIRE_TEXT_MAX - 1);

		clean(texts[i], length, out);
		out += length;
	}
}

/* Ends the message with `json`, which is released. */
static void put_json(struct wire_buffer *buffer, enum wire_type type, uint64_t at_ns, json_t *json)
{
	size_t length = json != NULL ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
	char *out;

	begin(buffer, type, at_ns, length);
	out = grow(buffer, length);
	if (length == 0)
		buffer->is_failed = true;
	else if (out != NULL)
		json_dumpb(json, out, length, JSON_COMPACT);
	json_decref(json);
}

/* ------------------------------------------------------------------ messages */

void wire_hello(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_hello *hello)
{
	char comm[64];

	wire_text_clean(hello->comm, comm, sizeof(comm));
	put_json(buffer, WIRE_HELLO, at_ns,
		 json_pack("{s:i, s:s, s:s, s:s, s:I, s:f}", "pid", (int)hello->pid, "comm", comm,
			   "mode", hello->mode, "version", hello->version, "abi",
			   (json_int_t)hello->abi, "attached_at_ms",
			   (double)hello->attached_at_ns / 1e6));
}

void wire_totals(struct wire_buffer *buffer, const struct view_totals *totals)
{
	const double row[] = {
		(double)totals->live_blocks,
		(double)totals->live_bytes,
		(double)totals->peak_live_bytes,
		(double)totals->allocations,
		(double)totals->frees,
		(double)totals->allocated_bytes,
		(double)totals->freed_bytes,
		(double)totals->events_seen,
		(double)totals->events_lost,
		(double)totals->resyncs,
		totals->events_per_second,
		totals->allocations_per_second,
		(double)totals->resident_bytes,
		(double)totals->collector_bytes,
		(double)totals->ring_used_bytes,
		(double)totals->ring_bytes,
		(double)totals->verified_at_ns / 1e6,
		totals->threads,
		totals->arenas,
		totals->contexts,
		totals->is_exact,
		totals->target_state,
		totals->exit_code,
		(double)totals->fallback_since_ns / 1e6,
	};
	double *out;

	begin(buffer, WIRE_TOTALS, totals->at_ns, FIELDS(row));
	out = grow(buffer, sizeof(row));
	if (out != NULL)
		memcpy(out, row, sizeof(row));
}

static void put_arena_columns(struct wire_buffer *buffer, const struct view_arena *arenas,
			      uint32_t count)
{
	enum { ARENA_FIELDS = 18 };
	double *table = grow_table(buffer, ARENA_FIELDS, count);

	for (uint32_t i = 0; i < count && table != NULL; i++) {
		const struct view_arena *arena = &arenas[i];
		const double row[] = {
			arena->id,
			(double)arena->base_addr,
			(double)arena->capacity_bytes,
			(double)arena->committed_bytes,
			(double)arena->frontier_bytes,
			(double)arena->live_blocks,
			(double)arena->live_bytes,
			(double)arena->header_bytes,
			(double)arena->padding_bytes,
			(double)arena->cached_bytes,
			(double)arena->unused_bytes,
			(double)arena->meta_bytes,
			(double)arena->free_bytes,
			(double)arena->largest_free_bytes,
			(double)arena->committed_free_bytes,
			arena->fragmentation_ratio,
			(double)arena->split_blocks,
			arena->is_gone,
		};

		_Static_assert(FIELDS(row) == ARENA_FIELDS, "a column for each field");
		put_row(table, row, ARENA_FIELDS, i, count);
	}
}

void wire_arenas(struct wire_buffer *buffer, uint64_t at_ns, const struct view_arena *arenas,
		 uint32_t count)
{
	const char *names[MMVIZ_ARENAS_MAX];

	if (count > MMVIZ_ARENAS_MAX)
		count = MMVIZ_ARENAS_MAX;
	for (uint32_t i = 0; i < count; i++)
		names[i] = arenas[i].name;
	begin(buffer, WIRE_ARENAS, at_ns, count);
	put_arena_columns(buffer, arenas, count);
	put_texts(buffer, names, count);
}

void wire_contexts(struct wire_buffer *buffer, uint64_t at_ns, const struct view_context *contexts,
		   uint32_t count)
{
	enum { CONTEXT_FIELDS = 8 };
	double *table;
	uint32_t *ids, *kinds;

	begin(buffer, WIRE_CONTEXTS, at_ns, count);
	table = grow_table(buffer, CONTEXT_FIELDS, count);
	for (uint32_t i = 0; i < count && table != NULL; i++) {
		const struct view_context *context = &contexts[i];
		const double row[] = {
			(double)context->live_bytes,	  (double)context->live_blocks,
			(double)context->peak_live_bytes, (double)context->allocations,
			(double)context->frees,		  (double)context->allocated_bytes,
			context->allocations_per_second,  context->growth_bytes_per_second,
		};

		_Static_assert(FIELDS(row) == CONTEXT_FIELDS, "a column for each field");
		put_row(table, row, CONTEXT_FIELDS, i, count);
	}
	ids = grow(buffer, count * sizeof(*ids));
	for (uint32_t i = 0; i < count && ids != NULL; i++)
		ids[i] = contexts[i].id;
	kinds = grow(buffer, count * sizeof(*kinds));
	for (uint32_t i = 0; i < count && kinds != NULL; i++)
		kinds[i] = contexts[i].kind;
}

void wire_names(struct wire_buffer *buffer, uint64_t at_ns, const uint32_t *ids,
		const char *const *texts, uint32_t count)
{
	uint32_t *out;

	begin(buffer, WIRE_NAMES, at_ns, count);
	out = grow(buffer, count * sizeof(*out));
	if (out != NULL)
		memcpy(out, ids, count * sizeof(*out));
	put_texts(buffer, texts, count);
}

void wire_timeline(struct wire_buffer *buffer, uint64_t at_ns, const struct view_point *points,
		   uint32_t count)
{
	enum { POINT_FIELDS = 6 };
	double *table;

	begin(buffer, WIRE_TIMELINE, at_ns, count);
	table = grow_table(buffer, POINT_FIELDS, count);
	for (uint32_t i = 0; i < count && table != NULL; i++) {
		const struct view_point *point = &points[i];
		const double row[] = {
			(double)point->at_ns / 1e6, (double)point->live_bytes,
			(double)point->live_blocks, (double)point->resident_bytes,
			point->events_per_second,   (double)point->events_lost,
		};

		_Static_assert(FIELDS(row) == POINT_FIELDS, "a column for each field");
		put_row(table, row, POINT_FIELDS, i, count);
	}
}

void wire_marks(struct wire_buffer *buffer, uint64_t at_ns, const struct view_mark *marks,
		uint32_t count)
{
	const char *texts[MMVIZ_MARKS_MAX];
	double *out;

	if (count > MMVIZ_MARKS_MAX)
		count = MMVIZ_MARKS_MAX;
	begin(buffer, WIRE_MARKS, at_ns, count);
	out = grow_table(buffer, 1, count);
	for (uint32_t i = 0; i < count && out != NULL; i++) {
		out[i] = (double)marks[i].at_ns / 1e6;
		texts[i] = marks[i].text;
	}
	put_texts(buffer, texts, count);
}

/* ------------------------------------------------------------------ windows of an arena */

static void put_window(struct wire_buffer *buffer, const struct wire_window *window, uint32_t last)
{
	const uint32_t row[] = {window->request, window->arena_id, window->first_place, last};
	uint32_t *out = grow(buffer, sizeof(row));

	if (out != NULL)
		memcpy(out, row, sizeof(row));
}

/* A column of one member of an array of structs. */
#define PUT_COLUMN(buffer, type, rows, count, value)                                               \
	do {                                                                                       \
		type *column = grow(buffer, (count) * sizeof(type));                               \
		for (uint32_t i = 0; i < (count) && column != NULL; i++)                           \
			column[i] = (type)((rows)[i].value);                                       \
	} while (0)

void wire_map(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_window *window,
	      const struct view_texel *texels)
{
	uint32_t count = window->texels;

	begin(buffer, WIRE_MAP, at_ns, count);
	put_window(buffer, window, window->places_per_texel);
	PUT_COLUMN(buffer, uint32_t, texels, count, context);
	PUT_COLUMN(buffer, uint8_t, texels, count, live);
	PUT_COLUMN(buffer, uint8_t, texels, count, header);
	PUT_COLUMN(buffer, uint8_t, texels, count, cached);
	PUT_COLUMN(buffer, uint8_t, texels, count, free);
	PUT_COLUMN(buffer, uint8_t, texels, count, kind);
	PUT_COLUMN(buffer, uint8_t, texels, count, age_log2_ms);
	PUT_COLUMN(buffer, uint16_t, texels, count, blocks);
}

static uint32_t saturate(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void wire_blocks(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_window *window,
		 uint64_t base_addr, const struct view_block *blocks, uint32_t count)
{
	uint32_t *place, *bytes, *places;
	uint8_t *flags;

	begin(buffer, WIRE_BLOCKS, at_ns, count);
	put_window(buffer, window, saturate((uint64_t)window->places_per_texel * window->texels));
	place = grow(buffer, count * sizeof(*place));
	for (uint32_t i = 0; i < count && place != NULL; i++)
		place[i] = saturate((blocks[i].cell_addr - base_addr) >> MMVIZ_PLACE_SHIFT);
	places = grow(buffer, count * sizeof(*places));
	for (uint32_t i = 0; i < count && places != NULL; i++)
		places[i] = saturate(blocks[i].cell_bytes >> MMVIZ_PLACE_SHIFT);
	bytes = grow(buffer, count * sizeof(*bytes));
	for (uint32_t i = 0; i < count && bytes != NULL; i++)
		bytes[i] = saturate(blocks[i].bytes);
	PUT_COLUMN(buffer, uint32_t, blocks, count, context);
	PUT_COLUMN(buffer, uint32_t, blocks, count, age_ms);
	PUT_COLUMN(buffer, uint8_t, blocks, count, life);
	flags = grow(buffer, count);
	for (uint32_t i = 0; i < count && flags != NULL; i++)
		flags[i] = (uint8_t)(blocks[i].is_large | blocks[i].is_older_than_attach << 1);
}

/* ------------------------------------------------------------------ JSON messages */

static const char *life_text(uint8_t life)
{
	switch (life) {
	case MMVIZ_LIFE_LIVE:
		return "live";
	case MMVIZ_LIFE_CACHED:
		return "cached";
	case MMVIZ_LIFE_RETURNED:
		return "returned";
	default:
		return "never used";
	}
}

static json_t *json_addr(uint64_t addr)
{
	return json_sprintf("0x%" PRIx64, addr);
}

static json_t *json_text(const char *text)
{
	char cleaned[WIRE_TEXT_MAX];
	size_t length = wire_text_clean(text, cleaned, sizeof(cleaned));

	return json_stringn(cleaned, length);
}

static json_t *json_block(uint32_t request, const struct view_block *block,
			  const char *context_text)
{
	uint64_t front_bytes = block->addr - block->cell_addr;
	uint64_t taken_bytes = front_bytes + block->bytes;
	uint64_t padding_bytes =
		taken_bytes < block->cell_bytes ? block->cell_bytes - taken_bytes : 0;

	return json_pack(
		"{s:I, s:b, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:b,"
		" s:s, s:I, s:I}",
		"request", (json_int_t)request, "found", 1, "arena_id", (json_int_t)block->arena_id,
		"address", json_addr(block->addr), "cell_address", json_addr(block->cell_addr),
		"cell_bytes", (json_int_t)block->cell_bytes, "bytes", (json_int_t)block->bytes,
		"context", (json_int_t)block->context, "context_text", json_text(context_text),
		"label", json_text(block->label), "owner_heap", (json_int_t)block->owner_heap,
		"thread_id", (json_int_t)block->thread_id, "age_ms", (json_int_t)block->age_ms,
		"older_than_attach", (int)block->is_older_than_attach, "state",
		life_text(block->life), "front_bytes", (json_int_t)front_bytes, "padding_bytes",
		(json_int_t)padding_bytes);
}

void wire_block(struct wire_buffer *buffer, uint64_t at_ns, uint32_t request,
		const struct view_block *block, const char *context_text)
{
	json_t *json =
		block != NULL ? json_block(request, block, context_text)
			      : json_pack("{s:I, s:b}", "request", (json_int_t)request, "found", 0);

	put_json(buffer, WIRE_BLOCK, at_ns, json);
}

void wire_notice(struct wire_buffer *buffer, uint64_t at_ns, const char *level, const char *text)
{
	put_json(buffer, WIRE_NOTICE, at_ns,
		 json_pack("{s:s, s:o}", "level", level, "text", json_text(text)));
}

void wire_events(struct wire_buffer *buffer, uint64_t at_ns, const char *json, size_t bytes)
{
	char *out;

	begin(buffer, WIRE_EVENTS, at_ns, bytes);
	out = grow(buffer, bytes);
	if (out != NULL)
		memcpy(out, json, bytes);
}

/* ------------------------------------------------------------------ reading a header */

enum wire_type wire_type_of(const uint8_t *bytes, size_t count)
{
	struct wire_header header;

	if (count < sizeof(header))
		return 0;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != WIRE_MAGIC || header.version != WIRE_VERSION ||
	    header.type >= WIRE_TYPES)
		return 0;
	return header.type;
}

bool wire_is_state(enum wire_type type)
{
	return type == WIRE_TOTALS || type == WIRE_ARENAS || type == WIRE_CONTEXTS ||
	       type == WIRE_MARKS || type == WIRE_EVENTS;
}
