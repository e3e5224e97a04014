/* SPDX-License-Identifier: MIT */
/*
 * report.h - the figures of a comparison, and the two forms in which they are given: tables for
 * people, JSON for programs. Budgets of the design are judged here.
 */
#ifndef MMVIZ_BENCH_REPORT_H
#define MMVIZ_BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "contender.h"

#define RUNS_MAX       32u
#define CONTENDERS_MAX 16u
#define WORKLOADS_MAX  16u

struct figure {
	struct sample samples[RUNS_MAX];
	unsigned samples_count;	   /* 0: not measured */
	double median_ns, best_ns; /* CPU time */
	double spread;		   /* (worst - best) / median */
	double wall_ratio;	   /* median of wall-clock time to CPU time */
	double peak_rss_bytes;	   /* median */
};

struct comparison {
	const char *command;
	double seconds; /* of one run */
	unsigned runs;
	struct contender *contenders;
	unsigned contenders_count;
	unsigned workloads_count;
	struct figure figures[WORKLOADS_MAX][CONTENDERS_MAX];
};

void figure_summarise(struct figure *figure);
void report_print(const struct comparison *comparison, FILE *out);
void report_json(const struct comparison *comparison, FILE *out);

#endif
