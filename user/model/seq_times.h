/* SPDX-License-Identifier: MIT */
/*
 * seq_times.h - when a heap had reached which number: what a birth is told from that nobody heard.
 *
 * A block's header holds the number of its ALLOC. So a block that a walk finds, born while events
 * were lost or not followed at all, gets its birth from this table: the numbers read at each tick,
 * and a straight line between. When the table is full every second entry of its older half goes:
 * old times get coarser, never shorter.
 */
#ifndef MMVIZ_MODEL_SEQ_TIMES_H
#define MMVIZ_MODEL_SEQ_TIMES_H

#include <stdint.h>

#define SEQ_TIMES_MAX 256u

struct seq_time {
	uint64_t seq, ns; /* CLOCK_MONOTONIC at which seq was there */
};
struct seq_times {
	struct seq_time *points; /* SEQ_TIMES_MAX of them, in order of both; NULL: none yet */
	uint32_t count;
};

/* A zeroed struct is an empty table. */
void seq_times_fini(struct seq_times *times);
/* No memory: a point less. Readings closer than 10 ms to the last one are not kept. */
void seq_times_note(struct seq_times *times, uint64_t seq, uint64_t ns);
/* When event `seq` happened; after the last reading: then. 0: before the first one. */
uint64_t seq_times_find(const struct seq_times *times, uint64_t seq);

#endif
