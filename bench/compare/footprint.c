/* SPDX-License-Identifier: MIT */
/*
 * footprint.c - the memory tables of the report: what stays resident after the fragmentation
 * workload, for which live bytes, and what of it is our headers. Every byte of every block was
 * written; resident is over what the process had before its first block.
 */
#include "report.h"

#include <string.h>

#include "figures.h"

#define HEADER_BYTES 16.0 /* of each block of ours (mmviz/abi.h) */
#define MIB	     (1024.0 * 1024.0)

static double value_freed(const struct sample *sample)
{
	return sample->freed_bytes;
}
static double value_returned(const struct sample *sample)
{
	return sample->returned_bytes;
}
static double value_lazy(const struct sample *sample)
{
	return sample->lazy_bytes;
}
static double value_huge(const struct sample *sample)
{
	return sample->huge_bytes;
}
static double value_per_live(const struct sample *sample)
{
	return sample->refilled_bytes / sample->live_bytes;
}

static void print_row(const struct contender *contender, const struct figure *figure, FILE *out)
{
	static const sample_value columns[] = {sample_peak, sample_refilled, value_huge,
					       value_freed, value_returned,  value_lazy};
	struct spread per_live = figure_spread(figure, value_per_live);

	if (!per_live.count)
		return;
	fprintf(out, "%-15s", contender->name);
	for (unsigned i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		fprintf(out, "%11.1f", figure_spread(figure, columns[i]).median / MIB);
	fprintf(out, "%8.2f (%.2f to %.2f)\n", per_live.median, per_live.low, per_live.high);
}

static const struct sample *any_sample(const struct figure *figure)
{
	for (unsigned i = 0; i < RUNS_MAX; i++)
		if (figure->samples[i].is_valid)
			return &figure->samples[i];
	return NULL;
}

/* Ours may have the best peer's bytes and its own headers. */
static void judge(const struct comparison *comparison, const char *name, FILE *out)
{
	int index = contender_index(comparison, name);
	int best = best_peer(comparison, comparison->memory, sample_refilled);
	int least_peak = best_peer(comparison, comparison->memory, sample_peak);
	const struct sample *sample;
	double headers, resident, peak;

	if (index < 0 || best < 0 || !(sample = any_sample(&comparison->memory[index])))
		return;
	headers = sample->live_blocks * HEADER_BYTES;
	resident = figure_spread(&comparison->memory[best], sample_refilled).median;
	peak = figure_spread(&comparison->memory[least_peak], sample_peak).median;
	fprintf(out,
		"%s: resident %.1f MiB, of it headers %.1f; %s has %.1f, and with our headers "
		"%.1f: %.2f of what is allowed\n",
		name, figure_spread(&comparison->memory[index], sample_refilled).median / MIB,
		headers / MIB, comparison->contenders[best].name, resident / MIB,
		(resident + headers) / MIB,
		figure_spread(&comparison->memory[index], sample_refilled).median /
			(resident + headers));
	headers = sample->peak_blocks * HEADER_BYTES;
	fprintf(out,
		"%s: peak %.1f MiB, of it headers %.1f; %s has %.1f, and with our headers %.1f: "
		"%.2f of what is allowed\n",
		name, figure_spread(&comparison->memory[index], sample_peak).median / MIB,
		headers / MIB, comparison->contenders[least_peak].name, peak / MIB,
		(peak + headers) / MIB,
		figure_spread(&comparison->memory[index], sample_peak).median / (peak + headers));
}

void report_footprint(const struct comparison *comparison, FILE *out)
{
	const struct sample *sample = NULL;

	for (unsigned i = 0; i < comparison->contenders_count && !sample; i++)
		sample = any_sample(&comparison->memory[i]);
	if (!sample)
		return;
	fprintf(out,
		"\nmemory of the fragmentation workload, MiB (%u runs): resident after holes were "
		"made and refilled\nwith larger sizes (%.0f blocks of %.1f MiB live), after all "
		"was "
		"freed, and one second later without a call\n",
		comparison->memory_runs, sample->live_blocks, sample->live_bytes / MIB);
	fprintf(out, "%-15s%11s%11s%11s%11s%11s%11s   %s\n", "", "peak", "resident", "huge",
		"freed", "after 1 s", "lazily", "resident/live");
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		print_row(&comparison->contenders[i], &comparison->memory[i], out);
	judge(comparison, "detached", out);
	judge(comparison, "preload", out);
}
