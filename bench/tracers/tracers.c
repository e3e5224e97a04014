/* SPDX-License-Identifier: MIT */
/*
 * tracers - what it costs a malloc or a free to be seen: by us, and by the tracers and the sampling
 * profilers of others, on the same workloads in the same run (compare/rounds.h).
 *
 * Each is compared with the allocator that it works on, alone, in the same round: what it takes
 * more is what is printed. A figure counts only if the tracer recorded the calls (the scripts beside this file).
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/workloads.h"
#include "compare/contender.h"
#include "compare/figures.h"
#include "compare/machine.h"
#include "compare/rounds.h"

#define FRAMES	    16u /* of the stack: as deep as programs' own, for those who look at it */
#define SLOW_ROUNDS 1u	/* of what takes microseconds for each call */
#define NAME_WIDTH  24

struct options {
	const char *build, *only, *left_out;
	unsigned runs;
	double seconds;
};

static const char *const subjects[] = {"requests", "mixed-churn", "two-threads"};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

#define PRELOAD                                                                                    \
	.program = "bench/alloc_malloc", .library = "libmmviz-preload.so", .is_ours = true,        \
	.is_built = true

static struct contender contenders[CONTENDERS_MAX] = {
	{.name = "glibc", .program = "bench/alloc_malloc"},
	{.name = "jemalloc", .program = "bench/alloc_malloc", .library = "libjemalloc.so.2"},
	{.name = "tcmalloc", .program = "bench/alloc_malloc", .library = "libtcmalloc.so.4"},
	{.name = "preload", PRELOAD},
	{.name = "exact", PRELOAD, .mode = "exact", .probe = "batch", .stacks = "off"},
	{.name = "exact-sampled", PRELOAD, .mode = "exact", .probe = "sample"},
	{.name = "exact-stacks", PRELOAD, .mode = "exact", .probe = "stack", .stacks = "all"},
	{.name = "sampled", PRELOAD, .mode = "sampled", .probe = "sample"},
	{.name = "heaptrack",
	 .program = "bench/alloc_malloc",
	 .library = "libheaptrack_preload.so",
	 .tracer = "bench/tracers/heaptrack.sh"},
	{.name = "lttng",
	 .program = "bench/alloc_malloc",
	 .library = "liblttng-ust-libc-wrapper.so.1",
	 .tracer = "bench/tracers/lttng.sh"},
	{.name = "uftrace", .program = "bench/alloc_plt", .tracer = "bench/tracers/uftrace.sh"},
	{.name = "uprobes",
	 .program = "bench/alloc_malloc",
	 .tracer = "bench/tracers/uprobes.sh",
	 .rounds_most = SLOW_ROUNDS},
	{.name = "jemalloc-sampled",
	 .program = "bench/alloc_malloc",
	 .library = "libjemalloc.so.2",
	 .tracer = "bench/tracers/jemalloc.sh",
	 .is_sampling = true},
	{.name = "tcmalloc-sampled",
	 .program = "bench/alloc_malloc",
	 .library = "libtcmalloc.so.4",
	 .tracer = "bench/tracers/gperftools.sh",
	 .is_sampling = true},
};
static struct comparison comparison = {.contenders = contenders, .contenders_count = 14};

/* Who sees what, and on which allocator. */
static const struct row {
	const char *name, *base, *text;
} rows[] = {
	{"exact", "preload", "mmviz, every event"},
	{"exact-sampled", "preload", "mmviz, and some stacks"},
	{"exact-stacks", "preload", "mmviz, and every stack"},
	{"heaptrack", "glibc", "heaptrack"},
	{"lttng", "glibc", "LTTng-UST"},
	{"uftrace", "glibc", "uftrace"},
	{"uprobes", "glibc", "uprobes (bpftrace)"},
	{"sampled", "preload", "mmviz, sampled"},
	{"jemalloc-sampled", "jemalloc", "jemalloc, sampled"},
	{"tcmalloc-sampled", "tcmalloc", "tcmalloc, sampled"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ------------------------------------------------------------------ options */

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'b':
		options->build = argument;
		return 0;
	case 'n':
		options->runs = rounds_parse_runs(argument, 1, state);
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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"build", 'b', "DIR", 0, "where the programs are (default build)", 0},
	{"runs", 'n', "N", 0, "of each figure (default 3)", 0},
	{"seconds", 's', "S", 0, "of each run (default 0.3)", 0},
	{"only", 'o', "NAME,...", 0, "these only; name the allocators that they work on, too", 0},
	{"leave-out", 'x', "NAME,...", 0, "without these", 0},
	{0},
};

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.doc = "tracers - what it costs a malloc or a free to be seen\v"
	       "EXAMPLES\n"
	       "  compare_tracers --runs 5\n"
	       "  compare_tracers --only preload,exact,glibc,heaptrack",
};

/* ------------------------------------------------------------------ measuring */

static int measure(void *context, unsigned subject, unsigned contender, unsigned round)
{
	const struct options *options = context;
	char seconds[32];
	struct job job = {.build = options->build,
			  .workload = subjects[subject],
			  .how = "--seconds",
			  .amount = seconds,
			  .frames = FRAMES};

	snprintf(seconds, sizeof(seconds), "%g", options->seconds);
	return contender_run(&contenders[contender], &job,
			     &comparison.figures[subject][contender].samples[round]);
}

/* ------------------------------------------------------------------ report */

/* The figures of a contender, or NULL if it did not take part. */
static const struct figure *figure_of(unsigned subject, const char *name)
{
	int index = contender_index(&comparison, name);
	const struct figure *figure = index < 0 ? NULL : &comparison.figures[subject][index];

	return figure && figure_spread(figure, sample_cpu).count ? figure : NULL;
}

static bool is_there(const char *name)
{
	for (unsigned s = 0; s < SUBJECTS; s++)
		if (figure_of(s, name))
			return true;
	return false;
}

static void print_heads(const char *title)
{
	printf("\n%-*s", NAME_WIDTH, title);
	for (unsigned s = 0; s < SUBJECTS; s++)
		printf("   %-26s", subjects[s]);
	printf("\n");
}

static void print_spread(const struct spread *spread, int digits)
{
	if (spread->count)
		printf("   %8.*f (%6.*f to %6.*f)", digits, spread->median, digits, spread->low,
		       digits, spread->high);
	else
		printf("   %8s %18s", "-", "");
}

/* What being seen adds; in parentheses the quartiles of the rounds. */
static void print_added(void)
{
	print_heads("ns more than alone");
	for (unsigned r = 0; r < ROWS; r++) {
		if (!is_there(rows[r].name))
			continue;
		printf("%-*s", NAME_WIDTH, rows[r].text);
		for (unsigned s = 0; s < SUBJECTS; s++) {
			const struct figure *traced = figure_of(s, rows[r].name);
			const struct figure *alone = figure_of(s, rows[r].base);
			struct spread added = {0};

			if (traced && alone)
				added = figure_difference(traced, alone, sample_cpu);
			print_spread(&added, 1);
		}
		printf("\n");
	}
}

static void print_figures(const char *title, sample_value value, int digits)
{
	print_heads(title);
	for (unsigned i = 0; i < comparison.contenders_count; i++) {
		printf("%-*s", NAME_WIDTH, contenders[i].name);
		for (unsigned s = 0; s < SUBJECTS; s++) {
			struct spread spread = figure_spread(&comparison.figures[s][i], value);

			if (spread.count)
				printf("   %8.*f %18s", digits, spread.median, "");
			else
				printf("   %8s %18s", "-", "");
		}
		printf("\n");
	}
}

/* Whole rows against exact mode: how many times as much is added. */
static void print_ratios(void)
{
	print_heads("times what exact mode adds");
	for (unsigned r = 1; r < ROWS; r++) {
		if (!is_there(rows[r].name))
			continue;
		printf("%-*s", NAME_WIDTH, rows[r].text);
		for (unsigned s = 0; s < SUBJECTS; s++) {
			const struct figure *traced = figure_of(s, rows[r].name);
			const struct figure *alone = figure_of(s, rows[r].base);
			const struct figure *exact = figure_of(s, rows[0].name);
			const struct figure *preload = figure_of(s, rows[0].base);

			if (traced && alone && exact && preload)
				printf("   %8.1f %18s",
				       figure_difference(traced, alone, sample_cpu).median /
					       figure_difference(exact, preload, sample_cpu).median,
				       "");
			else
				printf("   %8s %18s", "-", "");
		}
		printf("\n");
	}
}

static bool is_to_see_all(const struct contender *contender)
{
	return !contender->is_sampling &&
	       (!contender->mode || strcmp(contender->mode, "exact") == 0);
}

/* Of all calls of all runs: how many were left out by those who are to see each. */
static void print_dropped(void)
{
	printf("\nrecorded, of the calls that were made while it traced\n");
	for (unsigned i = 0; i < comparison.contenders_count; i++) {
		double traced = 0, dropped = 0;

		for (unsigned s = 0; s < SUBJECTS; s++)
			for (unsigned round = 0; round < comparison.runs; round++) {
				traced += comparison.figures[s][i].samples[round].traced;
				dropped += comparison.figures[s][i].samples[round].dropped;
			}
		if (is_to_see_all(&contenders[i]) && traced + dropped > 0)
			printf("  %-*s %.1f of %.1f millions%s\n", NAME_WIDTH - 2,
			       contenders[i].name, traced / 1e6, (traced + dropped) / 1e6,
			       dropped > 0 ? ": the rest was dropped" : "");
	}
}

static void report(void)
{
	machine_print(comparison.command, stdout);
	rounds_print_runs(&comparison, stdout);
	printf("; stacks of %u frames and more\n"
	       "figures   ns of CPU time of the program's threads for a malloc or a free: medians "
	       "(quartiles); what a tracer's\n          other processes take is not in them\n",
	       FRAMES);
	print_added();
	print_ratios();
	print_figures("ns", sample_cpu, 1);
	print_figures("wall / CPU", sample_wall_ratio, 2);
	print_dropped();
}

int main(int argc, char **argv)
{
	struct options options = {.build = "build", .runs = 3, .seconds = 0.3};
	int result;

	comparison.command = rounds_command_line(argc, argv);
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	comparison.runs = options.runs;
	comparison.seconds = options.seconds;
	rounds_choose(&comparison, options.build, options.only, options.left_out, "tracers");
	result = rounds_run(&comparison, SUBJECTS, measure, &options);
	report();
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
