/* SPDX-License-Identifier: MIT */
/*
 * event_queue.h - events of one heap that were fed and cannot be applied yet, in the order of its
 * log.
 *
 * One array without gaps, so that an operation lies in a row whatever pieces it came in. Beside it
 * stamps say when events happened: those below a number, from the stamp before. Bounded.
 */
#ifndef MMVIZ_MODEL_EVENT_QUEUE_H
#define MMVIZ_MODEL_EVENT_QUEUE_H

#include <stdint.h>
#include <mmviz/abi.h>

#include "model/event_clock.h"

#define EVENT_QUEUE_MAX (16u << 20) /* events; more than a ring can hold */

struct event_queue {
	struct mmviz_event *events; /* [begin, end) are in it */
	uint32_t begin, end, capacity;
	struct queue_stamp {
		uint64_t until; /* number */
		struct event_clock clock;
	} * stamps;
	uint32_t stamps_begin, stamps_end, stamps_capacity;
};

/* A zeroed struct is an empty queue. */
void event_queue_fini(struct event_queue *queue);
void event_queue_clear(struct event_queue *queue);
/* `until`: the number after the last of them. 0, -E2BIG or -ENOMEM. */
int event_queue_add(struct event_queue *queue, const struct mmviz_event *events, uint32_t count,
		    const struct queue_stamp *stamp);
/* `count` events leave; all numbers below `applied` have left. */
void event_queue_drop(struct event_queue *queue, uint32_t count, uint64_t applied);

static inline uint32_t event_queue_count(const struct event_queue *queue)
{
	return queue->end - queue->begin;
}
static inline const struct mmviz_event *event_queue_head(const struct event_queue *queue)
{
	return queue->events + queue->begin;
}
/* Of the events at the head. There are some. */
static inline const struct queue_stamp *event_queue_stamp(const struct event_queue *queue)
{
	return &queue->stamps[queue->stamps_begin];
}

#endif
