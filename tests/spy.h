/* SPDX-License-Identifier: MIT */
/*
 * spy.h - the nine probe functions, of a test's own: what a listener in the kernel would be told.
 *
 * A program that links spy.o before libmmviz.a gets these in place of the library's bare nops. They
 * note their arguments; a batch is passed on while the library waits, as a breakpoint would. Raise
 * a semaphore and look.
 */
#ifndef MMVIZ_TESTS_SPY_H
#define MMVIZ_TESTS_SPY_H

#include <stdint.h>

#include <mmviz/abi.h>

enum spy_probe {
	SPY_ALLOC,
	SPY_FREE,
	SPY_BATCH,
	SPY_SAMPLE,
	SPY_SAMPLE_FREE,
	SPY_ARENA,
	SPY_MARK,
	SPY_ERROR,
	SPY_STACK,
	SPY_PROBES,
};

/* The latest arguments; counts and sums of all. */
struct spy {
	uint64_t counts[SPY_PROBES];
	uint64_t arena_id, address, bytes, weight_bytes, change, kind;
	uint64_t weights; /* sum of the samples' */
	uint32_t context;
	const struct mmviz_stack *stack;
	char text[128];
	void (*on_batch)(const struct mmviz_log *log, uint64_t bytes);
};

extern struct spy spy;

#endif
