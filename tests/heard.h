/* SPDX-License-Identifier: MIT */
/*
 * heard.h - tests that make mistakes: what the error handler heard, and what they are made with.
 */
#ifndef MMVIZ_TESTS_HEARD_H
#define MMVIZ_TESTS_HEARD_H

#include "test.h"

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

static struct mmviz_error heard; /* the last one */
static int heard_count;

static inline void hear(const struct mmviz_error *error)
{
	heard = *error;
	heard_count++;
}

static inline struct mmviz_header *header_of(void *block)
{
	return reveal((struct mmviz_header *)block - 1, sizeof(struct mmviz_header));
}

static inline uint64_t live_blocks(struct mmviz_arena *arena)
{
	struct mmviz_stats stats;

	assert_int_equal(mmviz_arena_stats(arena, &stats), 0);
	return stats.live_blocks;
}

#endif
