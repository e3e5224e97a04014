/* SPDX-License-Identifier: MIT */
/*
 * pending.h - returns that were heard of before the allocation that they end.
 *
 * A return comes from another thread's log and may be read early. It waits here under the block's
 * place AND its owner, with the incarnation it names; the newest one is kept (rule 11). Owned by
 * one arena of a replica. One thread.
 */
#ifndef MMVIZ_MODEL_PENDING_H
#define MMVIZ_MODEL_PENDING_H

#include <stdbool.h>
#include <stdint.h>

struct pending_return {
	uint32_t place; /* 0: an empty slot (at place 0 there is never a block) */
	uint32_t owner_heap;
	uint32_t incarnation;
	uint32_t tick; /* of the return (event_clock.h) */
};

/* Open addressing, linear probing, at most half full. A zeroed struct is empty. */
struct pending {
	struct pending_return *slots;
	uint32_t capacity; /* power of two, or 0 */
	uint32_t count;
};

void pending_fini(struct pending *pending);
/* 0, or -ENOMEM (also when there are PENDING_MAX). */
#define PENDING_MAX (1u << 24)
int pending_add(struct pending *pending, const struct pending_return *item);
/* Does a return wait for this very block? It is consumed, and item->tick says when it was. */
bool pending_consume(struct pending *pending, struct pending_return *item);
/* Keep only what `keep` says. */
void pending_filter(struct pending *pending,
		    bool (*keep)(const struct pending_return *item, const void *context),
		    const void *context);

#endif
