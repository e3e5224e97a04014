/* SPDX-License-Identifier: MIT */
/*
 * retry.h - how often something is tried again that may have changed meanwhile: after 100 ms, and
 * half as often each time that it turned out to be in vain, up to every 5 s.
 */
#ifndef MMVIZ_COLLECT_RETRY_H
#define MMVIZ_COLLECT_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define RETRY_NS_MIN 100000000ull
#define RETRY_NS_MAX 5000000000ull

struct retry {
	uint64_t due_ns, interval_ns; /* CLOCK_MONOTONIC; zeroed: due at once */
};

static inline uint64_t retry_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline bool retry_is_due(const struct retry *retry)
{
	return retry_now_ns() >= retry->due_ns;
}

static inline void retry_note(struct retry *retry, bool was_in_vain)
{
	uint64_t doubled = retry->interval_ns * 2;

	if (!was_in_vain || doubled < RETRY_NS_MIN)
		doubled = RETRY_NS_MIN;
	retry->interval_ns = doubled < RETRY_NS_MAX ? doubled : RETRY_NS_MAX;
	retry->due_ns = retry_now_ns() + retry->interval_ns;
}

#endif
