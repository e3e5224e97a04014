/* SPDX-License-Identifier: MIT */
/*
 * pace.h - how exact mode is paced, and when it has to give way.
 *
 * Three settings follow the load, so that a quiet target is seen soon and a busy one costs little:
 *
 *   log_events    a log is handed over at so many events: about 2 ms of the load, 128 to 512 (fewer would
 *                 cost a target too much whose collector hangs). So
 *                 hand-overs, which trap, are some 500 a second until logs are as large as they get
 *   wakeup_bytes  the ring wakes the collector at 5 ms of the load, 64 KiB to a quarter of the ring
 *   wait_ms       nobody looks: 40; somebody does: 20; the target is busy: 10. Tails of logs are read
 *                 each time, so that nothing is older than that
 *
 * And it tells when the target outruns the collector all the same: in six of eight quarters of a
 * second events were lost, or the picture never was whole. The session then falls back to sampling
 * and walks. It comes back when the load has fallen to a quarter of what it was, or after 2 s to try;
 * each attempt that fails doubles that, up to a minute.
 *
 * Pure policy: no clocks, no I/O. One thread.
 */
#ifndef MMVIZ_PACE_H
#define MMVIZ_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace_facts { /* of one tick */
	uint64_t now_ns;
	uint64_t events; /* made so far, seen or not */
	uint64_t lost;
	bool is_whole; /* every arena's picture is exact */
};

struct pace {
	uint64_t ring_bytes;
	uint32_t log_events;
	uint64_t wakeup_bytes;
	double events_per_second; /* rises at once, falls by half in a quarter of a second */
	uint64_t noted_ns, noted_events;
	/* The quarter of a second under way, and the last eight, one bit each: 1 is bad. */
	uint64_t window_ns, window_lost, window_events;
	double window_rate; /* events a second in the last one */
	bool was_whole;
	uint32_t bad_windows;
	uint32_t windows_count;
	/* Fallen back. */
	uint64_t since_ns;  /* 0: not */
	uint64_t try_at_ns; /* to follow again */
	uint64_t returned_ns;
	uint32_t failures; /* in a row: fallen back soon after a return */
	uint32_t calm_windows;
	double outrun_at; /* events a second */
};

void pace_init(struct pace *pace, uint64_t ring_bytes);
void pace_note(struct pace *pace, const struct pace_facts *facts);

int pace_wait_ms(const struct pace *pace, bool is_watched);
bool pace_is_outrun(const struct pace *pace);
bool pace_may_return(const struct pace *pace, uint64_t now_ns);
/* Tell what was done. */
void pace_fell_back(struct pace *pace, uint64_t now_ns);
void pace_returned(struct pace *pace, uint64_t now_ns);

#endif
