/* SPDX-License-Identifier: MIT */
/*
 * change.h - one structural change of an arena: what moves units between free memory, spans, large
 * blocks and heaps.
 *
 * Under the arena's lock, from change_begin to change_end or change_cancel. It takes the next
 * number of the arena's `order`, which stands first in the operation, in the log of the heap that
 * makes the change; events and seq are stored before arena.order (rule 4 of the replica protocol),
 * the log is handed over after the lock was given up.
 */
#ifndef MMVIZ_LIB_CHANGE_H
#define MMVIZ_LIB_CHANGE_H

#include "arena.h"
#include "log.h"

struct change {
	struct mmviz_arena *arena;
	struct heap *heap; /* in whose log it is told */
	struct operation operation;
	uint64_t frontier_before;
};

/* Takes the lock. `heap` may be set later, before change_end. */
void change_begin(struct change *change, struct mmviz_arena *arena, struct heap *heap);
void change_end(struct change *change);
/* Nothing was changed after all. */
void change_cancel(struct change *change);

/* Free units, made readable, lowest address first, with (address + bias) aligned; EXTENT_NONE: no
 * memory. */
uint32_t change_take(struct change *change, uint32_t units, uint32_t alignment, uint32_t bias);
/* Exactly these units, if they are free: 0, else -ENOMEM. */
int change_take_at(struct change *change, uint32_t unit, uint32_t units);
/* Write the map: `code`, then continuations. Tells growth, if there was any, and the units. */
void change_mark(struct change *change, uint32_t unit, uint32_t units, unsigned code,
		 unsigned shape);
/* Units become free. */
void change_give(struct change *change, uint32_t unit, uint32_t units);

#endif
