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

struct log_tail {
	uint64_t seq;	      /* read before everything else */
	uint64_t first, next; /* numbers of events[0] and of the one after the last */
	uint32_t thread_id;
	struct mmviz_event events[MMVIZ_LOG_SLOTS];
};

/* seq of the log at `log_addr`. 0, or as target_read. */
int log_read_seq(const struct target *target, uint64_t log_addr, uint64_t *out);
/*
 * seq, and the events from number `from` on that lie in the log. -EAGAIN: the owner was faster
 * every time; otherwise as target_read.
 */
int log_read_tail(const struct target *target, uint64_t log_addr, uint64_t from,
		  struct log_tail *out);

#endif
