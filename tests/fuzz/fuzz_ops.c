/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ops.c - libFuzzer's way into the operation streams of tests/ops.h.
 *
 * The first byte chooses the kind of arena, the rest is the stream. Everything is checked after
 * every operation of a short stream, and after every 32nd of a long one. A fault ends the fuzzer
 * with the stream as its reproducer.
 */
#include <stdio.h>
#include <stdlib.h>

#include <mmviz/mmviz.h>

#include "ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mmviz_arena *arena_by(uint8_t kind)
{
	static const size_t capacities[] = {64u << 10, 1u << 20, 6u << 20, 128u << 20};
	static const unsigned flags[] = {MMVIZ_CHECKED_FREES, MMVIZ_GUARD_BYTES,
					 MMVIZ_SINGLE_THREADED | MMVIZ_CHECKED_FREES,
					 MMVIZ_CHECKED_FREES};
	static unsigned char memory[8u << 20];
	struct mmviz_arena_options options = {
		.options_bytes = sizeof(options),
		.name = "fuzz",
		.capacity_bytes = capacities[kind & 3],
		.flags = flags[kind >> 2 & 3],
	};

	/* Memory of our own, crooked, and full of what the stream before left there. */
	if (kind & 16 && options.capacity_bytes < sizeof(memory) - 256)
		options.memory = memory + (kind >> 5) * 24;
	return mmviz_arena_create_with(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mmviz_arena *arena = arena_by(size ? data[0] : 0);
	struct ops *ops = ops_create(arena, size < 512 ? 1 : 32);
	const char *fault = size ? ops_run(ops, data + 1, size - 1) : NULL;

	if (!fault)
		fault = ops_finish(ops);
	if (fault) {
		fprintf(stderr, "fuzz_ops: %s\n", fault);
		abort();
	}
	ops_destroy(ops);
	mmviz_arena_destroy(arena);
	return 0;
}
