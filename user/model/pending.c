/* SPDX-License-Identifier: MIT */
/*
 * pending.c - a small hash table; see pending.h.
 *
 * Removal closes the gap by moving later items of the run back (Knuth, TAOCP 6.4, algorithm R), so
 * that there are no tombstones.
 */
#include "model/pending.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 256u

static uint32_t home_of(const struct pending *pending, const struct pending_return *item)
{
	uint64_t key = (uint64_t)item->place << 32 | item->owner_heap;

	return (uint32_t)(key * 0x9e3779b97f4a7c15ULL >> 32) & (pending->capacity - 1);
}

/* The slot that holds this place and owner, or the empty one where it belongs. */
static uint32_t find_slot(const struct pending *pending, const struct pending_return *item)
{
	uint32_t slot = home_of(pending, item);

	while (pending->slots[slot].place && (pending->slots[slot].place != item->place ||
					      pending->slots[slot].owner_heap != item->owner_heap))
		slot = (slot + 1) & (pending->capacity - 1);
	return slot;
}

void pending_fini(struct pending *pending)
{
	free(pending->slots);
	*pending = (struct pending){0};
}

static int grow(struct pending *pending)
{
	struct pending bigger = {
		.capacity = pending->capacity ? pending->capacity * 2 : FIRST_CAPACITY,
		.count = pending->count,
	};

	if (pending->count >= PENDING_MAX)
		return -ENOMEM;
	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < pending->capacity; i++)
		if (pending->slots[i].place)
			bigger.slots[find_slot(&bigger, &pending->slots[i])] = pending->slots[i];
	free(pending->slots);
	*pending = bigger;
	return 0;
}

int pending_add(struct pending *pending, const struct pending_return *item)
{
	struct pending_return *slot;

	if (pending->count * 2 >= pending->capacity && grow(pending))
		return -ENOMEM;
	slot = &pending->slots[find_slot(pending, item)];
	if (!slot->place)
		pending->count++;
	else if ((int32_t)(item->incarnation - slot->incarnation) < 0)
		return 0;
	*slot = *item;
	return 0;
}

static void remove_slot(struct pending *pending, uint32_t hole)
{
	uint32_t mask = pending->capacity - 1, slot = hole;

	pending->count--;
	pending->slots[hole].place = 0;
	for (;;) {
		uint32_t home;

		slot = (slot + 1) & mask;
		if (!pending->slots[slot].place)
			return;
		home = home_of(pending, &pending->slots[slot]);
		if (((slot - home) & mask) < ((slot - hole) & mask))
			continue; /* its home lies behind the hole: it stays */
		pending->slots[hole] = pending->slots[slot];
		pending->slots[slot].place = 0;
		hole = slot;
	}
}

bool pending_consume(struct pending *pending, struct pending_return *item)
{
	uint32_t slot;

	if (pending->count == 0)
		return false;
	slot = find_slot(pending, item);
	if (!pending->slots[slot].place || pending->slots[slot].incarnation != item->incarnation)
		return false;
	item->tick = pending->slots[slot].tick;
	remove_slot(pending, slot);
	return true;
}

void pending_filter(struct pending *pending,
		    bool (*keep)(const struct pending_return *item, const void *context),
		    const void *context)
{
	struct pending kept = {.capacity = pending->capacity};

	if (pending->count == 0)
		return;
	kept.slots = calloc(kept.capacity, sizeof(*kept.slots));
	if (!kept.slots)
		return; /* what is kept too long does no harm: no block will have its incarnation */
	for (uint32_t i = 0; i < pending->capacity; i++) {
		if (!pending->slots[i].place || !keep(&pending->slots[i], context))
			continue;
		kept.slots[find_slot(&kept, &pending->slots[i])] = pending->slots[i];
		kept.count++;
	}
	pending_fini(pending);
	*pending = kept;
}
