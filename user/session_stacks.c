/* SPDX-License-Identifier: MIT */
/*
 * session_stacks.c - the sampled stacks of a session: what is told to the target, what comes out of
 * the ring, and the picture of it.
 *
 * Opened before the probes are armed, while there are privileges: files are opened then. The thread
 * that unwinds and names begins with the first tick, when the caller has given up what it had;
 * until then samples wait. The control word that says how often to sample is written only when it
 * must say something else, and put back at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/abi.h>

#include "exact_stacks.h"
#include "session_state.h"

/* A sample and its end cost the target about 4 us, and us as much. */
#define WINDOW_NS	   100000000ull
#define SAMPLES_MANY	   8000 /* a second: then every other one is spared, or more */
#define SAMPLES_FEW	   1500 /* then the mean goes back, step by step */
#define CONTEXTS_EACH_TICK 512	/* whose code is handed over to be named */
#define CONTROL_OFFSET	   offsetof(struct mmviz_registry, control_sample_bytes)

static int refuse(const struct session *session, const char *what, int error)
{
	if (error == -ESRCH)
		fprintf(stderr, "mmviz-bpf: process %d ended while it was being attached\n",
			(int)target_pid(session->target));
	else
		fprintf(stderr, "mmviz-bpf: process %d: %s: %s; --stacks off does without\n",
			(int)target_pid(session->target), what, strerror(-error));
	return error;
}

/* What the target goes by. */
static uint64_t effective_bytes(uint64_t control)
{
	return control != 0 ? control : SESSION_SAMPLE_BYTES;
}

static int write_mean(const struct session *session, uint64_t mean_bytes)
{
	return target_write_control(session->target, CONTROL_OFFSET, &mean_bytes,
				    sizeof(mean_bytes));
}

int session_stacks_open(struct session *session, uint64_t sample_bytes)
{
	struct session_stacks *own = &session->stacks;
	int error =
		target_read(session->target, target_registry_addr(session->target) + CONTROL_OFFSET,
			    &own->found_control, sizeof(own->found_control));

	if (error == 0)
		error = stacks_open(target_pid(session->target), &own->stacks);
	if (error != 0)
		return refuse(session, "looking for its code", error);
	own->mean_bytes = own->mean_before_bytes = own->wanted_bytes = sample_bytes;
	own->may_spare = sample_bytes == SESSION_SAMPLE_BYTES;
	own->since_ns = own->changed_ns = own->window_ns = session_clock_ns();
	if (effective_bytes(own->found_control) != sample_bytes)
		error = write_mean(session, sample_bytes);
	return error != 0 ? refuse(session, "setting how often to sample", error) : 0;
}

void session_stacks_close(struct session *session)
{
	if (session->stacks.stacks == NULL)
		return;
	if (!session->is_over && session->stacks.mean_bytes > 0 &&
	    session->stacks.mean_bytes != effective_bytes(session->stacks.found_control))
		write_mean(session, session->stacks.found_control);
	stacks_close(session->stacks.stacks);
	session->stacks.stacks = NULL;
}

static int change_mean(struct session *session, uint64_t mean_bytes)
{
	struct session_stacks *own = &session->stacks;
	int error = session->is_over ? -ESRCH : write_mean(session, mean_bytes);

	if (error != 0)
		return error;
	own->mean_before_bytes = own->mean_bytes;
	own->mean_bytes = mean_bytes;
	own->changed_ns = session_clock_ns();
	return 0;
}

/* By the samples of the last window; see session.h. */
static void spare(struct session *session)
{
	struct session_stacks *own = &session->stacks;
	uint64_t now_ns = session_clock_ns(), passed_ns = now_ns - own->window_ns;
	uint64_t mean_bytes = own->mean_bytes;
	double per_second = (double)own->window_samples * 1e9 / (double)passed_ns;

	if (passed_ns < WINDOW_NS)
		return;
	own->window_ns = now_ns;
	own->window_samples = 0;
	if (!own->may_spare || session->is_over)
		return;
	for (; per_second > SAMPLES_MANY && mean_bytes < SESSION_SAMPLE_BYTES_MAX; per_second /= 2)
		mean_bytes *= 2;
	if (per_second < SAMPLES_FEW && mean_bytes == own->mean_bytes &&
	    mean_bytes > own->wanted_bytes)
		mean_bytes /= 2;
	if (mean_bytes != own->mean_bytes)
		change_mean(session, mean_bytes);
}

int session_stacks_run(struct session *session)
{
	struct session_stacks *own = &session->stacks;

	if (own->stacks == NULL)
		return 0;
	spare(session);
	own->wanted_contexts = exact_stacks_want(
		&(struct exact_source){&session->view, session->registry, own->stacks},
		own->wanted_contexts, CONTEXTS_EACH_TICK);
	return stacks_is_started(own->stacks) ? 0 : stacks_start(own->stacks);
}

int session_exact_stacks(struct session *session, uint32_t max, struct exact_view *out)
{
	const struct exact_source source = {&session->view, session->registry,
					    session->stacks.stacks};

	return source.stacks != NULL ? exact_stacks_take(&source, max, out) : -EOPNOTSUPP;
}

void session_exact_stacks_free(struct exact_view *view)
{
	exact_stacks_free(view);
}

/* What lay in the ring when the mean was changed has the mean from before. */
void session_on_sample(void *context, const struct attach_sample *sample)
{
	struct session *session = context;
	struct session_stacks *own = &session->stacks;

	own->window_samples += !sample->is_free;
	stacks_take(own->stacks, sample,
		    sample->at_ns < own->changed_ns ? own->mean_before_bytes : own->mean_bytes);
}

void session_on_arena_empty(void *context, uint32_t arena_id)
{
	const struct session *session = context;

	stacks_reset_arena(session->stacks.stacks, arena_id);
}

int session_set_sample_bytes(struct session *session, uint64_t mean_bytes)
{
	struct session_stacks *own = &session->stacks;
	int error;

	if (own->stacks == NULL)
		return -EOPNOTSUPP;
	if (mean_bytes == 0 || mean_bytes > SESSION_SAMPLE_BYTES_MAX)
		return -EINVAL;
	error = change_mean(session, mean_bytes);
	if (error != 0)
		return error;
	own->wanted_bytes = mean_bytes;
	own->may_spare = mean_bytes == SESSION_SAMPLE_BYTES;
	return 0;
}

/* ------------------------------------------------------------------ the picture */

static struct stack_view_amount amount_of(const struct stack_estimate *estimate,
					  const struct stack_estimate *allocated,
					  uint64_t mean_bytes)
{
	struct stack_view_amount amount = {
		.samples = estimate->samples,
		.bytes = estimate->bytes,
		.blocks = estimate->blocks,
	};

	stack_estimate_interval(estimate, mean_bytes, &amount.low_bytes, &amount.high_bytes);
	stack_estimate_blocks_interval(estimate, allocated, &amount.low_blocks,
				       &amount.high_blocks);
	return amount;
}

static void fill_frames(const struct stacks_row *row, struct stack_view_frame *frames)
{
	for (uint32_t i = 0; i < row->frames_count; i++) {
		const struct stacks_frame *frame = &row->frames[i];

		frames[i] = (struct stack_view_frame){
			.addr = frame->addr,
			.module_offset = frame->module_offset,
			.function = frame->function,
			.file = frame->file,
			.module = frame->module,
			.build_id = frame->build_id,
			.line = frame->line,
			.is_inlined = frame->is_inlined,
		};
	}
}

static void fill_rows(const struct stacks_snapshot *snapshot, struct stack_view *view)
{
	struct stack_view_frame *frames = view->frames;
	struct stack_estimate allocated = {0}, live = {0};

	for (uint32_t i = 0; i < snapshot->rows_count; i++) {
		const struct stacks_row *row = &snapshot->rows[i];

		fill_frames(row, frames);
		stack_estimate_add(&allocated, &row->allocated);
		stack_estimate_add(&live, &row->live);
		view->rows[i] = (struct stack_view_row){
			.id = row->id,
			.is_complete = row->is_complete,
			.allocated =
				amount_of(&row->allocated, &row->allocated, view->sample_bytes),
			.live = amount_of(&row->live, &row->allocated, view->sample_bytes),
			.frames_count = row->frames_count,
			.frames = frames,
		};
		frames += row->frames_count;
	}
	view->allocated = amount_of(&allocated, &allocated, view->sample_bytes);
	view->live = amount_of(&live, &allocated, view->sample_bytes);
}

static int make_view(const struct session *session, const struct stacks_snapshot *snapshot,
		     struct stack_view *out)
{
	struct stack_view view = {
		.at_ns = session_clock_ns() + session->realtime_offset_ns,
		.since_ns = session->stacks.since_ns + session->realtime_offset_ns,
		.sample_bytes = session->stacks.mean_bytes,
		.wanted_bytes = session->stacks.wanted_bytes,
		.samples = snapshot->samples,
		.without_stack = snapshot->without_stack,
		.untracked = snapshot->untracked,
		.lost = snapshot->lost,
		.unnamed = snapshot->unnamed,
		.left_out = snapshot->left_out,
		.rows_count = snapshot->rows_count,
	};
	size_t frames = 0;

	for (uint32_t i = 0; i < snapshot->rows_count; i++)
		frames += snapshot->rows[i].frames_count;
	view.rows = calloc(snapshot->rows_count + 1u, sizeof(*view.rows));
	view.frames = calloc(frames + 1, sizeof(*view.frames));
	if (view.rows == NULL || view.frames == NULL) {
		session_stacks_free(&view);
		return -ENOMEM;
	}
	fill_rows(snapshot, &view);
	*out = view;
	return 0;
}

int session_stacks(struct session *session, uint32_t max, struct stack_view *out)
{
	struct stacks_snapshot snapshot;
	int error;

	if (session->stacks.stacks == NULL)
		return -EOPNOTSUPP;
	error = stacks_snapshot(session->stacks.stacks, max, &snapshot);
	if (error != 0)
		return error;
	error = make_view(session, &snapshot, out);
	stacks_snapshot_free(&snapshot);
	return error;
}

void session_stacks_free(struct stack_view *view)
{
	free(view->rows);
	free(view->frames);
	*view = (struct stack_view){0};
}

void session_stacks_finish(struct session *session)
{
	if (session->stacks.stacks != NULL && stacks_is_started(session->stacks.stacks))
		stacks_finish(session->stacks.stacks);
}
