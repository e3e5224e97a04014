/* SPDX-License-Identifier: MIT */
/*
 * fallback.c - exact mode paced (pace.h), given up where the target outruns it, and taken up again.
 *
 *   exact ──outrun──> fallen back ──calm, or the time to try──> baseline ──> exact
 *
 * Fallen back, the batch probe's link is closed, so that its semaphore drops and the target writes
 * no logs; sampled stacks go on as they are; the picture is a walk now and then. Every heap's seq is
 * still read at each tick: what was not followed counts as lost, and births get their times
 * (seq_times.h). Coming back is an attach in small: the link, then the cut of a baseline.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "session_state.h"

#define FALLBACK_REASON "the target makes events faster than they can be followed"

bool session_is_following(const struct session *session)
{
	return session->mode == ATTACH_EXACT && session->pace.since_ns == 0;
}

/* ------------------------------------------------------------------ settings */

static void tell_log_events(struct session *session, uint32_t wanted)
{
	if (wanted == session->told_log_events)
		return;
	session->told_log_events = wanted;
	/* Not permitted, or gone: logs are as large as they were. */
	target_write_control(session->target, offsetof(struct mmviz_registry, control_log_events),
			     &wanted, sizeof(wanted));
}

static void apply_settings(struct session *session)
{
	if (session_is_following(session))
		tell_log_events(session, session->pace.log_events);
	if (session->pace.wakeup_bytes == session->told_wakeup_bytes)
		return;
	session->told_wakeup_bytes = session->pace.wakeup_bytes;
	attach_set_wakeup(session->attach, session->pace.wakeup_bytes);
}

void session_pace_end(struct session *session)
{
	if (session->told_log_events)
		tell_log_events(session, 0);
}

/* ------------------------------------------------------------------ down and up */

static void show(struct session *session, bool is_fallen)
{
	struct view_now *now = &session->view.now;

	now->fallback_since_ns =
		is_fallen ? session->pace.since_ns + session->realtime_offset_ns : 0;
	now->fallback_reason = is_fallen ? FALLBACK_REASON : NULL;
}

static int fall_back(struct session *session, uint64_t now_ns)
{
	int error = attach_follow(session->attach, false);

	if (error)
		return error;
	pace_fell_back(&session->pace, now_ns);
	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		replica_unfollow(session->replica.arenas[i]);
	session->next_walk_ns = 0;
	show(session, true);
	fprintf(stderr,
		"mmviz-bpf: " FALLBACK_REASON " (%.1f million a second); a walk each second or "
		"less often, and samples, until that changes\n",
		session->pace.outrun_at / 1e6);
	return 0;
}

/* Link, then cut: every operation from the cut on is logged, but for one that is under way. */
static int follow_again(struct session *session, uint64_t now_ns)
{
	uint64_t since_ns = session->pace.since_ns;
	int error = attach_follow(session->attach, true);

	if (error) { /* as it is, then */
		session->pace.try_at_ns = UINT64_MAX;
		session->pace.calm_windows = 0;
		return error == -ESRCH ? 0 : error;
	}
	pace_returned(&session->pace, now_ns);
	session_break_all(session);
	error = session_baseline(session);
	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		session->replica.arenas[i]->is_unfollowed = false;
	show(session, false);
	fprintf(stderr, "mmviz-bpf: every event is followed again, after %.1f s\n",
		(double)(now_ns - since_ns) / 1e9);
	return error;
}

int session_pace(struct session *session)
{
	struct view_totals totals;
	struct pace_facts facts;

	if (session->mode != ATTACH_EXACT || session->is_ending)
		return 0;
	view_totals(&session->view, &totals);
	facts = (struct pace_facts){.now_ns = session_clock_ns(),
				    .events = totals.events_seen + totals.events_lost,
				    .lost = totals.events_lost,
				    .is_whole = totals.is_exact};
	pace_note(&session->pace, &facts);
	apply_settings(session);
	if (session->may_fall_back && pace_is_outrun(&session->pace))
		return fall_back(session, facts.now_ns);
	if (pace_may_return(&session->pace, facts.now_ns))
		return follow_again(session, facts.now_ns);
	return 0;
}

/* ------------------------------------------------------------------ fallen back */

static int count_heap(struct session *session, struct replica_arena *arena,
		      const struct registry_heap *heap)
{
	struct log_place log = {heap->log_addr, arena->id, heap->id};
	struct log_state state;
	uint64_t begun_ns = session_clock_ns();
	int error = log_read_state(session->target, &log, &state);

	if (error)
		return error == -EFAULT ? 0 : error;
	replica_declare_lost(arena, heap->id, state.seq);
	replica_note_seq(arena, heap->id, state.seq, begun_ns, session_clock_ns());
	return 0;
}

/* What was made and not followed. */
int session_count_unfollowed(struct session *session)
{
	int error = 0;

	for (uint32_t i = 0; i < session->replica.arenas_count && !error; i++) {
		struct replica_arena *arena = session->replica.arenas[i];
		const struct registry_arena *known = session_registry_arena(session, arena->id);

		for (uint32_t h = 0; known && !known->is_gone && h < known->heaps_count && !error;
		     h++)
			error = count_heap(session, arena, &known->heaps[h]);
	}
	return error;
}
