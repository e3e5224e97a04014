/* SPDX-License-Identifier: MIT */
/*
 * instructions.h - how many instructions an allocator executes for an allocation and its free.
 *
 * Counted by callgrind, so the figures are the same on a busy machine and on a quiet one. What the
 * workload itself executes is counted with an allocator that does nothing, and taken off; the call
 * and its arguments stay in. callgrind's files are kept for callgrind_annotate.
 */
#ifndef MMVIZ_BENCH_INSTRUCTIONS_H
#define MMVIZ_BENCH_INSTRUCTIONS_H

#include <stdio.h>

struct contender;

/* Those contenders that nobody watches, on every workload, or on `only` (NULL: all). 0 or -1. */
int instructions_report(const struct contender *contenders, unsigned count, const char *build,
			const char *only, FILE *out);

#endif
