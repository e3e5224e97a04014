/* SPDX-License-Identifier: MIT */
/*
 * figures.c - see figures.h.
 */
#include "figures.h"

#include <string.h>

#include "machine.h"

double sample_cpu(const struct sample *sample)
{
	return sample->cpu_ns;
}
double sample_cold(const struct sample *sample)
{
	return sample->cold_ns;
}
double sample_wall_ratio(const struct sample *sample)
{
	return sample->wall_ns / sample->cpu_ns;
}
double sample_peak(const struct sample *sample)
{
	return sample->peak_bytes;
}
double sample_refilled(const struct sample *sample)
{
	return sample->refilled_bytes;
}

static struct spread spread_of(double *values, unsigned count)
{
	struct spread out = {.count = count};

	if (!count)
		return out;
	out.median = median(values, count); /* sorts */
	out.low = quantile(values, count, 0.25);
	out.high = quantile(values, count, 0.75);
	out.least = values[0];
	return out;
}

struct spread figure_spread(const struct figure *figure, sample_value value)
{
	double values[RUNS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < RUNS_MAX; i++)
		if (figure->samples[i].is_valid)
			values[count++] = value(&figure->samples[i]);
	return spread_of(values, count);
}

struct spread figure_ratio(const struct figure *ours, const struct figure *other,
			   sample_value value)
{
	double values[RUNS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < RUNS_MAX; i++)
		if (ours->samples[i].is_valid && other->samples[i].is_valid)
			values[count++] = value(&ours->samples[i]) / value(&other->samples[i]);
	return spread_of(values, count);
}

struct spread figure_difference(const struct figure *ours, const struct figure *other,
				sample_value value)
{
	double values[RUNS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < RUNS_MAX; i++)
		if (ours->samples[i].is_valid && other->samples[i].is_valid)
			values[count++] = value(&ours->samples[i]) - value(&other->samples[i]);
	return spread_of(values, count);
}

int contender_index(const struct comparison *comparison, const char *name)
{
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		if (strcmp(comparison->contenders[i].name, name) == 0)
			return (int)i;
	return -1;
}

int best_peer(const struct comparison *comparison, const struct figure *row, sample_value value)
{
	double least = 0;
	int best = -1;

	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		struct spread spread = figure_spread(&row[i], value);

		if (comparison->contenders[i].is_ours || !spread.count ||
		    (best >= 0 && spread.median >= least))
			continue;
		least = spread.median;
		best = (int)i;
	}
	return best;
}

bool is_measured(const struct comparison *comparison, const struct figure *row)
{
	for (unsigned i = 0; i < comparison->contenders_count; i++)
		if (figure_spread(&row[i], sample_peak).count)
			return true;
	return false;
}
