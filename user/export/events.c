/* SPDX-License-Identifier: MIT */
/*
 * events.c - see events.h. Numbers are whole where the truth is; estimates are not.
 */
#include "export/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1

/* Bytes of the target: what is not valid UTF-8 is shown as question marks. */
static json_t *json_text(const char *text)
{
	json_t *valid = json_string(text);
	char *copy;

	if (valid != NULL)
		return valid;
	copy = strdup(text);
	if (copy == NULL)
		return NULL;
	for (char *at = copy; *at != '\0'; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	valid = json_string(copy);
	free(copy);
	return valid;
}

static const char *tag_text(const struct export_events *from, uint64_t id)
{
	const char *text =
		id == EVENTS_OTHERS ? "others" : view_context_text(from->view, (uint32_t)id);

	return text != NULL ? text : "";
}

/* ------------------------------------------------------------------ settings and totals */

static json_t *json_settings(const struct export_events *from)
{
	const struct events_settings *settings = from->settings;
	bool has_tag = settings->tag_id != EVENTS_ANY_TAG;
	bool has_name = settings->tag[0] != '\0' || has_tag;

	return json_pack(
		"{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:b}", "by",
		settings->is_by_bytes ? "bytes" : "count", "sample", (json_int_t)settings->sample,
		"min_bytes", (json_int_t)settings->min_bytes, "max_bytes",
		settings->max_bytes < EVENTS_BLOCK_MAX
			? json_integer((json_int_t)settings->max_bytes)
			: json_null(),
		"tag",
		has_name ? json_text(settings->tag[0] != '\0' ? settings->tag
							      : tag_text(from, settings->tag_id))
			 : json_null(),
		"tag_id", has_tag ? json_integer(settings->tag_id) : json_null(), "thread",
		settings->thread_id != 0 ? json_integer(settings->thread_id) : json_null(),
		"is_waiting_for_tag", (int)from->is_waiting);
}

static json_t *json_counted(const struct events_counted *counted)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "hits", (json_int_t)counted->hits,
			 "allocations", (json_int_t)counted->allocations, "allocated_bytes",
			 (json_int_t)counted->allocated_bytes, "told", (json_int_t)counted->told,
			 "dropped", (json_int_t)counted->dropped);
}

static json_t *json_rate(const struct events_rate *rate)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "allocations_per_second", rate->allocations,
			 "allocations_error", rate->allocations_error, "bytes_per_second",
			 rate->bytes, "bytes_error", rate->bytes_error, "frees_per_second",
			 rate->frees);
}

/* ------------------------------------------------------------------ tables */

static json_t *json_row(const struct export_events *from, enum events_by by,
			const struct events_rate *rate)
{
	json_t *row = json_rate(rate);
	json_t *key =
		rate->key == EVENTS_OTHERS ? json_null() : json_integer((json_int_t)rate->key);

	if (row == NULL)
		return NULL;
	switch (by) {
	case EVENTS_BY_TAG:
		json_object_set_new(row, "tag_id", key);
		json_object_set_new(row, "tag", json_text(tag_text(from, rate->key)));
		break;
	case EVENTS_BY_THREAD:
		json_object_set_new(row, "thread", key);
		json_object_set_new(row, "comm", json_text(rate->comm));
		break;
	default:
		json_decref(key);
		json_object_set_new(row, "min_bytes",
				    json_integer(rate->key > 0
							 ? (json_int_t)(1ull << (rate->key - 1)) + 1
							 : 0));
		json_object_set_new(row, "max_bytes",
				    json_integer((json_int_t)(1ull << rate->key)));
	}
	return row;
}

static json_t *json_table(const struct export_events *from, enum events_by by, uint32_t max)
{
	struct events_rate *rates = calloc(max + 1, sizeof(*rates));
	json_t *table = json_array();
	uint32_t count = rates != NULL ? events_rates(from->events, by, rates, max) : 0;

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(table, json_row(from, by, &rates[i]));
	free(rates);
	return table;
}

/* ------------------------------------------------------------------ events */

static json_t *json_event(const struct export_events *from, const struct event *event)
{
	json_t *row = json_pack(
		"{s:I, s:I, s:s, s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:o, s:f}", "number",
		(json_int_t)event->number, "at_ns", (json_int_t)event->at_ns, "event",
		event->is_free ? "free" : "alloc", "thread", (json_int_t)event->thread_id, "comm",
		json_text(event->comm), "bytes", (json_int_t)event->bytes, "tag",
		json_text(tag_text(from, event->context)), "tag_id", (json_int_t)event->context,
		"address", json_sprintf("0x%" PRIx64, event->addr), "arena",
		(json_int_t)event->arena_id, "lifetime_ns",
		event->is_free ? json_integer((json_int_t)event->lifetime_ns) : json_null(),
		"weight", event->weight);

	if (row != NULL && event->label[0] != '\0')
		json_object_set_new(row, "label", json_text(event->label));
	if (row != NULL && event->is_free && event->birth_thread_id != event->thread_id)
		json_object_set_new(row, "allocated_by", json_integer(event->birth_thread_id));
	return row;
}

static json_t *json_newest(const struct export_events *from, uint32_t max)
{
	struct event *events = calloc(max + 1, sizeof(*events));
	json_t *list = json_array();
	uint32_t count = events != NULL ? events_newest(from->events, events, max) : 0;

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_event(from, &events[i]));
	free(events);
	return list;
}

json_t *export_events(const struct export_events *from, uint32_t newest, uint32_t rows)
{
	struct events_totals totals;

	events_totals(from->events, &totals);
	return json_pack(
		"{s:i, s:o, s:o, s:o, s:o, s:f, s:I, s:I, s:o, s:o, s:o, s:o}", "version",
		FORMAT_VERSION, "settings", json_settings(from), "counted",
		json_counted(&totals.counted), "counted_per_second", json_counted(&totals.a_second),
		"estimates", json_rate(&totals.all), "window_s", totals.window_s, "remembered",
		(json_int_t)totals.counted.remembered, "remembered_max",
		(json_int_t)totals.counted.remembered_max, "tags",
		json_table(from, EVENTS_BY_TAG, rows), "threads",
		json_table(from, EVENTS_BY_THREAD, rows), "sizes",
		json_table(from, EVENTS_BY_SIZE, rows), "events", json_newest(from, newest));
}

int export_events_lines(FILE *out, const struct export_events *from)
{
	struct event *events = calloc(EVENTS_KEPT, sizeof(*events));
	uint32_t count = events != NULL ? events_newest(from->events, events, EVENTS_KEPT) : 0;

	while (count > 0) {
		json_t *row = json_event(from, &events[--count]);

		json_dumpf(row, out, JSON_COMPACT);
		json_decref(row);
		fputc('\n', out);
	}
	free(events);
	return events != NULL ? 0 : -ENOMEM;
}
