/* SPDX-License-Identifier: MIT */
/*
 * memory.h - how much memory an allocator holds for the blocks that live: the fragmentation
 * workload, once, with a look at the resident bytes of the process between its parts.
 */
#ifndef MMVIZ_BENCH_MEMORY_H
#define MMVIZ_BENCH_MEMORY_H

#include <stdint.h>

struct workload;

/* Bytes; resident ones over what the process had before its first block. */
struct memory_outcome {
	uint64_t peak_blocks;		  /* when all was filled */
	uint64_t live_blocks, live_bytes; /* as requested, after holes were made and refilled */
	uint64_t refilled_bytes;	  /* resident then */
	uint64_t huge_bytes;		  /* of it in huge pages */
	uint64_t freed_bytes;		  /* resident when everything was just freed */
	uint64_t returned_bytes;	  /* resident one second later, without a call */
	uint64_t lazy_bytes;		  /* of it given to the kernel to take when it likes */
	uint64_t peak_bytes;
};

void memory_run(const struct workload *workload, struct memory_outcome *out);

/* VmHWM: the peak of this address space alone, unlike ru_maxrss. The whole process. */
uint64_t memory_peak_bytes(void);

#endif
