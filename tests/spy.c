/* SPDX-License-Identifier: MIT */
/* spy.c - see spy.h. */
#include "spy.h"

#include "test.h"

#include <stdio.h>

#include "probes.h"

struct spy spy;

static void note(enum spy_probe probe, uint64_t arena_id, const char *text)
{
	spy.counts[probe]++;
	spy.arena_id = arena_id;
	snprintf(spy.text, sizeof(spy.text), "%s", text);
}

static void note_block(enum spy_probe probe, uint64_t arena_id, uint64_t address, uint64_t bytes,
		       uint32_t context)
{
	note(probe, arena_id, "");
	spy.address = address;
	spy.bytes = bytes;
	spy.context = context;
}

void mmviz_probe_alloc(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
		       const char *text)
{
	note_block(SPY_ALLOC, arena_id, address, bytes, context);
	snprintf(spy.text, sizeof(spy.text), "%s", reveal(text, MMVIZ_LABEL_BYTES));
}

void mmviz_probe_free(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
		      const char *text)
{
	note_block(SPY_FREE, arena_id, address, bytes, context);
	snprintf(spy.text, sizeof(spy.text), "%s", reveal(text, MMVIZ_LABEL_BYTES));
}

void mmviz_probe_batch(const struct mmviz_log *log, uint64_t bytes)
{
	spy.counts[SPY_BATCH]++;
	if (spy.on_batch)
		spy.on_batch(log, bytes);
}

void mmviz_probe_sample(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
			uint64_t weight_bytes)
{
	note_block(SPY_SAMPLE, arena_id, address, bytes, context);
	spy.weight_bytes = weight_bytes;
	spy.weights += weight_bytes;
}

void mmviz_probe_sample_free(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
			     uint64_t weight_bytes)
{
	note_block(SPY_SAMPLE_FREE, arena_id, address, bytes, context);
	spy.weight_bytes = weight_bytes;
}

void mmviz_probe_arena(uint64_t arena_id, uint64_t change, const char *name)
{
	note(SPY_ARENA, arena_id, name);
	spy.change = change;
}

void mmviz_probe_mark(const char *text)
{
	note(SPY_MARK, 0, text);
}

void mmviz_probe_error(uint64_t kind, const void *address, uint64_t arena_id)
{
	note(SPY_ERROR, arena_id, "");
	spy.kind = kind;
	spy.address = (uint64_t)address;
}

void mmviz_probe_stack(uint64_t context, const struct mmviz_stack *stack, uint64_t frames_count)
{
	note(SPY_STACK, 0, "");
	spy.context = (uint32_t)context;
	spy.stack = stack;
	must(stack->frames_count == frames_count);
}
