/* SPDX-License-Identifier: MIT */
/*
 * test_view.c - all views of one instant agree, with each other and with every byte of the arena.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "model/block_table_hot.h"
#include "model/view_state.h"

#define BASE_ADDR   (1ull << 40)
#define UNITS	    512u
#define FRONTIER    400u
#define ATTACH_NS   5000000000ull
#define NOW_MS	    100000u
#define ARENA_BYTES (UNITS * MMVIZ_UNIT_BYTES)

struct fixture {
	struct replica replica;
	struct replica_arena *arena;
	struct view view;
	struct random random;
};

static const char *describe(void *context, uint32_t id, uint32_t *kind)
{
	static char text[32];

	(void)context;
	*kind = MMVIZ_CONTEXT_TAG;
	snprintf(text, sizeof(text), "context %u", id);
	return text;
}

static void fill_span(struct fixture *fixture, uint32_t unit)
{
	struct block_table *table = &fixture->arena->table;
	struct random *random = &fixture->random;
	struct span span, *placed;

	must(block_table_shape_span(table, unit, 16, random_below(random, 30),
				    random_below(random, MMVIZ_SHAPES), &span) == 0);
	span.owner_heap = 1;
	must(block_table_set_span(table, &span, false) == 0);
	placed = block_table_span_at(table, unit);
	for (uint32_t i = 0; i < placed->cells_count * 2 / 3; i++) {
		struct block_birth birth = {
			.place = span_cell_place(placed, i),
			.context = random_below(random, 9),
			.bytes = random_below(random, placed->payload_bytes + 1),
			.born_tick = random_below(random, 2) ? random_below(random, NOW_MS * 15)
							     : BORN_BEFORE_ATTACH,
		};

		must(block_table_alloc(table, &birth) == 0);
		if (random_below(random, 3) == 0)
			block_table_free(table, birth.place, MMVIZ_LIFE_CACHED);
	}
}

static void fill_large(struct fixture *fixture, uint32_t unit)
{
	uint32_t units = 1 + random_below(&fixture->random, 20);
	struct block_birth birth = {
		.place = unit * PLACES_PER_UNIT + 4 + random_below(&fixture->random, 200),
		.context = 9,
	};

	birth.bytes = random_below(&fixture->random,
				   units * MMVIZ_UNIT_BYTES -
					   (birth.place % PLACES_PER_UNIT + 1) * 16 + 1);
	must(block_table_set_large(&fixture->arena->table, unit, units, 0) == 0);
	must(block_table_alloc(&fixture->arena->table, &birth) == 0);
}

static int set_up(void **state)
{
	struct mmviz_arena_head head = {
		.id = 7,
		.base_addr = BASE_ADDR,
		.capacity_bytes = ARENA_BYTES,
		.committed_units = FRONTIER,
		.span_shift = {16, 19},
		.name = "viewed",
	};
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->random.state = random_seed();
	fixture->replica.attach_ns = ATTACH_NS;
	must(replica_arena_add(&fixture->replica, &head, false, &fixture->arena) == 0);
	block_table_set_units(&fixture->arena->table, 0, 5, MMVIZ_UNIT_META);
	fixture->arena->table.frontier_units = FRONTIER;
	for (uint32_t unit = 16; unit + 32 < FRONTIER; unit += 32) {
		if (random_below(&fixture->random, 4))
			fill_span(fixture, unit);
		else
			fill_large(fixture, unit);
	}
	fixture->view = (struct view){
		.replica = &fixture->replica,
		.names = {NULL, describe},
		.now = {.monotonic_ns = ATTACH_NS + NOW_MS * 1000000ull, .is_followed = true},
	};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	view_fini(&fixture->view);
	replica_fini(&fixture->replica);
	free(fixture);
	return 0;
}

/* ------------------------------------------------------------------ sums */

static void an_arena_is_the_sum_of_its_parts(void **state)
{
	struct fixture *fixture = *state;
	struct view_arena arena;

	assert_int_equal(view_arenas(&fixture->view, &arena, 1), 1);
	assert_string_equal(arena.name, "viewed");
	assert_int_equal(arena.live_bytes + arena.header_bytes + arena.padding_bytes +
				 arena.cached_bytes + arena.unused_bytes + arena.meta_bytes +
				 arena.free_bytes,
			 arena.capacity_bytes);
	assert_int_equal(arena.meta_bytes, 5 * MMVIZ_UNIT_BYTES);
	assert_int_equal(arena.free_bytes - arena.committed_free_bytes,
			 (UNITS - FRONTIER) * MMVIZ_UNIT_BYTES);
	assert_true(arena.fragmentation_ratio > 0 && arena.fragmentation_ratio < 1);
	assert_int_equal(view_arenas(&fixture->view, &arena, 0), 1);
}

struct sums {
	uint64_t blocks, bytes, last_addr;
};

static int add_block(const struct view_block *block, void *context)
{
	struct sums *sums = context;

	assert_int_equal(block->life, MMVIZ_LIFE_LIVE);
	assert_true(block->addr > sums->last_addr);
	sums->last_addr = block->addr;
	sums->blocks++;
	sums->bytes += block->bytes;
	return 0;
}

static void blocks_contexts_and_totals_agree(void **state)
{
	struct fixture *fixture = *state;
	struct view_context contexts[16];
	struct view_totals totals;
	struct sums sums = {0}, by_context = {0};
	uint32_t count;

	view_tick(&fixture->view);
	view_totals(&fixture->view, &totals);
	assert_int_equal(view_each_live(&fixture->view, add_block, &sums), 0);
	assert_int_equal(sums.blocks, totals.live_blocks);
	assert_int_equal(sums.bytes, totals.live_bytes);
	for (uint32_t arena_id = 0; arena_id <= 7; arena_id += 7) {
		by_context = (struct sums){0};
		count = view_contexts(&fixture->view, arena_id, contexts, 16);
		assert_in_range(count, 9, 10);
		for (uint32_t i = 0; i < count; i++) {
			by_context.blocks += contexts[i].live_blocks;
			by_context.bytes += contexts[i].live_bytes;
			if (i)
				assert_true(contexts[i - 1].live_bytes >= contexts[i].live_bytes);
		}
		assert_int_equal(by_context.blocks, totals.live_blocks);
		assert_int_equal(by_context.bytes, totals.live_bytes);
	}
	assert_int_equal(view_contexts(&fixture->view, 0, contexts, 3), 3);
	assert_int_equal(view_contexts(&fixture->view, 8, contexts, 3), 0);
	assert_true(totals.is_exact);
}

/* As if each odd context were a stack of the even one before. */
static uint32_t even(void *context, uint32_t id)
{
	(void)context;
	return id & ~1u;
}

static void stacks_add_up_to_their_tags(void **state)
{
	struct fixture *fixture = *state;
	struct view_context together[16], apart[16];
	struct view_totals totals;
	uint32_t count, apart_count, all;

	fixture->view.names.base = even;
	view_tick(&fixture->view);
	view_totals(&fixture->view, &totals);
	apart_count = view_contexts_apart(&fixture->view, apart, 16, &all);
	assert_int_equal(apart_count, all);
	assert_in_range(apart_count, 9, 10);
	for (uint32_t arena_id = 0; arena_id <= 7; arena_id += 7) {
		uint64_t bytes = 0;

		count = view_contexts(&fixture->view, arena_id, together, 16);
		assert_in_range(count, 5, 6);
		for (uint32_t i = 0; i < count; i++) {
			struct view_context sum = {0};

			assert_int_equal(together[i].id % 2, 0);
			for (uint32_t k = 0; k < apart_count; k++) {
				assert_int_equal(apart[k].base, apart[k].id & ~1u);
				if (apart[k].base != together[i].id)
					continue;
				sum.live_blocks += apart[k].live_blocks;
				sum.live_bytes += apart[k].live_bytes;
			}
			assert_int_equal(sum.live_blocks, together[i].live_blocks);
			assert_int_equal(sum.live_bytes, together[i].live_bytes);
			bytes += together[i].live_bytes;
		}
		assert_int_equal(bytes, totals.live_bytes);
	}
}

/* ------------------------------------------------------------------ single blocks */

static void each_offset_of_a_cell_leads_to_its_block(void **state)
{
	struct fixture *fixture = *state;
	static struct view_block blocks[100000];
	struct view_block block;
	uint64_t end = 0;
	uint32_t count = view_blocks(&fixture->view, 7, 0, ARENA_BYTES, blocks, 100000);

	assert_true(count > 100 && count < 100000);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t first = blocks[i].cell_addr - BASE_ADDR;
		uint64_t last = first + blocks[i].cell_bytes - 1;

		assert_true(first >= end);
		end = last + 1;
		assert_in_range(blocks[i].addr, blocks[i].cell_addr + 16, BASE_ADDR + last + 1);
		assert_int_equal(view_block_at(&fixture->view, 7, first, &block), 0);
		assert_int_equal(block.addr, blocks[i].addr);
		assert_int_equal(view_block_at(&fixture->view, 7, last, &block), 0);
		assert_int_equal(block.addr, blocks[i].addr);
	}
	assert_int_equal(view_block_at(&fixture->view, 7, 0, &block), -ENOENT);
	assert_int_equal(view_block_at(&fixture->view, 7, ARENA_BYTES, &block), -ENOENT);
	assert_int_equal(view_block_at(&fixture->view, 7, ~0ull, &block), -ENOENT);
	assert_int_equal(view_block_at(&fixture->view, 6, 17 * MMVIZ_UNIT_BYTES, &block), -ENOENT);
	assert_int_equal(view_blocks(&fixture->view, 7, 0, ARENA_BYTES, blocks, 5), 5);
}

static void ages_count_from_birth_or_from_the_attach(void **state)
{
	struct fixture *fixture = *state;
	static struct view_block blocks[100000];
	uint32_t count = view_blocks(&fixture->view, 7, 0, ARENA_BYTES, blocks, 100000), old = 0;

	for (uint32_t i = 0; i < count; i++) {
		old += blocks[i].is_older_than_attach;
		if (blocks[i].is_older_than_attach)
			assert_int_equal(blocks[i].age_ms, NOW_MS);
		else
			assert_in_range(blocks[i].age_ms, 0, NOW_MS);
	}
	assert_in_range(old, 1, count - 1);
}

/* ------------------------------------------------------------------ the map */

enum byte_kind { BYTE_REST, BYTE_LIVE, BYTE_HEADER, BYTE_CACHED, BYTE_FREE };

/* What each byte of the arena is, said block by block. */
static uint8_t *paint_bytes(struct fixture *fixture)
{
	static struct view_block blocks[100000];
	uint8_t *bytes = malloc(ARENA_BYTES);
	uint32_t count = view_blocks(&fixture->view, 7, 0, ARENA_BYTES, blocks, 100000);

	memset(bytes, BYTE_REST, ARENA_BYTES);
	for (uint32_t unit = 0; unit < UNITS; unit++)
		if (fixture->arena->table.span_of_unit[unit] == UNIT_IS_FREE)
			memset(bytes + unit * MMVIZ_UNIT_BYTES, BYTE_FREE, MMVIZ_UNIT_BYTES);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t payload = blocks[i].addr - BASE_ADDR;
		const struct span *span = block_table_span_at(
			&fixture->arena->table, (uint32_t)(payload - 1) / MMVIZ_UNIT_BYTES);

		if (blocks[i].life != MMVIZ_LIFE_LIVE) {
			memset(bytes + (blocks[i].cell_addr - BASE_ADDR), BYTE_CACHED,
			       blocks[i].cell_bytes);
			continue;
		}
		memset(bytes + payload - span_header_bytes(span), BYTE_HEADER,
		       span_header_bytes(span));
		memset(bytes + payload, BYTE_LIVE, blocks[i].bytes);
	}
	return bytes;
}

static void check_texel(const struct view_texel *texel, const uint8_t *bytes, uint64_t count,
			uint64_t scale)
{
	uint64_t sums[5] = {0};

	for (uint64_t i = 0; i < count; i++)
		sums[bytes[i]]++;
	assert_int_equal(texel->live, (sums[BYTE_LIVE] * 255 + scale / 2) / scale);
	assert_int_equal(texel->header, (sums[BYTE_HEADER] * 255 + scale / 2) / scale);
	assert_int_equal(texel->cached, (sums[BYTE_CACHED] * 255 + scale / 2) / scale);
	assert_int_equal(texel->free, (sums[BYTE_FREE] * 255 + scale / 2) / scale);
	if (sums[BYTE_LIVE] == 0)
		assert_true(texel->live == 0);
	else
		assert_int_not_equal(texel->context, 0xffffffffu);
}

static void the_map_is_right_to_the_byte(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t scales[] = {16, 48, 64, 1000, 4096, 5000, 65536, ARENA_BYTES};
	static struct view_texel texels[ARENA_BYTES / 16];
	uint8_t *bytes = paint_bytes(fixture);

	for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
		uint64_t offset = 16 * random_below(&fixture->random, ARENA_BYTES / 32);
		uint32_t count = (uint32_t)((ARENA_BYTES - offset) / scales[s]);

		assert_int_equal(view_map(&fixture->view, 7, offset, scales[s], texels, count), 0);
		for (uint32_t i = 0; i < count; i++)
			check_texel(&texels[i], bytes + offset + i * scales[s], scales[s],
				    scales[s]);
	}
	free(bytes);
}

static void every_block_begins_in_one_texel(void **state)
{
	struct fixture *fixture = *state;
	static struct view_texel texels[ARENA_BYTES / 16];
	static const uint64_t scales[] = {16, 48, 4096};
	struct view_totals totals;

	view_totals(&fixture->view, &totals);
	for (size_t s = 0; s < 3; s++) {
		uint32_t count = (uint32_t)(ARENA_BYTES / scales[s]) + 1;
		uint64_t blocks = 0;

		if (count > ARENA_BYTES / 16)
			count = ARENA_BYTES / 16;
		assert_int_equal(view_map(&fixture->view, 7, 0, scales[s], texels, count), 0);
		for (uint32_t i = 0; i < count; i++)
			blocks += texels[i].blocks;
		assert_int_equal(blocks, totals.live_blocks);
	}
}

static void windows_outside_are_empty_and_unknown_arenas_refused(void **state)
{
	struct fixture *fixture = *state;
	struct view_texel texels[4];

	assert_int_equal(view_map(&fixture->view, 6, 0, 64, texels, 4), -ENOENT);
	assert_int_equal(view_map(&fixture->view, 7, ARENA_BYTES, 64, texels, 4), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(texels[i].context, 0xffffffffu);
		assert_int_equal(texels[i].live + texels[i].free + texels[i].blocks, 0);
	}
	assert_int_equal(view_map(&fixture->view, 7, 0, 0, texels, 4), 0);
	assert_int_equal(view_map(&fixture->view, 7, 0, 64, NULL, 0), 0);
}

/* ------------------------------------------------------------------ time */

static void the_timeline_gets_coarser_never_shorter(void **state)
{
	struct timeline timeline = {0};
	uint32_t total = 3 * TIMELINE_POINTS;

	(void)state;
	for (uint32_t i = 1; i <= total; i++) {
		struct view_point point = {.at_ns = i};

		assert_int_equal(timeline_add(&timeline, &point), 0);
		assert_true(timeline.count <= TIMELINE_POINTS);
	}
	assert_int_equal(timeline.points[0].at_ns, 1);
	assert_int_equal(timeline.points[timeline.count - 1].at_ns, total);
	for (uint32_t i = 1; i < timeline.count; i++)
		assert_true(timeline.points[i].at_ns > timeline.points[i - 1].at_ns);
	for (uint32_t i = 0; i < TIMELINE_MARKS + 10; i++) {
		char text[16];

		snprintf(text, sizeof(text), "mark %u", i);
		assert_int_equal(timeline_mark(&timeline, i, text), 0);
	}
	assert_int_equal(timeline.marks_count, TIMELINE_MARKS);
	assert_string_equal(timeline.marks[0].text, "mark 10");
	timeline_fini(&timeline);
}

static void points_come_newest_last_and_since_an_instant(void **state)
{
	struct fixture *fixture = *state;
	struct view_point points[16];

	for (uint64_t i = 1; i <= 10; i++) {
		fixture->view.now.monotonic_ns += 100000000;
		fixture->view.now.realtime_ns = 1000 * i;
		view_tick(&fixture->view);
		view_tick(&fixture->view); /* too early for another point */
	}
	assert_int_equal(view_timeline(&fixture->view, 0, points, 16), 10);
	assert_int_equal(points[9].at_ns, 10000);
	assert_int_equal(view_timeline(&fixture->view, 7000, points, 16), 3);
	assert_int_equal(points[0].at_ns, 8000);
	assert_int_equal(view_timeline(&fixture->view, 0, points, 4), 4);
	assert_int_equal(points[0].at_ns, 7000);
}

static void growth_is_the_slope_of_live_bytes(void **state)
{
	struct totals totals = {0};
	struct totals_share share = {.bytes = 1000, .cell_bytes = 1040, .context = 4};

	(void)state;
	totals_add(&totals, &share);
	totals_start(&totals);
	for (int i = 0; i < 6000; i++) { /* ten minutes of 1000 bytes each 100 ms */
		totals_add(&totals, &share)->allocations++;
		totals_step(&totals, 0.1);
	}
	assert_float_equal(totals_growth(&totals.contexts[4]), 10000, 100);
	assert_float_equal(totals.contexts[4].allocations_per_second, 10, 0.1);
	assert_int_equal(totals.contexts[4].peak_live_bytes, 6001000);
	totals_fini(&totals);
}

#define with_arena(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_arena(an_arena_is_the_sum_of_its_parts),
		with_arena(blocks_contexts_and_totals_agree),
		with_arena(stacks_add_up_to_their_tags),
		with_arena(each_offset_of_a_cell_leads_to_its_block),
		with_arena(ages_count_from_birth_or_from_the_attach),
		with_arena(the_map_is_right_to_the_byte),
		with_arena(every_block_begins_in_one_texel),
		with_arena(windows_outside_are_empty_and_unknown_arenas_refused),
		with_arena(points_come_newest_last_and_since_an_instant),
		cmocka_unit_test(the_timeline_gets_coarser_never_shorter),
		cmocka_unit_test(growth_is_the_slope_of_live_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
