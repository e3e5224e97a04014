/* SPDX-License-Identifier: MIT */
/*
 * random.h - repeatable randomness: splitmix64 (Steele, Lea, Flood 2014).
 *
 * A test prints the seed it runs with; MMVIZ_TEST_SEED=0x... runs the same again.
 */
#ifndef MMVIZ_TESTS_RANDOM_H
#define MMVIZ_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)(random_next(random) % limit);
}

/* The seed to run with, printed. */
static inline uint64_t random_seed(void)
{
	const char *wanted = getenv("MMVIZ_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = wanted ? strtoull(wanted, NULL, 0)
		      : (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
	printf("MMVIZ_TEST_SEED=%#llx\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

#endif
