/* SPDX-License-Identifier: MIT */
/*
 * json.c - builds JSON from the plain values of view.h. Knows no files and no sockets.
 */
#include "export/json.h"

#include <inttypes.h>
#include <stdlib.h>

#include <mmviz/abi.h>

#define FORMAT_VERSION 1

/* JSON is UTF-8; a text that is not is told by a question mark, not by nothing. */
static json_t *json_text(const char *text)
{
	json_t *string = text != NULL ? json_string(text) : NULL;

	return string != NULL ? string : json_string("?");
}

static json_t *json_tag(const struct view_context *context)
{
	return json_pack("{s:o, s:I, s:I}", "tag", json_text(context->text), "live_blocks",
			 (json_int_t)context->live_blocks, "live_bytes",
			 (json_int_t)context->live_bytes);
}

/* The contexts with something alive in this arena, most bytes first. */
static json_t *json_tags(const struct view *view, uint32_t arena_id)
{
	struct view_totals totals;
	struct view_context *contexts;
	uint32_t count;
	json_t *tags = json_array();

	view_totals(view, &totals);
	contexts = calloc((size_t)totals.contexts + 1, sizeof(*contexts));
	if (contexts == NULL || tags == NULL) {
		free(contexts);
		json_decref(tags);
		return NULL;
	}
	count = view_contexts(view, arena_id, contexts, totals.contexts + 1);
	for (uint32_t i = 0; i < count; i++)
		if (contexts[i].live_blocks > 0)
			json_array_append_new(tags, json_tag(&contexts[i]));
	free(contexts);
	return tags;
}

static json_t *json_arena(const struct view *view, const struct view_arena *arena)
{
	return json_pack(
		"{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "id",
		(json_int_t)arena->id, "name", json_text(arena->name), "base",
		json_sprintf("0x%" PRIx64, arena->base_addr), "capacity_bytes",
		(json_int_t)arena->capacity_bytes, "committed_bytes",
		(json_int_t)arena->committed_bytes, "live_blocks", (json_int_t)arena->live_blocks,
		"live_bytes", (json_int_t)arena->live_bytes, "header_bytes",
		(json_int_t)arena->header_bytes, "padding_bytes", (json_int_t)arena->padding_bytes,
		"free_bytes", (json_int_t)arena->free_bytes, "largest_free_bytes",
		(json_int_t)arena->largest_free_bytes, "fragmentation_ratio",
		arena->fragmentation_ratio, "split_blocks", (json_int_t)arena->split_blocks, "tags",
		json_tags(view, arena->id));
}

static json_t *json_arenas(const struct view *view)
{
	struct view_arena *arenas = calloc(MMVIZ_ARENAS_MAX, sizeof(*arenas));
	uint32_t count = arenas != NULL ? view_arenas(view, arenas, MMVIZ_ARENAS_MAX) : 0;
	json_t *list = arenas != NULL ? json_array() : NULL;

	for (uint32_t i = 0; i < count && i < MMVIZ_ARENAS_MAX; i++)
		if (!arenas[i].is_gone)
			json_array_append_new(list, json_arena(view, &arenas[i]));
	free(arenas);
	return list;
}

/* NULL: exact mode has not given way. */
static json_t *json_fallback(const struct view_totals *totals)
{
	return totals->fallback_since_ns
		       ? json_pack("{s:I, s:s}", "since_ns", (json_int_t)totals->fallback_since_ns,
				   "reason", totals->fallback_reason)
		       : NULL;
}

json_t *export_json_summary(const struct view *view, pid_t pid, const char *mode)
{
	struct view_totals totals;

	view_totals(view, &totals);
	if (totals.fallback_since_ns)
		mode = "sampled";
	return json_pack("{s:i, s:i, s:s, s:b, s:o*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			 "version", FORMAT_VERSION, "pid", (int)pid, "mode", mode, "exact",
			 (int)totals.is_exact, "fallback", json_fallback(&totals), "at_ns",
			 (json_int_t)totals.at_ns, "live_blocks", (json_int_t)totals.live_blocks,
			 "live_bytes", (json_int_t)totals.live_bytes, "peak_live_bytes",
			 (json_int_t)totals.peak_live_bytes, "events_seen",
			 (json_int_t)totals.events_seen, "events_lost",
			 (json_int_t)totals.events_lost, "resyncs", (json_int_t)totals.resyncs,
			 "arenas", json_arenas(view));
}

json_t *export_json_snapshot(const struct view *view, pid_t pid, uint64_t pause_ns)
{
	return json_pack("{s:i, s:i, s:I, s:o}", "version", FORMAT_VERSION, "pid", (int)pid,
			 "pause_ns", (json_int_t)pause_ns, "arenas", json_arenas(view));
}
