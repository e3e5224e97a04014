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

int log_read_seq(const struct target *target, uint64_t log_addr, uint64_t *out)
{
	return target_read(target, log_addr + offsetof(struct mmviz_log, seq), out, sizeof(*out));
}

static int read_events(const struct target *target, uint64_t log_addr, struct log_tail *tail,
		       uint64_t first)
{
	uint64_t offset = offsetof(struct mmviz_log, events) +
			  (tail->first - first) * sizeof(struct mmviz_event);

	return target_read(target, log_addr + offset, tail->events,
			   (tail->next - tail->first) * sizeof(struct mmviz_event));
}

/* One attempt; -EAGAIN: torn. */
static int read_once(const struct target *target, uint64_t log_addr, uint64_t from,
		     struct log_tail *out)
{
	struct log_head before, after;
	int error = target_read(target, log_addr, &before, sizeof(before));

	if (error)
		return error;
	if (before.next < before.first || before.next - before.first > MMVIZ_LOG_SLOTS)
		return -EAGAIN;
	out->first = before.first;
	out->next = before.next;
	out->thread_id = before.thread_id;
	if (from > out->first)
		out->first = from < out->next ? from : out->next;
	if (out->first == out->next)
		return 0;
	error = read_events(target, log_addr, out, before.first);
	if (!error)
		error = target_read(target, log_addr, &after, sizeof(after));
	return error ?: (after.first == before.first ? 0 : -EAGAIN);
}

int log_read_tail(const struct target *target, uint64_t log_addr, uint64_t from,
		  struct log_tail *out)
{
	int error = log_read_seq(target, log_addr, &out->seq);

	for (int i = 0; !error && i < ATTEMPTS; i++) {
		error = read_once(target, log_addr, from, out);
		if (error != -EAGAIN)
			return error;
		error = 0;
	}
	return error ?: -EAGAIN;
}
