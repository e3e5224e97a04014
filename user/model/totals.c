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

static void unmap(void *array, size_t bytes)
{
	if (array)
		munmap(array, bytes);
}

void totals_fini(struct totals *totals)
{
	unmap(totals->contexts, totals->mapped_bytes[0]);
	unmap(totals->lifetimes, totals->mapped_bytes[1]);
	unmap(totals->lifetime_sums, totals->mapped_bytes[2]);
	free(totals->listed);
	*totals = (struct totals){0};
}

/* Doubling moves page tables, not bytes, and what is never touched takes no memory. */
static void *grow(void *array, size_t *mapped_bytes, size_t bytes)
{
	void *grown = array ? mremap(array, *mapped_bytes, bytes, MREMAP_MAYMOVE)
			    : mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (grown == MAP_FAILED)
		return NULL;
	*mapped_bytes = bytes;
	return grown;
}

/* All three arrays; one that has grown alone does no harm. */
static bool grow_contexts(struct totals *totals, uint32_t context)
{
	size_t capacity = totals->contexts_capacity ? totals->contexts_capacity : FIRST_CAPACITY;
	void *contexts, *lifetimes, *sums;

	while (capacity <= context)
		capacity *= 2;
	contexts = grow(totals->contexts, &totals->mapped_bytes[0],
			capacity * sizeof(*totals->contexts));
	totals->contexts = contexts ? contexts : totals->contexts;
	lifetimes = grow(totals->lifetimes, &totals->mapped_bytes[1],
			 capacity * sizeof(*totals->lifetimes));
	totals->lifetimes = lifetimes ? lifetimes : totals->lifetimes;
	sums = grow(totals->lifetime_sums, &totals->mapped_bytes[2],
		    capacity * sizeof(*totals->lifetime_sums));
	totals->lifetime_sums = sums ? sums : totals->lifetime_sums;
	if (!contexts || !lifetimes || !sums)
		return false;
	totals->contexts_capacity = (uint32_t)capacity;
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
	for (uint32_t i = 0; totals->lifetimes && i < totals->listed_count; i++)
		lifetimes_carry(&totals->lifetimes[totals->listed[i]],
				&totals->lifetime_sums[totals->listed[i]]);
}
