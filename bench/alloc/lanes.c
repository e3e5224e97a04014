/* SPDX-License-Identifier: MIT */
/*
 * lanes.c - see lanes.h. Slots are mapped and touched beforehand: they are no part of the
 * allocator's work, nor of its memory.
 */
#include "lanes.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "workloads.h"

#define WARM_UP_SHARE	  0.2
#define WARM_UP_TURNOVERS 3u	/* each slot is replaced about so often before the clock starts */
#define FRESH_SLOTS	  5000u /* a fill of fewer says nothing about fresh memory */

struct run {
	const struct workload *workload;
	struct amount amount;
	struct lane lanes[LANES_MAX];
	struct queue queue;
	pthread_barrier_t all_ready;
	_Atomic uint64_t operations, cpu_ns;
	_Atomic uint64_t cold_operations, cold_ns;
};

static struct run the_run;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------ loops */

static uint64_t steps_until(struct lane *lane, uint64_t end_ns)
{
	uint64_t operations = 0;

	do {
		operations += lane->workload->step(lane);
	} while (clock_ns(CLOCK_MONOTONIC) < end_ns);
	return operations;
}

__attribute__((noinline)) uint64_t lane_steps_counted(struct lane *lane, uint64_t operations)
{
	uint64_t done = 0;

	while (done < operations)
		done += lane->workload->step(lane);
	return done;
}

static uint64_t steps_uncounted(struct lane *lane, uint64_t operations)
{
	uint64_t done = 0;

	while (done < operations)
		done += lane->workload->step(lane);
	return done;
}

/* ------------------------------------------------------------------ one lane */

/* Two lanes on two CPUs: where the scheduler puts both on one, they are in each other's way, but
 * never at the same time in the allocator, which is what is to be measured. */
static void take_cpu(unsigned index)
{
	cpu_set_t allowed, own;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 ||
	    CPU_COUNT(&allowed) < (int)LANES_MAX)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || index--)
			continue;
		CPU_ZERO(&own);
		CPU_SET(cpu, &own);
		sched_setaffinity(0, sizeof(own), &own);
		return;
	}
}

static void meet(struct run *run)
{
	if (run->workload->lanes > 1)
		pthread_barrier_wait(&run->all_ready);
}

static void lane_fill(struct run *run, struct lane *lane)
{
	uint64_t began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), operations;

	if (lane->workload->setup) {
		lane->workload->setup(lane);
		operations = lane->workload->slots;
	} else {
		operations = lane->workload->step(lane);
	}
	if (lane->workload->slots < FRESH_SLOTS)
		return;
	atomic_fetch_add(&run->cold_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns);
	atomic_fetch_add(&run->cold_operations, operations);
}

/* A workload that fills anew in each step is warm after its first, which took long enough. */
static void lane_warm_up(struct run *run, struct lane *lane, uint64_t began_ns)
{
	uint64_t end_ns = began_ns + (uint64_t)(WARM_UP_SHARE * run->amount.seconds * 1e9);

	if (run->amount.operations) {
		steps_uncounted(lane, run->amount.operations);
		return;
	}
	if (lane->workload->setup)
		steps_uncounted(lane, 2ULL * WARM_UP_TURNOVERS * lane->workload->slots);
	if (clock_ns(CLOCK_MONOTONIC) < end_ns)
		steps_until(lane, end_ns);
}

/* Returns the nanoseconds that the measured part took. */
static uint64_t lane_run(struct run *run, struct lane *lane)
{
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC), cpu_began_ns, operations;

	lane_fill(run, lane);
	meet(run);
	lane_warm_up(run, lane, began_ns);
	meet(run);
	began_ns = clock_ns(CLOCK_MONOTONIC);
	lane->idle_ns = 0;
	cpu_began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	operations = run->amount.operations
			     ? lane_steps_counted(lane, run->amount.operations)
			     : steps_until(lane, began_ns + (uint64_t)(run->amount.seconds * 1e9));
	atomic_fetch_add(&run->cpu_ns,
			 clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began_ns - lane->idle_ns);
	atomic_fetch_add(&run->operations, operations);
	return clock_ns(CLOCK_MONOTONIC) - began_ns;
}

__attribute__((noinline)) static uint64_t lane_run_below(struct run *run, struct lane *lane,
							 unsigned frames)
{
	uint64_t took_ns = frames ? lane_run_below(run, lane, frames - 1) : lane_run(run, lane);

	__asm__ volatile("" ::: "memory"); /* after the call: its frame stays */
	return took_ns;
}

static void *second_lane(void *unused)
{
	(void)unused;
	take_cpu(1);
	lane_run_below(&the_run, &the_run.lanes[1], the_run.amount.frames);
	return NULL;
}

/* ------------------------------------------------------------------ all of them */

/* A workload of one lane runs in the only thread: libraries are quicker without threads. */
static uint64_t run_lanes(struct run *run)
{
	pthread_t thread;
	uint64_t took_ns;

	if (run->workload->lanes == 1)
		return lane_run_below(run, &run->lanes[0], run->amount.frames);
	pthread_barrier_init(&run->all_ready, NULL, 2);
	if (pthread_create(&thread, NULL, second_lane, NULL) != 0) {
		fprintf(stderr, "bench_alloc: cannot start a thread\n");
		exit(EXIT_FAILURE);
	}
	take_cpu(0); /* after the other thread has inherited the whole set */
	took_ns = lane_run_below(run, &run->lanes[0], run->amount.frames);
	pthread_join(thread, NULL);
	return took_ns;
}

void lane_init(struct lane *lane, const struct workload *workload, unsigned index)
{
	size_t bytes = (workload->slots + 1) * sizeof(void *);

	lane->random = 0x9e3779b97f4a7c15ULL * (index + 1);
	lane->workload = workload;
	lane->index = index;
	lane->queue = &the_run.queue;
	lane->slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (lane->slots == MAP_FAILED) {
		fprintf(stderr, "bench_alloc: no memory for the slots\n");
		exit(EXIT_FAILURE);
	}
}

void lanes_run(const struct workload *workload, const struct amount *amount, struct outcome *out)
{
	struct run *run = &the_run;
	uint64_t took_ns;

	run->workload = workload;
	run->amount = *amount;
	for (unsigned i = 0; i < workload->lanes; i++)
		lane_init(&run->lanes[i], workload, i);
	took_ns = run_lanes(run);
	out->operations = run->operations;
	out->cpu_ns = (double)run->cpu_ns / (double)run->operations;
	out->wall_ns = (double)took_ns * workload->lanes / (double)run->operations;
	out->cold_ns =
		run->cold_operations ? (double)run->cold_ns / (double)run->cold_operations : 0;
}
