/* SPDX-License-Identifier: MIT */
/* exact_stacks.c - see exact_stacks.h. */
#include "exact_stacks.h"

#include <errno.h>
#include <stdlib.h>

#include <mmviz/abi.h>

/* The frames of a context: a stack's, a site's one, none. */
static uint32_t frames_of(const struct registry_context *context, const uint64_t **return_addr)
{
	*return_addr =
		context->kind == MMVIZ_CONTEXT_STACK ? context->return_addr : &context->value;
	return context->kind == MMVIZ_CONTEXT_STACK  ? context->frames_count
	       : context->kind == MMVIZ_CONTEXT_SITE ? 1
						     : 0;
}

/* Code is asked for by the call, not by what comes after it. */
static uint32_t add_frames(const struct registry_context *context, uint64_t *addrs)
{
	const uint64_t *return_addr;
	uint32_t count = frames_of(context, &return_addr);

	for (uint32_t i = 0; i < count; i++)
		addrs[i] = return_addr[i] - 1;
	return count;
}

uint32_t exact_stacks_want(const struct exact_source *source, uint32_t id, uint32_t max)
{
	uint32_t end = registry_reader_contexts_known(source->registry), count = 0;
	uint64_t *addrs;

	if (end > id + max)
		end = id + max;
	if (id >= end)
		return id;
	addrs = malloc((size_t)(end - id) * MMVIZ_STACK_FRAMES_MAX * sizeof(*addrs));
	if (addrs == NULL)
		return id;
	for (; id < end; id++) {
		const struct registry_context *context =
			registry_reader_context(source->registry, id);

		if (context->kind == MMVIZ_CONTEXT_STACK)
			count += add_frames(context, addrs + count);
	}
	stacks_want_names(source->stacks, addrs, count);
	free(addrs);
	return end;
}

/* ------------------------------------------------------------------ the picture */

/* What is put together before it is handed out. */
struct gathered {
	struct view_context *contexts;
	uint32_t contexts_count, addrs_count;
	uint64_t *addrs;
	uint32_t *counts; /* frames of each address: inlined ones too */
	struct stacks_frame *frames;
};

static void gathered_free(struct gathered *gathered)
{
	free(gathered->contexts);
	free(gathered->addrs);
	free(gathered->counts);
	free(gathered->frames);
}

/* The contexts of which something is live, and the addresses of their code. */
static int gather(const struct exact_source *source, uint32_t max, struct gathered *gathered,
		  struct exact_view *out)
{
	struct view_totals totals;
	uint32_t all, room;

	view_contexts_apart(source->view, NULL, 0, &all);
	room = max != 0 && max < all ? max : all;
	gathered->contexts = calloc(room + 1u, sizeof(*gathered->contexts));
	gathered->addrs = calloc((size_t)(room + 1) * MMVIZ_STACK_FRAMES_MAX, sizeof(uint64_t));
	if (gathered->contexts == NULL || gathered->addrs == NULL)
		return -ENOMEM;
	gathered->contexts_count =
		view_contexts_apart(source->view, gathered->contexts, room, &all);
	view_totals(source->view, &totals);
	out->at_ns = totals.at_ns;
	out->live = out->left_out = (struct exact_amount){totals.live_blocks, totals.live_bytes};
	out->rows_left = all - gathered->contexts_count;
	for (uint32_t i = 0; i < gathered->contexts_count; i++) {
		const struct view_context *context = &gathered->contexts[i];

		gathered->addrs_count +=
			add_frames(registry_reader_context(source->registry, context->id),
				   gathered->addrs + gathered->addrs_count);
		out->left_out.blocks -= context->live_blocks;
		out->left_out.bytes -= context->live_bytes;
	}
	return 0;
}

static int name(const struct exact_source *source, struct gathered *gathered,
		struct exact_view *out)
{
	gathered->counts = calloc(gathered->addrs_count + 1u, sizeof(*gathered->counts));
	if (gathered->counts == NULL)
		return -ENOMEM;
	stacks_want_names(source->stacks, gathered->addrs, gathered->addrs_count);
	out->unnamed = stacks_unnamed(source->stacks);
	return stacks_names(source->stacks, gathered->addrs, gathered->addrs_count,
			    gathered->counts, &gathered->frames);
}

static void copy_frame(const struct stacks_frame *from, struct stack_view_frame *to)
{
	*to = (struct stack_view_frame){
		.addr = from->addr,
		.module_offset = from->module_offset,
		.function = from->function,
		.file = from->file,
		.module = from->module,
		.build_id = from->build_id,
		.line = from->line,
		.is_inlined = from->is_inlined,
	};
}

static void fill_row(const struct exact_source *source, const struct view_context *context,
		     struct exact_row *row)
{
	const struct registry_context *meaning =
		registry_reader_context(source->registry, context->id);

	*row = (struct exact_row){
		.id = context->id,
		.base = context->base,
		.kind = context->kind,
		.text = context->text,
		.is_complete = meaning->flags & MMVIZ_STACK_COMPLETE,
		.is_deep = meaning->flags & MMVIZ_STACK_DEEP,
		.live = {context->live_blocks, context->live_bytes},
		.allocated = {context->allocations, context->allocated_bytes},
	};
}

static int fill(const struct exact_source *source, const struct gathered *gathered,
		struct exact_view *out)
{
	size_t frames = 0, at = 0, addr = 0;

	for (uint32_t i = 0; i < gathered->addrs_count; i++)
		frames += gathered->counts[i];
	out->rows = calloc(gathered->contexts_count + 1u, sizeof(*out->rows));
	out->frames = calloc(frames + 1, sizeof(*out->frames));
	if (out->rows == NULL || out->frames == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < frames; i++)
		copy_frame(&gathered->frames[i], &out->frames[i]);
	for (uint32_t i = 0; i < gathered->contexts_count; i++) {
		const struct view_context *context = &gathered->contexts[i];
		const uint64_t *return_addr;
		uint32_t addrs = frames_of(registry_reader_context(source->registry, context->id),
					   &return_addr);
		size_t first = at;

		for (; addrs > 0; addrs--)
			at += gathered->counts[addr++];
		if (context->live_blocks == 0 && context->allocations == 0)
			continue;
		fill_row(source, context, &out->rows[out->rows_count]);
		out->rows[out->rows_count].frames = out->frames + first;
		out->rows[out->rows_count++].frames_count = (uint32_t)(at - first);
	}
	return 0;
}

int exact_stacks_take(const struct exact_source *source, uint32_t max, struct exact_view *out)
{
	struct registry_stacks known = {0};
	struct gathered gathered = {0};
	struct exact_view view = {0};
	int error = gather(source, max, &gathered, &view);

	if (error == 0)
		error = name(source, &gathered, &view);
	if (error == 0)
		error = fill(source, &gathered, &view);
	gathered_free(&gathered);
	if (error != 0) {
		exact_stacks_free(&view);
		return error;
	}
	registry_reader_stacks(source->registry, &known); /* of a target that is gone: 0 */
	view.stacks = known.count;
	view.refused = known.refused;
	*out = view;
	return 0;
}

void exact_stacks_free(struct exact_view *view)
{
	free(view->rows);
	free(view->frames);
	*view = (struct exact_view){0};
}
