/* SPDX-License-Identifier: MIT */
/*
 * pace.c - load over time:
 *
 *   steady, mixed  ##########   the rate, always
 *   burst          #   #   #    four times the rate for half a second, then 1.5 s of silence
 *   ramp            /|  /|      from a tenth of the rate to all of it in 20 s, again and again
 *
 * A limited rate is a token bucket: tokens grow with time times load, a request takes one. Without
 * a limit the load is the part of each 10 ms window in which the thread works.
 */
#include "pace.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND	1000000000ULL
#define WINDOW_NS	(10ULL * 1000 * 1000)
#define SLEEP_MIN_NS	(1ULL * 1000 * 1000)
#define SLEEP_MAX_NS	(20ULL * 1000 * 1000)
#define GRANT_MAX	256u
#define BURST_PERIOD_NS (2 * NS_PER_SECOND)
#define BURST_LOAD	4.0
#define RAMP_PERIOD_NS	(20 * NS_PER_SECOND)
#define MIXED_PHASE_NS	(8 * NS_PER_SECOND)
#define BACKLOG_SECONDS 0.05 /* a thread that cannot keep up forgets what is older */

static const char *const pattern_names[] = {
	[PATTERN_STEADY] = "steady",
	[PATTERN_BURST] = "burst",
	[PATTERN_RAMP] = "ramp",
	[PATTERN_MIXED] = "mixed",
};

const char *pattern_name(enum pattern pattern)
{
	return pattern_names[pattern];
}

int pattern_parse(const char *name, enum pattern *out)
{
	for (unsigned i = 0; i < sizeof(pattern_names) / sizeof(pattern_names[0]); i++) {
		if (strcmp(name, pattern_names[i]) == 0) {
			*out = (enum pattern)i;
			return 0;
		}
	}
	return -EINVAL;
}

unsigned pattern_phases(enum pattern pattern)
{
	return pattern == PATTERN_MIXED ? 4 : pattern == PATTERN_BURST ? 2 : 1;
}

unsigned pattern_phase(enum pattern pattern, uint64_t elapsed_ns)
{
	if (pattern == PATTERN_MIXED)
		return (unsigned)(elapsed_ns / MIXED_PHASE_NS % 4);
	if (pattern == PATTERN_BURST)
		return elapsed_ns % BURST_PERIOD_NS >= BURST_PERIOD_NS / (uint64_t)BURST_LOAD;
	return 0;
}

/* Load at an instant, in parts of the mean rate. */
static double load(enum pattern pattern, uint64_t elapsed_ns)
{
	switch (pattern) {
	case PATTERN_BURST:
		return pattern_phase(pattern, elapsed_ns) == 0 ? BURST_LOAD : 0;
	case PATTERN_RAMP:
		return 0.1 + 0.9 * (double)(elapsed_ns % RAMP_PERIOD_NS) / RAMP_PERIOD_NS;
	default:
		return 1;
	}
}

uint64_t pace_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec time = {.tv_nsec = (long)ns};

	nanosleep(&time, NULL); /* a signal only shortens it */
}

void pace_init(struct pace *pace, enum pattern pattern, double requests_per_second)
{
	uint64_t now_ns = pace_clock_ns();

	*pace = (struct pace){
		.pattern = pattern,
		.requests_per_second = requests_per_second,
		.started_ns = now_ns,
		.last_ns = now_ns,
	};
}

static unsigned grant_unlimited(double load_now, uint64_t elapsed_ns)
{
	uint64_t in_window_ns = elapsed_ns % WINDOW_NS;

	if ((double)in_window_ns < load_now * (double)WINDOW_NS)
		return GRANT_MAX;
	sleep_ns(WINDOW_NS - in_window_ns);
	return 0;
}

static unsigned grant_tokens(struct pace *pace, double rate, uint64_t passed_ns)
{
	double missing_ns, most = 1 + rate * BACKLOG_SECONDS;

	pace->tokens += rate * (double)passed_ns / NS_PER_SECOND;
	if (pace->tokens > most)
		pace->tokens = most;
	if (pace->tokens >= 1) {
		unsigned granted = pace->tokens < GRANT_MAX ? (unsigned)pace->tokens : GRANT_MAX;

		pace->tokens -= granted;
		return granted;
	}
	missing_ns = rate > 0 ? (1 - pace->tokens) / rate * NS_PER_SECOND : SLEEP_MAX_NS;
	if (missing_ns < SLEEP_MIN_NS)
		missing_ns = SLEEP_MIN_NS;
	sleep_ns(missing_ns < SLEEP_MAX_NS ? (uint64_t)missing_ns : SLEEP_MAX_NS);
	return 0;
}

unsigned pace_grant(struct pace *pace)
{
	uint64_t now_ns = pace_clock_ns();
	uint64_t elapsed_ns = now_ns - pace->started_ns, passed_ns = now_ns - pace->last_ns;
	double load_now = load(pace->pattern, elapsed_ns);

	pace->last_ns = now_ns;
	if (pace->requests_per_second == 0)
		return grant_unlimited(load_now, elapsed_ns);
	return grant_tokens(pace, load_now * pace->requests_per_second, passed_ns);
}
