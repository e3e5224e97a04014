/* SPDX-License-Identifier: MIT */
/*
 * session_state.h - what the files of the session share: session.c (open, tick, view), follow.c
 * (one round of reading and applying), baseline.c (cut and walk), fallback.c, verify.c.
 */
#ifndef MMVIZ_SESSION_STATE_H
#define MMVIZ_SESSION_STATE_H

#include "collect/attach.h"
#include "collect/log_reader.h"
#include "collect/registry_reader.h"
#include "collect/stacks.h"
#include "collect/target.h"
#include "model/view_state.h"
#include "pace.h"
#include "session.h"

/* A tail that waits until the ring has been drained. */
struct waiting_tail {
	struct log_place log;
	uint64_t seq;	  /* that must be reached */
	uint64_t read_ns; /* when the tail had been read */
	bool is_read;
	struct log_tail tail;
};

/* A batch of an arena that was not known yet. */
struct stray_batch {
	uint32_t arena_id;
	struct replica_batch batch; /* events are ours */
};

/* Beside each replica arena. */
struct followed_arena {
	uint32_t id;
	uint64_t head_addr;
	uint64_t horizon; /* order of this tick */
	bool is_gone;
	uint64_t retry_at_ns; /* no new baseline before */
	uint64_t retry_delay_ns;
	uint64_t violations; /* that were reported, or not any more */
	uint32_t reports;
};

/* session_stacks.c. */
struct session_stacks {
	struct stacks *stacks;			/* NULL: off */
	uint64_t mean_bytes, mean_before_bytes; /* between samples; before changed_ns */
	uint64_t wanted_bytes;			/* what mean_bytes is when nothing is spared */
	bool may_spare;
	uint64_t window_ns, window_samples; /* since then so many were taken */
	uint64_t since_ns, changed_ns;	    /* CLOCK_MONOTONIC */
	uint64_t found_control;		    /* what the target had */
	uint32_t wanted_contexts;	    /* the names of those below were asked for */
};

struct session {
	struct target *target;
	struct attach *attach;
	struct registry_reader *registry;
	struct replica replica;
	struct view view;
	struct session_stacks stacks;
	enum attach_mode mode;
	int epoll_fd;
	uint64_t attach_duration_ns;
	uint64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	uint64_t slow_facts_ns;	     /* when memory sizes were read last */
	uint64_t dropped_batches;    /* seen by the last tick */
	uint64_t next_walk_ns;	     /* where events are not followed */
	struct pace pace;
	bool may_fall_back;
	uint32_t told_log_events; /* 0: nothing was told to the target */
	uint64_t told_wakeup_bytes;

	struct session_events *events; /* events mode; else NULL */

	struct followed_arena *arenas; /* in order of id */
	uint32_t arenas_count;
	struct waiting_tail *tails;
	uint32_t tails_count, tails_capacity;
	struct stray_batch *strays;
	uint32_t strays_count;

	bool is_ending; /* the target's end was heard of */
	bool is_over;	/* and everything before it was applied */
	enum attach_end end;
	int exit_code;
};

uint64_t session_clock_ns(void); /* CLOCK_MONOTONIC */

/* follow.c: rule 10, once. 0 or -errno; a target that ends is no error. */
int session_follow(struct session *session);
/* From the ring (struct attach_callbacks). */
void session_on_batch(void *session, const struct attach_batch *batch);
struct followed_arena *session_find_arena(const struct session *session, uint32_t id);
const struct registry_arena *session_registry_arena(const struct session *session, uint32_t id);
/* What is new in the registry becomes known here. */
int session_refresh(struct session *session);

/* fallback.c: the load is looked at, and what follows from it is done. 0 or -errno. */
int session_pace(struct session *session);
void session_pace_end(struct session *session); /* leave the target as it was */
/* Exact mode, and not fallen back. */
bool session_is_following(const struct session *session);
int session_count_unfollowed(struct session *session);
/* session.c: every arena wants a baseline, at once. */
void session_break_all(struct session *session);

/* baseline.c: rule 8 and the walk, of all arenas that are broken and may be tried again. */
int session_baseline(struct session *session);

/* session_stacks.c: open before attaching, reported; run at the first tick. */
int session_stacks_open(struct session *session, uint64_t sample_bytes);
int session_stacks_run(struct session *session);
void session_stacks_close(struct session *session);
/* From the ring (struct attach_callbacks). */
void session_on_sample(void *session, const struct attach_sample *sample);
void session_on_arena_empty(void *session, uint32_t arena_id);

#endif
