/* SPDX-License-Identifier: MIT */
/*
 * totals.c - the book of contexts and its steps; see totals.h.
 */
#define _GNU_SOURCE
#include "model/totals.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FIRST_CAPACITY 1024u

void totals_fini(struct totals *totals)
{
	if (totals->contexts)
		munmap(totals->contexts, totals->contexts_capacity * sizeof(*totals->contexts));
	free(totals->listed);
	*totals = (struct totals){0};
}

/* Doubling moves page tables, not bytes, and what is never touched takes no memory. */
static bool grow_contexts(struct totals *totals, uint32_t context)
{
	size_t old_bytes = totals->contexts_capacity * sizeof(*totals->contexts), new_bytes;
	uint32_t capacity = totals->contexts_capacity ? totals->contexts_capacity : FIRST_CAPACITY;
	void *contexts;

	while (capacity <= context)
		capacity *= 2;
	new_bytes = capacity * sizeof(*totals->contexts);
	contexts = totals->contexts ? mremap(totals->contexts, old_bytes, new_bytes, MREMAP_MAYMOVE)
				    : mmap(NULL, new_bytes, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (contexts == MAP_FAILED)
		return false;
	totals->contexts = contexts;
	totals->contexts_capacity = capacity;
	return true;
}

static bool append_listed(struct totals *totals, uint32_t context)
{
	if (totals->listed_count == totals->listed_capacity) {
		uint32_t capacity = totals->listed_capacity ? totals->listed_capacity * 2 : 64;
		uint32_t *listed = realloc(totals->listed, capacity * sizeof(*listed));

		if (!listed)
			return false;
		totals->listed = listed;
		totals->listed_capacity = capacity;
	}
	totals->listed[totals->listed_count++] = context;
	return true;
}

struct context_total *totals_list_context(struct totals *totals, uint32_t context)
{
	if (context >= totals->contexts_capacity && !grow_contexts(totals, context))
		return &totals->unlisted;
	if (!totals->contexts[context].is_listed) {
		if (!append_listed(totals, context))
			return &totals->unlisted;
		totals->contexts[context].is_listed = 1;
	}
	return &totals->contexts[context];
}

void totals_start(struct totals *totals)
{
	for (uint32_t i = 0; i < totals->listed_count; i++) {
		struct context_total *context = &totals->contexts[totals->listed[i]];

		context->lagging_live_bytes = (float)context->live_bytes;
		context->peak_live_bytes = context->live_bytes;
	}
}

static void step_context(struct context_total *context, double seconds)
{
	uint32_t allocations = (uint32_t)context->allocations - context->stepped_allocations;
	double share = 1 - exp(-seconds); /* rates are smoothed over about a second */
	double lag_share = 1 - exp(-seconds / GROWTH_SECONDS);

	context->stepped_allocations = (uint32_t)context->allocations;
	context->allocations_per_second +=
		(float)(share * (allocations / seconds - context->allocations_per_second));
	context->lagging_live_bytes +=
		(float)(lag_share * ((double)context->live_bytes - context->lagging_live_bytes));
	if (context->live_bytes > context->peak_live_bytes)
		context->peak_live_bytes = context->live_bytes;
}

void totals_step(struct totals *totals, double seconds)
{
	for (uint32_t i = 0; i < totals->listed_count; i++)
		step_context(&totals->contexts[totals->listed[i]], seconds);
}
