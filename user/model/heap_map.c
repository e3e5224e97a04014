/* SPDX-License-Identifier: MIT */
/*
 * heap_map.c - view_map: a window of an arena as texels, each a share of kinds and one context.
 *
 *   memory   | header | payload ........ | padding | header | payload | ...   in address order
 *   texels   |      0      |      1      |      2      |      3      |
 *
 * One pass over the cells of the window in address order. Only one texel is open at a time: its
 * sums are kept in `open`, and written when the pass leaves it. Which context has most live bytes
 * is counted in a small table of CANDIDATES slots; where two contexts share a slot, the one ahead
 * stays (Boyer and Moore's majority vote, per slot), so the answer is exact up to rare collisions.
 */
#include "model/view_state.h"

#include <errno.h>
#include <string.h>

#define CANDIDATES 256u
#define SHARE_MAX  255u
#define TEXELS_MAX (1u << 24)

enum part {
	PART_LIVE,
	PART_HEADER,
	PART_CACHED,
	PART_FREE,
	PART_PADDING,
	PART_UNUSED,
	PART_META,
	PART_UNTOUCHED,
	PARTS
};

struct candidate {
	uint64_t bytes;
	uint32_t context;
	uint32_t texel; /* that it belongs to, + 1 */
};

struct heap_map {
	const struct view *view;
	uint32_t asked, answered; /* the context whose base was asked for last, and the base */
	uint64_t offset, bytes_per_texel, end; /* of the window */
	double share_per_byte;
	struct view_texel *texels;
	uint32_t now_tick;
	/* The texel that is open. */
	uint32_t texel;
	uint64_t texel_end;
	uint64_t parts[PARTS];
	uint32_t blocks;
	uint32_t youngest_tick; /* birth of the youngest */
	bool has_young;
	struct candidate candidates[CANDIDATES];
	uint64_t best_bytes; /* of the candidate that had most so far */
	uint32_t best_context;
};

/* ------------------------------------------------------------------ the open texel */

/* Rounded to the nearest; by multiplication, for there are five in each texel. The last term makes
 * up for what a double cannot say where it is exactly half. */
static uint8_t share_of(const struct heap_map *map, uint64_t bytes)
{
	return (uint8_t)((double)bytes * map->share_per_byte + 0.5 + 1e-9);
}

static uint8_t dominant_kind(const struct heap_map *map)
{
	const uint64_t *parts = map->parts;
	const uint64_t sums[] = {
		[VIEW_FREE] = parts[PART_FREE],
		[VIEW_LIVE] = parts[PART_LIVE] + parts[PART_HEADER] + parts[PART_PADDING],
		[VIEW_CACHED] = parts[PART_CACHED],
		[VIEW_UNUSED] = parts[PART_UNUSED],
		[VIEW_META] = parts[PART_META],
		[VIEW_UNTOUCHED] = parts[PART_UNTOUCHED],
	};
	uint8_t best = VIEW_LIVE;

	if (2 * sums[VIEW_LIVE] > map->bytes_per_texel)
		return VIEW_LIVE;
	for (uint8_t kind = 0; kind < sizeof(sums) / sizeof(sums[0]); kind++)
		if (sums[kind] > sums[best])
			best = kind;
	return best;
}

static uint8_t age_of(const struct heap_map *map)
{
	uint32_t age_ms = view_age_ms(map->now_tick, map->youngest_tick);

	if (!map->has_young)
		return 255;
	return age_ms == 0 ? 0 : (uint8_t)(31 - __builtin_clz(age_ms));
}

static void close_texel(struct heap_map *map)
{
	map->texels[map->texel] = (struct view_texel){
		.context = map->best_context,
		.live = share_of(map, map->parts[PART_LIVE]),
		.header = share_of(map, map->parts[PART_HEADER]),
		.cached = share_of(map, map->parts[PART_CACHED]),
		.free = share_of(map, map->parts[PART_FREE] + map->parts[PART_UNTOUCHED]),
		.kind = dominant_kind(map),
		.age_log2_ms = age_of(map),
		.blocks = (uint16_t)(map->blocks < UINT16_MAX ? map->blocks : UINT16_MAX),
	};
}

static void open_texel(struct heap_map *map, uint32_t texel)
{
	memset(map->parts, 0, sizeof(map->parts));
	map->texel = texel;
	map->texel_end = map->offset + (texel + 1ULL) * map->bytes_per_texel;
	map->blocks = 0;
	map->youngest_tick = 0;
	map->has_young = false;
	map->best_bytes = 0;
	map->best_context = 0xffffffffu;
}

/* Neighbours are often of one context. */
static inline uint32_t base_of(struct heap_map *map, uint32_t context)
{
	if (context != map->asked) {
		map->asked = context;
		map->answered = view_base(map->view, context);
	}
	return map->answered;
}

static inline void vote(struct heap_map *map, uint32_t context, uint64_t bytes)
{
	struct candidate *candidate = &map->candidates[(context ^ context >> 8) % CANDIDATES];

	if (candidate->texel != map->texel + 1)
		*candidate = (struct candidate){0, context, map->texel + 1};
	if (__builtin_expect(candidate->context == context, 1))
		candidate->bytes += bytes;
	else if (candidate->bytes >= bytes)
		candidate->bytes -= bytes;
	else
		*candidate = (struct candidate){bytes - candidate->bytes, context, map->texel + 1};
	if (candidate->bytes < map->best_bytes)
		return;
	map->best_bytes = candidate->bytes;
	map->best_context = candidate->context;
}

static inline void note_birth(struct heap_map *map, uint32_t born_tick)
{
	if (born_tick == BORN_BEFORE_ATTACH)
		return;
	map->has_young = true;
	if (born_tick > map->youngest_tick)
		map->youngest_tick = born_tick;
}

/* ------------------------------------------------------------------ painting */

struct brush {
	enum part part;
	uint32_t context, born_tick; /* of PART_LIVE */
};

static void paint_here(struct heap_map *map, const struct brush *brush, uint64_t bytes)
{
	map->parts[brush->part] += bytes;
	if (brush->part != PART_LIVE)
		return;
	vote(map, brush->context, bytes);
	note_birth(map, brush->born_tick);
}

static void advance_to(struct heap_map *map, uint64_t at)
{
	while (at >= map->texel_end && at < map->end) {
		close_texel(map);
		open_texel(map, map->texel + 1);
	}
}

/* Paint [start, end), which lies behind all that was painted before. */
static void paint(struct heap_map *map, uint64_t start, uint64_t end, const struct brush *brush)
{
	if (start < map->offset)
		start = map->offset;
	if (end > map->end)
		end = map->end;
	while (start < end) {
		uint64_t stop;

		advance_to(map, start);
		stop = end < map->texel_end ? end : map->texel_end;
		paint_here(map, brush, stop - start);
		start = stop;
	}
}

static void paint_plain(struct heap_map *map, uint64_t start, uint64_t end, enum part part)
{
	paint(map, start, end, &(struct brush){.part = part});
}

/* ------------------------------------------------------------------ cells and spans */

static void paint_live(struct heap_map *map, const struct span *span, uint32_t index)
{
	const struct cell *cell = &span->cells[index];
	uint64_t start = span_cell_offset(span, index), end = start + span_cell_bytes(span);
	uint64_t payload = ((uint64_t)span_cell_place(span, index) + 1) * MMVIZ_PLACE_BYTES;
	uint64_t header = payload - span_header_bytes(span);
	uint64_t padding = payload + mmviz_word_bytes(cell->word);
	struct brush live = {PART_LIVE, base_of(map, mmviz_word_context(cell->word)),
			     cell->born_tick};

	paint_plain(map, start, header, PART_PADDING);
	advance_to(map, header);
	map->blocks += header >= map->offset && header < map->end;
	paint_plain(map, header, payload, PART_HEADER);
	paint(map, payload, padding, &live);
	paint_plain(map, padding, end, PART_PADDING);
}

/* The commonest case: cells that lie wholly in the open texel. Returns how many were painted. */
static uint32_t paint_inside(struct heap_map *map, const struct span *span, uint32_t first)
{
	uint64_t start = span_cell_offset(span, first), cell_bytes = span_cell_bytes(span);
	uint64_t room = map->texel_end > start ? (map->texel_end - start) / cell_bytes : 0;
	uint64_t live_bytes = 0, live_cells = 0;
	uint32_t count = span->used_cells - first;

	if (start < map->offset)
		return 0;
	count = room < count ? (uint32_t)room : count;
	for (const struct cell *cell = &span->cells[first]; cell < &span->cells[first + count];
	     cell++) {
		uint64_t bytes = mmviz_word_bytes(cell->word);

		if (mmviz_word_life(cell->word) != MMVIZ_LIFE_LIVE)
			continue;
		live_cells++;
		live_bytes += bytes;
		vote(map, base_of(map, mmviz_word_context(cell->word)), bytes);
		note_birth(map, cell->born_tick);
	}
	map->blocks += (uint32_t)live_cells;
	map->parts[PART_LIVE] += live_bytes;
	map->parts[PART_HEADER] += live_cells * span_header_bytes(span);
	map->parts[PART_PADDING] +=
		live_cells * (cell_bytes - span_header_bytes(span)) - live_bytes;
	map->parts[PART_CACHED] += (count - live_cells) * cell_bytes;
	return count;
}

/* A cell that begins or ends outside of the open texel. */
static void paint_across(struct heap_map *map, const struct span *span, uint32_t index)
{
	if (mmviz_word_life(span->cells[index].word) == MMVIZ_LIFE_LIVE)
		paint_live(map, span, index);
	else
		paint_plain(map, span_cell_offset(span, index), span_cell_offset(span, index + 1),
			    PART_CACHED);
}

static void paint_span(struct heap_map *map, const struct span *span)
{
	uint64_t start = span_cell_offset(span, 0), cell_bytes = span_cell_bytes(span);
	uint64_t end = start + ((uint64_t)span->units << MMVIZ_UNIT_SHIFT);
	uint64_t skipped = map->offset > start ? (map->offset - start) / cell_bytes : 0;
	uint32_t index = (uint32_t)(skipped < span->used_cells ? skipped : span->used_cells);

	while (index < span->used_cells && span_cell_offset(span, index) < map->end) {
		uint32_t inside = paint_inside(map, span, index);

		if (inside == 0)
			paint_across(map, span, index);
		index += inside ? inside : 1;
	}
	paint_plain(map, span_cell_offset(span, index), end, PART_UNUSED);
}

static void paint_arena(struct heap_map *map, const struct block_table *table)
{
	uint64_t frontier = (uint64_t)table->frontier_units << MMVIZ_UNIT_SHIFT;
	uint64_t capacity = (uint64_t)table->units_count << MMVIZ_UNIT_SHIFT;
	uint64_t at = map->offset & ~(uint64_t)(MMVIZ_UNIT_BYTES - 1);

	while (at < map->end && at < frontier) {
		uint32_t unit = (uint32_t)(at >> MMVIZ_UNIT_SHIFT);
		const struct span *span = block_table_span_at(table, unit);
		bool is_meta = table->span_of_unit[unit] == UNIT_IS_META;

		if (span) {
			paint_span(map, span);
			at = ((uint64_t)span->first_unit + span->units) << MMVIZ_UNIT_SHIFT;
			continue;
		}
		paint_plain(map, at, at + MMVIZ_UNIT_BYTES, is_meta ? PART_META : PART_FREE);
		at += MMVIZ_UNIT_BYTES;
	}
	paint_plain(map, frontier, capacity, PART_UNTOUCHED);
}

int view_map(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
	     uint64_t bytes_per_texel, struct view_texel *texels, uint32_t count)
{
	const struct replica_arena *arena = replica_arena_find(view->replica, arena_id);
	struct heap_map map = {
		.view = view,
		.offset = offset_bytes,
		.bytes_per_texel = bytes_per_texel ? bytes_per_texel : 1,
		.texels = texels,
		.now_tick = view_now_tick(view),
	};

	if (!arena || offset_bytes >= MMVIZ_CAPACITY_MAX_BYTES ||
	    bytes_per_texel > MMVIZ_CAPACITY_MAX_BYTES || count > TEXELS_MAX)
		return -ENOENT;
	if (count == 0)
		return 0;
	map.end = offset_bytes + count * map.bytes_per_texel;
	map.share_per_byte = (double)SHARE_MAX / (double)map.bytes_per_texel;
	open_texel(&map, 0);
	paint_arena(&map, &arena->table);
	close_texel(&map);
	while (++map.texel < count) { /* behind the arena there is nothing */
		open_texel(&map, map.texel);
		close_texel(&map);
	}
	return 0;
}
