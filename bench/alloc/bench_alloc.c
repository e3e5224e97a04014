/* SPDX-License-Identifier: MIT */
/*
 * bench_alloc - run one workload on one allocator and print what was measured, as names and
 * numbers. bench/compare starts it, once for every figure.
 *
 *	bench_alloc [--seconds S | --operations N | --memory] [--frames N]
 *	            [--probe batch|stack|sample|alloc] WORKLOAD
 *
 * With --probe it first waits until somebody listens to that probe. --memory looks at resident
 * bytes instead of the clock (memory.h).
 */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <mmviz/abi.h>

#include "allocator.h"
#include "lanes.h"
#include "memory.h"
#include "workloads.h"

#define ATTACH_WAIT_MS	 10000
#define BASELINE_WAIT_MS 150 /* after the probe is armed, until the collector has its picture */

/* ------------------------------------------------------------------ the allocator */

#if defined(BENCH_MMVIZ)
#define CAPACITY_BYTES (16ULL << 30)

struct mmviz_arena *allocator_arena;
mmviz_tag allocator_tag;
extern struct mmviz_registry mmviz_registry;

static bool allocator_open(void)
{
	allocator_tag = mmviz_tag_intern("bench");
	allocator_arena = mmviz_arena_create("bench", CAPACITY_BYTES);
	return allocator_arena;
}

static const char *allocator_file(void)
{
	return "mmviz";
}

static const struct mmviz_registry *registry(void)
{
	return &mmviz_registry;
}
#else
#ifdef BENCH_NONE
char allocator_scratch[1 << 21];
#endif

static bool allocator_open(void)
{
	return true;
}

/* Whose malloc it is: a library that could not be preloaded must not pass for itself. Asked by
 * name: where a program takes malloc's address, its calls go another way round the PLT. */
static const char *allocator_file(void)
{
	Dl_info info;

	return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) ? info.dli_fname : "unknown";
}

/* Of the preload library. */
static const struct mmviz_registry *registry(void)
{
	return dlsym(RTLD_DEFAULT, "mmviz_registry");
}
#endif

static bool is_armed(const char *probe)
{
	const struct mmviz_registry *shared = registry();

	if (!shared)
		return false;
	return strcmp(probe, "batch") == 0    ? shared->semaphores.batch
	       : strcmp(probe, "stack") == 0  ? shared->semaphores.stack
	       : strcmp(probe, "sample") == 0 ? shared->semaphores.sample
					      : shared->semaphores.alloc;
}

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* Says first that there is something to attach to. */
static bool await_watcher(const char *probe)
{
	printf("ready 1\n");
	fflush(stdout);
	for (long waited_ms = 0; !is_armed(probe); waited_ms += 5) {
		if (waited_ms > ATTACH_WAIT_MS)
			return false;
		sleep_ms(5);
	}
	sleep_ms(BASELINE_WAIT_MS);
	return true;
}

/* ------------------------------------------------------------------ options */

struct options {
	struct amount amount;
	bool wants_memory;
	const char *probe; /* NULL: nobody is waited for */
	const struct workload *workload;
};

static bool parse_options(struct options *options, int argc, char **argv)
{
	static const struct option list[] = {{"seconds", required_argument, NULL, 's'},
					     {"operations", required_argument, NULL, 'o'},
					     {"memory", no_argument, NULL, 'm'},
					     {"frames", required_argument, NULL, 'f'},
					     {"probe", required_argument, NULL, 'p'},
					     {0}};
	int key;

	while ((key = getopt_long(argc, argv, "", list, NULL)) >= 0) {
		if (key == 's')
			options->amount.seconds = atof(optarg);
		else if (key == 'o')
			options->amount.operations = strtoull(optarg, NULL, 10);
		else if (key == 'm')
			options->wants_memory = true;
		else if (key == 'f')
			options->amount.frames = (unsigned)atoi(optarg);
		else if (key == 'p')
			options->probe = optarg;
		else
			return false;
	}
	if (optind != argc - 1 || !(options->workload = workload_find(argv[optind])))
		return false;
	return options->wants_memory || options->amount.operations || options->amount.seconds > 0;
}

/* ------------------------------------------------------------------ results */

static void measure_time(const struct options *options)
{
	struct outcome outcome;

	lanes_run(options->workload, &options->amount, &outcome);
	printf("operations %llu\ncpu_ns %.4f\nwall_ns %.4f\ncold_ns %.4f\npeak_bytes %llu\n",
	       (unsigned long long)outcome.operations, outcome.cpu_ns, outcome.wall_ns,
	       outcome.cold_ns, (unsigned long long)memory_peak_bytes());
}

static void print_bytes(const char *name, uint64_t value)
{
	printf("%s %llu\n", name, (unsigned long long)value);
}

static void measure_memory(const struct options *options)
{
	struct memory_outcome memory;

	memory_run(options->workload, &memory);
	print_bytes("peak_blocks", memory.peak_blocks);
	print_bytes("live_blocks", memory.live_blocks);
	print_bytes("live_bytes", memory.live_bytes);
	print_bytes("refilled_bytes", memory.refilled_bytes);
	print_bytes("huge_bytes", memory.huge_bytes);
	print_bytes("freed_bytes", memory.freed_bytes);
	print_bytes("returned_bytes", memory.returned_bytes);
	print_bytes("lazy_bytes", memory.lazy_bytes);
	print_bytes("peak_bytes", memory.peak_bytes);
}

int main(int argc, char **argv)
{
	struct options options = {0};

	if (!parse_options(&options, argc, argv)) {
		fprintf(stderr, "usage: bench_alloc [--seconds S | --operations N | --memory] "
				"[--frames N] [--probe batch|stack|sample|alloc] WORKLOAD\n");
		return EX_USAGE;
	}
	if (!allocator_open()) {
		fprintf(stderr, "bench_alloc: cannot create the arena: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (options.probe && !await_watcher(options.probe)) {
		fprintf(stderr, "bench_alloc: nobody listens to probe %s\n", options.probe);
		return EXIT_FAILURE;
	}
	if (options.wants_memory)
		measure_memory(&options);
	else
		measure_time(&options);
	printf("allocator %s\n", allocator_file());
	return EXIT_SUCCESS;
}
