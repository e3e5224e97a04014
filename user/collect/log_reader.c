/* SPDX-License-Identifier: MIT */
/*
 * log_reader.c - seq, then head, body, head; see log_reader.h.
 *
 * Two heads with the same `first` say that the body between them is one log's; the first head's
 * `next` says how much of it was whole. A pair {first, next} that was torn by a restart shows
 * itself: it holds less than nothing, or more than a log can.
 */
#include "collect/log_reader.h"

#include <errno.h>
#include <stddef.h>

#define ATTEMPTS 8

struct log_head {
	uint64_t seq, first, next, first_ns;
	uint32_t arena_id, heap_id, thread_id, reserved;
};
_Static_assert(offsetof(struct log_head, thread_id) == offsetof(struct mmviz_log, thread_id),
	       "the first members of struct mmviz_log");

static int read_head(const struct target *target, const struct log_place *log, struct log_head *out)
{
	int error = target_read(target, log->addr, out, sizeof(*out));

	if (!error && (out->arena_id != log->arena_id || out->heap_id != log->heap_id))
		error = -EFAULT;
	return error;
}

int log_read_state(const struct target *target, const struct log_place *log, struct log_state *out)
{
	struct log_head head;
	int error = read_head(target, log, &head);

	if (!error)
		*out = (struct log_state){head.seq, head.thread_id};
	return error;
}

static int read_events(const struct target *target, const struct log_place *log,
		       struct log_tail *tail, uint64_t first)
{
	uint64_t offset = offsetof(struct mmviz_log, events) +
			  (tail->first - first) * sizeof(struct mmviz_event);

	return target_read(target, log->addr + offset, tail->events,
			   (tail->next - tail->first) * sizeof(struct mmviz_event));
}

/* One attempt; -EAGAIN: torn. */
static int read_once(const struct target *target, const struct log_place *log, uint64_t from,
		     struct log_tail *out)
{
	struct log_head before, after;
	int error = read_head(target, log, &before);

	if (error)
		return error;
	if (before.next < before.first || before.next - before.first > MMVIZ_LOG_SLOTS)
		return -EAGAIN;
	out->first = before.first;
	out->next = before.next;
	out->first_ns = before.first_ns;
	out->thread_id = before.thread_id;
	if (from > out->first)
		out->first = from < out->next ? from : out->next;
	if (out->first == out->next)
		return 0;
	error = read_events(target, log, out, before.first);
	if (!error)
		error = read_head(target, log, &after);
	return error ?: (after.first == before.first ? 0 : -EAGAIN);
}

int log_read_tail(const struct target *target, const struct log_place *log, uint64_t from,
		  struct log_tail *out)
{
	int error = -EAGAIN;

	for (int i = 0; i < ATTEMPTS && error == -EAGAIN; i++)
		error = read_once(target, log, from, out);
	return error;
}
