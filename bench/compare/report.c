/* SPDX-License-Identifier: MIT */
/*
 * report.c - see report.h. Ratios are those of figures.h: round by round.
 */
#include "report.h"

#include <string.h>

#include "alloc/workloads.h"
#include "figures.h"
#include "machine.h"
#include "rounds.h"

#define PROBES_BUDGET_NS     0.5
#define EXACT_BUDGET_NS	     8.0
#define EXACT_BUDGET_RATIO   1.5
#define SAMPLED_BUDGET_RATIO 1.03
#define COLUMN		     10

static const char *const ours[] = {"detached", "preload", "exact"};
#define OURS (sizeof(ours) / sizeof(ours[0]))

/* ------------------------------------------------------------------ tables */

typedef double (*cell_value)(const struct figure *figure);

static double cell_cpu(const struct figure *figure)
{
	return figure_spread(figure, sample_cpu).median;
}
static double cell_cpu_best(const struct figure *figure)
{
	return figure_spread(figure, sample_cpu).least;
}
static double cell_cpu_quartiles(const struct figure *figure)
{
	struct spread spread = figure_spread(figure, sample_cpu);

	return (spread.high - spread.low) / spread.median * 100;
}
static double cell_cold(const struct figure *figure)
{
	return figure_spread(figure, sample_cold).median;
}
static double cell_wall(const struct figure *figure)
{
	return figure_spread(figure, sample_wall_ratio).median;
}
static double cell_peak_mib(const struct figure *figure)
{
	return figure_spread(figure, sample_peak).median / (1 << 20);
}

static void print_table(const struct comparison *comparison, const char *title, cell_value value,
			FILE *out)
{
	fprintf(out, "\n%-15s", title);
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		fprintf(out, "%*s", COLUMN, comparison->contenders[i].name);
	fputc('\n', out);
	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		const struct figure *row = comparison->figures[w];

		if (!is_measured(comparison, row))
			continue;
		fprintf(out, "%-15s", workloads[w].name);
		for (unsigned i = 0; i < comparison->contenders_count; i++)
			if (figure_spread(&row[i], sample_cpu).count && value(&row[i]) > 0)
				fprintf(out, "%*.1f", COLUMN, value(&row[i]));
			else
				fprintf(out, "%*s", COLUMN, "-");
		fputc('\n', out);
	}
}

static void print_ratio(const struct spread *ratio, FILE *out)
{
	if (ratio->count)
		fprintf(out, "   %6.2f (%5.2f to %5.2f)", ratio->median, ratio->low, ratio->high);
	else
		fprintf(out, "   %6s %18s", "-", "");
}

/* Ours against the best peer of each workload: median and quartiles of the rounds' ratios. */
static void print_ratios(const struct comparison *comparison, const char *title, sample_value value,
			 FILE *out)
{
	fprintf(out, "\n%s\n%-15s%-12s", title, "", "best peer");
	for (unsigned i = 0; i < OURS; i++)
		fprintf(out, "   %-25s", ours[i]);
	fputc('\n', out);
	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		const struct figure *row = comparison->figures[w];
		int best = best_peer(comparison, row, value);

		if (best < 0 || !(figure_spread(&row[best], value).median > 0))
			continue;
		fprintf(out, "%-15s%-12s", workloads[w].name, comparison->contenders[best].name);
		for (unsigned i = 0; i < OURS; i++) {
			int index = contender_index(comparison, ours[i]);
			struct spread ratio = {0};

			if (index >= 0)
				ratio = figure_ratio(&row[index], &row[best], value);
			print_ratio(&ratio, out);
		}
		fputc('\n', out);
	}
}

/* ------------------------------------------------------------------ budgets */

struct budget {
	const char *text;
	const char *ours;    /* contender that is judged */
	const char *against; /* NULL: the best peer */
	double most;
	bool is_difference; /* of ns; else a ratio */
};

static const struct budget budgets[] = {
	{"probes compiled in: ns over raw", "detached", "raw", PROBES_BUDGET_NS, true},
	{"detached to the best peer", "detached", NULL, 1.0, false},
	{"preload to the best peer", "preload", NULL, 1.0, false},
	{"exact to the best peer", "exact", NULL, EXACT_BUDGET_RATIO, false},
	{"exact to glibc", "exact", "glibc", 1.0, false},
	{"exact: ns per event over detached", "exact", "detached", EXACT_BUDGET_NS, true},
	{"sampled to detached", "sampled", "detached", SAMPLED_BUDGET_RATIO, false},
};
#define BUDGETS (sizeof(budgets) / sizeof(budgets[0]))

/* False: not measured. */
static bool judge(const struct comparison *comparison, const struct budget *budget,
		  const struct figure *row, double *out)
{
	int judged = contender_index(comparison, budget->ours);
	int other = budget->against ? contender_index(comparison, budget->against)
				    : best_peer(comparison, row, sample_cpu);
	struct spread ratio;

	if (judged < 0 || other < 0)
		return false;
	ratio = figure_ratio(&row[judged], &row[other], sample_cpu);
	*out = budget->is_difference ? cell_cpu(&row[judged]) - cell_cpu(&row[other])
				     : ratio.median;
	return ratio.count;
}

static void print_budget(const struct comparison *comparison, const struct budget *budget,
			 FILE *out)
{
	unsigned met = 0, judged = 0;
	char gaps[512] = "";
	double value;

	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		size_t used = strlen(gaps);

		if (!judge(comparison, budget, comparison->figures[w], &value))
			continue;
		judged++;
		if (value <= budget->most)
			met++;
		else
			snprintf(gaps + used, sizeof(gaps) - used, " %s %.2f", workloads[w].name,
				 value);
	}
	if (judged)
		fprintf(out, "  %-34s <= %-5.2f met in %u of %u%s%s\n", budget->text, budget->most,
			met, judged, *gaps ? "; over it:" : "", gaps);
}

/* ------------------------------------------------------------------ all of it */

static void print_head(const struct comparison *comparison, FILE *out)
{
	machine_print(comparison->command, out);
	rounds_print_runs(comparison, out);
	fprintf(out, "\ntimed     ns of CPU time, user and kernel, for an allocation or a free; "
		     "page faults of the loop are inside,\n          filling and warming up are "
		     "not (they are the table of fresh memory)\n");
}

static void print_workloads(const struct comparison *comparison, FILE *out)
{
	fprintf(out, "\nworkloads\n");
	for (unsigned w = 0; w < comparison->workloads_count; w++)
		if (is_measured(comparison, comparison->figures[w]))
			fprintf(out, "  %-15s %s\n", workloads[w].name, workloads[w].text);
}

void report_print(const struct comparison *comparison, FILE *out)
{
	print_head(comparison, out);
	print_table(comparison, "ns, median", cell_cpu, out);
	print_ratios(comparison, "to the best peer: median (quartiles) of the rounds' ratios",
		     sample_cpu, out);
	if (comparison->runs > 1) {
		print_table(comparison, "ns, best", cell_cpu_best, out);
		print_table(comparison, "quartiles, %", cell_cpu_quartiles, out);
	}
	print_table(comparison, "ns, fresh", cell_cold, out);
	print_ratios(comparison,
		     "fresh memory to the best peer: the first fill (or step) of the process, page "
		     "faults inside",
		     sample_cold, out);
	print_table(comparison, "wall / CPU", cell_wall, out);
	print_table(comparison, "peak RSS, MiB", cell_peak_mib, out);
	report_footprint(comparison, out);
	fprintf(out, "\nbudgets\n");
	for (unsigned i = 0; i < BUDGETS; i++)
		print_budget(comparison, &budgets[i], out);
	print_workloads(comparison, out);
}

/* ------------------------------------------------------------------ JSON */

static void json_figure(const struct figure *figure, const char *name, FILE *out)
{
	struct spread cpu = figure_spread(figure, sample_cpu);
	const char *separator = "";

	fprintf(out,
		"{\"contender\":\"%s\",\"median_ns\":%.4f,\"best_ns\":%.4f,\"low_ns\":%.4f,"
		"\"high_ns\":%.4f,\"fresh_ns\":%.4f,\"wall_ratio\":%.3f,\"peak_rss_bytes\":%.0f,"
		"\"samples_ns\":[",
		name, cpu.median, cpu.least, cpu.low, cpu.high, cell_cold(figure),
		cell_wall(figure), figure_spread(figure, sample_peak).median);
	for (unsigned i = 0; i < RUNS_MAX; i++) {
		if (!figure->samples[i].is_valid)
			continue;
		fprintf(out, "%s%.4f", separator, figure->samples[i].cpu_ns);
		separator = ",";
	}
	fprintf(out, "]}");
}

static void json_workload(const struct comparison *comparison, unsigned workload, FILE *out)
{
	const char *separator = "";

	fprintf(out, "{\"workload\":\"%s\",\"figures\":[", workloads[workload].name);
	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		const struct figure *figure = &comparison->figures[workload][i];

		if (!figure_spread(figure, sample_cpu).count)
			continue;
		fputs(separator, out);
		json_figure(figure, comparison->contenders[i].name, out);
		separator = ",\n  ";
	}
	fprintf(out, "]}");
}

static void json_memory(const struct comparison *comparison, FILE *out)
{
	const char *separator = "";

	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		const struct sample *sample = &comparison->memory[i].samples[0];

		if (!sample->is_valid)
			continue;
		fprintf(out,
			"%s{\"contender\":\"%s\",\"live_blocks\":%.0f,\"live_bytes\":%.0f,"
			"\"resident_bytes\":%.0f,\"freed_bytes\":%.0f,\"returned_bytes\":%.0f,"
			"\"lazy_bytes\":%.0f,\"huge_bytes\":%.0f,\"peak_bytes\":%.0f}",
			separator, comparison->contenders[i].name, sample->live_blocks,
			sample->live_bytes, sample->refilled_bytes, sample->freed_bytes,
			sample->returned_bytes, sample->lazy_bytes, sample->huge_bytes,
			sample->peak_bytes);
		separator = ",\n ";
	}
}

void report_json(const struct comparison *comparison, FILE *out)
{
	struct machine machine;

	machine_describe(&machine);
	fprintf(out,
		"{\"processor\":\"%s\",\"cores\":%u,\"kernel\":\"%s\",\"date\":\"%s\","
		"\"runs\":%u,\"seconds\":%g,\"workloads\":[\n ",
		machine.processor, machine.cores, machine.kernel, machine.date, comparison->runs,
		comparison->seconds);
	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		if (w)
			fprintf(out, ",\n ");
		json_workload(comparison, w, out);
	}
	fprintf(out, "],\"fragmentation_memory\":[\n ");
	json_memory(comparison, out);
	fprintf(out, "]}\n");
}
