/* SPDX-License-Identifier: MIT */
/*
 * bench_stacks - what the call stack of an allocation costs, over exact mode without.
 *
 * A block of 48 bytes is freed and another one allocated, by a function that lies so many frames deep;
 * "ways" are as many different stacks of 16 frames or so, taken at random. Rounds with and without
 * stacks alternate, and neighbours in time are compared: the median of their differences is given, in
 * ns of CPU time for an allocation. With --attached a collector (--stacks all) is waited for, and its
 * probes trap; else the semaphores are raised by ourselves. At the end nobody listens any more: what
 * is left of the cost.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "compare/machine.h"

#define ROUNDS	     9
#define PAIRS	     1000000u /* of a free and an allocation, in each round */
#define BLOCKS	     64u
#define WAIT_MS	     10000
#define BASELINE_MS  300 /* after the probe is armed, until the collector has its picture */
#define NOINLINE     __attribute__((noinline))
#define KEEP_FRAME() __asm__ volatile("" ::: "memory") /* no call before it is a jump */

extern struct mmviz_registry mmviz_registry;

struct bench {
	struct mmviz_arena *arena;
	mmviz_tag tag;
	void *blocks[BLOCKS];
	uint64_t random;
};

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* ------------------------------------------------------------------ workloads */

NOINLINE static void replace(struct bench *bench, unsigned i)
{
	mmviz_free(bench->arena, bench->blocks[i % BLOCKS]);
	bench->blocks[i % BLOCKS] = mmviz_alloc(bench->arena, 48, bench->tag);
	KEEP_FRAME();
}

NOINLINE static void replace_many(struct bench *bench)
{
	for (unsigned i = 0; i < PAIRS; i++)
		replace(bench, i);
}

NOINLINE static void go_deeper(struct bench *bench, unsigned frames)
{
	if (frames > 0)
		go_deeper(bench, frames - 1);
	else
		replace_many(bench);
	KEEP_FRAME();
}

NOINLINE static void left(struct bench *bench, unsigned i, uint64_t way, unsigned steps);
NOINLINE static void right(struct bench *bench, unsigned i, uint64_t way, unsigned steps);

static inline void go_on(struct bench *bench, unsigned i, uint64_t way, unsigned steps)
{
	if (steps == 0)
		replace(bench, i);
	else if (way & 1)
		left(bench, i, way >> 1, steps - 1);
	else
		right(bench, i, way >> 1, steps - 1);
	KEEP_FRAME();
}

NOINLINE static void left(struct bench *bench, unsigned i, uint64_t way, unsigned steps)
{
	go_on(bench, i, way, steps);
}

NOINLINE static void right(struct bench *bench, unsigned i, uint64_t way, unsigned steps)
{
	go_on(bench, i, way, steps);
	__asm__ volatile("nop"); /* not the same code as left's */
}

/* xorshift64* (Vigna 2016). */
static uint64_t draw(struct bench *bench)
{
	uint64_t x = bench->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	bench->random = x;
	return x * 0x2545f4914f6cdd1dULL;
}

struct workload {
	unsigned frames, way_bits;
};

static void run(struct bench *bench, const struct workload *workload)
{
	if (workload->way_bits == 0) {
		go_deeper(bench, workload->frames);
		return;
	}
	for (unsigned i = 0; i < PAIRS; i++)
		left(bench, i, draw(bench) >> (64 - workload->way_bits), 14);
}

/* ------------------------------------------------------------------ measuring */

static double timed(struct bench *bench, const struct workload *workload)
{
	double started = cpu_ns();

	run(bench, workload);
	return (cpu_ns() - started) / PAIRS;
}

/* The kernel adds and subtracts: what it found it will find again. */
static void measure(struct bench *bench, const struct workload *workload)
{
	uint16_t raised = mmviz_registry.semaphores.stack;
	double without[ROUNDS], with[ROUNDS], more[ROUNDS];
	uint32_t stacks = mmviz_registry.stacks_count;

	run(bench, workload); /* warm */
	for (unsigned i = 0; i < ROUNDS; i++) {
		mmviz_registry.semaphores.stack = 0;
		without[i] = timed(bench, workload);
		mmviz_registry.semaphores.stack = raised;
		with[i] = timed(bench, workload);
		more[i] = with[i] - without[i];
	}
	printf("%6u %8u %10.2f %10.2f %+10.2f %9u\n", workload->frames, 1u << workload->way_bits,
	       median(without, ROUNDS), median(with, ROUNDS), median(more, ROUNDS),
	       mmviz_registry.stacks_count - stacks);
	fflush(stdout);
}

static bool listens(void)
{
	const volatile struct mmviz_semaphores *now = &mmviz_registry.semaphores;

	return now->stack || now->batch || now->sample || now->sample_free;
}

static bool await_collector(void)
{
	for (long waited_ms = 0; !mmviz_registry.semaphores.stack; waited_ms += 5) {
		if (waited_ms > WAIT_MS)
			return false;
		sleep_ms(5);
	}
	sleep_ms(BASELINE_MS);
	return true;
}

static void print_head(bool is_attached)
{
	machine_print(is_attached ? "bench/stacks --attached" : "bench/stacks", stdout);
	printf("runs      %u pairs of rounds, %u times a free and an allocation; ns of CPU time "
	       "for "
	       "both\n\n",
	       ROUNDS, PAIRS);
	printf("%6s %8s %10s %10s %10s %9s\n", "frames", "ways", "exact", "stacks", "more", "new");
}

int main(int argc, char **argv)
{
	static const struct workload workloads[] = {{1, 0}, {9, 0}, {28, 0}, {16, 10}, {16, 14}};
	static struct bench bench = {.random = 0x9e3779b97f4a7c15ULL};
	bool is_attached = argc > 1 && strcmp(argv[1], "--attached") == 0;
	double before, after;

	bench.arena = mmviz_arena_create("bench", 1 << 28);
	if (!bench.arena) {
		fprintf(stderr, "bench_stacks: cannot create the arena\n");
		return EXIT_FAILURE;
	}
	bench.tag = mmviz_tag_intern("bench");
	run(&bench, &workloads[1]);
	before = timed(&bench, &workloads[1]);
	if (!is_attached)
		mmviz_registry.semaphores.batch = mmviz_registry.semaphores.stack = 1;
	else if (!await_collector())
		return fprintf(stderr, "bench_stacks: nobody came\n"), EXIT_FAILURE;
	print_head(is_attached);
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		measure(&bench, &workloads[i]);
	if (!is_attached)
		mmviz_registry.semaphores.batch = mmviz_registry.semaphores.stack = 0;
	for (long waited_ms = 0; listens() && waited_ms < WAIT_MS; waited_ms += 5)
		sleep_ms(5); /* until the collector is gone, or killed */
	after = timed(&bench, &workloads[1]);
	printf("\nnobody listens: %.2f before, %.2f after%s\n", before, after,
	       listens() ? " (the collector is still there)" : "");
	return EXIT_SUCCESS;
}
