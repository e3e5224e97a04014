/* SPDX-License-Identifier: MIT */
/*
 * picture.c - see picture.h.
 *
 * First every arena is walked once, between two readings of its heaps' seq and of its order. If
 * seq and order stood still, so did the arena. Otherwise the spans of the heaps that moved, and the
 * large blocks if order moved, are walked one by one, each between two readings of what it depends
 * on. A free list or a return of another thread may change headers without the owner's seq: such a
 * block is right as of the moment when it was read.
 */
#define _GNU_SOURCE
#include "picture.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collect/log_reader.h"
#include "collect/registry_reader.h"
#include "collect/stacks.h"
#include "collect/stop.h"
#include "collect/target.h"
#include "collect/walk.h"
#include "exact_stacks.h"
#include "model/view_state.h"

#define SPAN_ATTEMPTS 4

struct picture {
	struct target *target;
	struct registry_reader *registry;
	struct stopped *stopped;
	struct replica replica;
	struct view view;
	uint64_t pause_ns, blocks_in_motion;
	struct stacks *stacks; /* names of code, once they were asked for */
	struct exact_view exact;
};

/* One arena while it is walked. */
struct posing_arena {
	struct picture *picture;
	const struct registry_arena *known;
	struct replica_arena *arena;
	struct mmviz_arena_head head; /* fresh */
	uint64_t *seqs;		      /* of heaps, before the walk */
	uint64_t order;
};

/* ------------------------------------------------------------------ walking */

static void on_units(void *context, uint32_t first, uint32_t units, unsigned code)
{
	replica_walk_units(((struct posing_arena *)context)->arena, first, units, code);
}

static void on_span(void *context, uint32_t first_unit, const struct mmviz_span *head)
{
	replica_walk_span(((struct posing_arena *)context)->arena, first_unit, head);
}

static void on_block(void *context, const struct walk_block *block)
{
	struct walked_block walked = {
		.place = block->place,
		.life = block->life,
		.word = block->word,
		.incarnation = block->incarnation,
		.label = block->label,
	};

	replica_walk_block(((struct posing_arena *)context)->arena, &walked);
}

static int walk_part(struct posing_arena *posing, uint64_t first, uint64_t units)
{
	struct walk_callbacks callbacks = {posing, on_units, on_span, on_block, NULL};

	return walk_units(posing->picture->target, &posing->head, first, units, &callbacks);
}

/* ------------------------------------------------------------------ what moved */

static uint64_t read_seq(const struct posing_arena *posing, uint32_t heap_id)
{
	struct log_place log = {.arena_id = posing->known->id, .heap_id = heap_id};
	struct log_state state = {0};

	if (heap_id == 0 || heap_id > posing->known->heaps_count)
		return 0;
	log.addr = posing->known->heaps[heap_id - 1].log_addr;
	log_read_state(posing->picture->target, &log, &state);
	return state.seq;
}

static uint64_t read_order(const struct posing_arena *posing)
{
	uint64_t order = 0;

	target_read(posing->picture->target,
		    posing->known->head_addr + offsetof(struct mmviz_arena_head, order), &order,
		    sizeof(order));
	return order;
}

/* What a span's blocks depend on: its owner's seq, or for large blocks the arena's order. */
static uint64_t read_pulse(const struct posing_arena *posing, uint32_t owner_heap)
{
	return owner_heap == MMVIZ_HEAP_NONE ? read_order(posing) : read_seq(posing, owner_heap);
}

static bool has_moved(const struct posing_arena *posing, uint32_t owner_heap)
{
	if (owner_heap == MMVIZ_HEAP_NONE)
		return read_order(posing) != posing->order;
	if (owner_heap == 0 || owner_heap > posing->known->heaps_count)
		return true;
	return read_seq(posing, owner_heap) != posing->seqs[owner_heap - 1];
}

/* Read the span again until it stands still. Returns its live blocks if it never does. */
static uint64_t pose_span(struct posing_arena *posing, uint32_t unit)
{
	const struct span *span = block_table_span_at(&posing->arena->table, unit);

	for (int i = 0; i < SPAN_ATTEMPTS && span; i++) {
		uint32_t owner_heap = span->owner_heap;
		uint64_t before = read_pulse(posing, owner_heap);

		if (walk_part(posing, span->first_unit, span->units))
			return 0; /* it is gone */
		if (read_pulse(posing, owner_heap) == before)
			return 0;
		span = block_table_span_at(&posing->arena->table, unit);
	}
	return span ? span->live_cells : 0;
}

static uint64_t pose_spans(struct posing_arena *posing)
{
	const struct block_table *table = &posing->arena->table;
	uint64_t in_motion = 0;
	uint32_t unit = 0;

	while (unit < table->frontier_units) {
		const struct span *span = block_table_span_at(table, unit);
		uint32_t units = span ? span->units : 1;

		if (span && has_moved(posing, span->owner_heap))
			in_motion += pose_span(posing, unit);
		unit += units;
	}
	return in_motion;
}

/* ------------------------------------------------------------------ one arena */

/* What moves is known by its pulse before the walk; the frontier must be of the time after. */
static int read_pulses(struct posing_arena *posing)
{
	const struct registry_arena *known = posing->known;
	struct mmviz_arena_head fresh;
	int error;

	posing->seqs = calloc(known->heaps_count + 1, sizeof(*posing->seqs));
	if (!posing->seqs)
		return -ENOMEM;
	for (uint32_t i = 0; i < known->heaps_count; i++)
		posing->seqs[i] = read_seq(posing, i + 1);
	posing->order = read_order(posing);
	error = target_read(posing->picture->target, known->head_addr, &fresh, sizeof(fresh));
	if (error)
		return error;
	posing->head = known->head; /* whose addresses have been checked */
	posing->head.frontier_units = fresh.frontier_units;
	return fresh.id == known->id ? 0 : -EFAULT;
}

static int walk_all(struct posing_arena *posing)
{
	struct picture *picture = posing->picture;
	int error = read_pulses(posing);

	if (!error)
		error = replica_baseline_begin(&picture->replica, posing->arena, NULL, 0, 0,
					       picture->replica.attach_ns);
	if (!error)
		error = walk_part(posing, 0, UINT64_MAX);
	if (error)
		return error;
	replica_baseline_end(posing->arena, posing->head.frontier_units);
	picture->blocks_in_motion += pose_spans(posing);
	return 0;
}

static int pose_arena(struct picture *picture, const struct registry_arena *known)
{
	struct posing_arena posing = {.picture = picture, .known = known};
	int error = replica_arena_add(&picture->replica, &known->head, true, &posing.arena);

	if (error)
		return error == -EINVAL ? 0 : error;
	error = walk_all(&posing);
	if (error == -EFAULT) { /* destroyed meanwhile */
		replica_arena_remove(&picture->replica, posing.arena);
		error = 0;
	}
	free(posing.seqs);
	return error;
}

static int pose_arenas(struct picture *picture)
{
	const struct registry_arena **known;
	int error = registry_reader_refresh(picture->registry);
	uint32_t count = registry_reader_arenas(picture->registry, &known);

	for (uint32_t i = 0; i < count && !error; i++)
		if (!known[i]->is_gone)
			error = pose_arena(picture, known[i]);
	return error;
}

/* ------------------------------------------------------------------ the picture */

static const char *describe_context(void *context, uint32_t id, uint32_t *kind)
{
	const struct registry_context *meaning = registry_reader_context(context, id);

	*kind = meaning->kind;
	return meaning->text;
}

static uint32_t base_of_context(void *context, uint32_t id)
{
	return registry_reader_base(context, id);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void open_view(struct picture *picture)
{
	picture->view.replica = &picture->replica;
	picture->view.names =
		(struct view_names){picture->registry, describe_context, base_of_context};
	picture->view.now = (struct view_now){
		.monotonic_ns = picture->replica.attach_ns,
		.realtime_ns = clock_ns(CLOCK_REALTIME),
		.resident_bytes = target_resident_bytes(picture->target),
		.threads = target_thread_count(picture->target),
		.contexts = registry_reader_contexts_count(picture->registry),
	};
	view_tick(&picture->view);
}

int picture_take(pid_t pid, bool stop, struct picture **out)
{
	struct picture *picture = calloc(1, sizeof(*picture));
	int error;

	if (!picture)
		return -ENOMEM;
	picture->replica.attach_ns = clock_ns(CLOCK_MONOTONIC);
	error = target_open(pid, &picture->target);
	if (!error)
		error = registry_reader_open(picture->target, &picture->registry);
	if (!error && stop)
		error = stop_process(pid, &picture->stopped);
	if (!error)
		error = pose_arenas(picture);
	stop_resume(picture->stopped, &picture->pause_ns);
	picture->stopped = NULL;
	if (error) {
		picture_free(picture);
		return error;
	}
	open_view(picture);
	*out = picture;
	return 0;
}

/* Asked for once: then the names are looked for; and once more when they are found. */
static int take_named(struct picture *picture, uint32_t max)
{
	const struct exact_source source = {&picture->view, picture->registry, picture->stacks};
	int error = exact_stacks_take(&source, max, &picture->exact);

	if (error)
		return error;
	stacks_finish(picture->stacks);
	exact_stacks_free(&picture->exact);
	return exact_stacks_take(&source, max, &picture->exact);
}

int picture_stacks(struct picture *picture, uint32_t max, const struct exact_view **out)
{
	struct registry_stacks known;
	int error = registry_reader_stacks(picture->registry, &known);

	if (!error && known.count == 0)
		return -ENOENT;
	if (!error && !picture->stacks)
		error = stacks_open(target_pid(picture->target), &picture->stacks);
	if (!error && !stacks_is_started(picture->stacks))
		error = stacks_start(picture->stacks);
	exact_stacks_free(&picture->exact);
	if (!error)
		error = take_named(picture, max);
	if (!error)
		*out = &picture->exact;
	return error;
}

void picture_free(struct picture *picture)
{
	if (!picture)
		return;
	exact_stacks_free(&picture->exact);
	stacks_close(picture->stacks);
	view_fini(&picture->view);
	replica_fini(&picture->replica);
	registry_reader_close(picture->registry);
	target_close(picture->target);
	free(picture);
}

const struct view *picture_view(const struct picture *picture)
{
	return &picture->view;
}

uint64_t picture_pause_ns(const struct picture *picture)
{
	return picture->pause_ns;
}

uint64_t picture_blocks_in_motion(const struct picture *picture)
{
	return picture->blocks_in_motion;
}
