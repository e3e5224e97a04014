/* SPDX-License-Identifier: MIT */
/*
 * report.h - the figures of a comparison, in the two forms in which they are given: tables for
 * people, JSON for programs. Budgets of the design are judged here.
 */
#ifndef MMVIZ_BENCH_REPORT_H
#define MMVIZ_BENCH_REPORT_H

#include <stdio.h>

struct comparison;

void report_print(const struct comparison *comparison, FILE *out);
void report_json(const struct comparison *comparison, FILE *out);

/* Memory after the fragmentation workload: footprint.c. */
void report_footprint(const struct comparison *comparison, FILE *out);

#endif
