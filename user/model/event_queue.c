/* SPDX-License-Identifier: MIT */
/*
 * event_queue.c - see event_queue.h.
 */
#include "model/event_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void event_queue_fini(struct event_queue *queue)
{
	free(queue->events);
	free(queue->stamps);
	*queue = (struct event_queue){0};
}

void event_queue_clear(struct event_queue *queue)
{
	queue->begin = queue->end = 0;
	queue->stamps_begin = queue->stamps_end = 0;
}

/* Room for `count` more of `size` bytes behind *end, moving [begin, end) to the front first. */
static int make_room(void **items, size_t size, uint32_t *begin, uint32_t *end, uint32_t *capacity,
		     uint32_t count)
{
	uint32_t wanted = *end - *begin + count;
	char *bytes = *items;

	if (*end + count <= *capacity)
		return 0;
	if (wanted > *capacity) {
		bytes = realloc(*items, 2 * wanted * size);
		if (!bytes)
			return -ENOMEM;
		*items = bytes;
		*capacity = 2 * wanted;
	}
	memmove(bytes, bytes + *begin * size, (*end - *begin) * size);
	*end -= *begin;
	*begin = 0;
	return 0;
}

int event_queue_add(struct event_queue *queue, const struct mmviz_event *events, uint32_t count,
		    const struct queue_stamp *stamp)
{
	if (event_queue_count(queue) + count > EVENT_QUEUE_MAX)
		return -E2BIG;
	if (make_room((void **)&queue->events, sizeof(*events), &queue->begin, &queue->end,
		      &queue->capacity, count) ||
	    make_room((void **)&queue->stamps, sizeof(*stamp), &queue->stamps_begin,
		      &queue->stamps_end, &queue->stamps_capacity, 1))
		return -ENOMEM;
	memcpy(queue->events + queue->end, events, count * sizeof(*events));
	queue->end += count;
	queue->stamps[queue->stamps_end++] = *stamp;
	return 0;
}

void event_queue_drop(struct event_queue *queue, uint32_t count, uint64_t applied)
{
	queue->begin += count;
	while (queue->stamps_begin < queue->stamps_end &&
	       queue->stamps[queue->stamps_begin].until <= applied)
		queue->stamps_begin++;
	if (event_queue_count(queue) == 0)
		event_queue_clear(queue);
}
