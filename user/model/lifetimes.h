/* SPDX-License-Identifier: MIT */
/*
 * lifetimes.h - how long the blocks of a context lived: deaths by the power of two of their age.
 *
 * Counted where a free is applied (apply.c), in the totals of the arena. Ages are as good as the
 * times of events (event_clock.h); within one run of a heap, and for what lives less than two
 * ticks, they go by position. A block that is older than the attach has an age that nobody knows:
 * it counts apart.
 */
#ifndef MMVIZ_MODEL_LIFETIMES_H
#define MMVIZ_MODEL_LIFETIMES_H

#include <stdint.h>

#include "model/event_clock.h"
#include "model/view.h"

/*
 * In 32 bits: three cache lines. totals_step carries what becomes too much. The last counter is for
 * the deaths of blocks that are older than the attach.
 */
#define LIFETIME_OLDER	  VIEW_LIFETIME_BUCKETS
#define LIFETIME_COUNTERS (VIEW_LIFETIME_BUCKETS + 1)
struct lifetimes {
	uint32_t deaths[LIFETIME_COUNTERS]; /* [i]: age from 2^i to 2^(i+1) ns; [0] from 0 */
};
_Static_assert(sizeof(struct lifetimes) == 192, "three lines");

struct lifetime_sums {
	uint64_t deaths[LIFETIME_COUNTERS];
};

/* By the exponent of a double, which is faster than to count zeros where there is no lzcnt. Of a
 * number from 1 to 2^53. */
static inline unsigned lifetime_log2(uint64_t number)
{
	union {
		double value;
		uint64_t bits;
	} as = {.value = (double)(int64_t)number};

	return (unsigned)(as.bits >> 52) - 1023;
}

static inline unsigned lifetime_bucket(uint64_t age_ns)
{
	unsigned bucket = lifetime_log2(age_ns | 1);

	return bucket < VIEW_LIFETIME_BUCKETS ? bucket : VIEW_LIFETIME_BUCKETS - 1;
}

/* The age of what was born so many ticks ago. */
static inline uint64_t lifetime_of_ticks(uint32_t ticks)
{
	if ((int32_t)ticks < 0) /* by the clocks of two heaps, neither of which is exact */
		return TICK_NS / 2;
	return ((uint64_t)ticks << TICK_SHIFT) + TICK_NS / 2;
}

void lifetimes_add(struct lifetime_sums *sum, const struct lifetimes *part);
void lifetimes_add_sums(struct lifetime_sums *sum, const struct lifetime_sums *part);
/* Move counts to the sums before they run over. */
void lifetimes_carry(struct lifetimes *counts, struct lifetime_sums *sums);

#endif
