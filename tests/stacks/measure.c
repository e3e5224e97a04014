/* SPDX-License-Identifier: MIT */
/*
 * measure.c - how fast stacks are unwound and addresses resolved: `make measure-stacks`.
 *
 * On target_pie (debug information in the file), stopped twelve calls deep, libc included; best of
 * five. "First" includes reading the files.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "collect/symbols.h"
#include "stacks/stopped.h"
#include "test.h"

#define FRAMES_MAX 128
#define RUNS	   5

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double best(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

static void measure_unwinding(struct unwind *unwind, const struct unwind_input *input)
{
	const int rounds = 5000;
	struct unwind_frame frames[FRAMES_MAX];
	double start = now(), first, warm = 0;
	uint32_t count = unwind_stack(unwind, input, frames, FRAMES_MAX, NULL);

	first = now() - start;
	for (int run = 0; run < RUNS; run++) {
		start = now();
		for (int i = 0; i < rounds; i++)
			unwind_stack(unwind, input, frames, FRAMES_MAX, NULL);
		warm = best(warm, (now() - start) / rounds);
	}
	printf("unwind %u frames      first %7.1f us, then recognised in %6.2f us each: %8.0f "
	       "stacks/s\n",
	       count, first * 1e6, warm * 1e6, 1 / warm);
}

static void measure_symbols(struct modules *modules, const struct module *module)
{
	const uint64_t addresses = 4000;
	uint64_t step = (module->end - module->start) / addresses;
	struct symbols_counters counters;
	double cold = 0, warm = 0, first = 0;

	for (int run = 0; run < RUNS; run++) {
		struct symbols *symbols;
		double start = now();

		assert_int_equal(symbols_open(modules, 256u << 20, &symbols), 0);
		symbols_resolve(symbols, module->start + 0x2400);
		if (run == 0)
			first = now() - start;
		start = now();
		for (uint64_t i = 0; i < addresses; i++)
			symbols_resolve(symbols, module->start + i * step);
		cold = best(cold, (now() - start) / (double)addresses);
		start = now();
		for (uint64_t i = 0; i < addresses; i++)
			symbols_resolve(symbols, module->start + i * step);
		warm = best(warm, (now() - start) / (double)addresses);
		symbols_counters_read(symbols, &counters);
		symbols_close(symbols);
	}
	printf("resolve %-14s first %7.1f us, cold %6.2f us each: %8.0f/s, cached %5.0f ns each: "
	       "%9.0f/s; %lu bytes each\n",
	       strrchr(module->path, '/') + 1, first * 1e6, cold * 1e6, 1 / cold, warm * 1e9,
	       1 / warm, counters.cached_bytes / counters.cached_count);
}

int main(void)
{
	struct unwind_frame frames[FRAMES_MAX];
	struct unwind_input input;
	struct modules *modules;
	struct unwind *unwind;
	struct child child;
	struct rusage usage;
	struct utsname machine;
	double start;

	uname(&machine);
	printf("%s %s, %ld CPUs\n", machine.sysname, machine.release,
	       sysconf(_SC_NPROCESSORS_ONLN));
	stopped_start(&child, BUILD_STACKS "target_pie", "inlined");
	stopped_capture(&child, &input);
	start = now();
	assert_int_equal(modules_open(child.pid, &modules), 0);
	printf("open %u modules %.1f us\n", modules_count(modules), (now() - start) * 1e6);
	assert_int_equal(unwind_open(modules, &unwind), 0);
	measure_unwinding(unwind, &input);
	unwind_stack(unwind, &input, frames, FRAMES_MAX, NULL);
	measure_symbols(modules, modules_find(modules, frames[4].pc));
	measure_symbols(modules, modules_find(modules, frames[0].pc));
	getrusage(RUSAGE_SELF, &usage);
	printf("resident at most %ld KiB\n", usage.ru_maxrss);
	child_stop(&child);
	unwind_close(unwind);
	modules_close(modules);
	free((void *)input.stack);
	return 0;
}
