/* SPDX-License-Identifier: MIT */
/* exact_stacks.c - see exact_stacks.h. */
#include "export/exact_stacks.h"

#include <mmviz/abi.h>

#include "export/stacks.h"

#define FORMAT_VERSION 1

static json_t *json_exact(const struct exact_amount *amount)
{
	return json_pack("{s:I, s:I}", "blocks", (json_int_t)amount->blocks, "bytes",
			 (json_int_t)amount->bytes);
}

static const char *kind_of(const struct exact_row *row)
{
	switch (row->kind) {
	case MMVIZ_CONTEXT_STACK:
		return "stack";
	case MMVIZ_CONTEXT_TAG:
		return "tag";
	case MMVIZ_CONTEXT_SITE:
		return "site";
	default:
		return "untagged";
	}
}

static json_t *json_row(const struct exact_row *row)
{
	json_t *frames = json_array(), *text = json_string(row->text);

	for (uint32_t i = 0; i < row->frames_count; i++)
		json_array_append_new(frames, export_json_frame(&row->frames[i]));
	return json_pack("{s:I, s:s, s:o, s:b, s:b, s:o, s:o, s:o}", "id", (json_int_t)row->id,
			 "kind", kind_of(row), "tag", text != NULL ? text : json_string("?"),
			 "complete", (int)row->is_complete, "deep", (int)row->is_deep, "live",
			 json_exact(&row->live), "allocated", json_exact(&row->allocated), "frames",
			 frames);
}

json_t *export_json_exact_rows(const struct exact_view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->rows_count; i++)
		json_array_append_new(rows, json_row(&view->rows[i]));
	return rows;
}

json_t *export_json_exact_stacks(const struct exact_view *view, pid_t pid)
{
	return json_pack("{s:i, s:i, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "version",
			 FORMAT_VERSION, "pid", (int)pid, "stacks", "exact", "at_ns",
			 (json_int_t)view->at_ns, "live", json_exact(&view->live), "known",
			 (json_int_t)view->stacks, "refused", (json_int_t)view->refused, "unnamed",
			 (json_int_t)view->unnamed, "rows_left", (json_int_t)view->rows_left,
			 "left_out", json_exact(&view->left_out), "rows",
			 export_json_exact_rows(view));
}
