/* SPDX-License-Identifier: MIT */
/*
 * follow.c - one round of rule 10: order, seqs, tails, ring; then feed and apply.
 *
 * Steps, in this order and no other:
 *   1. registry: each arena's order (the horizon), then its list of heaps
 *   2. every heap's seq, and the tail of those that have moved
 *   3. drain the ring
 *   4. feed the tails; a tail that does not connect waits for a record that is still being written
 *   5. apply up to the horizon
 * After step 2 everything up to the horizon is in a tail or in the ring, because the target stores
 * events and seq before it publishes order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/rules.h"
#include "session_state.h"

#define HIDDEN_RECORD_MS      2 /* a record that was reserved and not submitted hides later ones */
#define HIDDEN_RECORD_RETRIES 25
#define REPORTS_MAX	      3 /* of contradictions, for each arena */

static void sleep_ms(long ms)
{
	struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

/* ------------------------------------------------------------------ arenas */

struct followed_arena *session_find_arena(const struct session *session, uint32_t id)
{
	for (uint32_t i = 0; i < session->arenas_count; i++)
		if (session->arenas[i].id == id)
			return &session->arenas[i];
	return NULL;
}

static int add_followed(struct session *session, const struct registry_arena *known)
{
	struct followed_arena *arenas =
		realloc(session->arenas, (session->arenas_count + 1) * sizeof(*arenas));

	if (!arenas)
		return -ENOMEM;
	session->arenas = arenas;
	arenas[session->arenas_count++] =
		(struct followed_arena){.id = known->id, .head_addr = known->head_addr};
	return 0;
}

static void forget_followed(struct session *session, uint32_t index)
{
	session->arenas_count--;
	memmove(&session->arenas[index], &session->arenas[index + 1],
		(session->arenas_count - index) * sizeof(*session->arenas));
}

/* The books of a new arena lie at its base; no event tells of them. */
static int read_books(struct session *session, const struct registry_arena *known,
		      struct replica_arena *arena)
{
	uint8_t map[4096];
	uint64_t units = known->head.frontier_units, unit = 0;

	while (unit < units) {
		uint64_t chunk = units - unit < sizeof(map) ? units - unit : sizeof(map), i = 0;
		int error = target_read(session->target, known->head.map_addr + unit, map, chunk);

		if (error)
			return error;
		while (i < chunk && map[i] == MMVIZ_UNIT_META)
			i++;
		unit += i;
		if (i < chunk)
			break;
	}
	if (unit > 0)
		replica_walk_units(arena, 0, (uint32_t)unit, MMVIZ_UNIT_META);
	return 0;
}

/* An arena that is younger than the attach is followed from its first event; others get a baseline.
 */
static int add_arena(struct session *session, const struct registry_arena *known)
{
	bool is_old = known->head.created_ns <= session->replica.attach_ns;
	struct replica_arena *arena;
	int error = replica_arena_add(&session->replica, &known->head, is_old, &arena);

	if (error == -EINVAL)
		return 0; /* hostile, or torn: there is nothing to see in it */
	if (error)
		return error;
	if (!is_old)
		error = read_books(session, known, arena);
	if (!error)
		error = add_followed(session, known);
	if (!session_is_following(session))
		replica_unfollow(arena);
	if (error) /* destroyed under our eyes, perhaps: nobody would ever take it back */
		replica_arena_remove(&session->replica, arena);
	return error;
}

int session_refresh(struct session *session)
{
	const struct registry_arena **known;
	int error = registry_reader_refresh(session->registry);
	uint32_t count = registry_reader_arenas(session->registry, &known);

	for (uint32_t i = 0; i < count && !error; i++)
		if (!known[i]->is_gone && !session_find_arena(session, known[i]->id))
			error = add_arena(session, known[i]);
	for (uint32_t i = 0; i < session->arenas_count; i++) {
		const struct registry_arena *arena =
			session_registry_arena(session, session->arenas[i].id);

		session->arenas[i].is_gone = !arena || arena->is_gone;
	}
	return error == -EFAULT ? 0 : error;
}

/* As of this refresh: heaps that changed something up to here are in the list that was read after.
 */
static void note_horizons(struct session *session)
{
	for (uint32_t i = 0; i < session->arenas_count; i++) {
		struct followed_arena *arena = &session->arenas[i];
		const struct registry_arena *known = session_registry_arena(session, arena->id);

		arena->horizon = arena->is_gone ? UINT64_MAX : known->head.order;
	}
}

const struct registry_arena *session_registry_arena(const struct session *session, uint32_t id)
{
	const struct registry_arena **known;
	uint32_t low = 0, high = registry_reader_arenas(session->registry, &known);

	while (low < high) { /* in order of id */
		uint32_t middle = low + (high - low) / 2;

		if (known[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < registry_reader_arenas(session->registry, &known) && known[low]->id == id
		       ? known[low]
		       : NULL;
}

/* ------------------------------------------------------------------ tails */

static struct waiting_tail *new_tail(struct session *session)
{
	if (session->tails_count == session->tails_capacity) {
		uint32_t capacity = session->tails_capacity ? session->tails_capacity * 2 : 8;
		struct waiting_tail *tails = realloc(session->tails, capacity * sizeof(*tails));

		if (!tails)
			return NULL;
		session->tails = tails;
		session->tails_capacity = capacity;
	}
	return &session->tails[session->tails_count++];
}

static uint64_t expected_of(const struct session *session, uint32_t arena_id, uint32_t heap_id)
{
	const struct replica_arena *arena = replica_arena_find(&session->replica, arena_id);
	const struct replica_heap *heap = arena ? replica_heap_find(arena, heap_id) : NULL;

	return heap ? heap->expected : 0;
}

static void read_tail(const struct session *session, struct waiting_tail *waiting)
{
	uint64_t expected = expected_of(session, waiting->log.arena_id, waiting->log.heap_id);

	waiting->is_read = !log_read_tail(session->target, &waiting->log, expected, &waiting->tail);
	waiting->read_ns = session_clock_ns();
}

/* -EFAULT: the arena is just being destroyed; the registry will say so. */
static int read_heap(struct session *session, uint32_t arena_id, const struct registry_heap *heap)
{
	struct log_place log = {heap->log_addr, arena_id, heap->id};
	struct waiting_tail *waiting;
	struct log_state state;
	struct replica_arena *arena = replica_arena_find(&session->replica, arena_id);
	uint64_t begun_ns = session_clock_ns();
	int error = log_read_state(session->target, &log, &state);

	if (!error && arena)
		replica_note_seq(arena, heap->id, state.seq, begun_ns, session_clock_ns());
	if (error || state.seq == expected_of(session, arena_id, heap->id))
		return error == -EFAULT ? 0 : error;
	waiting = new_tail(session);
	if (!waiting)
		return -ENOMEM;
	waiting->log = log;
	waiting->seq = state.seq;
	read_tail(session, waiting);
	return 0;
}

static int read_tails(struct session *session)
{
	int error = 0;

	for (uint32_t i = 0; i < session->arenas_count && !error; i++) {
		uint32_t id = session->arenas[i].id;
		const struct registry_arena *known = session_registry_arena(session, id);

		if (!known || known->is_gone)
			continue;
		for (uint32_t h = 0; h < known->heaps_count && !error; h++)
			error = read_heap(session, id, &known->heaps[h]);
	}
	return error;
}

/* ------------------------------------------------------------------ the ring */

static void keep_stray(struct session *session, const struct attach_batch *batch)
{
	size_t bytes = (batch->next - batch->first) * sizeof(*batch->events);
	struct stray_batch *strays =
		realloc(session->strays, (session->strays_count + 1) * sizeof(*strays));
	struct mmviz_event *events = malloc(bytes);

	if (strays)
		session->strays = strays;
	if (!strays || !events) {
		free(events);
		session->replica.past_lost += batch->next - batch->first;
		return;
	}
	memcpy(events, batch->events, bytes);
	strays[session->strays_count++] = (struct stray_batch){
		.arena_id = batch->arena_id,
		.batch = {batch->heap_id, batch->thread_id, batch->first, batch->next,
			  batch->first_ns, batch->handed_over_ns, events},
	};
}

void session_on_batch(void *context, const struct attach_batch *batch)
{
	struct session *session = context;
	struct replica_arena *arena = replica_arena_find(&session->replica, batch->arena_id);
	struct replica_batch fed = {batch->heap_id, batch->thread_id, batch->first,
				    batch->next,    batch->first_ns,  batch->handed_over_ns,
				    batch->events};

	if (!arena) {
		if (batch->next > batch->first && batch->next - batch->first <= MMVIZ_LOG_SLOTS)
			keep_stray(session, batch);
		return;
	}
	if (batch->next > batch->first)
		replica_feed(&session->replica, arena, &fed);
	if (batch->is_final_tail)
		replica_declare_lost(arena, batch->heap_id, batch->final_seq);
}

/* Batches of arenas that are known by now are fed, in order; others wait, or are given up. */
static void feed_strays(struct session *session, bool give_up)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < session->strays_count; i++) {
		struct stray_batch *stray = &session->strays[i];
		struct replica_arena *arena =
			replica_arena_find(&session->replica, stray->arena_id);

		if (arena)
			replica_feed(&session->replica, arena, &stray->batch);
		else if (give_up) /* it came and went between two ticks */
			session->replica.past_seen += stray->batch.next - stray->batch.first;
		if (arena || give_up)
			free((void *)stray->batch.events);
		else
			session->strays[kept++] = *stray;
	}
	session->strays_count = kept;
}

/* What lies in the ring now. Arenas that were created after this round's look at the registry are
 * looked for once more. */
static int drain(struct session *session)
{
	int result = attach_drain(session->attach);

	if (result < 0 || session->strays_count == 0)
		return result < 0 ? result : 0;
	result = session_refresh(session);
	feed_strays(session, true);
	return result == -ESRCH ? 0 : result;
}

/* ------------------------------------------------------------------ feeding tails */

/* May the tail be fed: does it begin where the heap's events end? */
static bool does_connect(const struct session *session, const struct waiting_tail *waiting)
{
	return waiting->is_read && waiting->tail.first < waiting->tail.next &&
	       waiting->tail.first <=
		       expected_of(session, waiting->log.arena_id, waiting->log.heap_id);
}

/* Rule 12: seq has moved, and the log itself, read after it, shows that nothing was logged. */
static bool is_unlogged(const struct session *session, const struct waiting_tail *waiting)
{
	return waiting->is_read && waiting->tail.next <= expected_of(session, waiting->log.arena_id,
								     waiting->log.heap_id);
}

static void feed_tail(struct session *session, struct replica_arena *arena,
		      const struct waiting_tail *waiting)
{
	struct replica_batch batch = {
		.heap_id = waiting->log.heap_id,
		.thread_id = waiting->tail.thread_id,
		.first = waiting->tail.first,
		.next = waiting->tail.next,
		.first_ns = waiting->tail.first_ns,
		.until_ns = waiting->read_ns,
		.events = waiting->tail.events,
	};

	replica_feed(&session->replica, arena, &batch);
}

/* Feed what connects. True: the heap's events reach the seq that was read. */
static bool settle_tail(struct session *session, struct waiting_tail *waiting)
{
	struct replica_arena *arena = replica_arena_find(&session->replica, waiting->log.arena_id);
	const struct replica_heap *heap;

	if (!arena || replica_awaits_cut(arena))
		return true;
	heap = replica_heap_find(arena, waiting->log.heap_id);
	if (does_connect(session, waiting) || rule_is_off(RULE_TAIL_COVERS)) {
		if (waiting->is_read && waiting->tail.first < waiting->tail.next)
			feed_tail(session, arena, waiting);
	} else if (is_unlogged(session, waiting)) {
		replica_accept_unlogged(arena, waiting->log.heap_id, waiting->seq);
	} else if (waiting->is_read && (!heap || heap->has_start_gap) &&
		   waiting->tail.first - expected_of(session, waiting->log.arena_id,
						     waiting->log.heap_id) <=
			   MMVIZ_OPERATION_EVENTS_MAX) {
		feed_tail(session, arena, waiting);
	}
	return expected_of(session, waiting->log.arena_id, waiting->log.heap_id) >= waiting->seq;
}

static bool settle_tails(struct session *session)
{
	bool all = true;

	for (uint32_t i = 0; i < session->tails_count; i++)
		all = settle_tail(session, &session->tails[i]) && all;
	return all;
}

/* What does not come in time has been lost, unless its arena is gone; what connects behind it
 * counts. */
static void give_up_tails(struct session *session)
{
	session_refresh(session);
	for (uint32_t i = 0; i < session->tails_count; i++) {
		struct waiting_tail *waiting = &session->tails[i];
		struct replica_arena *arena =
			replica_arena_find(&session->replica, waiting->log.arena_id);

		if (!arena || session_find_arena(session, arena->id)->is_gone)
			continue;
		if (waiting->is_read && waiting->tail.first < waiting->tail.next)
			feed_tail(session, arena, waiting);
		replica_declare_lost(arena, waiting->log.heap_id, waiting->seq);
	}
}

/* The ring was full since the last tick: then a hole is a loss, and waiting does not fill it. */
static bool has_dropped(struct session *session)
{
	struct attach_counters counters;
	uint64_t dropped;

	attach_counters_read(session->attach, &counters);
	dropped = counters.dropped_batches + counters.copy_failures;
	if (dropped == session->dropped_batches)
		return false;
	session->dropped_batches = dropped;
	return true;
}

static int reach_seqs(struct session *session)
{
	int error = 0;

	for (int i = 0; !error; i++) {
		if (settle_tails(session) || rule_is_off(RULE_TAIL_COVERS))
			return 0;
		if (i == HIDDEN_RECORD_RETRIES || (i > 0 && has_dropped(session)))
			break;
		sleep_ms(HIDDEN_RECORD_MS);
		for (uint32_t t = 0; t < session->tails_count; t++)
			read_tail(session, &session->tails[t]);
		error = drain(session);
	}
	if (!error && !session->is_ending && !target_is_gone(session->target))
		give_up_tails(session);
	return error;
}

/* ------------------------------------------------------------------ the round */

/* Events that contradict the picture come from a bug, ours or the target's, or from malice: say so.
 */
static void report_violations(struct followed_arena *followed, const struct replica_arena *arena)
{
	if (arena->violations == followed->violations)
		return;
	followed->violations = arena->violations;
	if (followed->reports++ < REPORTS_MAX)
		fprintf(stderr,
			"mmviz-bpf: the log of arena '%s' tells of %s; its picture begins anew "
			"from "
			"a walk\n",
			arena->head.name, arena->violation);
}

static void settle_arenas(struct session *session)
{
	for (uint32_t i = 0; i < session->arenas_count;) {
		struct followed_arena *followed = &session->arenas[i];
		struct replica_arena *arena = replica_arena_find(&session->replica, followed->id);

		if (arena) {
			replica_settle(arena, session->is_ending ? UINT64_MAX : followed->horizon);
			report_violations(followed, arena);
		}
		if (!followed->is_gone) {
			i++;
			continue;
		}
		if (arena)
			replica_arena_remove(&session->replica, arena);
		forget_followed(session, i);
	}
}

int session_follow(struct session *session)
{
	int error = session_refresh(session);

	session->tails_count = 0;
	note_horizons(session);
	feed_strays(session, false);
	if (!error && session_is_following(session)) /* otherwise logs stand still */
		error = read_tails(session);
	else if (!error && session->mode == ATTACH_EXACT)
		error = session_count_unfollowed(session);
	if (error && error != -ESRCH) /* of a target that has ended, all is in the ring */
		return error;
	error = drain(session);
	if (!error)
		error = reach_seqs(session);
	if (!error)
		settle_arenas(session);
	return error;
}
