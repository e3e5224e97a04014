/* SPDX-License-Identifier: MIT */
/*
 * view.c - the replica's answers, in plain values; see view.h and view_state.h.
 *
 * Order of this file: ticks, totals, arenas, contexts, blocks, timeline. The map is heap_map.c.
 */
#include "model/view_state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS	      100000000u
#define NS_PER_MS     1000000u
#define NS_PER_SECOND 1e9

/* ------------------------------------------------------------------ ticks */

void view_fini(struct view *view)
{
	timeline_fini(&view->timeline);
	totals_fini(&view->all);
}

uint32_t view_now_tick(const struct view *view)
{
	return tick_of_ns(replica_ns(view->replica, view->now.monotonic_ns));
}

static void add_context(struct context_total *sum, const struct context_total *part)
{
	sum->live_blocks += part->live_blocks;
	sum->live_bytes += part->live_bytes;
	sum->allocations += part->allocations;
	sum->frees += part->frees;
	sum->allocated_bytes += part->allocated_bytes;
}

/* By what the contexts count as. */
static void add_contexts(const struct view *view, struct totals *sum, const struct totals *part)
{
	for (uint32_t i = 0; i < part->listed_count; i++)
		add_context(totals_context(sum, view_base(view, part->listed[i])),
			    &part->contexts[part->listed[i]]);
}

/* The sums by context over all arenas, as of now. */
static void sum_contexts(struct view *view)
{
	const struct replica *replica = view->replica;
	struct totals *all = &view->all;

	for (uint32_t i = 0; i < all->listed_count; i++) {
		struct context_total *context = &all->contexts[all->listed[i]];

		context->live_blocks = context->live_bytes = 0;
		context->allocations = context->frees = context->allocated_bytes = 0;
	}
	add_contexts(view, all, &replica->past);
	for (uint32_t i = 0; i < replica->arenas_count; i++)
		add_contexts(view, all, &replica->arenas[i]->table.totals);
}

static void sum_totals(const struct view *view, struct view_totals *out);

/* Rates are smoothed over about a second. */
static void step_rates(struct view *view, const struct view_totals *totals, double seconds)
{
	double share = 1 - exp(-seconds);
	double events = (double)(totals->events_seen + totals->events_lost - view->stepped_events);
	double allocations = (double)(totals->allocations - view->stepped_allocations);

	view->stepped_events = totals->events_seen + totals->events_lost;
	view->stepped_allocations = totals->allocations;
	view->events_per_second += share * (events / seconds - view->events_per_second);
	view->allocations_per_second +=
		share * (allocations / seconds - view->allocations_per_second);
	for (uint32_t i = 0; i < view->replica->arenas_count; i++)
		totals_step(&view->replica->arenas[i]->table.totals, seconds);
	sum_contexts(view);
	totals_step(&view->all, seconds);
}

/* Nothing has happened before the first tick. */
static void start_rates(struct view *view)
{
	for (uint32_t i = 0; i < view->replica->arenas_count; i++)
		totals_start(&view->replica->arenas[i]->table.totals);
	sum_contexts(view);
	totals_start(&view->all);
}

static void add_point(struct view *view, const struct view_totals *totals)
{
	struct view_point point = {
		.at_ns = totals->at_ns,
		.live_bytes = totals->live_bytes,
		.live_blocks = totals->live_blocks,
		.resident_bytes = totals->resident_bytes,
		.events_per_second = view->events_per_second,
		.events_lost = view->now.is_walked ? 0 : totals->events_lost,
	};

	timeline_add(&view->timeline, &point); /* no memory: a point less */
}

void view_tick(struct view *view)
{
	uint64_t elapsed_ns = view->now.monotonic_ns - view->stepped_ns;
	struct view_totals totals;

	sum_totals(view, &totals);
	if (totals.live_bytes > view->peak_live_bytes)
		view->peak_live_bytes = totals.live_bytes;
	if (view->stepped_ns && elapsed_ns < STEP_NS)
		return;
	if (view->stepped_ns)
		step_rates(view, &totals, (double)elapsed_ns / NS_PER_SECOND);
	else
		start_rates(view);
	view->stepped_ns = view->now.monotonic_ns;
	add_point(view, &totals);
}

/* ------------------------------------------------------------------ totals */

static void add_counts(struct view_totals *out, const struct totals *totals)
{
	out->live_blocks += totals->live_blocks;
	out->live_bytes += totals->live_bytes;
	out->allocations += totals->allocations;
	out->frees += totals->frees;
	out->allocated_bytes += totals->allocated_bytes;
	out->freed_bytes += totals->freed_bytes;
}

static void sum_totals(const struct view *view, struct view_totals *out)
{
	const struct replica *replica = view->replica;

	*out = (struct view_totals){
		.at_ns = view->now.realtime_ns,
		.events_seen = replica->past_seen,
		.events_lost = replica->past_lost,
		.resyncs = replica->resyncs,
		.events_per_second = view->events_per_second,
		.allocations_per_second = view->allocations_per_second,
		.resident_bytes = view->now.resident_bytes,
		.collector_bytes = view->now.collector_bytes,
		.ring_used_bytes = view->now.ring_used_bytes,
		.ring_bytes = view->now.ring_bytes,
		.verified_at_ns = view->now.verified_at_ns,
		.threads = view->now.threads,
		.arenas = replica->arenas_count,
		.contexts = view->now.contexts,
		.is_exact = view->now.is_followed,
		.target_state = view->now.target_state,
		.exit_code = view->now.exit_code,
		.fallback_since_ns = view->now.fallback_since_ns,
		.fallback_reason = view->now.fallback_reason,
	};
	add_counts(out, &replica->past);
	for (uint32_t i = 0; i < replica->arenas_count; i++) {
		const struct replica_arena *arena = replica->arenas[i];

		add_counts(out, &arena->table.totals);
		out->events_seen += arena->seen;
		out->events_lost += arena->lost;
		out->is_exact = out->is_exact && arena->state == REPLICA_EXACT;
	}
	out->peak_live_bytes =
		view->peak_live_bytes > out->live_bytes ? view->peak_live_bytes : out->live_bytes;
}

void view_totals(const struct view *view, struct view_totals *out)
{
	sum_totals(view, out);
	if (view->now.is_walked)
		out->events_lost = 0;
}

/* ------------------------------------------------------------------ arenas */

static uint64_t units_bytes(uint64_t units)
{
	return units << MMVIZ_UNIT_SHIFT;
}

static void fill_free(const struct replica_arena *arena, struct view_arena *out)
{
	const struct free_runs *runs = block_table_free_runs((struct block_table *)&arena->table);
	uint64_t taken_units = arena->table.span_units + arena->table.meta_units;

	out->free_bytes = units_bytes(arena->table.units_count - taken_units);
	out->largest_free_bytes = units_bytes(runs->largest_units);
	out->committed_free_bytes = units_bytes(runs->committed_units);
	if (runs->committed_units)
		out->fragmentation_ratio =
			1 - (double)runs->committed_largest_units / (double)runs->committed_units;
}

static void fill_arena(const struct replica_arena *arena, struct view_arena *out)
{
	const struct block_table *table = &arena->table;
	const struct totals *totals = &table->totals;

	*out = (struct view_arena){
		.id = arena->id,
		.base_addr = table->base_addr,
		.capacity_bytes = units_bytes(table->units_count),
		.committed_bytes = units_bytes(arena->committed_units),
		.frontier_bytes = units_bytes(table->frontier_units),
		.live_blocks = totals->live_blocks,
		.live_bytes = totals->live_bytes,
		.header_bytes = totals->live_blocks * MMVIZ_HEADER_BYTES +
				totals->live_labelled * MMVIZ_LABEL_BYTES,
		.cached_bytes = table->used_cell_bytes - totals->live_cell_bytes,
		.unused_bytes = units_bytes(table->span_units) - table->used_cell_bytes,
		.meta_bytes = units_bytes(table->meta_units),
		.split_blocks = totals->split_blocks,
	};
	if (totals->live_cell_bytes > out->header_bytes + totals->live_bytes)
		out->padding_bytes =
			totals->live_cell_bytes - out->header_bytes - totals->live_bytes;
	memcpy(out->name, arena->head.name, sizeof(out->name));
	fill_free(arena, out);
}

uint32_t view_arenas(const struct view *view, struct view_arena *out, uint32_t max)
{
	uint32_t count = view->replica->arenas_count;

	for (uint32_t i = 0; i < count && i < max; i++)
		fill_arena(view->replica->arenas[i], &out[i]);
	return count;
}

/* ------------------------------------------------------------------ contexts */

const char *view_context_text(const struct view *view, uint32_t id)
{
	uint32_t kind;

	return view->names.describe(view->names.context, id, &kind);
}

struct ranked {
	uint64_t live_bytes;
	uint32_t id;
};

static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->live_bytes != b->live_bytes)
		return a->live_bytes < b->live_bytes ? 1 : -1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static void fill_context(const struct view *view, const struct context_total *total, uint32_t id,
			 struct view_context *out)
{
	*out = (struct view_context){
		.id = id,
		.base = view_base(view, id),
		.live_blocks = total->live_blocks,
		.live_bytes = total->live_bytes,
		.peak_live_bytes = total->peak_live_bytes > total->live_bytes
					   ? total->peak_live_bytes
					   : total->live_bytes,
		.allocations = total->allocations,
		.frees = total->frees,
		.allocated_bytes = total->allocated_bytes,
		.allocations_per_second = total->allocations_per_second,
		.growth_bytes_per_second = totals_growth(total),
	};
	out->text = view->names.describe(view->names.context, id, &out->kind);
}

/* Those with most live bytes first. */
static uint32_t fill_contexts(const struct view *view, const struct totals *totals,
			      struct view_context *out, uint32_t max)
{
	struct ranked *ranked;

	if (max > totals->listed_count)
		max = totals->listed_count;
	ranked = malloc(totals->listed_count * sizeof(*ranked));
	if (!ranked)
		return 0;
	for (uint32_t i = 0; i < totals->listed_count; i++)
		ranked[i] = (struct ranked){totals->contexts[totals->listed[i]].live_bytes,
					    totals->listed[i]};
	qsort(ranked, totals->listed_count, sizeof(*ranked), compare_ranked);
	for (uint32_t i = 0; i < max; i++)
		fill_context(view, &totals->contexts[ranked[i].id], ranked[i].id, &out[i]);
	free(ranked);
	return max;
}

static bool has_stacks(const struct view *view, const struct totals *totals)
{
	for (uint32_t i = 0; i < totals->listed_count; i++)
		if (view_base(view, totals->listed[i]) != totals->listed[i])
			return true;
	return false;
}

/* The contexts of an arena by what they count as. Their stacks had their peaks at different times:
 * what is known of the peak of all is that it was not less than any. */
static uint32_t merged_contexts(const struct view *view, const struct totals *totals,
				struct view_context *out, uint32_t max)
{
	struct totals merged = {0};
	uint32_t count;

	add_contexts(view, &merged, totals);
	for (uint32_t i = 0; i < totals->listed_count; i++) {
		const struct context_total *part = &totals->contexts[totals->listed[i]];
		struct context_total *sum =
			totals_context(&merged, view_base(view, totals->listed[i]));

		sum->allocations_per_second += part->allocations_per_second;
		sum->lagging_live_bytes += part->lagging_live_bytes;
		if (sum->peak_live_bytes < part->peak_live_bytes)
			sum->peak_live_bytes = part->peak_live_bytes;
	}
	count = fill_contexts(view, &merged, out, max);
	totals_fini(&merged);
	return count;
}

uint32_t view_contexts(const struct view *view, uint32_t arena_id, struct view_context *out,
		       uint32_t max)
{
	const struct replica_arena *arena = replica_arena_find(view->replica, arena_id);

	if (arena_id != 0 && !arena)
		return 0;
	if (!arena) {
		sum_contexts((struct view *)view);
		return fill_contexts(view, &view->all, out, max);
	}
	return has_stacks(view, &arena->table.totals)
		       ? merged_contexts(view, &arena->table.totals, out, max)
		       : fill_contexts(view, &arena->table.totals, out, max);
}

static void add_apart(struct totals *sum, const struct totals *part)
{
	for (uint32_t i = 0; i < part->listed_count; i++)
		add_context(totals_context(sum, part->listed[i]), &part->contexts[part->listed[i]]);
}

uint32_t view_contexts_apart(const struct view *view, struct view_context *out, uint32_t max,
			     uint32_t *all)
{
	const struct replica *replica = view->replica;
	struct totals apart = {0};
	uint32_t count;

	add_apart(&apart, &replica->past);
	for (uint32_t i = 0; i < replica->arenas_count; i++)
		add_apart(&apart, &replica->arenas[i]->table.totals);
	*all = apart.listed_count;
	count = fill_contexts(view, &apart, out, max);
	totals_fini(&apart);
	return count;
}

/* ------------------------------------------------------------------ blocks */

static void fill_life(const struct view *view, const struct cell *cell, struct view_block *out)
{
	out->life = (uint8_t)mmviz_word_life(cell->word);
	if (out->life == MMVIZ_LIFE_NEVER) /* used before the attach, and free since */
		out->life = MMVIZ_LIFE_CACHED;
	out->is_older_than_attach = cell->born_tick == BORN_BEFORE_ATTACH;
	if (out->is_older_than_attach)
		out->age_ms =
			(uint32_t)((view->now.monotonic_ns - view->replica->attach_ns) / NS_PER_MS);
	else
		out->age_ms = view_age_ms(view_now_tick(view), cell->born_tick);
	if (!out->is_older_than_attach)
		out->born_at_ns = view->now.realtime_ns - view->now.monotonic_ns +
				  view->replica->attach_ns + view->replica->moved_ns +
				  tick_ns(cell->born_tick) + TICK_NS / 2;
}

static void fill_block(const struct view *view, const struct replica_arena *arena,
		       const struct span *span, uint32_t index, struct view_block *out)
{
	const struct cell *cell = &span->cells[index];
	const struct replica_heap *owner = replica_heap_find(arena, span->owner_heap);
	uint64_t base_addr = arena->table.base_addr;

	*out = (struct view_block){
		.arena_id = arena->id,
		.addr = base_addr +
			((uint64_t)span_cell_place(span, index) + 1) * MMVIZ_PLACE_BYTES,
		.cell_addr = base_addr + span_cell_offset(span, index),
		.cell_bytes = span_cell_bytes(span),
		.bytes = mmviz_word_bytes(cell->word),
		.context = view_base(view, mmviz_word_context(cell->word)),
		.stack = mmviz_word_context(cell->word),
		.owner_heap = span->owner_heap,
		.thread_id = owner ? owner->thread_id : 0,
		.incarnation = cell->incarnation,
		.is_large = span->fit == MMVIZ_FIT_LARGE,
	};
	fill_life(view, cell, out);
	if (!span->labels)
		return;
	memcpy(out->label, span->labels[index], sizeof(out->label));
	out->label[sizeof(out->label) - 1] = '\0';
}

/* Copy a span's used cells that touch [offset, end) from out[count] on; returns the new count. */
static uint32_t span_blocks(const struct view *view, const struct replica_arena *arena,
			    const struct span *span, const uint64_t range[2],
			    struct view_block *out, uint32_t count, uint32_t max)
{
	uint64_t start = units_bytes(span->first_unit), cell_bytes = span_cell_bytes(span);
	uint64_t index = range[0] > start ? (range[0] - start) / cell_bytes : 0;

	for (; index < span->used_cells && count < max; index++) {
		if (start + index * cell_bytes >= range[1])
			break;
		fill_block(view, arena, span, (uint32_t)index, &out[count++]);
	}
	return count;
}

uint32_t view_blocks(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
		     uint64_t bytes, struct view_block *out, uint32_t max)
{
	const struct replica_arena *arena = replica_arena_find(view->replica, arena_id);
	uint64_t capacity_bytes, range[2] = {offset_bytes, offset_bytes + bytes};
	uint32_t count = 0;

	if (!arena)
		return 0;
	capacity_bytes = units_bytes(arena->table.frontier_units);
	if (range[1] > capacity_bytes || range[1] < offset_bytes)
		range[1] = capacity_bytes;
	for (uint64_t at = range[0]; at < range[1] && count < max;) {
		const struct span *span =
			block_table_span_at(&arena->table, (uint32_t)(at >> MMVIZ_UNIT_SHIFT));

		if (span) {
			count = span_blocks(view, arena, span, range, out, count, max);
			at = units_bytes((uint64_t)span->first_unit + span->units);
		} else {
			at = units_bytes((at >> MMVIZ_UNIT_SHIFT) + 1);
		}
	}
	return count;
}

int view_block_at(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
		  struct view_block *out)
{
	const struct replica_arena *arena = replica_arena_find(view->replica, arena_id);
	struct view_block block;

	if (!arena || view_blocks(view, arena_id, offset_bytes, 1, &block, 1) == 0)
		return -ENOENT;
	*out = block;
	return 0;
}

static int each_live_cell(const struct view *view, const struct replica_arena *arena,
			  const struct span *span,
			  int (*visit)(const struct view_block *block, void *context),
			  void *context)
{
	struct view_block block;
	int result = 0;

	for (uint32_t i = 0; i < span->used_cells && span->live_cells && !result; i++) {
		if (mmviz_word_life(span->cells[i].word) != MMVIZ_LIFE_LIVE)
			continue;
		fill_block(view, arena, span, i, &block);
		result = visit(&block, context);
	}
	return result;
}

int view_each_live(const struct view *view,
		   int (*visit)(const struct view_block *block, void *context), void *context)
{
	int result = 0;

	for (uint32_t i = 0; i < view->replica->arenas_count; i++) {
		const struct replica_arena *arena = view->replica->arenas[i];
		uint32_t unit = 0;

		while (unit < arena->table.frontier_units && !result) {
			const struct span *span = block_table_span_at(&arena->table, unit);

			if (span)
				result = each_live_cell(view, arena, span, visit, context);
			unit = span ? span->first_unit + span->units : unit + 1;
		}
	}
	return result;
}

/* ------------------------------------------------------------------ timeline */

uint32_t view_timeline(const struct view *view, uint64_t since_ns, struct view_point *out,
		       uint32_t max)
{
	const struct timeline *timeline = &view->timeline;
	uint32_t first = timeline->count;

	while (first > 0 && timeline->points[first - 1].at_ns > since_ns &&
	       timeline->count - first < max)
		first--;
	memcpy(out, timeline->points + first, (timeline->count - first) * sizeof(*out));
	return timeline->count - first;
}

uint32_t view_marks(const struct view *view, struct view_mark *out, uint32_t max)
{
	uint32_t count = view->timeline.marks_count;
	uint32_t first = count > max ? count - max : 0;

	memcpy(out, view->timeline.marks + first, (count - first) * sizeof(*out));
	return count - first;
}
