/* SPDX-License-Identifier: MIT */
/*
 * totals.h - what the live blocks of one arena add up to, altogether and by context.
 *
 * Kept incrementally: block_table calls totals_add and totals_remove for every block that becomes
 * live or ceases to be, so that a view never has to look at blocks to know a sum. Contexts are an
 * array indexed by id (the target counts them up from 1), of which untouched parts cost nothing,
 * and a list of the ids in use. Peaks and rates are taken at steps, that is of consistent instants
 * only. One thread.
 */
#ifndef MMVIZ_MODEL_TOTALS_H
#define MMVIZ_MODEL_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/lifetimes.h"

struct context_total {
	uint64_t live_blocks, live_bytes;
	uint64_t allocations, frees, allocated_bytes; /* since attach */
	uint64_t peak_live_bytes;		      /* at steps */
	uint32_t stepped_allocations;		      /* low bits, at the last step */
	float allocations_per_second;
	float lagging_live_bytes; /* follows live_bytes, GROWTH_SECONDS behind */
	uint32_t is_listed;
};
_Static_assert(sizeof(struct context_total) == 64, "one cache line a context");

struct totals {
	uint64_t live_blocks, live_bytes;
	uint64_t live_cell_bytes; /* whole cells of live blocks */
	uint64_t live_labelled;	  /* of live_blocks, those with a label */
	uint64_t split_blocks;	  /* see view.h */
	uint64_t allocations, frees, allocated_bytes, freed_bytes; /* since attach */

	struct context_total *contexts;
	uint32_t contexts_capacity;
	uint32_t *listed; /* ids in use, in order of first use */
	uint32_t listed_count, listed_capacity;
	struct context_total unlisted;	     /* of contexts for which there was no memory */
	struct lifetimes *lifetimes;	     /* as many as contexts */
	struct lifetime_sums *lifetime_sums; /* what was carried from them */
	struct lifetimes unlisted_lifetimes;
	size_t mapped_bytes[3]; /* of the three arrays */
};

/* What a block adds to the totals while it is live. */
struct totals_share {
	uint64_t bytes, cell_bytes;
	uint32_t context;
	bool is_labelled, is_split;
};

/* A zeroed struct is empty totals. */
void totals_fini(struct totals *totals);

/* The entry of `context`, made and listed when needed. */
struct context_total *totals_list_context(struct totals *totals, uint32_t context);

static inline struct context_total *totals_context(struct totals *totals, uint32_t context)
{
	if (__builtin_expect(
		    context < totals->contexts_capacity && totals->contexts[context].is_listed, 1))
		return &totals->contexts[context];
	return totals_list_context(totals, context);
}

/* Of a context that has been listed. */
static inline struct lifetimes *totals_lifetimes(struct totals *totals, uint32_t context)
{
	return __builtin_expect(context < totals->contexts_capacity, 1)
		       ? &totals->lifetimes[context]
		       : &totals->unlisted_lifetimes;
}

static inline struct context_total *totals_add(struct totals *totals,
					       const struct totals_share *share)
{
	struct context_total *context = totals_context(totals, share->context);

	totals->live_blocks++;
	totals->live_bytes += share->bytes;
	totals->live_cell_bytes += share->cell_bytes;
	if (__builtin_expect(share->is_labelled, 0))
		totals->live_labelled++;
	totals->split_blocks += share->is_split;
	context->live_blocks++;
	context->live_bytes += share->bytes;
	return context;
}

static inline struct context_total *totals_remove(struct totals *totals,
						  const struct totals_share *share)
{
	struct context_total *context = totals_context(totals, share->context);

	totals->live_blocks--;
	totals->live_bytes -= share->bytes;
	totals->live_cell_bytes -= share->cell_bytes;
	if (__builtin_expect(share->is_labelled, 0))
		totals->live_labelled--;
	totals->split_blocks -= share->is_split;
	context->live_blocks--;
	context->live_bytes -= share->bytes;
	return context;
}

/* Begin peaks and rates here: nothing has grown so far. */
void totals_start(struct totals *totals);
/* Take peaks and rates, `seconds` after the last step. */
void totals_step(struct totals *totals, double seconds);

#define GROWTH_SECONDS 60.0
/* The slope of live_bytes: what grows steadily is GROWTH_SECONDS times its slope ahead of what
 * lags. */
static inline double totals_growth(const struct context_total *context)
{
	return ((double)context->live_bytes - (double)context->lagging_live_bytes) / GROWTH_SECONDS;
}

#endif
