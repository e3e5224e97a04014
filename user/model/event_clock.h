/* SPDX-License-Identifier: MIT */
/*
 * event_clock.h - when a run of events happened, and how times are kept.
 *
 * Nobody reads a clock for each event. What is known is when a run of them began and when it was
 * over; between the two, times go by position. A run is a batch (its first event's time, its
 * hand-over) or what a remote read found (the read before, this read).
 *
 * Blocks keep their birth in ticks of 65.536 us since the model's time 0, in 32 bits: 78 hours, and
 * before they are over, time 0 moves on (replica_keep_time).
 */
#ifndef MMVIZ_MODEL_EVENT_CLOCK_H
#define MMVIZ_MODEL_EVENT_CLOCK_H

#include <stdint.h>

#define TICK_SHIFT 16u
#define TICK_NS	   (1u << TICK_SHIFT)

/* Event number n happened at (at_q8 + (n - first) * step_q8) / 256 ns after time 0. */
struct event_clock {
	uint64_t first;
	uint64_t at_q8, step_q8;
};

/* `count` events between two instants, in ns after time 0. */
static inline struct event_clock event_clock_make(uint64_t first, uint32_t count, uint64_t from_ns,
						  uint64_t until_ns)
{
	return (struct event_clock){first, from_ns << 8,
				    count ? ((until_ns - from_ns) << 8) / count : 0};
}
static inline uint64_t event_clock_q8(const struct event_clock *clock, uint64_t number)
{
	return clock->at_q8 + (number - clock->first) * clock->step_q8;
}
static inline uint32_t tick_of_q8(uint64_t q8)
{
	return (uint32_t)(q8 >> (8 + TICK_SHIFT));
}
static inline uint32_t tick_of_ns(uint64_t ns)
{
	return (uint32_t)(ns >> TICK_SHIFT);
}
static inline uint64_t tick_ns(uint32_t ticks)
{
	return (uint64_t)ticks << TICK_SHIFT;
}

#endif
