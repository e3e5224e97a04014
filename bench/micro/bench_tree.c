/* SPDX-License-Identifier: MIT */
/*
 * bench_tree - the tree of free extents from 100 to 1 M of them: does the time for an operation
 * grow no faster than log n?
 *
 * Free extents of 1 to 8 units, a used unit between neighbours. Two ways to take and give back:
 *   first fit   the lowest run of 1 to 8 units that fits; what the arena does all the time
 *   any place   a whole extent picked at random; what coalescing meets, and as cold as it gets
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "compare/machine.h"
#include "extent_tree.h"

#define RUNS	      9
#define OPERATIONS    200000u /* in each run; a take and a give count as two */
#define UNITS_MAX     8u
#define EXTENTS_LEAST 100u
#define EXTENTS_MOST  1000000u

struct bench {
	struct extent_tree tree;
	uint32_t *starts;
	uint32_t extents;
	uint64_t random;
};

struct timing {
	double median_ns, best_ns;
};

static uint32_t draw(struct bench *bench, uint32_t bound)
{
	uint64_t x = bench->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	bench->random = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dULL >> 32) * bound >> 32);
}

static double clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void build(struct bench *bench, struct extent_node *nodes, uint32_t extents)
{
	uint32_t at = 0;

	extent_tree_init(&bench->tree, nodes);
	bench->extents = extents;
	bench->random = 0x9e3779b97f4a7c15ULL;
	for (uint32_t i = 0; i < extents; i++) {
		uint32_t units = 1 + draw(bench, UNITS_MAX);

		bench->starts[i] = at;
		extent_tree_give(&bench->tree, at, units);
		at += units + 1;
	}
}

static void first_fit(struct bench *bench)
{
	struct extent_request request = {.units = 1 + draw(bench, UNITS_MAX), .alignment = 1};
	uint32_t start = extent_tree_take(&bench->tree, &request);

	if (start != EXTENT_NONE)
		extent_tree_give(&bench->tree, start, request.units);
}

static void any_place(struct bench *bench)
{
	uint32_t start = bench->starts[draw(bench, bench->extents)];
	uint32_t units = extent_tree_units(&bench->tree, start);

	extent_tree_take_at(&bench->tree, start, units);
	extent_tree_give(&bench->tree, start, units);
}

static struct timing measure(struct bench *bench, void (*take_and_give)(struct bench *))
{
	double ns[RUNS];

	for (unsigned run = 0; run < RUNS; run++) {
		double started = clock_ns();

		for (unsigned i = 0; i < OPERATIONS / 2; i++)
			take_and_give(bench);
		ns[run] = (clock_ns() - started) / OPERATIONS;
	}
	return (struct timing){.median_ns = median(ns, RUNS), .best_ns = ns[0]};
}

static unsigned log2_rounded(uint32_t n)
{
	return 31 - (unsigned)__builtin_clz(n) + (n & n / 2 ? 1 : 0);
}

static void print_head(void)
{
	machine_print("bench/tree", stdout);
	printf("runs      %u of %u operations for each figure\n\n", RUNS, OPERATIONS);
	printf("%10s %6s | %s\n", "extents", "log2",
	       "first fit: ns, best, ns/log2 | "
	       "any place: ns, best, ns/log2");
}

int main(void)
{
	struct bench bench = {0};
	struct extent_node *nodes =
		calloc((size_t)EXTENTS_MOST * (UNITS_MAX + 1), sizeof(struct extent_node));

	bench.starts = calloc(EXTENTS_MOST, sizeof(uint32_t));
	if (!nodes || !bench.starts) {
		fprintf(stderr, "bench_tree: out of memory\n");
		return EXIT_FAILURE;
	}
	print_head();
	for (uint32_t extents = EXTENTS_LEAST; extents <= EXTENTS_MOST; extents *= 10) {
		struct timing first, any;
		unsigned levels = log2_rounded(extents);

		build(&bench, nodes, extents);
		first = measure(&bench, first_fit);
		any = measure(&bench, any_place);
		printf("%10u %6u | %14.1f %6.1f %7.2f | %14.1f %6.1f %7.2f\n", extents, levels,
		       first.median_ns, first.best_ns, first.median_ns / levels, any.median_ns,
		       any.best_ns, any.median_ns / levels);
		if (extent_tree_check(&bench.tree) != 0) {
			fprintf(stderr, "bench_tree: the tree broke at %u extents\n", extents);
			return EXIT_FAILURE;
		}
	}
	free(nodes);
	free(bench.starts);
	return EXIT_SUCCESS;
}
