/* SPDX-License-Identifier: MIT */
/*
 * replica.h - the exact copy of a target's heaps: a walk, and every event since.
 *
 *   walk ──> baseline_begin, walk_*, baseline_end ─┐
 *                                                  ├─> block tables, totals
 *   ring, tails ──> feed ──> queue of each heap ───┘ (settle)
 *
 * Owns what is known of arenas, heaps and blocks, and the rules by which walk and events become one
 * picture. Does no I/O: the session reads, in the order that the rules ask for. One thread.
 *
 * The theorem: a walk begun after a heap's seq was read is right for every place that no later
 * event of it names. So, in the numbers of the protocol:
 *   rule 8   returns count from s1, the owner's events from s2; s2 is raised past the heap's last
 *            structural change that was published (order) before the walk
 *   rule 9   a units event erases what the walk put on those units
 *   rule 10  each heap is applied in its order; structural changes by their order, up to a horizon
 *            below which everything has been fed
 *   rule 11  events are absolute. A return names owner and incarnation: the block is live with both
 *            -> returned; not allocated yet -> pending; otherwise stale
 *   rule 12  the first event may be one operation late: that one was not logged, and walked
 * Loss: every hole in a heap's numbers is counted, seen + lost == numbers passed, and an arena with
 * a hole is broken until its next baseline. So is one whose events contradict the replica: bytes
 * from the target are checked and never trusted.
 */
#ifndef MMVIZ_MODEL_REPLICA_H
#define MMVIZ_MODEL_REPLICA_H

#include <stdbool.h>
#include <stdint.h>
#include <mmviz/abi.h>

#include "model/block_table.h"
#include "model/event_queue.h"
#include "model/pending.h"
#include "model/seq_times.h"
#include "model/walked.h"

#define REPLICA_HEAPS_MAX 65536u /* of one arena */

struct replica_heap {
	uint64_t expected;     /* number of the next event to be fed */
	uint64_t applied;      /* number of the next event to be applied */
	uint64_t returns_from; /* s1 */
	uint64_t owner_from;   /* s2 */
	uint64_t trusted_from; /* events before this may contradict a walk that saw later state */
	uint64_t attach_seq;   /* blocks with older incarnations are older than the attach */
	uint64_t catch_up;     /* see replica_catch_up_begin */
	bool is_known;	       /* at attach, or by an event */
	bool has_start_gap;    /* nothing was fed yet: the first event may be one operation late */
	uint32_t thread_id;
	uint64_t clock_ns; /* CLOCK_MONOTONIC: no event to be fed is older */
	struct seq_times times;
	struct event_queue queue; /* numbers applied .. expected */
};

enum replica_state {
	REPLICA_WALKING,  /* between baseline_begin and baseline_end: events are queued */
	REPLICA_SETTLING, /* the walk is done, the events since are not all fed */
	REPLICA_EXACT,
	REPLICA_BROKEN, /* loss or contradiction: goes on as well as it can, wants a baseline */
};

struct noted_death {
	uint64_t word;
	uint32_t born_tick, tick;
	uint32_t events; /* of its heap since, if it is the one that tells of it */
	uint32_t owner_heap;
};
#define REPLICA_DEATHS_MAX 64u

struct replica_arena {
	uint32_t id;
	struct mmviz_arena_head head; /* as of its first baseline */
	enum replica_state state;
	bool is_from_attach;
	bool is_unfollowed; /* its events are not heard: each baseline begins anew where it cuts */
	uint32_t baselines;
	uint32_t walk_tick; /* when the last one began */
	uint64_t zero_ns;   /* CLOCK_MONOTONIC of tick 0 then */
	struct block_table table;
	uint64_t committed_units;
	uint64_t order_walked;	    /* o_w */
	uint64_t order_applied;	    /* the last structural change applied */
	struct replica_heap *heaps; /* by id: heaps[id - 1] */
	uint32_t heaps_count;
	struct pending pending;
	uint64_t seen, lost;   /* events, by number */
	uint64_t violations;   /* contradictions while exact */
	const char *violation; /* the last one */
	const char *trouble;   /* what broke it first since it was exact; NULL: nothing */
	uint64_t *touched;     /* while verifying: a bit for each place that an event named */
	bool all_touched;
	uint32_t deaths_count; /* of the batch that is applied just now */
	struct noted_death deaths[REPLICA_DEATHS_MAX];
};

struct replica {
	uint64_t attach_ns; /* CLOCK_MONOTONIC */
	uint64_t moved_ns;  /* time 0 of ticks lies so long after the attach */
	struct cell_pool pool;
	struct replica_arena **arenas; /* in order of id */
	uint32_t arenas_count;
	struct totals past; /* counts of arenas that are gone */
	uint64_t past_seen, past_lost;
	uint64_t resyncs; /* baselines after the first, of any arena */
};

/* A zeroed struct with attach_ns is an empty replica. */
void replica_fini(struct replica *replica);

/* ------------------------------------------------------------------ arenas */

struct replica_arena *replica_arena_find(const struct replica *replica, uint32_t id);
/* A new arena, broken until its first baseline, or if it is younger than the attach, exact from its
 * first event. -EINVAL: not a possible arena; -EEXIST; -ENOMEM. */
int replica_arena_add(struct replica *replica, const struct mmviz_arena_head *head,
		      bool is_from_attach, struct replica_arena **out);
/* It was destroyed: its live blocks count as freed, its counts stay. */
void replica_arena_remove(struct replica *replica, struct replica_arena *arena);

/* ------------------------------------------------------------------ baseline */

struct replica_cut {
	uint64_t s1, s2; /* of heap index + 1 */
	uint32_t thread_id;
};
/* The cut of rule 8, read before the walk: s1 and s2 of every heap known, then the order.
 * `now_ns`: CLOCK_MONOTONIC. */
int replica_baseline_begin(struct replica *replica, struct replica_arena *arena,
			   const struct replica_cut *cuts, uint32_t heaps, uint64_t order,
			   uint64_t now_ns);
/* What the walk saw. Impossible things are left out: a later event names them. */
void replica_walk_units(struct replica_arena *arena, uint32_t first, uint32_t units, unsigned code);
void replica_walk_span(struct replica_arena *arena, uint32_t first_unit,
		       const struct mmviz_span *head);
/* `born_tick` is set here. */
void replica_walk_block(struct replica_arena *arena, struct walked_block *block);
/* The walk is complete. The arena is exact after the next settle. */
void replica_baseline_end(struct replica_arena *arena, uint64_t committed_units);

/* From now on its events are not heard; what is_unfollowed says, until the caller clears it. */
void replica_unfollow(struct replica_arena *arena);

/* ------------------------------------------------------------------ events */

struct replica_batch {
	uint32_t heap_id, thread_id;
	uint64_t first, next; /* numbers */
	uint64_t first_ns;    /* CLOCK_MONOTONIC of the first of them, if it is known; or earlier */
	uint64_t until_ns;    /* all of them had happened then */
	const struct mmviz_event *events;
};
/* Events of one heap, in the order of its log; what is known by number is dropped. */
void replica_feed(struct replica *replica, struct replica_arena *arena,
		  const struct replica_batch *batch);
/* The heap, or NULL if nothing was heard of it: then its numbers begin at 0. */
struct replica_heap *replica_heap_find(const struct replica_arena *arena, uint32_t heap_id);
/* The arena is older than the attach and was not cut yet: no event counts, none can be lost. Nor
 * ever, if it is destroyed first. */
static inline bool replica_awaits_cut(const struct replica_arena *arena)
{
	return arena->is_from_attach && !arena->baselines;
}
/* seq has passed `expected`, and the log itself shows that nothing was logged (rule 12). True:
 * accepted. */
bool replica_accept_unlogged(struct replica_arena *arena, uint32_t heap_id, uint64_t seq);
/* Events up to `seq` will never come. */
void replica_declare_lost(struct replica_arena *arena, uint32_t heap_id, uint64_t seq);
/* seq of a heap as it was read just before `now_ns`, in a reading that began at `begun_ns`. */
void replica_note_seq(struct replica_arena *arena, uint32_t heap_id, uint64_t seq,
		      uint64_t begun_ns, uint64_t now_ns);
/* To be called now and then: ticks do not run out. */
void replica_keep_time(struct replica *replica, uint64_t now_ns);
static inline uint64_t replica_ns(const struct replica *replica, uint64_t monotonic_ns)
{
	uint64_t zero_ns = replica->attach_ns + replica->moved_ns;

	return monotonic_ns > zero_ns ? monotonic_ns - zero_ns : 0;
}
/* Apply what is there; all structural changes up to `horizon` have been fed. */
void replica_settle(struct replica_arena *arena, uint64_t horizon);

/* ------------------------------------------------------------------ verify */

/* From now on note every place that an event names. -ENOMEM. */
int replica_touch_begin(struct replica_arena *arena);
void replica_touch_end(struct replica_arena *arena);
/* Has everything that was fed when catch_up_begin was called been applied? */
void replica_catch_up_begin(struct replica_arena *arena);
bool replica_has_caught_up(const struct replica_arena *arena);
static inline bool replica_is_touched(const struct replica_arena *arena, uint32_t place)
{
	if (!arena->touched)
		return false;
	return arena->all_touched || arena->touched[place / 64] >> place % 64 & 1;
}

#endif
