/* SPDX-License-Identifier: MIT */
/*
 * bench_log - what an event costs, part by part.
 *
 * One thread allocates and frees 64 B, LIFO, so that the allocator itself costs as little as it
 * can: silent    nobody listens: seq is counted, nothing is written written   the semaphore of the
 * batch probe is raised by ourselves: the log is written and handed over, but no kernel traps
 *   attached  a collector in exact mode listens (only with --attached: waits until one does)
 * An alloc and a free are two events.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "compare/machine.h"

#define RUNS	9
#define EVENTS	8000000u /* in each run */
#define WAIT_MS 10000

extern struct mmviz_registry mmviz_registry;

static double clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* ns of one event, in one run. */
static double run_once(struct mmviz_arena *arena)
{
	double started = clock_ns();

	for (unsigned i = 0; i < EVENTS / 2; i++)
		mmviz_free(arena, mmviz_alloc(arena, 64, MMVIZ_TAG("bench")));
	return (clock_ns() - started) / EVENTS;
}

/* Median of the runs, printed; `silent` is what to compare with, or 0. */
static double measure(struct mmviz_arena *arena, const char *name, double silent)
{
	double ns[RUNS], middle;

	run_once(arena); /* warm */
	for (unsigned run = 0; run < RUNS; run++)
		ns[run] = run_once(arena);
	middle = median(ns, RUNS);
	printf("%-10s %8.2f %8.2f", name, middle, ns[0]);
	if (silent > 0)
		printf(" %+10.2f", middle - silent);
	printf("\n");
	fflush(stdout);
	return middle;
}

static void print_head(void)
{
	struct machine machine;

	machine_describe(&machine);
	printf("machine   %s, %u cores\nkernel    %s\ndate      %s\ncommand   bench/log\n",
	       machine.processor, machine.cores, machine.kernel, machine.date);
	printf("runs      %u of %u events for each figure\n\n", RUNS, EVENTS);
	printf("%-10s %8s %8s %10s\n", "", "median", "best", "over silent");
}

static bool await_collector(void)
{
	for (long waited_ms = 0; !mmviz_registry.semaphores.batch; waited_ms += 5) {
		if (waited_ms > WAIT_MS)
			return false;
		sleep_ms(5);
	}
	sleep_ms(200); /* until the collector has its picture */
	return true;
}

int main(int argc, char **argv)
{
	struct mmviz_arena *arena = mmviz_arena_create("bench", 1 << 30);
	double silent;

	if (!arena)
		return EXIT_FAILURE;
	print_head();
	silent = measure(arena, "silent", 0);
	mmviz_registry.semaphores.batch = 1;
	measure(arena, "written", silent);
	mmviz_registry.semaphores.batch = 0;
	if (argc < 2 || strcmp(argv[1], "--attached") != 0)
		return EXIT_SUCCESS;
	if (!await_collector()) {
		fprintf(stderr, "bench_log: no collector came\n");
		return EXIT_FAILURE;
	}
	measure(arena, "attached", silent);
	return EXIT_SUCCESS;
}
