/* SPDX-License-Identifier: MIT */
/*
 * compare - mmviz raw, detached and watched, side by side with other allocators, in one run.
 *
 * The runs are interleaved: every contender once, then every contender again, so that a machine
 * that changes its mood changes it for all. Each figure is a process of its own.
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

#define RARE_ROUNDS 5u /* enough for what is compared with ours alone */

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
};
static unsigned contenders_count = 11;

/* ------------------------------------------------------------------ options */

static void add_peer(char *argument, struct argp_state *state)
{
	char *equals = strchr(argument, '=');

	if (!equals || equals == argument || !strchr(equals, '/'))
		argp_error(state, "peer '%s' is not NAME=/path/to/library.so", argument);
	else if (contenders_count == CONTENDERS_MAX)
		argp_error(state, "more than %u contenders", CONTENDERS_MAX);
	else {
		*equals = '\0';
		contenders[contenders_count++] = (struct contender){
			.name = argument, .program = "bench/alloc_malloc", .library = equals + 1};
	}
}

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
		options->runs = (unsigned)atoi(argument);
		if (options->runs < 1 || options->runs > RUNS_MAX)
			argp_error(state, "runs '%s' is not from 1 to %u", argument, RUNS_MAX);
		return 0;
	case 'm':
		options->memory_runs = (unsigned)atoi(argument);
		if (options->memory_runs > RUNS_MAX)
			argp_error(state, "more than %u runs", RUNS_MAX);
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
		add_peer(argument, state);
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
	{"seconds", 's', "S", 0, "of each run (default 0.2)", 0},
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

/* Is `name` in a list with commas? */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

static bool is_chosen(const struct options *options, const char *name)
{
	return (!options->only || is_listed(options->only, name)) &&
	       (!options->left_out || !is_listed(options->left_out, name));
}

static void choose_contenders(const struct options *options)
{
	unsigned kept = 0;
	char reason[128];

	for (unsigned i = 0; i < contenders_count; i++) {
		if (!is_chosen(options, contenders[i].name))
			continue;
		if (contender_prepare(&contenders[i], options->build, reason))
			contenders[kept++] = contenders[i];
		else
			fprintf(stderr, "compare: without %s: %s\n", contenders[i].name, reason);
	}
	contenders_count = kept;
}

static bool is_wanted(const struct options *options, const char *workload)
{
	return !options->workload || strcmp(options->workload, workload) == 0;
}

/* Every contender once, beginning with another each time. 0 or -1. */
static int measure_round(struct comparison *comparison, const struct options *options,
			 unsigned round)
{
	char seconds[32];
	int result = 0;

	snprintf(seconds, sizeof(seconds), "%g", options->seconds);
	for (unsigned w = 0; w < workloads_count; w++) {
		struct job job = {options->build, workloads[w].name, "--seconds", seconds, NULL};

		if (!is_wanted(options, workloads[w].name))
			continue;
		for (unsigned i = 0; i < contenders_count; i++) {
			unsigned turn = (i + round) % contenders_count;
			unsigned most = contenders[turn].rounds_most;

			if (!most || round < most)
				result |=
					contender_run(&contenders[turn], &job,
						      &comparison->figures[w][turn].samples[round]);
		}
	}
	return result;
}

/* Resident memory does not depend on time: several at once. 0 or -1. */
static int measure_memory(struct comparison *comparison, const struct options *options)
{
	struct job job = {options->build, "fragmentation", "--memory", NULL, NULL};
	struct sample samples[CONTENDERS_MAX];
	int result = 0;

	if (!is_wanted(options, job.workload))
		return 0;
	for (unsigned run = 0; run < options->memory_runs; run++) {
		result |= crowd_run(contenders, contenders_count, &job, samples);
		for (unsigned i = 0; i < contenders_count; i++)
			comparison->memory[i].samples[run] = samples[i];
	}
	return result;
}

static int write_json(const struct comparison *comparison, const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file) {
		fprintf(stderr, "compare: cannot write %s\n", path);
		return -1;
	}
	report_json(comparison, file);
	return fclose(file);
}

static const char *command_line(int argc, char **argv)
{
	static char line[512];
	size_t used = 0;

	for (int i = 0; i < argc && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", i ? " " : "",
					 argv[i]);
	return line;
}

int main(int argc, char **argv)
{
	static struct comparison comparison;
	struct options options = {.build = "build", .runs = 9, .memory_runs = 3, .seconds = 0.2};
	int result = 0;

	comparison.command = command_line(argc, argv);
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	choose_contenders(&options);
	if (options.counts_instructions)
		return instructions_report(contenders, contenders_count, options.build,
					   options.workload, stdout) == 0
			       ? EXIT_SUCCESS
			       : EXIT_FAILURE;
	comparison.contenders = contenders;
	comparison.contenders_count = contenders_count;
	comparison.workloads_count = workloads_count;
	comparison.runs = options.runs;
	comparison.seconds = options.seconds;
	comparison.memory_runs = options.memory_runs;
	for (unsigned round = 0; round < options.runs; round++)
		result |= measure_round(&comparison, &options, round);
	result |= measure_memory(&comparison, &options);
	report_print(&comparison, stdout);
	if (options.json_path)
		result |= write_json(&comparison, options.json_path);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
