/* SPDX-License-Identifier: MIT */
/*
 * block_table.c - spans, cells and their sums; see block_table.h.
 *
 * Order of this file: memory, units, spans, large blocks, blocks, free runs. The check is
 * block_table_check.c.
 */
#define _GNU_SOURCE
#include "model/block_table_hot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SPANS_FIRST_CAPACITY 64u
#define UNITS_MAX	     ((uint32_t)(MMVIZ_CAPACITY_MAX_BYTES >> MMVIZ_UNIT_SHIFT))

/* ------------------------------------------------------------------ memory */

static void *map_zeroed(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int block_table_init(struct block_table *table, struct cell_pool *pool,
		     const struct mmviz_arena_head *head)
{
	uint64_t units = head->capacity_bytes >> MMVIZ_UNIT_SHIFT;

	*table = (struct block_table){.pool = pool, .base_addr = head->base_addr};
	if (units == 0 || units > UNITS_MAX || head->base_addr % MMVIZ_UNIT_BYTES)
		return -EINVAL;
	for (unsigned fit = 0; fit < 2; fit++) {
		table->span_shift[fit] = head->span_shift[fit];
		if (head->span_shift[fit] < MMVIZ_UNIT_SHIFT ||
		    head->span_shift[fit] > SPAN_SHIFT_MAX)
			return -EINVAL;
	}
	table->units_count = (uint32_t)units;
	table->spans_capacity = SPANS_FIRST_CAPACITY;
	table->spans_count = SPANS_FIRST;
	table->span_of_unit = map_zeroed(units * sizeof(*table->span_of_unit));
	table->spans = map_zeroed(table->spans_capacity * sizeof(*table->spans));
	if (!table->span_of_unit || !table->spans) {
		block_table_fini(table);
		return -ENOMEM;
	}
	return 0;
}

static void give_arrays(struct block_table *table, struct span *span)
{
	uint32_t cells = span->fit == MMVIZ_FIT_LARGE ? 1 : span->cells_count;

	cell_pool_give(table->pool, span->cells, cells * sizeof(*span->cells));
	cell_pool_give(table->pool, span->labels, cells * sizeof(*span->labels));
}

static int take_arrays(struct block_table *table, struct span *span)
{
	uint32_t cells = span->fit == MMVIZ_FIT_LARGE ? 1 : span->cells_count;

	span->labels = NULL;
	span->cells = cell_pool_take(table->pool, cells * sizeof(*span->cells));
	if (!span->cells)
		return -ENOMEM;
	if (span->shape != MMVIZ_SHAPE_LABELLED)
		return 0;
	span->labels = cell_pool_take(table->pool, cells * sizeof(*span->labels));
	if (span->labels)
		return 0;
	cell_pool_give(table->pool, span->cells, cells * sizeof(*span->cells));
	return -ENOMEM;
}

void block_table_fini(struct block_table *table)
{
	for (uint32_t i = SPANS_FIRST; table->spans && i < table->spans_count; i++)
		if (table->spans[i].units)
			give_arrays(table, &table->spans[i]);
	if (table->span_of_unit)
		munmap(table->span_of_unit, table->units_count * sizeof(*table->span_of_unit));
	if (table->spans)
		munmap(table->spans, table->spans_capacity * sizeof(*table->spans));
	totals_fini(&table->totals);
	*table = (struct block_table){0};
}

/* An unused entry of spans; 0: out of memory. Spans may move. */
static uint32_t take_entry(struct block_table *table)
{
	uint32_t index = table->spans_free;

	if (index) {
		table->spans_free = table->spans[index].first_unit;
		return index;
	}
	if (table->spans_count == table->spans_capacity) {
		size_t bytes = table->spans_capacity * sizeof(*table->spans);
		void *spans = mremap(table->spans, bytes, 2 * bytes, MREMAP_MAYMOVE);

		if (spans == MAP_FAILED)
			return 0;
		table->spans = spans;
		table->spans_capacity *= 2;
	}
	return table->spans_count++;
}

/* ------------------------------------------------------------------ units */

static bool is_inside(const struct block_table *table, uint32_t first, uint32_t units)
{
	return units > 0 && first < table->units_count && units <= table->units_count - first;
}

static void fill_units(struct block_table *table, uint32_t first, uint32_t units, uint32_t value)
{
	for (uint32_t i = 0; i < units; i++)
		table->span_of_unit[first + i] = value;
}

static void note_death(struct block_table *table, uint32_t context, const struct cell *cell)
{
	struct lifetimes *of = totals_lifetimes(&table->totals, context);

	unsigned bucket = lifetime_bucket(lifetime_of_ticks(table->now_tick - cell->born_tick));

	of->deaths[cell->born_tick == BORN_BEFORE_ATTACH ? LIFETIME_OLDER : bucket]++;
}

/* The live blocks of a span leave the totals. `is_freed`: they count as frees. */
static void forget_live(struct block_table *table, struct span *span, bool is_freed)
{
	for (uint32_t i = 0; span->live_cells && i < span->used_cells; i++) {
		struct totals_share share;
		struct context_total *context;

		if (!table_is_live(span, i))
			continue;
		share = span_share(span, i);
		context = totals_remove(&table->totals, &share);
		if (is_freed)
			note_death(table, share.context, &span->cells[i]);
		span->live_cells--;
		span->cells[i].word = (span->cells[i].word & ~3ULL) | MMVIZ_LIFE_CACHED;
		table->totals.frees += is_freed;
		table->totals.freed_bytes += is_freed ? share.bytes : 0;
		context->frees += is_freed;
	}
}

static void remove_span(struct block_table *table, uint32_t index, bool is_freed)
{
	struct span *span = &table->spans[index];

	forget_live(table, span, is_freed);
	table->used_cell_bytes -= span->used_cells * span_cell_bytes(span);
	table->span_units -= span->units;
	fill_units(table, span->first_unit, span->units, UNIT_IS_FREE);
	give_arrays(table, span);
	*span = (struct span){.first_unit = table->spans_free};
	table->spans_free = index;
}

static void clear_units(struct block_table *table, uint32_t first, uint32_t units);

/* A large span's length changes; its block, if live, counts with the new length. */
static void resize_large(struct block_table *table, struct span *span, uint32_t units)
{
	uint32_t index = table->span_of_unit[span->first_unit], old_units = span->units;
	bool has_live = span->live_cells > 0;
	struct totals_share share = {0};

	if (has_live) {
		share = span_share(span, 0);
		totals_remove(&table->totals, &share);
	}
	if (units > old_units)
		clear_units(table, span->first_unit + old_units, units - old_units);
	else
		fill_units(table, span->first_unit + units, old_units - units, UNIT_IS_FREE);
	fill_units(table, span->first_unit, units, index);
	table->used_cell_bytes -= span->used_cells * span_cell_bytes(span);
	table->span_units += (uint64_t)units - old_units;
	span->units = units;
	table->used_cell_bytes += span->used_cells * span_cell_bytes(span);
	table->structure_version++;
	if (has_live) {
		share.cell_bytes = span_cell_bytes(span);
		totals_add(&table->totals, &share);
	}
}

/*
 * What touches these units is gone, and they are free. Of a large block that begins before them the
 * rest is cut off: it was shorter once, and the event that made it longer does not name all of it.
 */
static void clear_units(struct block_table *table, uint32_t first, uint32_t units)
{
	for (uint32_t unit = first; unit < first + units; unit++) {
		uint32_t index = table->span_of_unit[unit];
		struct span *span = &table->spans[index];

		if (index >= SPANS_FIRST && span->fit == MMVIZ_FIT_LARGE &&
		    span->first_unit < first)
			resize_large(table, span, first - span->first_unit);
		else if (index >= SPANS_FIRST)
			remove_span(table, index, false);
		table->meta_units -= index == UNIT_IS_META;
		table->span_of_unit[unit] = UNIT_IS_FREE;
	}
	table->structure_version++;
	if (first + units > table->frontier_units)
		table->frontier_units = first + units;
}

int block_table_set_units(struct block_table *table, uint32_t first, uint32_t units, unsigned code)
{
	if (!is_inside(table, first, units) || (code != MMVIZ_UNIT_FREE && code != MMVIZ_UNIT_META))
		return -EINVAL;
	clear_units(table, first, units);
	if (code == MMVIZ_UNIT_META) {
		fill_units(table, first, units, UNIT_IS_META);
		table->meta_units += units;
	}
	return 0;
}

void block_table_reset(struct block_table *table)
{
	for (uint32_t i = SPANS_FIRST; i < table->spans_count; i++)
		if (table->spans[i].units)
			remove_span(table, i, true);
	table->structure_version++;
}

/* ------------------------------------------------------------------ spans */

int block_table_shape_span(const struct block_table *table, uint32_t first_unit, uint32_t units,
			   unsigned size_class, unsigned shape, struct span *out)
{
	uint64_t bytes = (uint64_t)units << MMVIZ_UNIT_SHIFT;
	bool is_small = bytes == 1u << table->span_shift[MMVIZ_FIT_SMALL];
	uint32_t cell_bytes, front_bytes;

	if (!is_inside(table, first_unit, units) || size_class >= MMVIZ_CLASSES ||
	    shape >= MMVIZ_SHAPES)
		return -EINVAL;
	if (!bytes || bytes % (1u << table->span_shift[MMVIZ_FIT_SMALL]) || units > SPAN_UNITS_MAX)
		return -EINVAL;
	cell_bytes = mmviz_cell_bytes(size_class, shape);
	front_bytes = mmviz_span_first_header_bytes(shape);
	*out = (struct span){
		.first_unit = first_unit,
		.units = units,
		.first_place = first_unit * PLACES_PER_UNIT + front_bytes / MMVIZ_PLACE_BYTES,
		.cell_places = cell_bytes / MMVIZ_PLACE_BYTES,
		.reciprocal = (uint32_t)((1ULL << 32) / (cell_bytes / MMVIZ_PLACE_BYTES)) + 1,
		.cells_count = (uint32_t)bytes / cell_bytes,
		.payload_bytes = mmviz_class_payload_bytes(size_class),
		.size_class = (uint8_t)size_class,
		.shape = (uint8_t)shape,
		.fit = is_small ? MMVIZ_FIT_SMALL : MMVIZ_FIT_MEDIUM,
	};
	return out->cells_count &&
			       out->cells_count <= CELL_POOL_ARRAY_MAX_BYTES / sizeof(struct cell)
		       ? 0
		       : -EINVAL;
}

static bool is_same_span(const struct span *a, const struct span *b)
{
	return a->first_unit == b->first_unit && a->units == b->units &&
	       a->size_class == b->size_class && a->shape == b->shape &&
	       a->owner_heap == b->owner_heap;
}

/* Put `span`, whose arrays it owns already or gets here, on its units. */
static int place_span(struct block_table *table, struct span *span)
{
	uint32_t index;
	int error;

	clear_units(table, span->first_unit, span->units);
	error = take_arrays(table, span);
	if (error)
		return error;
	index = take_entry(table);
	if (!index) {
		give_arrays(table, span);
		return -ENOMEM;
	}
	table->spans[index] = *span;
	table->span_units += span->units;
	fill_units(table, span->first_unit, span->units, index);
	return 0;
}

int block_table_set_span(struct block_table *table, const struct span *shaped, bool keep)
{
	const struct span *old = block_table_span_at(table, shaped->first_unit);
	struct span span = *shaped;

	if (keep && old && is_same_span(old, shaped))
		return 0;
	return place_span(table, &span);
}

void block_table_set_used(struct block_table *table, struct span *span, uint32_t used_cells)
{
	uint32_t old_cells = span->used_cells;

	for (uint32_t i = used_cells; i < old_cells; i++) {
		block_table_take(table, span_cell_place(span, i), MMVIZ_LIFE_CACHED);
		span->cells[i] = (struct cell){0};
	}
	span->used_cells = used_cells;
	table->used_cell_bytes += ((uint64_t)used_cells - old_cells) * span_cell_bytes(span);
}

/* ------------------------------------------------------------------ large blocks */

int block_table_set_large(struct block_table *table, uint32_t first, uint32_t units, unsigned shape)
{
	struct span *old, span = {
				  .first_unit = first,
				  .units = units,
				  .owner_heap = MMVIZ_HEAP_NONE,
				  .size_class = 0xff,
				  .shape = (uint8_t)shape,
				  .fit = MMVIZ_FIT_LARGE,
			  };

	if (!is_inside(table, first, units) || shape >= MMVIZ_SHAPES)
		return -EINVAL;
	old = block_table_span_at(table, first);
	if (!old || !is_same_span(old, &(struct span){.first_unit = first,
						      .units = old->units,
						      .owner_heap = MMVIZ_HEAP_NONE,
						      .size_class = 0xff,
						      .shape = (uint8_t)shape}))
		return place_span(table, &span);
	resize_large(table, old, units);
	return 0;
}

struct cell *block_table_open_large(struct block_table *table, uint32_t place,
				    struct span **span_out)
{
	struct span *span = block_table_span_at(table, place / PLACES_PER_UNIT);
	uint32_t in_span;

	if (!span || span->fit != MMVIZ_FIT_LARGE)
		return NULL;
	in_span = (place - span->first_unit * PLACES_PER_UNIT) * MMVIZ_PLACE_BYTES;
	if (in_span < MMVIZ_SPAN_HEAD_BYTES || in_span >= MMVIZ_UNIT_BYTES)
		return NULL;
	forget_live(table, span, false);
	span->first_place = place;
	span->cell_places = 1;
	span->reciprocal = 0; /* every offset gives cell 0, and only offset 0 is right */
	span->cells_count = 1;
	*span_out = span;
	return &span->cells[0];
}

/* ------------------------------------------------------------------ blocks */

void block_table_keep_label(struct span *span, uint32_t index, const void *label)
{
	if (label)
		memcpy(span->labels[index], label, MMVIZ_LABEL_BYTES);
	else
		memset(span->labels[index], 0, MMVIZ_LABEL_BYTES);
}

int block_table_put(struct block_table *table, const struct block_birth *birth)
{
	bool was_live;

	return table_put(table, birth, &was_live) ? 0 : -EINVAL;
}

int block_table_take(struct block_table *table, uint32_t place, unsigned life)
{
	struct span *span;
	struct cell *cell = block_table_find(table, place, &span);

	if (!cell)
		return -EINVAL;
	table_take(table, span, cell, life, false);
	return 0;
}

int block_table_free(struct block_table *table, uint32_t place, unsigned life)
{
	struct span *span;
	struct cell *cell = block_table_find(table, place, &span);

	return cell ? table_take(table, span, cell, life, true) : -EINVAL;
}

int block_table_resize(struct block_table *table, uint32_t place, uint64_t bytes, uint32_t context,
		       bool revive)
{
	struct span *span;
	struct cell *cell = block_table_find(table, place, &span);
	unsigned life;
	uint32_t index;

	if (!cell || bytes > table_payload_capacity(span) || context >= MMVIZ_CONTEXTS_MAX)
		return -EINVAL;
	index = table_cell_index(span, cell);
	life = mmviz_word_life(cell->word);
	if (life == MMVIZ_LIFE_LIVE)
		table_discount_live(table, span, index);
	else if (life != MMVIZ_LIFE_RETURNED && revive && !(cell->incarnation & 1))
		life = MMVIZ_LIFE_LIVE;
	if (index >= span->used_cells)
		table_use_cells(table, span, index + 1);
	cell->word = mmviz_word_make(bytes, context, span->fit == MMVIZ_FIT_LARGE, life);
	if (life == MMVIZ_LIFE_LIVE)
		table_count_live(table, span, index);
	return life == MMVIZ_LIFE_LIVE || life == MMVIZ_LIFE_RETURNED ? 0 : -ENOENT;
}

static void rebase_cell(struct cell *cell, uint32_t ticks)
{
	if (cell->born_tick != BORN_BEFORE_ATTACH)
		cell->born_tick = cell->born_tick > ticks ? cell->born_tick - ticks : 0;
}

void block_table_rebase(struct block_table *table, uint32_t ticks)
{
	for (uint32_t i = SPANS_FIRST; i < table->spans_count; i++) {
		struct span *span = &table->spans[i];

		for (uint32_t c = 0; span->units && c < span->cells_count; c++)
			rebase_cell(&span->cells[c], ticks);
	}
}

/* ------------------------------------------------------------------ free runs */

static void add_run(struct free_runs *runs, uint64_t units)
{
	runs->committed_units += units;
	if (units > runs->committed_largest_units)
		runs->committed_largest_units = units;
}

const struct free_runs *block_table_free_runs(struct block_table *table)
{
	struct free_runs runs = {0};
	uint64_t run = 0, beyond = table->units_count - table->frontier_units;

	if (table->runs_version == table->structure_version)
		return &table->free_runs;
	for (uint32_t unit = 0; unit < table->frontier_units;) {
		uint32_t index = table->span_of_unit[unit];

		if (index == UNIT_IS_FREE) {
			run++;
			unit++;
			continue;
		}
		add_run(&runs, run);
		run = 0;
		unit += index < SPANS_FIRST ? 1 : table->spans[index].units;
	}
	add_run(&runs, run);
	runs.largest_units = runs.committed_largest_units;
	if (run + beyond > runs.largest_units)
		runs.largest_units = run + beyond;
	table->free_runs = runs;
	table->runs_version = table->structure_version;
	return &table->free_runs;
}
