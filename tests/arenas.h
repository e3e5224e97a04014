/* SPDX-License-Identifier: MIT */
/*
 * arenas.h - arenas for tests, and what they are asked from outside: totals, the largest block that
 * can be had, resident memory.
 */
#ifndef MMVIZ_TESTS_ARENAS_H
#define MMVIZ_TESTS_ARENAS_H

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "test.h"

/* Sanitizers run everything ten times slower. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LESS 10
#else
#define LESS 1
#endif

/* An arena of the caller's own memory if `memory` is not NULL. */
static inline struct mmviz_arena *arena_of(size_t capacity_bytes, unsigned flags, void *memory)
{
	struct mmviz_arena_options options = {
		.options_bytes = sizeof(options),
		.name = "test",
		.capacity_bytes = capacity_bytes,
		.memory = memory,
		.flags = flags,
	};
	struct mmviz_arena *arena = mmviz_arena_create_with(&options);

	must(arena);
	return arena;
}

static inline struct mmviz_stats arena_stats(struct mmviz_arena *arena)
{
	struct mmviz_stats stats;

	must(mmviz_arena_stats(arena, &stats) == 0);
	return stats;
}

/* The largest block that can be had now, found by trying. */
static inline size_t arena_largest_block(struct mmviz_arena *arena)
{
	size_t fits = 0, fails = arena_stats(arena).capacity_bytes;

	while (fails - fits > 1) {
		size_t bytes = fits + (fails - fits) / 2;
		void *block = mmviz_alloc(arena, bytes, 0);

		if (block)
			fits = bytes;
		else
			fails = bytes;
		mmviz_free(arena, block);
	}
	return fits;
}

/* Bytes of the arena's range that have memory behind them: one bit in 8 for each page in pagemap.
 */
static inline size_t arena_resident_bytes(const struct mmviz_arena *arena)
{
	const struct mmviz_arena_head *head = (const struct mmviz_arena_head *)arena;
	uint64_t first = head->base_addr >> 12, pages = head->capacity_bytes >> 12, resident = 0;
	FILE *file = fopen("/proc/self/pagemap", "r");
	uint64_t entries[512];

	must(file);
	must(fseeko(file, (off_t)(first * sizeof(entries[0])), SEEK_SET) == 0);
	for (uint64_t page = 0; page < pages;) {
		size_t wanted = pages - page < 512 ? pages - page : 512;

		must(fread(entries, sizeof(entries[0]), wanted, file) == wanted);
		for (size_t i = 0; i < wanted; i++)
			resident += entries[i] >> 63;
		page += wanted;
	}
	fclose(file);
	return resident << 12;
}

#endif
