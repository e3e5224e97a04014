/* SPDX-License-Identifier: MIT */
/*
 * block_table.h - every block of one arena: spans, their cells, and the sums over them.
 *
 *   unit           0      1      2      3  ...                 place = 16 bytes, 256 a unit
 *   span_of_unit | META | META |  7   |  7  |  7 | FREE | 9 |
 *                                |                        |
 *   spans          [7] first_place, cell_places, cells --> | cell 0 | cell 1 | ...  (16 bytes each)
 *                  [9] a large block: a span of one cell
 *
 * A block is found by its header's place in three steps that are right or refused: unit -> span ->
 * cell by a multiplication. Nothing is trusted: a place that is no cell's header, a span that does
 * not fit, too many bytes give -EINVAL and change nothing. Setting units, spans and blocks is
 * absolute: it may be done again and whatever was there is gone.
 *
 * Equations (block_table_check holds them):
 *   capacity = meta_units + span_units + free units
 *   span_units = live cells + cached cells (used, not live) + unused (never used, heads, tails)
 * Knows nothing of events and logs. Pure memory, no I/O. One thread.
 */
#ifndef MMVIZ_MODEL_BLOCK_TABLE_H
#define MMVIZ_MODEL_BLOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mmviz/abi.h>

#include "model/cell_pool.h"
#include "model/event_clock.h"
#include "model/totals.h"

#define PLACES_PER_UNIT	   (MMVIZ_UNIT_BYTES >> MMVIZ_PLACE_SHIFT)
#define BORN_BEFORE_ATTACH 0xffffffffu
#define SPAN_SHIFT_MAX	   22u
#define SPAN_UNITS_MAX	   4096u

struct cell {
	uint64_t word;	      /* as in the block's header; bytes are kept when it is freed */
	uint32_t incarnation; /* as in the header; odd only if a walk found it so */
	uint32_t born_tick;   /* event_clock.h; or BORN_BEFORE_ATTACH */
};
_Static_assert(sizeof(struct cell) == 16, "sixteen bytes a cell");

/* Values of span_of_unit that are no span. */
#define UNIT_IS_FREE 0u
#define UNIT_IS_META 1u
#define SPANS_FIRST  2u

struct span {
	struct cell *cells;
	char (*labels)[MMVIZ_LABEL_BYTES]; /* of each cell; NULL unless labelled */
	uint32_t first_unit, units;	   /* units 0: this entry is free, first_unit links */
	uint32_t first_place;		   /* of cell 0's header */
	uint32_t cell_places;		   /* from header to header */
	uint32_t reciprocal;		   /* ceil(2^32 / cell_places) */
	uint32_t cells_count;		   /* large: 0 until its block is known, then 1 */
	uint32_t used_cells;		   /* cells ever used */
	uint32_t owner_heap;
	uint32_t payload_bytes; /* capacity of a cell; large: not used */
	uint8_t size_class;	/* large: 0xff */
	uint8_t shape;		/* enum mmviz_shape */
	uint8_t fit;		/* enum mmviz_fit */
	uint8_t reserved;
	uint32_t live_cells, reserved_end;
};
_Static_assert(sizeof(struct span) == 64, "one cache line a span");

/* Runs of free units; `committed` are those below the frontier. */
struct free_runs {
	uint64_t largest_units;
	uint64_t committed_units, committed_largest_units;
};

struct block_table {
	struct cell_pool *pool;
	uint64_t base_addr;
	uint32_t units_count; /* capacity */
	uint8_t span_shift[2];
	uint32_t *span_of_unit;
	struct span *spans; /* entries 0 and 1 are not used */
	uint32_t spans_count, spans_capacity, spans_free;

	uint32_t frontier_units; /* units at and after this were never used */
	uint64_t meta_units, span_units;
	uint64_t used_cell_bytes;   /* cells ever used of the spans that exist */
	struct free_runs free_runs; /* as of runs_version */
	uint64_t runs_version;
	uint64_t structure_version; /* raised whenever units change hands */
	struct totals totals;
	uint32_t now_tick; /* when reset frees blocks */
};

/* What a block is, in plain values. */
struct block_birth {
	uint32_t place, context;
	uint64_t bytes;
	uint32_t incarnation, born_tick;
	const void *label; /* MMVIZ_LABEL_BYTES, or NULL */
};

/* -EINVAL: not a possible arena; -ENOMEM. On failure the table is as after fini. */
int block_table_init(struct block_table *table, struct cell_pool *pool,
		     const struct mmviz_arena_head *head);
void block_table_fini(struct block_table *table);

/* Fill in all that follows from class, shape and units; -EINVAL: there is no such span. */
int block_table_shape_span(const struct block_table *table, uint32_t first_unit, uint32_t units,
			   unsigned size_class, unsigned shape, struct span *out);
/* A span with cells that were never used. `keep`: an equal span's cells stay (a walk tells them).
 */
int block_table_set_span(struct block_table *table, const struct span *shaped, bool keep);
/* A large block's units. A block that begins there already stays: it is resized. */
int block_table_set_large(struct block_table *table, uint32_t first, uint32_t units,
			  unsigned shape);
/* A large block's header lies at `place`, in the first of its units; what was live there before is
 * not. Its cell, or NULL. */
struct cell *block_table_open_large(struct block_table *table, uint32_t place,
				    struct span **span_out);
/* Units become free (code FREE) or the arena's own (META); spans that they touch are gone. */
int block_table_set_units(struct block_table *table, uint32_t first, uint32_t units, unsigned code);
/* All spans and large blocks are gone, their live blocks are freed; META stays. */
void block_table_reset(struct block_table *table);
/* A walk says: of this span's cells, these were used; the others hold nothing. */
void block_table_set_used(struct block_table *table, struct span *span, uint32_t used_cells);

/* The cell whose header is at `place`, or NULL. */
static inline struct cell *block_table_find(const struct block_table *table, uint32_t place,
					    struct span **span_out)
{
	uint32_t unit = place / PLACES_PER_UNIT, offset, index;
	struct span *span;

	if (__builtin_expect(unit >= table->units_count, 0))
		return NULL;
	span = &table->spans[table->span_of_unit[unit]];
	offset = place - span->first_place; /* before it: huge, so refused below */
	index = (uint32_t)((uint64_t)offset * span->reciprocal >> 32);
	if (__builtin_expect(index >= span->cells_count || index * span->cell_places != offset, 0))
		return NULL;
	*span_out = span;
	return &span->cells[index];
}

/* Bring the cell of a later event into the cache. Any place will do. (always_inline: to gcc 12 a
 * function that only prefetches has no effect, and it drops the calls.) */
static inline __attribute__((always_inline)) void
block_table_prefetch(const struct block_table *table, uint32_t place)
{
	uint32_t unit = place / PLACES_PER_UNIT;
	const struct span *span;
	uint64_t index;

	if (unit >= table->units_count)
		return;
	span = &table->spans[table->span_of_unit[unit]];
	index = (uint64_t)(place - span->first_place) * span->reciprocal >> 32;
	__builtin_prefetch((const void *)((uintptr_t)span->cells + index * sizeof(struct cell)), 1);
}

/* A walk found: the block is live / the cell is not (life CACHED or RETURNED). */
int block_table_put(struct block_table *table, const struct block_birth *birth);
int block_table_take(struct block_table *table, uint32_t place, unsigned life);
/* An event told of a free: block_table_hot.h. */
int block_table_free(struct block_table *table, uint32_t place, unsigned life);
/* Of a labelled span: NULL means none. */
void block_table_keep_label(struct span *span, uint32_t index, const void *label);
/* A returned block stays returned. -ENOENT: it was not live; with `revive` it is now, unless its
 * header said that it was freed. */
int block_table_resize(struct block_table *table, uint32_t place, uint64_t bytes, uint32_t context,
		       bool revive);

/* Bytes of header and label of each live block. */
static inline uint32_t span_header_bytes(const struct span *span)
{
	return span->shape == MMVIZ_SHAPE_LABELLED ? MMVIZ_HEADER_BYTES + MMVIZ_LABEL_BYTES
						   : MMVIZ_HEADER_BYTES;
}
/* Bytes of a cell; of a large block: all its units. */
static inline uint64_t span_cell_bytes(const struct span *span)
{
	return span->fit == MMVIZ_FIT_LARGE ? (uint64_t)span->units << MMVIZ_UNIT_SHIFT
					    : (uint64_t)span->cell_places << MMVIZ_PLACE_SHIFT;
}
static inline uint32_t span_cell_place(const struct span *span, uint32_t index)
{
	return span->first_place + index * span->cell_places;
}
/* The span that holds `unit`, or NULL. */
static inline struct span *block_table_span_at(const struct block_table *table, uint32_t unit)
{
	uint32_t index = unit < table->units_count ? table->span_of_unit[unit] : UNIT_IS_FREE;

	return index < SPANS_FIRST ? NULL : &table->spans[index];
}

/* Where cell `index` begins, from the arena's base; a large block has all its units. */
static inline uint64_t span_cell_offset(const struct span *span, uint32_t index)
{
	return ((uint64_t)span->first_unit << MMVIZ_UNIT_SHIFT) + index * span_cell_bytes(span);
}

/* What the live block of cell `index` adds to the totals. */
static inline struct totals_share span_share(const struct span *span, uint32_t index)
{
	uint64_t word = span->cells[index].word, bytes = mmviz_word_bytes(word);
	uint64_t in_line = ((uint64_t)span_cell_place(span, index) + 1) * MMVIZ_PLACE_BYTES % 64;

	return (struct totals_share){
		.bytes = bytes,
		.cell_bytes = span_cell_bytes(span),
		.context = mmviz_word_context(word),
		.is_labelled = span->shape == MMVIZ_SHAPE_LABELLED,
		.is_split = bytes && in_line + (bytes - 1) % 64 >= 64,
	};
}

/* Time 0 is `ticks` later now; what is older than that was born then. */
void block_table_rebase(struct block_table *table, uint32_t ticks);

/* Counted anew when units have changed hands since the last call. */
const struct free_runs *block_table_free_runs(struct block_table *table);

/* Recompute every sum from the cells. 0, or -EUCLEAN and the first mismatch on stderr. */
int block_table_check(const struct block_table *table);

#endif
