/* SPDX-License-Identifier: MIT */
/*
 * timeline.c - see timeline.h.
 */
#include "model/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024u

void timeline_fini(struct timeline *timeline)
{
	for (uint32_t i = 0; i < timeline->marks_count; i++)
		free((char *)timeline->marks[i].text);
	free(timeline->points);
	*timeline = (struct timeline){0};
}

static void thin(struct timeline *timeline)
{
	uint32_t half = timeline->count / 2, kept = 0;

	for (uint32_t i = 0; i < timeline->count; i++)
		if (i >= half || i % 2 == 0)
			timeline->points[kept++] = timeline->points[i];
	timeline->count = kept;
}

static int make_room(struct timeline *timeline)
{
	uint32_t capacity = timeline->capacity ? timeline->capacity * 2 : FIRST_CAPACITY;
	struct view_point *points;

	if (timeline->count < timeline->capacity)
		return 0;
	if (timeline->count >= TIMELINE_POINTS) {
		thin(timeline);
		return 0;
	}
	if (capacity > TIMELINE_POINTS)
		capacity = TIMELINE_POINTS;
	points = realloc(timeline->points, capacity * sizeof(*points));
	if (!points)
		return -ENOMEM;
	timeline->points = points;
	timeline->capacity = capacity;
	return 0;
}

int timeline_add(struct timeline *timeline, const struct view_point *point)
{
	int error = make_room(timeline);

	if (!error)
		timeline->points[timeline->count++] = *point;
	return error;
}

int timeline_mark(struct timeline *timeline, uint64_t at_ns, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	if (timeline->marks_count == TIMELINE_MARKS) {
		free((char *)timeline->marks[0].text);
		memmove(&timeline->marks[0], &timeline->marks[1],
			(TIMELINE_MARKS - 1) * sizeof(timeline->marks[0]));
		timeline->marks_count--;
	}
	timeline->marks[timeline->marks_count++] = (struct view_mark){at_ns, copy};
	return 0;
}
