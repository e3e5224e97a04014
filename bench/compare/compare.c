/* SPDX-License-Identifier: MIT */
/*
 * compare - mmviz raw, detached and watched, side by side with other allocators, in one run
 * (rounds.h). Each figure is a process of its own.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/workloads.h"
#include "contender.h"
#include "crowd.h"
#include "figures.h"
#include "instructions.h"
#include "report.h"
#include "rounds.h"

#define RARE_ROUNDS 3u /* enough for what is compared with ours alone */

struct options {
	const char *build;
	const char *json_path;
	const char *workload; /* NULL: all */
	const char *only;     /* names of contenders; NULL: all */
	const char *left_out; /* names of contenders; NULL: none */
	bool counts_instructions;
	unsigned runs;
	unsigned memory_runs;
	double seconds;
};

static struct contender contenders[CONTENDERS_MAX] = {
	{.name = "raw", .program = "bench/alloc_raw", .is_ours = true, .rounds_most = RARE_ROUNDS},
	{.name = "detached", .program = "bench/alloc_mmviz", .is_ours = true},
	{.name = "exact",
	 .program = "bench/alloc_mmviz",
	 .mode = "exact",
	 .stacks = "off",
	 .probe = "batch",
	 .is_ours = true},
	{.name = "sampled",
	 .program = "bench/alloc_mmviz",
	 .mode = "sampled",
	 .probe = "sample",
	 .is_ours = true,
	 .rounds_most = RARE_ROUNDS},
	{.name = "events",
	 .program = "bench/alloc_mmviz",
	 .mode = "events",
	 .probe = "alloc",
	 .is_ours = true,
	 .rounds_most = RARE_ROUNDS - 2},
	{.name = "preload",
	 .program = "bench/alloc_malloc",
	 .library = "libmmviz-preload.so",
	 .is_ours = true,
	 .is_built = true},
	{.name = "glibc", .program = "bench/alloc_malloc"},
	{.name = "mimalloc", .program = "bench/alloc_malloc", .library = "libmimalloc.so.2"},
	{.name = "jemalloc", .program = "bench/alloc_malloc", .library = "libjemalloc.so.2"},
	{.name = "tcmalloc",
	 .program = "bench/alloc_malloc",
	 .library = "libtcmalloc_minimal.so.4"},
	{.name = "tcm-full", .program = "bench/alloc_malloc", .library = "libtcmalloc.so.4"},
	{.name = "tbb", .program = "bench/alloc_malloc", .library = "libtbbmalloc_proxy.so.2"},
};
static struct comparison comparison = {.contenders = contenders, .contenders_count = 12};

/* ------------------------------------------------------------------ options */

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'b':
		options->build = argument;
		return 0;
	case 'j':
		options->json_path = argument;
		return 0;
	case 'w':
		options->workload = argument;
		if (!workload_find(argument))
			argp_error(state, "no workload '%s'", argument);
		return 0;
	case 'n':
		options->runs = rounds_parse_runs(argument, 1, state);
		return 0;
	case 'm':
		options->memory_runs = rounds_parse_runs(argument, 0, state);
		return 0;
	case 's':
		options->seconds = atof(argument);
		if (!(options->seconds > 0 && options->seconds < 1000))
			argp_error(state, "seconds '%s' is not from 0 to 1000", argument);
		return 0;
	case 'o':
		options->only = argument;
		return 0;
	case 'x':
		options->left_out = argument;
		return 0;
	case 'i':
		options->counts_instructions = true;
		return 0;
	case 'p':
		rounds_add_peer(&comparison, "bench/alloc_malloc", argument, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"build", 'b', "DIR", 0, "where the programs are (default build)", 0},
	{"json", 'j', "FILE", 0, "write the figures to FILE too", 0},
	{"workload", 'w', "NAME", 0, "this one only", 0},
	{"runs", 'n', "N", 0, "of each figure (default 9)", 0},
	{"memory-runs", 'm', "N", 0, "of each look at resident memory (default 3; 0: none)", 0},
	{"seconds", 's', "S", 0, "of each run (default 0.2); fragmentation eight times that", 0},
	{"only", 'o', "NAME,...", 0, "these contenders only", 0},
	{"leave-out", 'x', "NAME,...", 0, "without these contenders", 0},
	{"instructions", 'i', 0, 0, "count instructions (callgrind) instead of time", 0},
	{"peer", 'p', "NAME=PATH", 0, "one more allocator, a library to preload", 0},
	{0},
};

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.doc = "compare - allocators side by side\v"
	       "EXAMPLES\n"
	       "  compare --runs 9\n"
	       "  compare --workload requests --peer rpmalloc=/opt/lib/librpmalloc.so",
};

/* ------------------------------------------------------------------ measuring */

#define FRAGMENTATION_TIMES 8

static bool is_wanted(const struct options *options, const char *workload)
{
	return !options->workload || strcmp(options->workload, workload) == 0;
}

static int measure(void *context, unsigned workload, unsigned contender, unsigned round)
{
	const struct options *options = context;
	char seconds[32];
	struct job job = {.build = options->build,
			  .workload = workloads[workload].name,
			  .how = "--seconds",
			  .amount = seconds};

	if (!is_wanted(options, job.workload))
		return 0;
	/* Its steps are 0.1 s long and the first ones pay for memory: see the table of fresh memory. */
	snprintf(seconds, sizeof(seconds), "%g",
		 options->seconds *
			 (strcmp(job.workload, "fragmentation") == 0 ? FRAGMENTATION_TIMES : 1));
	return contender_run(&contenders[contender], &job,
			     &comparison.figures[workload][contender].samples[round]);
}

/* Resident memory does not depend on time: several at once. 0 or -1. */
static int measure_memory(const struct options *options)
{
	struct job job = {.build = options->build, .workload = "fragmentation", .how = "--memory"};
	struct sample samples[CONTENDERS_MAX];
	int result = 0;

	if (!is_wanted(options, job.workload))
		return 0;
	for (unsigned run = 0; run < options->memory_runs; run++) {
		result |= crowd_run(contenders, comparison.contenders_count, &job, samples);
		for (unsigned i = 0; i < comparison.contenders_count; i++)
			comparison.memory[i].samples[run] = samples[i];
	}
	return result;
}

static int write_json(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file) {
		fprintf(stderr, "compare: cannot write %s\n", path);
		return -1;
	}
	report_json(&comparison, file);
	return fclose(file);
}

int main(int argc, char **argv)
{
	struct options options = {.build = "build", .runs = 9, .memory_runs = 3, .seconds = 0.2};
	int result = 0;

	comparison.command = rounds_command_line(argc, argv);
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	rounds_choose(&comparison, options.build, options.only, options.left_out, "compare");
	if (options.counts_instructions)
		return instructions_report(contenders, comparison.contenders_count, options.build,
					   options.workload, stdout) == 0
			       ? EXIT_SUCCESS
			       : EXIT_FAILURE;
	comparison.workloads_count = workloads_count;
	comparison.runs = options.runs;
	comparison.seconds = options.seconds;
	comparison.memory_runs = options.memory_runs;
	result |= rounds_run(&comparison, workloads_count, measure, &options);
	result |= measure_memory(&options);
	report_print(&comparison, stdout);
	if (options.json_path)
		result |= write_json(options.json_path);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
