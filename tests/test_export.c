/* SPDX-License-Identifier: MIT */
/*
 * test_export.c - documents made from a view whose texts are hostile: every line of the metrics is
 * still one sample, the JSON still parses, no arena is left out but those that are gone.
 *
 * The view here is a stand-in with two arenas; the real one is tested in test_replica and e2e.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <zlib.h>

#include <mmviz/abi.h>
#include "export/exact_stacks.h"
#include "export/folded.h"
#include "export/json.h"
#include "export/metrics.h"
#include "export/pprof.h"
#include "export/stacks.h"
#include "pprof.pb-c.h"

#define HOSTILE "a\"} 1\nmmviz_target_up 7\\"

void view_totals(const struct view *view, struct view_totals *out)
{
	(void)view;
	*out = (struct view_totals){.live_blocks = 3,
				    .live_bytes = 1ull << 40,
				    .events_lost = 5,
				    .contexts = 2,
				    .arenas = 3,
				    .is_exact = true};
}

uint32_t view_arenas(const struct view *view, struct view_arena *out, uint32_t max)
{
	(void)view;
	assert_true(max >= 3);
	memset(out, 0, 3 * sizeof(*out));
	out[0] = (struct view_arena){.id = 1, .base_addr = 0x7f0000000000, .live_bytes = 40};
	strcpy(out[0].name, HOSTILE);
	out[1] = (struct view_arena){.id = 2, .name = "gone", .is_gone = true};
	out[2] = (struct view_arena){.id = 3, .name = "plain", .fragmentation_ratio = 0.25};
	return 3;
}

uint32_t view_contexts(const struct view *view, uint32_t arena_id, struct view_context *out,
		       uint32_t max)
{
	(void)view;
	assert_true(max >= 2);
	out[0] = (struct view_context){.text = HOSTILE, .live_blocks = arena_id, .live_bytes = 40};
	out[1] = (struct view_context){.text = "dead"};
	return 2;
}

static char *metrics_text(void)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	export_metrics(out, NULL, "1.2.3");
	assert_int_equal(fclose(out), 0);
	return text;
}

static unsigned count_of(const char *text, const char *needle)
{
	unsigned count = 0;

	for (const char *at = strstr(text, needle); at != NULL; at = strstr(at + 1, needle))
		count++;
	return count;
}

static void metrics_tell_what_the_view_says(void **state)
{
	char *text = metrics_text();

	(void)state;
	assert_non_null(strstr(text, "\nmmviz_build_info{version=\"1.2.3\"} 1\n"));
	assert_non_null(strstr(text, "\nmmviz_events_lost_total 5\n"));
	assert_non_null(strstr(text, "\nmmviz_target_up 1\n"));
	assert_non_null(strstr(
		text, "\nmmviz_arena_fragmentation_ratio{arena=\"plain\",id=\"3\"} 0.250000\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_null(strstr(text, "gone"));
	free(text);
}

static void a_hostile_name_stays_inside_its_label(void **state)
{
	char *text = metrics_text();

	(void)state;
	assert_int_equal(count_of(text, "\nmmviz_target_up"), 1);
	assert_non_null(strstr(text, "\nmmviz_heap_live_bytes{arena=\"a\\\"} 1 mmviz_target_up "
				     "7\\\\\",id=\"1\"} 40\n"));
	free(text);
}

static void json_has_the_keys_of_the_contract(void **state)
{
	static const char *const arena_keys[] = {
		"id",
		"name",
		"base",
		"capacity_bytes",
		"committed_bytes",
		"live_blocks",
		"live_bytes",
		"header_bytes",
		"padding_bytes",
		"free_bytes",
		"largest_free_bytes",
		"fragmentation_ratio",
		"split_blocks",
		"tags",
	};
	json_t *summary = export_json_summary(NULL, 42, "exact"), *arenas, *tags;

	(void)state;
	assert_non_null(summary);
	assert_int_equal(json_integer_value(json_object_get(summary, "live_bytes")), 1ull << 40);
	assert_true(json_is_true(json_object_get(summary, "exact")));
	arenas = json_object_get(summary, "arenas");
	assert_int_equal(json_array_size(arenas), 2);
	for (size_t i = 0; i < sizeof(arena_keys) / sizeof(arena_keys[0]); i++)
		assert_non_null(json_object_get(json_array_get(arenas, 0), arena_keys[i]));
	tags = json_object_get(json_array_get(arenas, 0), "tags");
	assert_int_equal(json_array_size(tags), 1);
	json_decref(summary);
}

/* ------------------------------------------------------------------ stacks */

static struct stack_view_frame stack_frames[] = {
	{0x401010, 0x1010, "inner", "/src/a.c", "/bin/app", "abcd", 7, true},
	{0x401010, 0x1010, "outer; once", "/src/b.c", "/bin/app", "abcd", 9, false},
	{0x402020, 0x2020, "main", "/src/b.c", "/bin/app", "abcd", 20, false},
	{0x7f0000003000, 0x3000, HOSTILE, "", "/lib/libc.so", "ef01", 0, false},
	{0x402020, 0x2020, "main", "/src/b.c", "/bin/app", "abcd", 20, false},
};
static struct stack_view_row stack_rows[] = {
	{.id = STACK_VIEW_NONE, .allocated = {.samples = 1, .bytes = 512, .blocks = 4}},
	{.id = STACK_VIEW_OTHER},
	{.id = 2,
	 .is_complete = true,
	 .allocated = {3, 1536.4, 100.5, 9000.2, 16, 2, 40},
	 .live = {1, 512, 10, 3000, 5.3, 1, 20},
	 .frames_count = 3,
	 .frames = stack_frames},
	{.id = 3,
	 .allocated = {.samples = 2, .bytes = 1024, .blocks = 2},
	 .frames_count = 2,
	 .frames = stack_frames + 3},
};
static const struct stack_view stack_view = {
	.at_ns = 5000,
	.since_ns = 2000,
	.sample_bytes = 512,
	.allocated = {.samples = 6, .bytes = 3072},
	.samples = 6,
	.rows_count = 4,
	.rows = stack_rows,
	.frames = stack_frames,
};

static Pprof__Profile *unpack(const char *packed, size_t bytes)
{
	static uint8_t plain[65536];
	z_stream stream = {.next_in = (Bytef *)packed,
			   .avail_in = (uInt)bytes,
			   .next_out = plain,
			   .avail_out = sizeof(plain)};

	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	return pprof__profile__unpack(NULL, stream.total_out, plain);
}

static const char *text_of(const Pprof__Profile *profile, int64_t number)
{
	assert_in_range(number, 0, profile->n_string_table - 1);
	return profile->string_table[number];
}

static const Pprof__Location *location_of(const Pprof__Profile *profile, uint64_t id)
{
	assert_in_range(id, 1, profile->n_location);
	assert_int_equal(profile->location[id - 1]->id, id);
	return profile->location[id - 1];
}

static const char *function_of(const Pprof__Profile *profile, const Pprof__Line *line)
{
	assert_in_range(line->function_id, 1, profile->n_function);
	return text_of(profile, profile->function[line->function_id - 1]->name);
}

static void assert_stack_is_whole(const Pprof__Profile *profile, const Pprof__Sample *sample)
{
	const Pprof__Location *first = location_of(profile, sample->location_id[0]);
	const Pprof__Mapping *mapping;

	assert_int_equal(sample->n_location_id, 2); /* of three frames one is inlined */
	assert_int_equal(first->n_line, 2);
	assert_string_equal(function_of(profile, first->line[0]), "inner");
	assert_string_equal(function_of(profile, first->line[1]), "outer; once");
	assert_int_equal(first->line[0]->line, 7);
	assert_int_equal(first->address, 0x401010);
	assert_in_range(first->mapping_id, 1, profile->n_mapping);
	mapping = profile->mapping[first->mapping_id - 1];
	assert_int_equal(mapping->memory_start, 0x400000);
	assert_true(mapping->memory_limit > 0x402020);
	assert_string_equal(text_of(profile, mapping->filename), "/bin/app");
	assert_string_equal(text_of(profile, mapping->build_id), "abcd");
	assert_true(mapping->has_functions && mapping->has_inline_frames);
}

static void a_profile_says_what_the_stacks_say(void **state)
{
	static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects",
					    "inuse_space"};
	Pprof__Profile *profile;
	char *packed;
	size_t bytes;

	(void)state;
	assert_int_equal(export_pprof(&stack_view, PPROF_LIVE, &packed, &bytes), 0);
	profile = unpack(packed, bytes);
	assert_non_null(profile);
	assert_string_equal(profile->string_table[0], "");
	assert_int_equal(profile->n_sample_type, 4);
	for (int i = 0; i < 4; i++)
		assert_string_equal(text_of(profile, profile->sample_type[i]->type), types[i]);
	assert_string_equal(text_of(profile, profile->sample_type[3]->unit), "bytes");
	assert_string_equal(text_of(profile, profile->default_sample_type), "inuse_space");
	assert_int_equal(profile->period, 512);
	assert_int_equal(profile->time_nanos, 5000);
	assert_int_equal(profile->duration_nanos, 3000);
	assert_int_equal(profile->n_sample, 3); /* nothing is known of "other" */
	assert_int_equal(profile->n_mapping, 2);
	assert_int_equal(profile->n_function, 5); /* main once */
	assert_int_equal(profile->sample[1]->n_value, 4);
	assert_int_equal(profile->sample[1]->value[0], 16);
	assert_int_equal(profile->sample[1]->value[1], 1536);
	assert_int_equal(profile->sample[1]->value[2], 5);
	assert_int_equal(profile->sample[1]->value[3], 512);
	assert_stack_is_whole(profile, profile->sample[1]);
	assert_int_equal(profile->sample[2]->location_id[1], profile->sample[1]->location_id[1]);
	pprof__profile__free_unpacked(profile, NULL);
	free(packed);
}

static void a_profile_without_stacks_is_one(void **state)
{
	const struct stack_view none = {.sample_bytes = 1};
	Pprof__Profile *profile;
	char *packed;
	size_t bytes;

	(void)state;
	assert_int_equal(export_pprof(&none, PPROF_ALLOCATED, &packed, &bytes), 0);
	profile = unpack(packed, bytes);
	assert_non_null(profile);
	assert_int_equal(profile->n_sample, 0);
	assert_string_equal(text_of(profile, profile->default_sample_type), "alloc_space");
	pprof__profile__free_unpacked(profile, NULL);
	free(packed);
}

static void folded_stacks_have_a_line_each(void **state)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	export_folded(out, &stack_view, false);
	fclose(out);
	assert_string_equal(text, "main;outer: once;inner 512\n");
	free(text);
	out = open_memstream(&text, &bytes);
	export_folded(out, &stack_view, true);
	fclose(out);
	assert_string_equal(text, "(sampled without its stack) 512\n"
				  "main;outer: once;inner 1536\n"
				  "main;a\"} 1 mmviz_target_up 7\\ 1024\n");
	free(text);
}

static void stacks_as_json_round_intervals_outwards(void **state)
{
	json_t *json = export_json_stacks(&stack_view, 42), *row;

	(void)state;
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "rows")), 3);
	row = json_array_get(json_object_get(json, "rows"), 1);
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "stack");
	assert_int_equal(json_array_size(json_object_get(row, "frames")), 3);
	row = json_object_get(row, "allocated");
	assert_int_equal(json_integer_value(json_object_get(row, "bytes")), 1536);
	assert_int_equal(json_integer_value(json_object_get(row, "bytes_low")), 100);
	assert_int_equal(json_integer_value(json_object_get(row, "bytes_high")), 9001);
	json_decref(json);
	json = export_json_stacks_off(42);
	assert_string_equal(json_string_value(json_object_get(json, "stacks")), "off");
	assert_int_equal(json_array_size(json_object_get(json, "rows")), 0);
	json_decref(json);
}

static void exact_stacks_are_told_to_the_byte(void **state)
{
	struct exact_row rows[] = {
		{.id = 9,
		 .base = 3,
		 .kind = MMVIZ_CONTEXT_STACK,
		 .text = HOSTILE,
		 .is_deep = true,
		 .live = {3, 1ull << 52 | 1},
		 .allocated = {4, 1ull << 53 | 1},
		 .frames_count = 1,
		 .frames = stack_frames},
		{.id = 0, .kind = MMVIZ_CONTEXT_NONE, .text = "\xff", .live = {1, 2}},
	};
	struct exact_view view = {
		.live = {6, 10}, .left_out = {2, 5}, .rows_count = 2, .rows = rows};
	json_t *json = export_json_exact_stacks(&view, 12), *row;

	(void)state;
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "stacks")), "exact");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "left_out"), "bytes")), 5);
	row = json_array_get(json_object_get(json, "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "stack");
	assert_string_equal(json_string_value(json_object_get(row, "tag")), HOSTILE);
	assert_true(json_is_true(json_object_get(row, "deep")));
	assert_int_equal(json_array_size(json_object_get(row, "frames")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "live"), "bytes")),
			 (json_int_t)(1ull << 52 | 1));
	row = json_array_get(json_object_get(json, "rows"), 1);
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "untagged");
	assert_string_equal(json_string_value(json_object_get(row, "tag")), "?");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_stacks_are_told_to_the_byte),
		cmocka_unit_test(metrics_tell_what_the_view_says),
		cmocka_unit_test(a_hostile_name_stays_inside_its_label),
		cmocka_unit_test(json_has_the_keys_of_the_contract),
		cmocka_unit_test(a_profile_says_what_the_stacks_say),
		cmocka_unit_test(a_profile_without_stacks_is_one),
		cmocka_unit_test(folded_stacks_have_a_line_each),
		cmocka_unit_test(stacks_as_json_round_intervals_outwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
