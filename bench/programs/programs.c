/* SPDX-License-Identifier: MIT */
/*
 * programs - unmodified programs under each allocator, side by side.
 *
 * Each program is a script beside this file (common.sh says what it must do). Every round runs
 * every program under every allocator once (compare/rounds.h). A run
 * counts only if its result was right and the allocator's library was seen in /proc/PID/maps of the
 * program.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/figures.h"
#include "compare/machine.h"
#include "compare/rounds.h"

#define ROWS_MAX	  16u
#define ROW_NAME_MAX	  24u
#define STATUS_MISSING	  69 /* EX_UNAVAILABLE: the program is not installed */
#define TIME_BUDGET_RATIO 1.03
#define COLUMN		  11

struct program {
	const char *name, *text;
	bool is_there;
	bool is_verified[CONTENDERS_MAX];
};

/* One thing that a program's script measures. */
struct row {
	char name[ROW_NAME_MAX];
	struct figure figures[CONTENDERS_MAX];
};

struct options {
	const char *build, *scripts;
	const char *program; /* NULL: all */
	unsigned runs;
	bool is_quick;
};

static struct program programs[] = {
	{.name = "redis", .text = "redis-server, driven by redis-benchmark: ten commands, 256 B"},
	{.name = "sqlite", .text = "sqlite3 builds a database of 200 MB in memory, queries it"},
	{.name = "python",
	 .text = "python3: its tests of json, re, dict; loops that allocate, with "
		 "and without (python-malloc) its own small-object allocator"},
	{.name = "git", .text = "git log -p and git gc --aggressive on 6000 commits"},
	{.name = "gxx", .text = "g++ -O1 compiles one file with many templates"},
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static struct contender contenders[CONTENDERS_MAX] = {
	{.name = "preload",
	 .program = "bench/measure",
	 .library = "libmmviz-preload.so",
	 .is_ours = true,
	 .is_built = true},
	{.name = "glibc", .program = "bench/measure", .library = "libc.so.6"},
	{.name = "mimalloc", .program = "bench/measure", .library = "libmimalloc.so.2"},
	{.name = "jemalloc", .program = "bench/measure", .library = "libjemalloc.so.2"},
	{.name = "tcmalloc", .program = "bench/measure", .library = "libtcmalloc_minimal.so.4"},
	{.name = "tbb", .program = "bench/measure", .library = "libtbbmalloc_proxy.so.2"},
};
static struct comparison comparison = {.contenders = contenders, .contenders_count = 6};

static struct row rows[ROWS_MAX];
static unsigned rows_count;

/* ------------------------------------------------------------------ options */

static void choose_program(struct options *options, const char *name, struct argp_state *state)
{
	options->program = name;
	for (unsigned i = 0; i < PROGRAMS; i++)
		if (strcmp(programs[i].name, name) == 0)
			return;
	argp_error(state, "no program '%s'", name);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'b':
		options->build = argument;
		return 0;
	case 's':
		options->scripts = argument;
		return 0;
	case 'w':
		choose_program(options, argument, state);
		return 0;
	case 'n':
		options->runs = rounds_parse_runs(argument, 1, state);
		return 0;
	case 'q':
		options->is_quick = true;
		return 0;
	case 'p':
		rounds_add_peer(&comparison, "bench/measure", argument, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"build", 'b', "DIR", 0, "where the programs are (default build)", 0},
	{"scripts", 's', "DIR", 0, "where the scripts are (default bench/programs)", 0},
	{"program", 'w', "NAME", 0, "this one only", 0},
	{"runs", 'n', "N", 0, "of each figure (default 5)", 0},
	{"quick", 'q', 0, 0, "small sizes: to see that everything works", 0},
	{"peer", 'p', "NAME=PATH", 0, "one more allocator, a library to preload", 0},
	{0},
};

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.doc = "programs - unmodified programs under each allocator\v"
	       "EXAMPLES\n"
	       "  programs --runs 9\n"
	       "  programs --program redis --peer rpmalloc=/opt/lib/librpmalloc.so",
};

/* ------------------------------------------------------------------ scripts */

/* Start `NAME.sh WHAT` with what common.sh wants in its environment. */
static FILE *start_script(const struct options *options, const struct program *program,
			  const char *what, const char *preload)
{
	char command[PATH_MAX + 32], scratch[PATH_MAX];

	snprintf(scratch, sizeof(scratch), "%s/bench/programs", options->build);
	mkdir(scratch, 0755);
	snprintf(scratch, sizeof(scratch), "%s/bench/programs/%s", options->build, program->name);
	mkdir(scratch, 0755);
	setenv("BUILD", options->build, 1);
	setenv("SCRATCH", scratch, 1);
	setenv("SIZE", options->is_quick ? "quick" : "normal", 1);
	setenv("PRELOAD", preload, 1);
	snprintf(command, sizeof(command), "exec %s/%s.sh %s", options->scripts, program->name,
		 what);
	fflush(NULL);
	return popen(command, "re");
}

static int run_script(const struct options *options, const struct program *program,
		      const char *what, const char *preload)
{
	FILE *script = start_script(options, program, what, preload);
	int status;

	if (!script)
		return -1;
	while (fgetc(script) != EOF)
		continue;
	status = pclose(script);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct row *row_of(const char *name)
{
	for (unsigned i = 0; i < rows_count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	if (rows_count == ROWS_MAX)
		return NULL;
	snprintf(rows[rows_count].name, ROW_NAME_MAX, "%s", name);
	return &rows[rows_count++];
}

/* ROW SECONDS CPU-SECONDS PEAK-BYTES LIBRARY [REQUESTS/S]. 0 or -1. */
static int take_line(const char *line, unsigned contender, unsigned round)
{
	char name[ROW_NAME_MAX], library[PATH_MAX];
	struct sample sample = {.is_valid = true};
	struct row *row;

	if (sscanf(line, "%23s %lf %lf %lf %4095s %lf", name, &sample.wall_ns, &sample.cpu_ns,
		   &sample.peak_bytes, library, &sample.operations) < 5 ||
	    !(row = row_of(name)))
		return -1;
	if (strcmp(library, "-") == 0) {
		fprintf(stderr, "programs: %s: nobody saw %s loaded\n", name,
			contenders[contender].name);
		return -1;
	}
	row->figures[contender].samples[round] = sample;
	return 0;
}

static int measure(void *context, unsigned number, unsigned contender, unsigned round)
{
	const struct options *options = context;
	const struct program *program = &programs[number];
	char line[PATH_MAX + 256];
	int result = 0;
	FILE *script;

	if (!program->is_there || !program->is_verified[contender])
		return 0;
	script = start_script(options, program, "run", contenders[contender].library_path);
	if (!script)
		return -1;
	while (fgets(line, sizeof(line), script))
		result |= take_line(line, contender, round);
	if (pclose(script) != 0) {
		fprintf(stderr, "programs: %s failed under %s\n", program->name,
			contenders[contender].name);
		result = -1;
	}
	return result;
}

/* ------------------------------------------------------------------ preparing */

static int prepare(const struct options *options, struct program *program)
{
	int status, result = 0;

	if (options->program && strcmp(options->program, program->name) != 0)
		return 0;
	status = run_script(options, program, "prepare", "");
	program->is_there = status == 0;
	if (status == STATUS_MISSING)
		fprintf(stderr, "programs: without %s\n", program->name);
	else if (status != 0) {
		fprintf(stderr, "programs: %s could not be prepared\n", program->name);
		return -1;
	}
	for (unsigned i = 0; program->is_there && i < comparison.contenders_count; i++) {
		program->is_verified[i] =
			run_script(options, program, "verify", contenders[i].library_path) == 0;
		if (!program->is_verified[i])
			result = -1;
	}
	return result;
}

/* ------------------------------------------------------------------ report */

static double sample_wall(const struct sample *sample)
{
	return sample->wall_ns;
}
static double sample_rate(const struct sample *sample)
{
	return sample->operations;
}
static double sample_peak_mib(const struct sample *sample)
{
	return sample->peak_bytes / (1 << 20);
}

static bool has_figures(const struct row *row, sample_value value)
{
	for (unsigned i = 0; i < comparison.contenders_count; i++)
		if (figure_spread(&row->figures[i], value).median > 0)
			return true;
	return false;
}

static void print_row(const struct row *row, sample_value value, int digits)
{
	printf("%-16s", row->name);
	for (unsigned i = 0; i < comparison.contenders_count; i++) {
		struct spread spread = figure_spread(&row->figures[i], value);

		if (spread.count)
			printf("%*.*f", COLUMN, digits, spread.median);
		else
			printf("%*s", COLUMN, "-");
	}
	printf("\n");
}

/* Nothing, if no row has such figures. */
static void print_table(const char *title, sample_value value, int digits)
{
	bool has_title = false;

	for (unsigned r = 0; r < rows_count; r++) {
		if (!has_figures(&rows[r], value))
			continue;
		if (!has_title) {
			printf("\n%-16s", title);
			for (unsigned i = 0; i < comparison.contenders_count; i++)
				printf("%*s", COLUMN, contenders[i].name);
			printf("\n");
			has_title = true;
		}
		print_row(&rows[r], value, digits);
	}
}

static void print_ratio(const struct row *row, int judged, sample_value value)
{
	int best = best_peer(&comparison, row->figures, value);
	struct spread ratio;

	if (best < 0)
		return;
	ratio = figure_ratio(&row->figures[judged], &row->figures[best], value);
	printf("   %5.3f (%5.3f to %5.3f) %-9s", ratio.median, ratio.low, ratio.high,
	       contenders[best].name);
}

static void print_ratios(int judged)
{
	printf("\n%s to the best peer of each: median (quartiles) of the rounds' ratios\n%-16s"
	       "   %-33s   %-33s   %s\n",
	       contenders[judged].name, "", "CPU time", "time", "peak RSS");
	for (unsigned r = 0; r < rows_count; r++) {
		printf("%-16s", rows[r].name);
		if (figure_spread(&rows[r].figures[judged], sample_cpu).count) {
			print_ratio(&rows[r], judged, sample_cpu);
			print_ratio(&rows[r], judged, sample_wall);
			print_ratio(&rows[r], judged, sample_peak);
		}
		printf("\n");
	}
}

static void print_budget(int judged)
{
	unsigned met = 0, count = 0;
	char gaps[512] = "";

	for (unsigned r = 0; r < rows_count; r++) {
		int best = best_peer(&comparison, rows[r].figures, sample_cpu);
		size_t used = strlen(gaps);
		struct spread ratio;

		if (best < 0)
			continue;
		ratio = figure_ratio(&rows[r].figures[judged], &rows[r].figures[best], sample_cpu);
		if (!ratio.count)
			continue;
		count++;
		if (ratio.median <= TIME_BUDGET_RATIO)
			met++;
		else
			snprintf(gaps + used, sizeof(gaps) - used, " %s %.3f", rows[r].name,
				 ratio.median);
	}
	printf("\nbudget\n  CPU time to the best peer <= %.2f: met in %u of %u%s%s\n",
	       TIME_BUDGET_RATIO, met, count, *gaps ? "; over it:" : "", gaps);
}

static void print_allocators(void)
{
	printf("\nallocators (malloc bound to it by the loader; runs that had it in "
	       "/proc/PID/maps)\n");
	for (unsigned i = 0; i < comparison.contenders_count; i++) {
		unsigned bound = 0, there = 0, runs = 0;

		for (unsigned p = 0; p < PROGRAMS; p++) {
			bound += programs[p].is_there && programs[p].is_verified[i];
			there += programs[p].is_there;
		}
		for (unsigned r = 0; r < rows_count; r++)
			runs += figure_spread(&rows[r].figures[i], sample_cpu).count;
		printf("  %-10s %s: bound in %u of %u programs, seen in %u runs\n",
		       contenders[i].name, contenders[i].library_path, bound, there, runs);
	}
}

static void report(const struct options *options)
{
	int judged = contender_index(&comparison, "preload");

	machine_print(comparison.command, stdout);
	printf("runs      %u of each, interleaved%s\n", options->runs,
	       options->is_quick ? "; small sizes: no figures to quote" : "");
	print_table("CPU seconds", sample_cpu, 3);
	print_table("seconds", sample_wall, 3);
	print_table("requests/s", sample_rate, 0);
	print_table("peak RSS, MiB", sample_peak_mib, 1);
	if (judged >= 0) {
		print_ratios(judged);
		print_budget(judged);
	}
	print_allocators();
	printf("\nprograms\n");
	for (unsigned p = 0; p < PROGRAMS; p++)
		if (programs[p].is_there)
			printf("  %-10s %s\n", programs[p].name, programs[p].text);
}

/* ------------------------------------------------------------------ all of it */

int main(int argc, char **argv)
{
	struct options options = {.build = "build", .scripts = "bench/programs", .runs = 5};
	char build[PATH_MAX];
	int result = 0;

	comparison.command = rounds_command_line(argc, argv);
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (!realpath(options.build, build)) {
		fprintf(stderr, "programs: %s: %s\n", options.build, strerror(errno));
		return EXIT_FAILURE;
	}
	options.build = build;
	comparison.runs = options.runs;
	rounds_choose(&comparison, build, NULL, NULL, "programs");
	for (unsigned p = 0; p < PROGRAMS; p++)
		result |= prepare(&options, &programs[p]);
	result |= rounds_run(&comparison, PROGRAMS, measure, &options);
	report(&options);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
