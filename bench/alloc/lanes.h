/* SPDX-License-Identifier: MIT */
/*
 * lanes.h - one workload, run for a time or for a number of operations, by one thread or by two.
 *
 * A run is: fill (setup), warm up, measure. Only the last counts; the clocks of the first two are
 * reported besides, because they hold what fresh memory costs.
 */
#ifndef MMVIZ_BENCH_LANES_H
#define MMVIZ_BENCH_LANES_H

#include <stdint.h>

struct workload;
struct lane;

/* Either `seconds`, or `operations` of each lane. */
struct amount {
	double seconds;
	uint64_t operations;
	unsigned frames; /* of the stack below the workload's own: what unwinders have to do */
};

struct outcome {
	uint64_t operations;
	/* Of CPU time for an operation, user and kernel, all lanes; without waiting for the other
	 * lane. */
	double cpu_ns;
	double wall_ns; /* of each lane's time */
	double cold_ns; /* of CPU time for an operation on fresh memory: setup, or the first step */
};

/* Ends the process when it cannot start. */
void lanes_run(const struct workload *workload, const struct amount *amount, struct outcome *out);

/* Run steps until so many operations are done. A function of its own: what callgrind counts
 * (compare --instructions) is what happens in here. */
uint64_t lane_steps_counted(struct lane *lane, uint64_t operations);

/* One lane, not run yet. */
void lane_init(struct lane *lane, const struct workload *workload, unsigned index);

#endif
