/* SPDX-License-Identifier: MIT */
/*
 * view_state.h - what is behind a struct view; for model/ and the session only.
 *
 * The session fills `now` after each tick and calls view_tick(). Between two ticks nothing here and
 * nothing in the replica changes, so that all answers belong to one instant. One thread.
 */
#ifndef MMVIZ_MODEL_VIEW_STATE_H
#define MMVIZ_MODEL_VIEW_STATE_H

#include "model/replica.h"
#include "model/timeline.h"
#include "model/view.h"

/* Where the meaning of context ids comes from. The text is valid for the session. */
struct view_names {
	void *context;
	const char *(*describe)(void *context, uint32_t id, uint32_t *kind);
	uint32_t (*base)(void *context, uint32_t id); /* what it counts as; NULL: each as itself */
};

/* The instant, and what the replica does not know. */
struct view_now {
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
	uint64_t resident_bytes, collector_bytes;
	uint64_t ring_used_bytes, ring_bytes;
	uint64_t verified_at_ns;
	uint32_t threads, contexts;
	bool is_followed; /* exact mode: every event is heard */
	bool is_walked; /* other modes: what happens between two walks is not to be heard, nor lost */
	enum view_target_state target_state;
	int exit_code;
	uint64_t fallback_since_ns; /* CLOCK_REALTIME; 0: not fallen back */
	const char *fallback_reason;
};

struct view {
	struct replica *replica;
	struct view_names names;
	struct view_now now;
	struct timeline timeline;
	struct totals all; /* contexts of all arenas: peaks and rates; sums on demand */
	uint64_t peak_live_bytes;
	uint64_t stepped_ns; /* CLOCK_MONOTONIC of the last step; 0: none */
	uint64_t stepped_events, stepped_allocations;
	double events_per_second, allocations_per_second;
};

/* A struct with replica and names and nothing else is a view of no time. */
void view_fini(struct view *view);
/* A new instant, `now` is filled in: peaks; every 100 ms rates and a point of the timeline. */
void view_tick(struct view *view);

/* What blocks of this context count as: their tag or site, whatever stack they are from. */
static inline uint32_t view_base(const struct view *view, uint32_t id)
{
	return view->names.base ? view->names.base(view->names.context, id) : id;
}

/* This instant, as block births are noted. */
uint32_t view_now_tick(const struct view *view);
static inline uint32_t view_age_ms(uint32_t now_tick, uint32_t born_tick)
{
	return now_tick > born_tick ? (uint32_t)(tick_ns(now_tick - born_tick) / 1000000) : 0;
}

#endif
