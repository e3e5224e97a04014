/* SPDX-License-Identifier: MIT */
/*
 * figures.h - what was measured, and what can be said about it: medians, quartiles, ratios.
 *
 * A ratio, or a difference, is taken round by round, between two runs that were neighbours in time, and its median
 * and quartiles over the rounds are what is given: a machine that changes its mood between rounds
 * changes both sides.
 */
#ifndef MMVIZ_BENCH_FIGURES_H
#define MMVIZ_BENCH_FIGURES_H

#include <stdbool.h>

#include "contender.h"

#define RUNS_MAX       32u
#define CONTENDERS_MAX 20u
#define WORKLOADS_MAX  16u

struct figure {
	struct sample samples[RUNS_MAX]; /* by round; those that are not valid do not count */
};

struct spread {
	unsigned count;		  /* 0: nothing was measured, the rest means nothing */
	double median, low, high; /* low, high: the quartiles */
	double least;
};

struct comparison {
	const char *command;
	double seconds; /* of one run */
	unsigned runs;
	unsigned memory_runs;
	struct contender *contenders;
	unsigned contenders_count;
	unsigned workloads_count;
	struct figure figures[WORKLOADS_MAX][CONTENDERS_MAX];
	struct figure memory[CONTENDERS_MAX]; /* of the fragmentation workload */
};

typedef double (*sample_value)(const struct sample *sample);
double sample_cpu(const struct sample *sample);
double sample_cold(const struct sample *sample);
double sample_wall_ratio(const struct sample *sample);
double sample_peak(const struct sample *sample);
double sample_refilled(const struct sample *sample);

struct spread figure_spread(const struct figure *figure, sample_value value);
struct spread figure_ratio(const struct figure *ours, const struct figure *other,
			   sample_value value);
/* What `ours` is above the other. */
struct spread figure_difference(const struct figure *ours, const struct figure *other,
				sample_value value);

/* Index of a contender, or -1. */
int contender_index(const struct comparison *comparison, const char *name);

/* Index of the peer (not ours) with the least median in a row of figures, or -1. */
int best_peer(const struct comparison *comparison, const struct figure *row, sample_value value);

bool is_measured(const struct comparison *comparison, const struct figure *row);

#endif
