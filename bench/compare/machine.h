/* SPDX-License-Identifier: MIT */
/*
 * machine.h - what a figure depends on: processor, cores, kernel, day. Every benchmark prints it.
 */
#ifndef MMVIZ_BENCH_MACHINE_H
#define MMVIZ_BENCH_MACHINE_H

#include <stdio.h>

struct machine {
	char processor[96];
	char kernel[96];
	char date[32]; /* ISO 8601 */
	unsigned cores;
};

void machine_describe(struct machine *out);
/* The same, with the command, as the head of a report. */
void machine_print(const char *command, FILE *out);

/* Sorts `values` and returns the middle one, or the mean of the middle two. */
double median(double *values, unsigned count);

/* Of values that are sorted: the one below which `share` of them lie, between two neighbours in
 * proportion. */
double quantile(const double *values, unsigned count, double share);

#endif
