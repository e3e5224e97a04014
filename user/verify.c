/* SPDX-License-Identifier: MIT */
/*
 * verify.c - rule 13: is the replica what a fresh walk finds?
 *
 * From before the walk on, every place that an event names is noted; whatever is not named must be
 * equal. A heap may be stuck in the middle of an operation, with headers changed and no event yet:
 * so a difference counts only if it outlives a number of ticks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collect/walk.h"
#include "model/compare.h"
#include "session_state.h"

#define RETRIES	   30
#define RETRY_MS   2
#define LATE_MS	   50 /* after the first ten; a second in all: threads are throttled for 100 ms */
#define HEAL_TICKS 40
#define HEAL_MS	   100

struct fresh_walk {
	struct session *session;
	struct block_table table;
};

static void on_units(void *context, uint32_t first, uint32_t units, unsigned code)
{
	walked_units(&((struct fresh_walk *)context)->table, first, units, code);
}

static void on_span(void *context, uint32_t first_unit, const struct mmviz_span *head)
{
	walked_span(&((struct fresh_walk *)context)->table, first_unit, head);
}

static void on_block(void *context, const struct walk_block *block)
{
	struct walked_block walked = {
		.place = block->place,
		.life = block->life,
		.word = block->word,
		.incarnation = block->incarnation,
		.born_tick = BORN_BEFORE_ATTACH,
		.label = block->label,
	};

	walked_block(&((struct fresh_walk *)context)->table, &walked);
}

static int on_pause(void *context)
{
	int result = attach_drain(((struct fresh_walk *)context)->session->attach);

	return result < 0 ? result : 0;
}

static int walk_fresh(struct session *session, struct replica_arena *arena,
		      struct fresh_walk *fresh)
{
	struct walk_callbacks callbacks = {fresh, on_units, on_span, on_block, on_pause};
	const struct registry_arena *known = session_registry_arena(session, arena->id);
	int error;

	if (!known)
		return -ESRCH;
	fresh->session = session;
	error = block_table_init(&fresh->table, &session->replica.pool, &arena->head);
	return error ?: walk_arena(session->target, &known->head, &callbacks);
}

/* ------------------------------------------------------------------ ticks */

static void sleep_ms(long ms)
{
	struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

/* Follow until everything that had happened at the first round has been applied. */
static int catch_up(struct session *session)
{
	bool is_behind = true;
	int error = session_follow(session);

	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		replica_catch_up_begin(session->replica.arenas[i]);
	for (int i = 0; i < RETRIES && !error && is_behind; i++) {
		is_behind = false;
		for (uint32_t a = 0; a < session->replica.arenas_count; a++)
			is_behind |= !replica_has_caught_up(session->replica.arenas[a]);
		if (!is_behind)
			break;
		sleep_ms(RETRY_MS);
		error = session_follow(session);
	}
	return error;
}

/* ------------------------------------------------------------------ one comparison */

struct verification {
	struct fresh_walk *walks; /* one for each arena that there was at the beginning */
	uint32_t *ids;
	uint32_t count;
};

static void verification_fini(struct session *session, struct verification *all)
{
	for (uint32_t i = 0; i < all->count; i++) {
		struct replica_arena *arena = replica_arena_find(&session->replica, all->ids[i]);

		block_table_fini(&all->walks[i].table);
		if (arena)
			replica_touch_end(arena);
	}
	free(all->walks);
	free(all->ids);
}

/* Every arena is touched from now on; then each is walked. */
static int verification_walk(struct session *session, struct verification *all)
{
	uint32_t count = session->replica.arenas_count;
	int error = 0;

	all->walks = calloc(count + 1, sizeof(*all->walks));
	all->ids = calloc(count + 1, sizeof(*all->ids));
	if (!all->walks || !all->ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && !error; i++) {
		all->ids[all->count++] = session->replica.arenas[i]->id;
		error = replica_touch_begin(session->replica.arenas[i]);
	}
	for (uint32_t i = 0; i < count && !error; i++) {
		error = walk_fresh(session, session->replica.arenas[i], &all->walks[i]);
		if (error == -EFAULT || error == -ESRCH)
			error = 0; /* destroyed under the walk: the next tick drops it */
	}
	return error;
}

/* Arenas that were destroyed meanwhile have nothing left to compare, and those that lost events are
 * known to be wrong. */
static void compare_all(const struct session *session, const struct verification *all,
			struct comparison *out)
{
	*out = (struct comparison){0};
	for (uint32_t i = 0; i < all->count; i++) {
		const struct replica_arena *arena =
			replica_arena_find(&session->replica, all->ids[i]);

		if (arena && arena->state == REPLICA_EXACT)
			compare_arena(arena, &all->walks[i].table, out);
	}
}

static bool is_equal(const struct comparison *comparison)
{
	return !comparison->missing && !comparison->extra && !comparison->different;
}

static int compare_patiently(struct session *session, const struct verification *all,
			     struct comparison *comparison, uint32_t *retries)
{
	int error = catch_up(session);

	compare_all(session, all, comparison);
	for (*retries = 0; !error && !is_equal(comparison) && *retries < RETRIES; ++*retries) {
		sleep_ms(*retries < 10 ? RETRY_MS : LATE_MS);
		error = session_follow(session);
		compare_all(session, all, comparison);
	}
	return error;
}

static void fill_verdict(const struct comparison *comparison, const struct view_totals *before,
			 const struct view_totals *after, struct session_verdict *out)
{
	*out = (struct session_verdict){
		.compared_blocks = comparison->compared_blocks,
		.missing = comparison->missing,
		.extra = comparison->extra,
		.different = comparison->different,
		.events_seen = after->events_seen,
		.lost_events = after->events_lost - before->events_lost,
		.resyncs = after->resyncs - before->resyncs,
		.is_equal = is_equal(comparison) && after->is_exact,
	};
}

/* What was lost before heals first. */
static int tick_until_exact(struct session *session)
{
	struct view_totals totals;
	int error = 0;

	for (int i = 0; i < HEAL_TICKS && !error; i++) {
		error = session_tick(session, i ? HEAL_MS : 0);
		view_totals(&session->view, &totals);
		if (totals.is_exact)
			break;
	}
	return error == 1 ? -ESRCH : error;
}

int session_verify(struct session *session, struct session_verdict *out)
{
	struct verification all = {0};
	struct comparison comparison;
	struct view_totals before, after;
	uint32_t retries = 0;
	int error = tick_until_exact(session);

	if (error)
		return error;
	view_totals(&session->view, &before);
	error = verification_walk(session, &all);
	if (!error)
		error = compare_patiently(session, &all, &comparison, &retries);
	if (!error && session->is_ending)
		error = -ESRCH;
	verification_fini(session, &all);
	if (error)
		return error;
	view_totals(&session->view, &after);
	fill_verdict(&comparison, &before, &after, out);
	out->retries = retries;
	if (comparison.first[0])
		fprintf(stderr, "mmviz-bpf: replica and walk differ: %s\n", comparison.first);
	if (out->is_equal)
		session->view.now.verified_at_ns = session_clock_ns() + session->realtime_offset_ns;
	return 0;
}
