/* SPDX-License-Identifier: MIT */
/*
 * report.c - see report.h. Ratios are taken between medians of interleaved runs.
 */
#include "report.h"

#include <string.h>

#include "alloc/workloads.h"
#include "machine.h"

#define PROBES_BUDGET_NS     0.5
#define EXACT_BUDGET_NS	     8.0
#define SAMPLED_BUDGET_RATIO 1.03
#define COLUMN		     10

void figure_summarise(struct figure *figure)
{
	double ns[RUNS_MAX], ratios[RUNS_MAX], bytes[RUNS_MAX];
	unsigned count = figure->samples_count;

	if (!count)
		return;
	for (unsigned i = 0; i < count; i++) {
		ns[i] = figure->samples[i].cpu_ns;
		ratios[i] = figure->samples[i].wall_ns / figure->samples[i].cpu_ns;
		bytes[i] = figure->samples[i].peak_bytes;
	}
	figure->median_ns = median(ns, count); /* sorts */
	figure->best_ns = ns[0];
	figure->spread = (ns[count - 1] - ns[0]) / figure->median_ns;
	figure->wall_ratio = median(ratios, count);
	figure->peak_rss_bytes = median(bytes, count);
}

/* ------------------------------------------------------------------ looking figures up */

static const struct figure *figure_of(const struct comparison *comparison, unsigned workload,
				      const char *name)
{
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		if (strcmp(comparison->contenders[i].name, name) == 0 &&
		    comparison->figures[workload][i].samples_count)
			return &comparison->figures[workload][i];
	return NULL;
}

static bool is_measured(const struct comparison *comparison, unsigned workload)
{
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		if (comparison->figures[workload][i].samples_count)
			return true;
	return false;
}

/* Index of the quickest allocator that is not ours, or -1. */
static int best_peer(const struct comparison *comparison, unsigned workload)
{
	const struct figure *figures = comparison->figures[workload];
	int best = -1;

	for (unsigned i = 0; i < comparison->contenders_count; i++)
		if (!comparison->contenders[i].is_ours && figures[i].samples_count &&
		    (best < 0 || figures[i].median_ns < figures[best].median_ns))
			best = (int)i;
	return best;
}

/* ------------------------------------------------------------------ tables */

static void print_header(const struct comparison *comparison, const char *title, FILE *out)
{
	fprintf(out, "\n%-15s", title);
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		fprintf(out, "%*s", COLUMN, comparison->contenders[i].name);
}

typedef double (*figure_value)(const struct figure *figure);

static double value_median(const struct figure *figure)
{
	return figure->median_ns;
}
static double value_best(const struct figure *figure)
{
	return figure->best_ns;
}
static double value_spread(const struct figure *figure)
{
	return figure->spread * 100;
}
static double value_wall(const struct figure *figure)
{
	return figure->wall_ratio;
}
static double value_mib(const struct figure *figure)
{
	return figure->peak_rss_bytes / (1 << 20);
}

static void print_ratio(const struct comparison *comparison, unsigned workload, FILE *out)
{
	const struct figure *ours = figure_of(comparison, workload, "detached");
	int best = best_peer(comparison, workload);

	if (ours && best >= 0)
		fprintf(out, "   %.2f x %s",
			ours->median_ns / comparison->figures[workload][best].median_ns,
			comparison->contenders[best].name);
}

static void print_table(const struct comparison *comparison, const char *title, figure_value value,
			FILE *out)
{
	bool has_ratio = value == value_median;

	print_header(comparison, title, out);
	fprintf(out, "%s\n", has_ratio ? "   detached to best peer" : "");
	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		if (!is_measured(comparison, w))
			continue;
		fprintf(out, "%-15s", workloads[w].name);
		for (unsigned i = 0; i < comparison->contenders_count; i++) {
			const struct figure *figure = &comparison->figures[w][i];

			if (figure->samples_count)
				fprintf(out, "%*.1f", COLUMN, value(figure));
			else
				fprintf(out, "%*s", COLUMN, "-");
		}
		if (has_ratio)
			print_ratio(comparison, w, out);
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
	const char *only;   /* this workload; NULL: all */
};

static const struct budget budgets[] = {
	{"probes compiled in: ns over raw", "detached", "raw", PROBES_BUDGET_NS, true, NULL},
	{"detached to the best peer", "detached", NULL, 1.0, false, NULL},
	{"exact to glibc", "exact", "glibc", 1.0, false, NULL},
	{"exact: ns per event over detached", "exact", "detached", EXACT_BUDGET_NS, true, NULL},
	{"sampled to detached", "sampled", "detached", SAMPLED_BUDGET_RATIO, false, NULL},
};
#define BUDGETS (sizeof(budgets) / sizeof(budgets[0]))

/* False: not measured. */
static bool judge(const struct comparison *comparison, const struct budget *budget,
		  unsigned workload, double *out)
{
	const struct figure *ours = figure_of(comparison, workload, budget->ours), *other;
	int best = best_peer(comparison, workload);

	if (budget->against)
		other = figure_of(comparison, workload, budget->against);
	else
		other = best < 0 ? NULL : &comparison->figures[workload][best];
	if (!ours || !other)
		return false;
	*out = budget->is_difference ? ours->median_ns - other->median_ns
				     : ours->median_ns / other->median_ns;
	return true;
}

static void print_budget(const struct comparison *comparison, const struct budget *budget,
			 FILE *out)
{
	unsigned met = 0, judged = 0;
	char gaps[512] = "";
	double value;

	for (unsigned w = 0; w < comparison->workloads_count; w++) {
		size_t used = strlen(gaps);

		if (!judge(comparison, budget, w, &value))
			continue;
		judged++;
		if (value <= budget->most)
			met++;
		else
			snprintf(gaps + used, sizeof(gaps) - used, " %s %.2f", workloads[w].name,
				 value);
	}
	fprintf(out, "  %-34s <= %-5.2f met in %u of %u%s%s\n", budget->text, budget->most, met,
		judged, *gaps ? "; over it:" : "", gaps);
}

void report_print(const struct comparison *comparison, FILE *out)
{
	struct machine machine;

	machine_describe(&machine);
	fprintf(out, "machine   %s, %u cores\nkernel    %s\ndate      %s\ncommand   %s\n",
		machine.processor, machine.cores, machine.kernel, machine.date,
		comparison->command);
	fprintf(out, "runs      %u of %g s for each figure, interleaved\n", comparison->runs,
		comparison->seconds);
	print_table(comparison, "ns, median", value_median, out);
	if (comparison->runs > 1) {
		print_table(comparison, "ns, best", value_best, out);
		print_table(comparison, "spread, %", value_spread, out);
	}
	print_table(comparison, "wall / CPU", value_wall, out);
	print_table(comparison, "peak RSS, MiB", value_mib, out);
	fprintf(out, "\nbudgets\n");
	for (unsigned i = 0; i < BUDGETS; i++)
		print_budget(comparison, &budgets[i], out);
	fprintf(out, "\nworkloads\n");
	for (unsigned w = 0; w < comparison->workloads_count; w++)
		if (is_measured(comparison, w))
			fprintf(out, "  %-15s %s\n", workloads[w].name, workloads[w].text);
}

/* ------------------------------------------------------------------ JSON */

static void json_figure(const struct figure *figure, const char *name, FILE *out)
{
	fprintf(out,
		"{\"contender\":\"%s\",\"median_ns\":%.4f,\"best_ns\":%.4f,\"spread\":%.4f,"
		"\"wall_ratio\":%.3f,\"peak_rss_bytes\":%.0f,\"samples_ns\":[",
		name, figure->median_ns, figure->best_ns, figure->spread, figure->wall_ratio,
		figure->peak_rss_bytes);
	for (unsigned i = 0; i < figure->samples_count; i++)
		fprintf(out, "%s%.4f", i ? "," : "", figure->samples[i].cpu_ns);
	fprintf(out, "]}");
}

static void json_workload(const struct comparison *comparison, unsigned workload, FILE *out)
{
	const char *separator = "";

	fprintf(out, "{\"workload\":\"%s\",\"figures\":[", workloads[workload].name);
	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		const struct figure *figure = &comparison->figures[workload][i];

		if (!figure->samples_count)
			continue;
		fputs(separator, out);
		json_figure(figure, comparison->contenders[i].name, out);
		separator = ",\n  ";
	}
	fprintf(out, "]}");
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
	fprintf(out, "]}\n");
}
