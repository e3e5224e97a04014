/* SPDX-License-Identifier: MIT */
/*
 * log_reader.h - a heap's log, read while its owner writes it.
 *
 * The owner stores events, then next, then seq; it starts anew by storing first. So a reader takes
 * seq first and the tail after it: then the tail reaches seq, unless the events have gone to the
 * ring. Knows nothing of replicas. One thread.
 */
#ifndef MMVIZ_COLLECT_LOG_READER_H
#define MMVIZ_COLLECT_LOG_READER_H

#include <mmviz/abi.h>

#include "collect/target.h"

/* Which log: an address alone may be another arena's by now, where the first one was destroyed. */
struct log_place {
	uint64_t addr;
	uint32_t arena_id, heap_id;
};

struct log_tail {
	uint64_t first, next; /* numbers of events[0] and of the one after the last */
	uint64_t first_ns;    /* not later than events[0] (CLOCK_MONOTONIC) */
	uint32_t thread_id;
	struct mmviz_event events[MMVIZ_LOG_SLOTS];
};

struct log_state {
	uint64_t seq;
	uint32_t thread_id; /* of the owner */
};

/* 0, or as target_read; -EFAULT also if this is not that log any more. */
int log_read_state(const struct target *target, const struct log_place *log, struct log_state *out);
/* The events from number `from` on that lie in the log. As log_read_state; -EAGAIN: the owner was
 * faster every time. */
int log_read_tail(const struct target *target, const struct log_place *log, uint64_t from,
		  struct log_tail *out);

#endif
