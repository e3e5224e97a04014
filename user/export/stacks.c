/* SPDX-License-Identifier: MIT */
/* stacks.c - see stacks.h. */
#include "export/stacks.h"

#include <inttypes.h>
#include <math.h>

#define FORMAT_VERSION 1

static json_int_t whole(double value)
{
	return (json_int_t)llround(value);
}

/* The interval is rounded outwards. */
static json_t *json_amount(const struct stack_view_amount *amount)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "samples",
			 (json_int_t)amount->samples, "bytes", whole(amount->bytes), "bytes_low",
			 whole(floor(amount->low_bytes)), "bytes_high",
			 whole(ceil(amount->high_bytes)), "blocks", whole(amount->blocks),
			 "blocks_low", whole(floor(amount->low_blocks)), "blocks_high",
			 whole(ceil(amount->high_blocks)));
}

static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);

	return string != NULL ? string : json_string("?");
}

json_t *export_json_frame(const struct stack_view_frame *frame)
{
	return json_pack("{s:o, s:b, s:o, s:i, s:o, s:o, s:o}", "function",
			 json_text(frame->function), "inlined", (int)frame->is_inlined, "file",
			 json_text(frame->file), "line", (int)frame->line, "module",
			 json_text(frame->module), "offset",
			 json_sprintf("0x%" PRIx64, frame->module_offset), "address",
			 json_sprintf("0x%" PRIx64, frame->addr));
}

static const char *kind_of(const struct stack_view_row *row)
{
	return row->id == STACK_VIEW_NONE    ? "unknown"
	       : row->id == STACK_VIEW_OTHER ? "other"
					     : "stack";
}

static json_t *json_row(const struct stack_view_row *row)
{
	json_t *frames = json_array();

	for (uint32_t i = 0; i < row->frames_count; i++)
		json_array_append_new(frames, export_json_frame(&row->frames[i]));
	return json_pack("{s:I, s:s, s:b, s:o, s:o, s:o}", "id", (json_int_t)row->id, "kind",
			 kind_of(row), "complete", (int)row->is_complete, "allocated",
			 json_amount(&row->allocated), "live", json_amount(&row->live), "frames",
			 frames);
}

/* Rows of which nothing was sampled are not told of: only the two special ones can be empty. */
static json_t *json_rows(const struct stack_view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->rows_count; i++)
		if (view->rows[i].allocated.samples > 0)
			json_array_append_new(rows, json_row(&view->rows[i]));
	return rows;
}

json_t *export_json_stacks(const struct stack_view *view, pid_t pid)
{
	return json_pack(
		"{s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
		"version", FORMAT_VERSION, "pid", (int)pid, "stacks", "sampled", "sample_bytes",
		(json_int_t)view->sample_bytes, "wanted_sample_bytes",
		(json_int_t)view->wanted_bytes, "at_ns", (json_int_t)view->at_ns, "since_ns",
		(json_int_t)view->since_ns, "samples", (json_int_t)view->samples, "without_stack",
		(json_int_t)view->without_stack, "untracked", (json_int_t)view->untracked, "lost",
		(json_int_t)view->lost, "unnamed", (json_int_t)view->unnamed, "left_out",
		(json_int_t)view->left_out, "allocated", json_amount(&view->allocated), "live",
		json_amount(&view->live), "rows", json_rows(view));
}

json_t *export_json_stacks_off(pid_t pid)
{
	return json_pack("{s:i, s:i, s:s, s:[]}", "version", FORMAT_VERSION, "pid", (int)pid,
			 "stacks", "off", "rows");
}
