/* SPDX-License-Identifier: MIT */
/*
 * apply.h - one event after another changes the replica; of replica.c alone.
 *
 * Events are absolute and idempotent (rule 11). Which of them may be applied, and when, replica.c
 * decides. An event that contradicts an exact replica breaks its arena.
 */
#ifndef MMVIZ_MODEL_APPLY_H
#define MMVIZ_MODEL_APPLY_H

#include "model/replica.h"

/* The arena is not exact until its next baseline. `trouble` is kept, not copied. */
void replica_break(struct replica_arena *arena, const char *trouble);

/* Apply events, from heap->applied on, up to the first structural change, or to the last that is
 * whole. Returns how many slots. */
uint32_t apply_plain(struct replica_arena *arena, struct replica_heap *heap,
		     const struct mmviz_event *events, uint32_t count,
		     const struct event_clock *clock);
/* Apply the structural operation that begins with the ORDER at events[0]. Returns its slots. */
uint32_t apply_operation(struct replica_arena *arena, struct replica_heap *heap,
			 const struct mmviz_event *events, uint32_t count,
			 const struct event_clock *clock);
/* Slots of that operation. Its parts stand together, and none of them but the first could begin an
 * operation. */
uint32_t operation_slots(const struct mmviz_event *events, uint32_t count);
/* Has this block of that owner not been allocated yet, as far as events were applied? */
bool apply_is_ahead(const struct replica_arena *arena, uint32_t owner_heap, uint32_t incarnation);

#endif
