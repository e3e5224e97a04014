/* SPDX-License-Identifier: MIT */
/* pace.c - see pace.h. */
#include "pace.h"

#include <math.h>
#include <mmviz/abi.h>

#define NS_PER_SECOND	 1e9
#define LEAST_STEP_NS	 2000000u
#define HALF_LIFE_SECOND 0.25
#define BATCH_SECONDS	 0.002
#define WAKEUP_SECONDS	 0.005
#define LOG_EVENTS_LEAST 128u
#define WAKEUP_LEAST	 (64u << 10)
#define BUSY_RATE	 1e6

#define WINDOW_NS    250000000u
#define WINDOWS	     8u
#define BAD_WINDOWS  6
#define CALM_SHARE   0.25
#define CALM_LEAST   4u /* windows; doubled once after failures */
#define TRY_FIRST_NS 2000000000ull
#define TRY_FAILURES 5u		    /* 2 s << 5 is about a minute */
#define GOOD_FOR_NS  30000000000ull /* after a return: it was no failure */

void pace_init(struct pace *pace, uint64_t ring_bytes)
{
	*pace = (struct pace){.ring_bytes = ring_bytes,
			      .log_events = MMVIZ_LOG_EVENTS,
			      .wakeup_bytes = ring_bytes / 4};
}

/* ------------------------------------------------------------------ settings */

/* The power of two at or above `wanted`, within [least, most]. */
static uint64_t clamp_pow2(double wanted, uint64_t least, uint64_t most)
{
	uint64_t value = least;

	while (value < most && (double)value < wanted)
		value *= 2;
	return value < most ? value : most;
}

static void note_rate(struct pace *pace, const struct pace_facts *facts)
{
	double seconds = (double)(facts->now_ns - pace->noted_ns) / NS_PER_SECOND, rate;

	if (pace->noted_ns == 0 || facts->events < pace->noted_events)
		rate = 0;
	else
		rate = (double)(facts->events - pace->noted_events) / seconds;
	pace->noted_ns = facts->now_ns;
	pace->noted_events = facts->events;
	pace->events_per_second *= exp2(-seconds / HALF_LIFE_SECOND);
	if (rate > pace->events_per_second)
		pace->events_per_second = rate;
}

static void choose(struct pace *pace)
{
	double rate = pace->events_per_second;

	pace->log_events =
		(uint32_t)clamp_pow2(rate * BATCH_SECONDS, LOG_EVENTS_LEAST, MMVIZ_LOG_EVENTS);
	pace->wakeup_bytes = clamp_pow2(rate * sizeof(struct mmviz_event) * WAKEUP_SECONDS,
					WAKEUP_LEAST, pace->ring_bytes / 4);
	if (pace->wakeup_bytes > pace->ring_bytes / 4)
		pace->wakeup_bytes = pace->ring_bytes / 4;
}

int pace_wait_ms(const struct pace *pace, bool is_watched)
{
	if (pace->events_per_second > BUSY_RATE && pace->since_ns == 0)
		return 10;
	return is_watched ? 20 : 40;
}

/* ------------------------------------------------------------------ windows */

static void begin_window(struct pace *pace, const struct pace_facts *facts)
{
	pace->window_ns = facts->now_ns;
	pace->window_lost = facts->lost;
	pace->window_events = facts->events;
	pace->was_whole = false;
}

static void close_window(struct pace *pace, const struct pace_facts *facts)
{
	bool is_bad = facts->lost > pace->window_lost || !pace->was_whole;
	double seconds = (double)(facts->now_ns - pace->window_ns) / NS_PER_SECOND;
	double rate = (double)(facts->events - pace->window_events) / seconds;

	pace->bad_windows = (pace->bad_windows << 1 | is_bad) & ((1u << WINDOWS) - 1);
	pace->windows_count++;
	if (rate <= CALM_SHARE * pace->outrun_at)
		pace->calm_windows++;
	else
		pace->calm_windows = 0;
	pace->window_rate = rate;
}

void pace_note(struct pace *pace, const struct pace_facts *facts)
{
	if (pace->noted_ns != 0 && facts->now_ns < pace->noted_ns + LEAST_STEP_NS)
		return;
	note_rate(pace, facts);
	choose(pace);
	pace->was_whole |= facts->is_whole;
	if (pace->window_ns == 0) {
		begin_window(pace, facts);
	} else if (facts->now_ns >= pace->window_ns + WINDOW_NS) {
		close_window(pace, facts);
		begin_window(pace, facts);
	}
	if (!pace->since_ns && facts->now_ns > pace->returned_ns + GOOD_FOR_NS)
		pace->failures = 0;
}

/* ------------------------------------------------------------------ giving way */

bool pace_is_outrun(const struct pace *pace)
{
	return pace->since_ns == 0 && pace->windows_count >= WINDOWS &&
	       __builtin_popcount(pace->bad_windows) >= BAD_WINDOWS;
}

bool pace_may_return(const struct pace *pace, uint64_t now_ns)
{
	uint32_t calm = pace->failures > 0 ? 2 * CALM_LEAST : CALM_LEAST;

	return pace->since_ns != 0 && (pace->calm_windows >= calm || now_ns >= pace->try_at_ns);
}

static void forget_windows(struct pace *pace)
{
	pace->window_ns = 0;
	pace->bad_windows = pace->windows_count = pace->calm_windows = 0;
}

void pace_fell_back(struct pace *pace, uint64_t now_ns)
{
	bool is_failure = pace->returned_ns != 0 && now_ns < pace->returned_ns + GOOD_FOR_NS;

	pace->failures = is_failure ? pace->failures + 1 : 0;
	pace->since_ns = now_ns;
	pace->try_at_ns = now_ns + (TRY_FIRST_NS << (pace->failures < TRY_FAILURES ? pace->failures
										   : TRY_FAILURES));
	pace->outrun_at = pace->window_rate;
	forget_windows(pace);
}

void pace_returned(struct pace *pace, uint64_t now_ns)
{
	pace->since_ns = 0;
	pace->returned_ns = now_ns;
	forget_windows(pace);
}
