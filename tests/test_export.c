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

#include "export/json.h"
#include "export/metrics.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_tell_what_the_view_says),
		cmocka_unit_test(a_hostile_name_stays_inside_its_label),
		cmocka_unit_test(json_has_the_keys_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
