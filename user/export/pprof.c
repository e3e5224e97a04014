/* SPDX-License-Identifier: MIT */
/*
 * pprof.c - builds the messages of pprof.proto, packs them, compresses them.
 *
 * Strings, functions, locations and mappings are told once each and named by number: `index` is a
 * JSON object from their key to that number. Messages live in arrays of their own (struct list),
 * where they stay. Running out of memory anywhere marks the builder, and is told at the end.
 */
#define _GNU_SOURCE
#include "export/pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pprof.pb-c.h"

#define GZIP_WINDOW  (15 + 16)
#define PAGE_BYTES   4096
#define SAMPLE_TYPES 4

struct list {
	void **items; /* each malloc'ed */
	size_t count, room;
};
struct builder {
	json_t *strings, *functions, *locations, *mappings; /* key -> number */
	struct list texts, function, location, mapping, sample, type;
	bool is_failed;
};

/* ------------------------------------------------------------------ lists and numbers */

/* A zeroed item at the end of the list; it stays where it is. NULL: no memory. */
static void *append(struct builder *builder, struct list *list, size_t bytes)
{
	void *item = calloc(1, bytes);

	if (list->count == list->room) {
		size_t room = list->room != 0 ? list->room * 2 : 64;
		void **items = realloc(list->items, room * sizeof(*items));

		list->items = items != NULL ? items : list->items;
		list->room = items != NULL ? room : list->room;
	}
	if (item == NULL || list->count == list->room) {
		free(item);
		builder->is_failed = true;
		return NULL;
	}
	list->items[list->count++] = item;
	return item;
}

static void list_free(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

/* The number of a key, or -1: then it is told now, and gets `next`. */
static int64_t number_of(struct builder *builder, json_t *index, const char *key, size_t next)
{
	const json_t *known = json_object_get(index, key);

	if (known != NULL)
		return json_integer_value(known);
	if (json_object_set_new_nocheck(index, key, json_integer((json_int_t)next)) != 0)
		builder->is_failed = true;
	return -1;
}

static int64_t string_of(struct builder *builder, const char *text)
{
	size_t next = builder->texts.count;
	int64_t known = number_of(builder, builder->strings, text, next);
	char *copy;

	if (known >= 0)
		return known;
	copy = append(builder, &builder->texts, strlen(text) + 1);
	if (copy == NULL)
		return 0;
	strcpy(copy, text);
	return (int64_t)next;
}

/* ------------------------------------------------------------------ functions, mappings */

static uint64_t function_of(struct builder *builder, const struct stack_view_frame *frame)
{
	size_t next = builder->function.count + 1;
	Pprof__Function *function;
	int64_t known = -1;
	char *key;

	if (asprintf(&key, "%s\n%s", frame->function, frame->file) < 0) {
		builder->is_failed = true;
		return 0;
	}
	known = number_of(builder, builder->functions, key, next);
	free(key);
	if (known >= 0)
		return (uint64_t)known;
	function = append(builder, &builder->function, sizeof(*function));
	if (function == NULL)
		return 0;
	pprof__function__init(function);
	function->id = next;
	function->name = function->system_name = string_of(builder, frame->function);
	function->filename = string_of(builder, frame->file);
	return next;
}

/* As far as its addresses were seen: readers want to know which file an address is in, and names
 * are told here. Of two copies of a file each has a start of its own. */
static uint64_t mapping_of(struct builder *builder, const struct stack_view_frame *frame)
{
	const uint64_t start = frame->addr - frame->module_offset;
	size_t next = builder->mapping.count + 1;
	Pprof__Mapping *mapping;
	int64_t known;
	char *key;

	if (frame->module[0] == '\0')
		return 0;
	if (asprintf(&key, "%" PRIx64 " %s", start, frame->module) < 0) {
		builder->is_failed = true;
		return 0;
	}
	known = number_of(builder, builder->mappings, key, next);
	free(key);
	mapping = known > 0 ? builder->mapping.items[known - 1]
			    : append(builder, &builder->mapping, sizeof(*mapping));
	if (mapping == NULL)
		return 0;
	if (known < 0) {
		pprof__mapping__init(mapping);
		mapping->id = next;
		mapping->memory_start = start;
		mapping->filename = string_of(builder, frame->module);
		mapping->build_id = string_of(builder, frame->build_id);
		mapping->has_functions = mapping->has_filenames = true;
		mapping->has_line_numbers = mapping->has_inline_frames = true;
	}
	if (frame->addr >= mapping->memory_limit)
		mapping->memory_limit = (frame->addr / PAGE_BYTES + 1) * PAGE_BYTES;
	return mapping->id;
}

/* ------------------------------------------------------------------ locations */

static bool add_lines(struct builder *builder, Pprof__Location *location,
		      const struct stack_view_frame *frames, uint32_t count)
{
	location->line = calloc(count, sizeof(*location->line));
	for (uint32_t i = 0; location->line != NULL && i < count; i++) {
		Pprof__Line *line = malloc(sizeof(*line));

		if (line == NULL)
			return false;
		pprof__line__init(line);
		line->function_id = function_of(builder, &frames[i]);
		line->line = frames[i].line;
		location->line[location->n_line++] = line;
	}
	return location->line != NULL;
}

/* One address: the functions inlined there, and the one that they were inlined into. */
static uint64_t location_of(struct builder *builder, const struct stack_view_frame *frames,
			    uint32_t count)
{
	size_t next = builder->location.count + 1;
	Pprof__Location *location;
	int64_t known;
	char key[24];

	snprintf(key, sizeof(key), "%" PRIx64, frames[0].addr);
	known = number_of(builder, builder->locations, key, next);
	if (known >= 0)
		return (uint64_t)known;
	location = append(builder, &builder->location, sizeof(*location));
	if (location == NULL)
		return 0;
	pprof__location__init(location);
	location->id = next;
	location->address = frames[0].addr;
	location->mapping_id = mapping_of(builder, &frames[0]);
	if (!add_lines(builder, location, frames, count))
		builder->is_failed = true;
	return next;
}

static uint32_t frames_at_address(const struct stack_view_row *row, uint32_t first)
{
	uint32_t count = 1;

	while (first + count < row->frames_count && row->frames[first + count - 1].is_inlined)
		count++;
	return count;
}

/* ------------------------------------------------------------------ samples */

static const struct stack_view_frame *nameless(uint32_t id)
{
	static const struct stack_view_frame unknown = {.function = "(sampled without its stack)",
							.file = "",
							.module = "",
							.build_id = ""},
					     other = {.addr = 1,
						      .function = "(other stacks)",
						      .file = "",
						      .module = "",
						      .build_id = ""};

	return id == STACK_VIEW_NONE ? &unknown : &other;
}

static void add_sample(struct builder *builder, const struct stack_view_row *row)
{
	Pprof__Sample *sample = append(builder, &builder->sample, sizeof(*sample));

	if (sample == NULL)
		return;
	pprof__sample__init(sample);
	sample->location_id = calloc(row->frames_count + 1u, sizeof(*sample->location_id));
	sample->value = calloc(SAMPLE_TYPES, sizeof(*sample->value));
	if (sample->location_id == NULL || sample->value == NULL) {
		builder->is_failed = true;
		return;
	}
	sample->n_value = SAMPLE_TYPES;
	sample->value[0] = llround(row->allocated.blocks);
	sample->value[1] = llround(row->allocated.bytes);
	sample->value[2] = llround(row->live.blocks);
	sample->value[3] = llround(row->live.bytes);
	if (row->frames_count == 0)
		sample->location_id[sample->n_location_id++] =
			location_of(builder, nameless(row->id), 1);
	for (uint32_t i = 0; i < row->frames_count;) {
		uint32_t count = frames_at_address(row, i);

		sample->location_id[sample->n_location_id++] =
			location_of(builder, &row->frames[i], count);
		i += count;
	}
}

static Pprof__ValueType *add_type(struct builder *builder, const char *type, const char *unit)
{
	Pprof__ValueType *added = append(builder, &builder->type, sizeof(*added));

	if (added == NULL)
		return NULL;
	pprof__value_type__init(added);
	added->type = string_of(builder, type);
	added->unit = string_of(builder, unit);
	return added;
}

/* ------------------------------------------------------------------ the profile */

static void build(struct builder *builder, const struct stack_view *view)
{
	builder->strings = json_object();
	builder->functions = json_object();
	builder->locations = json_object();
	builder->mappings = json_object();
	string_of(builder, "");
	add_type(builder, "alloc_objects", "count");
	add_type(builder, "alloc_space", "bytes");
	add_type(builder, "inuse_objects", "count");
	add_type(builder, "inuse_space", "bytes");
	add_type(builder, "space", "bytes"); /* of the period */
	for (uint32_t i = 0; i < view->rows_count; i++)
		if (view->rows[i].allocated.samples > 0)
			add_sample(builder, &view->rows[i]);
}

static void builder_fini(struct builder *builder)
{
	for (size_t i = 0; i < builder->location.count; i++) {
		Pprof__Location *location = builder->location.items[i];

		for (size_t k = 0; k < location->n_line; k++)
			free(location->line[k]);
		free(location->line);
	}
	for (size_t i = 0; i < builder->sample.count; i++) {
		Pprof__Sample *sample = builder->sample.items[i];

		free(sample->location_id);
		free(sample->value);
	}
	list_free(&builder->texts);
	list_free(&builder->function);
	list_free(&builder->location);
	list_free(&builder->mapping);
	list_free(&builder->sample);
	list_free(&builder->type);
	json_decref(builder->strings);
	json_decref(builder->functions);
	json_decref(builder->locations);
	json_decref(builder->mappings);
}

/* One gzip member. */
static int compress_whole(uint8_t *plain, size_t plain_bytes, char **out, size_t *bytes)
{
	z_stream stream = {.next_in = plain, .avail_in = (uInt)plain_bytes};
	uLong room;
	char *packed;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&stream, plain_bytes);
	packed = malloc(room);
	stream.next_out = (Bytef *)packed;
	stream.avail_out = (uInt)room;
	if (packed == NULL || deflate(&stream, Z_FINISH) != Z_STREAM_END) {
		deflateEnd(&stream);
		free(packed);
		return -ENOMEM;
	}
	*out = packed;
	*bytes = stream.total_out;
	deflateEnd(&stream);
	return 0;
}

static int pack(const Pprof__Profile *profile, char **out, size_t *bytes)
{
	size_t plain_bytes = pprof__profile__get_packed_size(profile);
	uint8_t *plain = malloc(plain_bytes + 1);
	int error;

	if (plain == NULL)
		return -ENOMEM;
	pprof__profile__pack(profile, plain);
	error = compress_whole(plain, plain_bytes, out, bytes);
	free(plain);
	return error;
}

int export_pprof(const struct stack_view *view, enum pprof_shown shown, char **out, size_t *bytes)
{
	struct builder builder = {0};
	Pprof__Profile profile = PPROF__PROFILE__INIT;
	int error = -ENOMEM;

	build(&builder, view);
	if (!builder.is_failed) {
		profile.n_sample_type = SAMPLE_TYPES;
		profile.sample_type = (Pprof__ValueType **)builder.type.items;
		profile.n_sample = builder.sample.count;
		profile.sample = (Pprof__Sample **)builder.sample.items;
		profile.n_mapping = builder.mapping.count;
		profile.mapping = (Pprof__Mapping **)builder.mapping.items;
		profile.n_location = builder.location.count;
		profile.location = (Pprof__Location **)builder.location.items;
		profile.n_function = builder.function.count;
		profile.function = (Pprof__Function **)builder.function.items;
		profile.n_string_table = builder.texts.count;
		profile.string_table = (char **)builder.texts.items;
		profile.time_nanos = (int64_t)view->at_ns;
		profile.duration_nanos = (int64_t)(view->at_ns - view->since_ns);
		profile.period_type = builder.type.items[SAMPLE_TYPES];
		profile.period = (int64_t)view->sample_bytes;
		profile.default_sample_type =
			profile.sample_type[shown == PPROF_LIVE ? 3 : 1]->type;
		error = pack(&profile, out, bytes);
	}
	builder_fini(&builder);
	return error;
}
