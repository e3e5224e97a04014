/* SPDX-License-Identifier: MIT */
/*
 * bench_alloc - run one workload on one allocator and print one line: operations, nanoseconds of
 *CPU time per operation, of wall-clock time per operation and thread, and peak resident bytes.
 * bench/compare starts it, once for every figure.
 *
 *	bench_alloc WORKLOAD SECONDS [batch|sample|alloc]
 *
 * With a third argument it first waits until somebody listens to that probe.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "allocator.h"
#include "workloads.h"

#define ATTACH_WAIT_MS	 10000
#define BASELINE_WAIT_MS 150 /* after the probe is armed, until the collector has its picture */
#define WARM_UP_SHARE	 0.2

struct run {
	const struct workload *workload;
	double seconds;
	struct lane lanes[LANES_MAX];
	struct queue queue;
	pthread_barrier_t filled;
	_Atomic uint64_t operations;
	_Atomic uint64_t cpu_ns; /* of all lanes */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double clock_seconds(void)
{
	return (double)clock_ns(CLOCK_MONOTONIC) / 1e9;
}

/* ------------------------------------------------------------------ the arena and its watcher */

#ifdef BENCH_MMVIZ
#include <mmviz/abi.h>

#define CAPACITY_BYTES (16ULL << 30)

struct mmviz_arena *allocator_arena;
extern struct mmviz_registry mmviz_registry;

static bool allocator_open(void)
{
	allocator_arena = mmviz_arena_create("bench", CAPACITY_BYTES);
	return allocator_arena;
}

static bool is_armed(const char *probe)
{
	const struct mmviz_semaphores *semaphores = &mmviz_registry.semaphores;

	return strcmp(probe, "batch") == 0    ? semaphores->batch
	       : strcmp(probe, "sample") == 0 ? semaphores->sample
					      : semaphores->alloc;
}
#else
static bool allocator_open(void)
{
	return true;
}

static bool is_armed(const char *probe)
{
	(void)probe;
	return false;
}
#endif

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static bool await_watcher(const char *probe)
{
	for (long waited_ms = 0; !is_armed(probe); waited_ms += 5) {
		if (waited_ms > ATTACH_WAIT_MS)
			return false;
		sleep_ms(5);
	}
	sleep_ms(BASELINE_WAIT_MS);
	return true;
}

/* ------------------------------------------------------------------ running */

static uint64_t steps_until(struct lane *lane, double end)
{
	uint64_t operations = 0;

	do {
		operations += lane->workload->step(lane);
	} while (clock_seconds() < end);
	return operations;
}

static void lane_fill_and_warm(struct run *run, struct lane *lane)
{
	if (lane->workload->setup)
		lane->workload->setup(lane);
	if (lane->workload->lanes > 1)
		pthread_barrier_wait(&run->filled);
	steps_until(lane, clock_seconds() + WARM_UP_SHARE * run->seconds);
	if (lane->workload->lanes > 1)
		pthread_barrier_wait(&run->filled);
}

/* Adds its operations and its CPU time to the run's; returns the seconds they took. */
static double lane_run(struct run *run, struct lane *lane)
{
	double started;
	uint64_t cpu_started_ns;

	lane_fill_and_warm(run, lane);
	started = clock_seconds();
	cpu_started_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	atomic_fetch_add(&run->operations, steps_until(lane, started + run->seconds));
	atomic_fetch_add(&run->cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_started_ns);
	return clock_seconds() - started;
}

static struct run the_run;

static void *second_lane(void *unused)
{
	(void)unused;
	lane_run(&the_run, &the_run.lanes[1]);
	return NULL;
}

/* A workload of one lane runs in the only thread: libraries are quicker without threads. */
static double run_lanes(struct run *run)
{
	pthread_t thread;
	double seconds;

	if (run->workload->lanes == 1)
		return lane_run(run, &run->lanes[0]);
	pthread_barrier_init(&run->filled, NULL, 2);
	if (pthread_create(&thread, NULL, second_lane, NULL) != 0) {
		fprintf(stderr, "bench_alloc: cannot start a thread\n");
		exit(EXIT_FAILURE);
	}
	seconds = lane_run(run, &run->lanes[0]);
	pthread_join(thread, NULL);
	return seconds;
}

static void init_lanes(struct run *run)
{
	for (unsigned i = 0; i < run->workload->lanes; i++) {
		struct lane *lane = &run->lanes[i];

		lane->random = 0x9e3779b97f4a7c15ULL * (i + 1);
		lane->workload = run->workload;
		lane->index = i;
		lane->queue = &run->queue;
		lane->slots = calloc(run->workload->slots + 1, sizeof(void *));
		if (!lane->slots)
			exit(EXIT_FAILURE);
	}
}

/* VmHWM: the peak of this address space alone, unlike ru_maxrss. */
static unsigned long peak_resident_bytes(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

int main(int argc, char **argv)
{
	struct run *run = &the_run;
	double seconds;

	if (argc < 3 || argc > 4 || !(run->workload = workload_find(argv[1])) ||
	    !((run->seconds = atof(argv[2])) > 0)) {
		fprintf(stderr, "usage: bench_alloc WORKLOAD SECONDS [batch|sample|alloc]\n");
		return EX_USAGE;
	}
	if (!allocator_open()) {
		fprintf(stderr, "bench_alloc: cannot create the arena: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (argc == 4 && !await_watcher(argv[3])) {
		fprintf(stderr, "bench_alloc: nobody listens to probe %s\n", argv[3]);
		return EXIT_FAILURE;
	}
	init_lanes(run);
	seconds = run_lanes(run);
	printf("%llu %.4f %.4f %lu\n", (unsigned long long)run->operations,
	       (double)run->cpu_ns / (double)run->operations,
	       seconds * run->workload->lanes * 1e9 / (double)run->operations,
	       peak_resident_bytes());
	return EXIT_SUCCESS;
}
