/* SPDX-License-Identifier: MIT */
/*
 * timeline.h - what the heap was at earlier instants, and the marks that the program drew.
 *
 * Points arrive in order of time, one a step. When the room for them is used up (an hour of steps
 * of 100 ms), every second point of the older half is dropped: the past gets coarser, never
 * shorter. Owns copies of the marks' texts. One thread.
 */
#ifndef MMVIZ_MODEL_TIMELINE_H
#define MMVIZ_MODEL_TIMELINE_H

#include "model/view.h"

#define TIMELINE_POINTS 36000u
#define TIMELINE_MARKS	256u /* the newest ones are kept */

struct timeline {
	struct view_point *points;
	uint32_t count, capacity;
	struct view_mark marks[TIMELINE_MARKS];
	uint32_t marks_count;
};

/* A zeroed struct is an empty timeline. */
void timeline_fini(struct timeline *timeline);
/* 0 or -ENOMEM. */
int timeline_add(struct timeline *timeline, const struct view_point *point);
int timeline_mark(struct timeline *timeline, uint64_t at_ns, const char *text);

#endif
