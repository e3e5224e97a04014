/* SPDX-License-Identifier: MIT */
/* lifetimes.c - see lifetimes.h. */
#include "export/lifetimes.h"

#include <stdlib.h>

#include <mmviz/abi.h>

#define FORMAT_VERSION 1

static json_t *json_text(const char *text)
{
	json_t *string = text != NULL ? json_string(text) : NULL;

	return string != NULL ? string : json_string("?");
}

static json_t *json_histogram(const struct view_lifetimes *lifetimes)
{
	uint32_t end = VIEW_LIFETIME_BUCKETS;
	json_t *list = json_array();

	while (end > 0 && lifetimes->deaths[end - 1] == 0)
		end--;
	for (uint32_t i = 0; i < end; i++)
		json_array_append_new(list, json_integer((json_int_t)lifetimes->deaths[i]));
	return list;
}

/* The members of L. */
static json_t *json_lifetimes(const struct view_lifetimes *lifetimes)
{
	uint64_t deaths = 0;

	for (uint32_t i = 0; i < VIEW_LIFETIME_BUCKETS; i++)
		deaths += lifetimes->deaths[i];
	return json_pack("{s:I, s:I, s:I, s:o}", "live_blocks", (json_int_t)lifetimes->live_blocks,
			 "deaths", (json_int_t)deaths, "older", (json_int_t)lifetimes->older,
			 "histogram", json_histogram(lifetimes));
}

static json_t *json_contexts(const struct view_lifetimes *contexts, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		json_t *context = json_lifetimes(&contexts[i]);

		json_object_set_new(context, "tag", json_text(contexts[i].text));
		json_object_set_new(context, "id", json_integer(contexts[i].id));
		json_array_append_new(list, context);
	}
	return list;
}

static json_t *json_arenas(const struct view *view)
{
	struct view_arena *arenas = calloc(MMVIZ_ARENAS_MAX, sizeof(*arenas));
	uint32_t count = arenas != NULL ? view_arenas(view, arenas, MMVIZ_ARENAS_MAX) : 0;
	json_t *list = json_array();

	for (uint32_t i = 0; i < count && i < MMVIZ_ARENAS_MAX; i++) {
		struct view_lifetimes all;
		json_t *arena;

		view_lifetimes(view, arenas[i].id, &all, NULL, 0);
		arena = json_lifetimes(&all);
		json_object_set_new(arena, "id", json_integer(arenas[i].id));
		json_object_set_new(arena, "name", json_text(arenas[i].name));
		json_array_append_new(list, arena);
	}
	free(arenas);
	return list;
}

json_t *export_json_lifetimes(const struct view *view, pid_t pid)
{
	struct view_lifetimes *contexts = calloc(LIFETIMES_CONTEXTS, sizeof(*contexts)), all;
	struct view_totals totals;
	uint32_t count;
	json_t *json;

	if (contexts == NULL)
		return NULL;
	view_totals(view, &totals);
	count = view_lifetimes(view, 0, &all, contexts, LIFETIMES_CONTEXTS);
	json = json_pack("{s:i, s:i, s:I, s:o, s:o, s:o}", "version", FORMAT_VERSION, "pid",
			 (int)pid, "at_ns", (json_int_t)totals.at_ns, "all", json_lifetimes(&all),
			 "contexts", json_contexts(contexts, count), "arenas", json_arenas(view));
	free(contexts);
	return json;
}
