/* SPDX-License-Identifier: MIT */
/*
 * workloads.h - the patterns of allocation that are measured.
 *
 * A workload runs in one or two lanes, each a thread of its own. setup fills a lane's slots with
 * live blocks, untimed; step does some thousand operations and returns how many. Slots belong to
 * their lane; only a queue is shared.
 */
#ifndef MMVIZ_BENCH_WORKLOADS_H
#define MMVIZ_BENCH_WORKLOADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANES_MAX   2u
#define QUEUE_SLOTS 4096u

/* From lane 0 to lane 1. */
struct queue {
	_Alignas(64) _Atomic uint32_t sent;
	_Alignas(64) _Atomic uint32_t taken;
	void *slots[QUEUE_SLOTS];
};

struct sizes {
	uint32_t low;
	uint32_t high;	    /* doublings 0: any size from low to high is equally likely */
	unsigned doublings; /* else: from low to low doubled so often, each doubling equally likely
			     */
};

struct lane {
	_Alignas(64) uint64_t random;
	const struct workload *workload;
	unsigned index;
	bool fills_blocks; /* write every byte, not only the first and the last word */
	void **slots;
	struct queue *queue;
	uint64_t idle_ns; /* of CPU time in which it waited for the other lane */
};

struct workload {
	const char *name;
	const char *text;
	unsigned lanes;
	uint32_t slots; /* of each lane */
	struct sizes sizes;
	void (*setup)(struct lane *lane); /* NULL: nothing to do */
	uint64_t (*step)(struct lane *lane);
};

extern const struct workload workloads[];
extern const unsigned workloads_count;

const struct workload *workload_find(const char *name); /* NULL */

/* The parts of the fragmentation workload, in their order; those that return something return the
 * number of blocks. */
void fragmentation_fill(struct lane *lane);
uint64_t fragmentation_punch(struct lane *lane);  /* three of four, at random */
uint64_t fragmentation_refill(struct lane *lane); /* larger sizes */
void fragmentation_live(const struct lane *lane, uint64_t *blocks, uint64_t *bytes);
void fragmentation_drop(struct lane *lane); /* everything */

#endif
