/* SPDX-License-Identifier: MIT */
/*
 * baseline.c - rule 8: the cut, then the walk, while the ring is drained.
 *
 * The order of reading is the whole point: every seq (s1), every seq again (s2), the arena's order,
 * then the map, then the headers. All arenas are cut before the first is walked, so that no event
 * meets an arena whose numbers are not known.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "collect/walk.h"
#include "model/rules.h"
#include "session_state.h"

#define RETRY_FIRST_NS 50000000ull
#define RETRY_MAX_NS   2000000000ull

/* ------------------------------------------------------------------ cut */

static int read_state(const struct session *session, const struct registry_arena *known,
		      uint32_t index, struct log_state *out)
{
	const struct registry_heap *heap = &known->heaps[index];
	struct log_place log = {heap->log_addr, known->id, heap->id};

	return log_read_state(session->target, &log, out);
}

static int read_seqs(const struct session *session, const struct registry_arena *known,
		     struct replica_cut *cuts)
{
	struct log_state state;
	int error = 0;

	for (uint32_t i = 0; i < known->heaps_count && !error; i++) {
		error = read_state(session, known, i, &state);
		cuts[i] = (struct replica_cut){.s1 = state.seq, .thread_id = state.thread_id};
	}
	for (uint32_t i = 0; i < known->heaps_count && !error; i++) {
		error = read_state(session, known, i, &state);
		cuts[i].s2 = state.seq;
		rule_pause();
	}
	return error;
}

/* -EFAULT: another arena lies there now. */
static int read_head(const struct session *session, const struct registry_arena *known,
		     struct mmviz_arena_head *out)
{
	int error = target_read(session->target, known->head_addr, out, sizeof(*out));

	return error ?: (out->id == known->id ? 0 : -EFAULT);
}

static int cut_arena(struct session *session, struct replica_arena *arena,
		     const struct registry_arena *known)
{
	struct replica_cut *cuts = calloc(known->heaps_count + 1, sizeof(*cuts));
	struct mmviz_arena_head head = {0};
	int error = -ENOMEM;

	if (cuts)
		error = read_seqs(session, known, cuts);
	if (!error)
		error = read_head(session, known, &head);
	if (!error)
		error = replica_baseline_begin(&session->replica, arena, cuts, known->heaps_count,
					       head.order, session_clock_ns());
	free(cuts);
	return error;
}

/* ------------------------------------------------------------------ walk */

struct walking {
	struct session *session;
	struct replica_arena *arena;
};

static void on_units(void *context, uint32_t first, uint32_t units, unsigned code)
{
	replica_walk_units(((struct walking *)context)->arena, first, units, code);
}

static void on_span(void *context, uint32_t first_unit, const struct mmviz_span *head)
{
	replica_walk_span(((struct walking *)context)->arena, first_unit, head);
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

	replica_walk_block(((struct walking *)context)->arena, &walked);
}

static int on_pause(void *context)
{
	int result = attach_drain(((struct walking *)context)->session->attach);

	return result < 0 ? result : 0;
}

static int walk_replica(struct session *session, struct replica_arena *arena,
			const struct registry_arena *known)
{
	struct walking walking = {session, arena};
	struct walk_callbacks callbacks = {&walking, on_units, on_span, on_block, on_pause};
	struct mmviz_arena_head head = known->head, fresh;
	int error = read_head(session, known, &fresh);

	if (error)
		return error;
	head.frontier_units = fresh.frontier_units; /* of the time after order was read */
	error = walk_arena(session->target, &head, &callbacks);
	if (!error)
		replica_baseline_end(arena, head.frontier_units);
	return error;
}

/* ------------------------------------------------------------------ who needs one */

static void set_retry(struct followed_arena *followed, uint64_t now_ns)
{
	uint64_t delay_ns = followed->retry_delay_ns;

	if (now_ns > followed->retry_at_ns + RETRY_MAX_NS)
		delay_ns = 0; /* it was well for a while */
	delay_ns = delay_ns ? 2 * delay_ns : RETRY_FIRST_NS;
	followed->retry_delay_ns = delay_ns < RETRY_MAX_NS ? delay_ns : RETRY_MAX_NS;
	followed->retry_at_ns = now_ns + followed->retry_delay_ns;
}

static bool needs_baseline(const struct session *session, const struct followed_arena *followed)
{
	const struct replica_arena *arena = replica_arena_find(&session->replica, followed->id);

	return arena && arena->state == REPLICA_BROKEN && !followed->is_gone &&
	       session_clock_ns() >= followed->retry_at_ns;
}

int session_baseline(struct session *session)
{
	int error = 0;

	for (uint32_t i = 0; i < session->arenas_count; i++) {
		struct followed_arena *followed = &session->arenas[i];

		if (!needs_baseline(session, followed))
			continue;
		error = cut_arena(session, replica_arena_find(&session->replica, followed->id),
				  session_registry_arena(session, followed->id));
		if (error && error != -EFAULT)
			return error;
		set_retry(followed, session_clock_ns());
	}
	for (uint32_t i = 0; i < session->arenas_count; i++) {
		uint32_t id = session->arenas[i].id;
		struct replica_arena *arena = replica_arena_find(&session->replica, id);

		if (!arena || arena->state != REPLICA_WALKING)
			continue;
		error = walk_replica(session, arena, session_registry_arena(session, id));
		if (error)
			arena->state = REPLICA_BROKEN;
		if (error && error != -EFAULT)
			return error;
	}
	return 0;
}
