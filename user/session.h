/* SPDX-License-Identifier: MIT */
/*
 * session.h - one target from attach to its end: wires target, attach, registry reader, replica and
 * view together and drives them by ticks. The only place that knows both collect/ and model/. One
 * thread.
 */
#ifndef MMVIZ_SESSION_H
#define MMVIZ_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collect/attach.h"
#include "model/events.h"
#include "model/exact_view.h"
#include "model/stack_view.h"
#include "model/view.h"

struct session;

struct session_options {
	pid_t pid;
	struct attach_options attach;
	struct events_settings events; /* events mode */
	/* Exact mode: a target that makes events faster than they can be followed is seen by walks
	 * for a while. Otherwise the loss is counted and healed, again and again. */
	bool may_fall_back;
	uint64_t sample_bytes; /* mean between sampled stacks; 0: no stacks */
};
/* The default. Only where this is wanted, a target that allocates so fast that sampling would cost
 * it much is sampled less often for a while; any other mean is kept to. */
#define SESSION_SAMPLE_BYTES	 (512ULL << 10)
#define SESSION_SAMPLE_BYTES_MAX (1ULL << 40)
struct session_verdict {	  /* of one comparison of replica and fresh walk */
	uint64_t compared_blocks; /* places that no event touched meanwhile */
	uint64_t missing, extra, different;
	uint64_t events_seen;	       /* since attach */
	uint64_t lost_events, resyncs; /* since the comparison began */
	uint32_t retries;
	bool is_equal;
};

/* Attach and take the baseline; when it returns 0 the picture is complete. Errors as target_open
 * and attach_open. */
int session_open(const struct session_options *options, struct session **out);
void session_close(struct session *session);

/* Follow the target for up to timeout_ms (wakes early when the ring fills or the target ends). 0; 1
 * target gone; -errno. */
int session_tick(struct session *session, int timeout_ms);
/* How long to wait for the next tick, as things are; somebody looks at the picture or not. */
int session_wait_ms(const struct session *session, bool is_watched);
int session_poll_fd(const struct session
			    *session); /* for an outer loop: readable when a tick would find work */

const struct view *session_view(const struct session *session);
const char *session_comm(const struct session *session);
uint64_t session_attach_ns(const struct session *session); /* how long the attach took until the
							      picture was complete */

/*
 * Sampled stacks: the `max` with most bytes (0: all) as of now, to be freed before the session is
 * closed. Names are found in a thread of its own, some time later. -EOPNOTSUPP: off.
 */
int session_stacks(struct session *session, uint32_t max, struct stack_view *out);
void session_stacks_free(struct stack_view *view);
/* Wait for the names of all that was taken so far. */
void session_stacks_finish(struct session *session);
/* Sample more or less from now on. -EOPNOTSUPP: off; -EINVAL; -ESRCH the target has ended. */
int session_set_sample_bytes(struct session *session, uint64_t mean_bytes);

/* Live blocks by call stack, exactly (--stacks all, now or at an earlier attach): as session_stacks. */
int session_exact_stacks(struct session *session, uint32_t max, struct exact_view *out);
void session_exact_stacks_free(struct exact_view *view);

/* Compare replica and fresh walk (PROTOCOL rule 13). 0 and a verdict, or -errno. Prints the first
 * differences to stderr. */
int session_verify(struct session *session, struct session_verdict *out);

/* Events mode: what was told; NULL in other modes. */
const struct events *session_events(const struct session *session);
const struct events_settings *session_events_settings(const struct session *session);
/* The tag that was asked for does not exist yet. */
bool session_events_is_waiting(const struct session *session);
/* From now on, also without privileges. NULL, or why not: a constant text. */
const char *session_events_choose(struct session *session, const struct events_settings *settings);

#endif
