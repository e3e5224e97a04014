/* SPDX-License-Identifier: MIT */
/*
 * pace.h - when a worker of server_sim may serve its next requests.
 *
 * Owns the shapes of load over time (patterns) and a token bucket on CLOCK_MONOTONIC. Knows nothing
 * of what a request does. A struct pace belongs to one thread.
 */
#ifndef MMVIZ_BENCH_SIM_PACE_H
#define MMVIZ_BENCH_SIM_PACE_H

#include <stdint.h>

enum pattern { PATTERN_STEADY, PATTERN_BURST, PATTERN_RAMP, PATTERN_MIXED };

const char *pattern_name(enum pattern pattern);
int pattern_parse(const char *name, enum pattern *out); /* -EINVAL */

/* The phase that the pattern is in, from 0 to pattern_phases() - 1; they come round again. */
unsigned pattern_phases(enum pattern pattern);
unsigned pattern_phase(enum pattern pattern, uint64_t elapsed_ns);

struct pace {
	enum pattern pattern;
	double requests_per_second; /* of this thread; 0: as fast as it can */
	uint64_t started_ns;
	uint64_t last_ns;
	double tokens; /* requests that may run now */
};

uint64_t pace_clock_ns(void);
void pace_init(struct pace *pace, enum pattern pattern, double requests_per_second);

/* How many requests to serve now. Sleeps for at most 20 ms when there is nothing to do, and then
 * returns 0, so that the caller can look at its stop flag. */
unsigned pace_grant(struct pace *pace);

#endif
