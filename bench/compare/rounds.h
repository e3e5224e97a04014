/* SPDX-License-Identifier: MIT */
/*
 * rounds.h - what every comparison does alike: who takes part, who runs when, and what the report
 * begins with.
 *
 * The runs are interleaved: each contender once on each subject, beginning with another contender
 * each time, then all of it again; so a machine that changes its mood changes it for all.
 */
#ifndef MMVIZ_BENCH_ROUNDS_H
#define MMVIZ_BENCH_ROUNDS_H

#include <stdbool.h>
#include <stdio.h>

#include "figures.h"

struct argp_state;

/* Runs one contender on one subject. 0, or -1 after a message. */
typedef int (*rounds_measure)(void *context, unsigned subject, unsigned contender, unsigned round);

/* All runs of all contenders on subjects 0 to `subjects` - 1. 0, or -1 if one failed. */
int rounds_run(const struct comparison *comparison, unsigned subjects, rounds_measure measure,
	       void *context);

/* ------------------------------------------------------------------ who */

/* "NAME=/path/to/library.so": one more contender, a library for `program`. A usage error ends the
 * process. */
void rounds_add_peer(struct comparison *comparison, const char *program, char *argument,
		     struct argp_state *state);

/* Drops the contenders that are not in `only` (names with commas; NULL: all are), those in
 * `left_out` (NULL: none), and, with a message that begins with `who`, those that cannot run. */
void rounds_choose(struct comparison *comparison, const char *build, const char *only,
		   const char *left_out, const char *who);

/* Number of runs in an option's argument. A usage error ends the process. */
unsigned rounds_parse_runs(const char *argument, unsigned least, struct argp_state *state);

/* ------------------------------------------------------------------ the report's head */

/* The command as it was given; lives as long as the process. */
const char *rounds_command_line(int argc, char **argv);
/* How many runs of how many seconds, and of whom fewer; no newline at the end. */
void rounds_print_runs(const struct comparison *comparison, FILE *out);

#endif
