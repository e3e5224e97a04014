/* SPDX-License-Identifier: MIT */
/*
 * purge.h - free memory that was used goes back to the system.
 *
 * Each unit of an arena has a byte: 0 while its page is clean (never touched, or let go), else the
 * tick in which it became free. What stays free for some ticks is let go; so memory that comes and
 * goes keeps its pages (as jemalloc's and mimalloc's decay). Pages inside spans all of whose cells
 * are idle have such a byte, too: 0 when one became idle since the last look, else the tick of that
 * look, and LET_GO afterwards. Under the arena's lock, but for purge_arena.
 */
#ifndef MMVIZ_LIB_PURGE_H
#define MMVIZ_LIB_PURGE_H

#include "arena.h"

/* Units were taken, were given back. */
void purge_note_taken(struct mmviz_arena *arena, uint32_t unit, uint32_t units);
void purge_note_free(struct mmviz_arena *arena, uint32_t unit, uint32_t units);
/* The same for units of which nobody has known for long: they are let go in the next pass. */
void purge_note_stale(struct mmviz_arena *arena, uint32_t unit, uint32_t units);

/* How many ticks ago that was. */
unsigned purge_age(const struct mmviz_arena *arena, uint8_t tick);
/* A cell became idle: its pages are young again. */
static inline void purge_note_idle(struct mmviz_arena *arena, uint32_t place, uint32_t cell_bytes)
{
	uint32_t first = place >> (MMVIZ_UNIT_SHIFT - MMVIZ_PLACE_SHIFT);
	uint32_t last = (uint32_t)(((uint64_t)place * MMVIZ_PLACE_BYTES + cell_bytes - 1) >>
				   MMVIZ_UNIT_SHIFT);

	if (cell_bytes > SPAN_TABLE_BYTES + MMVIZ_UNIT_BYTES) /* big: the first stands for all */
		last = first;
	for (uint32_t unit = first; unit <= last; unit++)
		__atomic_store_n(&arena->ages[unit], 0, __ATOMIC_RELAXED);
}

/* A new span, whose pages may have been others'. */
static inline void purge_note_span(struct mmviz_arena *arena, uint32_t unit, uint32_t units)
{
	__atomic_store_n(&arena->ages[unit + units - 1], 0, __ATOMIC_RELAXED);
}

/* Whether there is so much to do that a pass is worth it. */
bool purge_is_wanted(const struct mmviz_arena *arena);
/* What a tick has to do; LATER: once threads that hold big cells do nothing any more. */
enum purge_work { PURGE_NOTHING, PURGE_LATER, PURGE_NOW };
enum purge_work purge_work(const struct mmviz_arena *arena);
/* A tick passes. */
void purge_tick(struct mmviz_arena *arena);
/*
 * One short step from unit *cursor on, which it moves: free units of `ticks` ticks or more are let
 * go, at most a MiB of them. False: the end of the arena was reached. Caller locks.
 */
bool purge_step(struct mmviz_arena *arena, uint32_t *cursor, unsigned ticks);
/*
 * The same for pages of spans in which every cell is idle: at most a MiB of them. The cells' bits
 * are borrowed meanwhile, so that their owner, who asks for no lock, cannot take them.
 */
bool purge_idle_step(struct mmviz_arena *arena, uint32_t *cursor, unsigned ticks);
/*
 * The program takes units without pages, and more than half of the arena is idle: rather than grow, let
 * go idle pages, half as many again. They may be wanted back soon, so it is done now and then only:
 * a third of the arena at once, and then a 64th each second. `idle_bytes`: in the spans of the
 * heap that takes them.
 */
void purge_instead(struct mmviz_arena *arena, uint32_t units, uint64_t idle_bytes);
/* All that is free, at once: takes the lock. Whether anything was let go. */
bool purge_arena(struct mmviz_arena *arena);

#endif
