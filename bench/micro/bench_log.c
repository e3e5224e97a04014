/* SPDX-License-Identifier: MIT */
/*
 * bench_log - what an event costs, part by part.
 *
 *   silent    nobody listens: seq is counted, nothing is written
 *   written   the semaphore of the batch probe is raised by ourselves: the log is written and
 * handed over, but no kernel traps attached  a collector in exact mode listens (only with
 * --attached: waits until one does)
 *
 * on two workloads of one thread, an alloc and a free being two events:
 *   hot       allocate and free 64 B, LIFO: the allocator itself costs as little as it can
 *   cold      replace one of 200 k blocks of 16 to 512 B at random: every free misses the caches
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

#define RUNS	    9
#define EVENTS	    4000000u /* in each run */
#define COLD_BLOCKS 200000u
#define WAIT_MS	    10000
#define BASELINE_MS 300 /* after the probe is armed, until the collector has its picture */

extern struct mmviz_registry mmviz_registry;

struct bench {
	struct mmviz_arena *arena;
	uint64_t random;
	void *blocks[COLD_BLOCKS];
};

struct workload {
	const char *name;
	void (*run)(struct bench *bench);
	double silent_ns;
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

static void run_hot(struct bench *bench)
{
	for (unsigned i = 0; i < EVENTS / 2; i++)
		mmviz_free(bench->arena, mmviz_alloc(bench->arena, 64, MMVIZ_TAG("hot")));
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

static void run_cold(struct bench *bench)
{
	for (unsigned i = 0; i < EVENTS / 2; i++) {
		uint64_t random = draw(bench);
		void **slot = &bench->blocks[(random >> 32) * COLD_BLOCKS >> 32];

		mmviz_free(bench->arena, *slot);
		*slot = mmviz_alloc(bench->arena, 16 + random % 497, MMVIZ_TAG("cold"));
	}
}

/* ------------------------------------------------------------------ measuring */

static void measure(struct bench *bench, const char *mode, struct workload *workload)
{
	double ns[RUNS], middle;

	workload->run(bench); /* warm */
	for (unsigned run = 0; run < RUNS; run++) {
		double started = cpu_ns();

		workload->run(bench);
		ns[run] = (cpu_ns() - started) / EVENTS;
	}
	middle = median(ns, RUNS);
	printf("%-6s %-10s %8.2f %8.2f", workload->name, mode, middle, ns[0]);
	if (workload->silent_ns > 0)
		printf(" %+10.2f", middle - workload->silent_ns);
	else
		workload->silent_ns = middle;
	printf("\n");
	fflush(stdout);
}

static void print_head(void)
{
	machine_print("bench/log", stdout);
	printf("runs      %u of %u events for each figure; ns of CPU time for an event\n\n", RUNS,
	       EVENTS);
	printf("%-17s %8s %8s %10s\n", "", "median", "best", "over silent");
}

static bool await_collector(void)
{
	for (long waited_ms = 0; !mmviz_registry.semaphores.batch; waited_ms += 5) {
		if (waited_ms > WAIT_MS)
			return false;
		sleep_ms(5);
	}
	sleep_ms(BASELINE_MS);
	return true;
}

int main(int argc, char **argv)
{
	static struct bench bench = {.random = 0x9e3779b97f4a7c15ULL};
	static struct workload workloads[] = {{"hot", run_hot, 0}, {"cold", run_cold, 0}};

	bench.arena = mmviz_arena_create("bench", 1 << 30);
	if (!bench.arena) {
		fprintf(stderr, "bench_log: cannot create the arena\n");
		return EXIT_FAILURE;
	}
	print_head();
	for (unsigned i = 0; i < 2; i++)
		measure(&bench, "silent", &workloads[i]);
	mmviz_registry.semaphores.batch = 1;
	for (unsigned i = 0; i < 2; i++)
		measure(&bench, "written", &workloads[i]);
	mmviz_registry.semaphores.batch = 0;
	if (argc < 2 || strcmp(argv[1], "--attached") != 0)
		return EXIT_SUCCESS;
	if (!await_collector()) {
		fprintf(stderr, "bench_log: no collector came\n");
		return EXIT_FAILURE;
	}
	for (unsigned i = 0; i < 2; i++)
		measure(&bench, "attached", &workloads[i]);
	return EXIT_SUCCESS;
}
