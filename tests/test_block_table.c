/* SPDX-License-Identifier: MIT */
/*
 * test_block_table.c - spans, cells and sums, and everything that must be refused.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "model/block_table_hot.h"
#include "model/walked.h"

#define BASE_ADDR (1ull << 40)
#define UNITS	  1024u

struct fixture {
	struct cell_pool pool;
	struct block_table table;
};

static const struct mmviz_arena_head arena_head = {
	.base_addr = BASE_ADDR,
	.capacity_bytes = UNITS * MMVIZ_UNIT_BYTES,
	.span_shift = {16, 19},
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	must(block_table_init(&fixture->table, &fixture->pool, &arena_head) == 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(block_table_check(&fixture->table), 0);
	block_table_fini(&fixture->table);
	cell_pool_fini(&fixture->pool);
	free(fixture);
	return 0;
}

/* Two cells at least, in whole small spans. */
static uint32_t span_units(unsigned size_class, unsigned shape)
{
	return (2 * mmviz_cell_bytes(size_class, shape) + 65535) / 65536 * 16;
}

static struct span *span_of_class(struct block_table *table, uint32_t unit, unsigned size_class,
				  unsigned shape)
{
	struct span span;

	must(block_table_shape_span(table, unit, span_units(size_class, shape), size_class, shape,
				    &span) == 0);
	span.owner_heap = 1;
	must(block_table_set_span(table, &span, false) == 0);
	return block_table_span_at(table, unit);
}

static struct block_birth birth_at(uint32_t place, uint64_t bytes)
{
	return (struct block_birth){.place = place, .context = 3, .bytes = bytes};
}

/* ------------------------------------------------------------------ finding */

static void every_cell_is_found_and_nothing_else(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;

	for (unsigned size_class = 0; size_class < MMVIZ_CLASSES; size_class++) {
		for (unsigned shape = 0; shape < MMVIZ_SHAPES; shape++) {
			struct span *span = span_of_class(table, 32, size_class, shape), *found;
			uint32_t cells = 0, units = span_units(size_class, shape);

			for (uint32_t place = 32 * PLACES_PER_UNIT;
			     place < (32 + units) * PLACES_PER_UNIT; place++) {
				const struct cell *cell = block_table_find(table, place, &found);

				if (!cell)
					continue;
				assert_ptr_equal(found, span);
				assert_ptr_equal(cell, &span->cells[cells]);
				assert_int_equal(place, span_cell_place(span, cells));
				cells++;
			}
			assert_int_equal(cells, span->cells_count);
			assert_int_equal(cells, units * 4096 / mmviz_cell_bytes(size_class, shape));
		}
	}
}

static void places_outside_of_cells_are_refused(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	static const uint32_t places[] = {0,	1,	    PLACES_PER_UNIT * 31,
					  8192, 8193,	    PLACES_PER_UNIT * UNITS,
					  ~0u,	0x80000000, PLACES_PER_UNIT * UNITS - 1};

	span_of_class(table, 32, 10, MMVIZ_SHAPE_ALIGNED); /* headers 48 bytes into each cell */
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct block_birth birth = birth_at(places[i], 16);

		block_table_prefetch(table, places[i]);
		assert_int_equal(block_table_alloc(table, &birth), -EINVAL);
		assert_int_equal(block_table_free(table, places[i], MMVIZ_LIFE_CACHED), -EINVAL);
		assert_int_equal(block_table_resize(table, places[i], 1, 1, true), -EINVAL);
	}
	assert_int_equal(table->totals.live_blocks, 0);
}

static void impossible_arenas_and_spans_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct mmviz_arena_head head = arena_head;
	struct block_table table;
	struct span span;

	head.capacity_bytes = 0;
	assert_int_equal(block_table_init(&table, &fixture->pool, &head), -EINVAL);
	head.capacity_bytes = MMVIZ_CAPACITY_MAX_BYTES + MMVIZ_UNIT_BYTES;
	assert_int_equal(block_table_init(&table, &fixture->pool, &head), -EINVAL);
	head = arena_head;
	head.span_shift[1] = 40;
	assert_int_equal(block_table_init(&table, &fixture->pool, &head), -EINVAL);
	table = fixture->table;
	assert_int_equal(block_table_shape_span(&table, 0, 15, 3, 0, &span), -EINVAL);
	assert_int_equal(block_table_shape_span(&table, UNITS - 1, 16, 3, 0, &span), -EINVAL);
	assert_int_equal(block_table_shape_span(&table, 0, 16, MMVIZ_CLASSES, 0, &span), -EINVAL);
	assert_int_equal(block_table_shape_span(&table, 0, 16, 3, MMVIZ_SHAPES, &span), -EINVAL);
	assert_int_equal(block_table_set_large(&table, UNITS, 1, 0), -EINVAL);
	assert_int_equal(block_table_set_large(&table, 1, 0, 0), -EINVAL);
	assert_int_equal(block_table_set_large(&table, 1, ~0u, 0), -EINVAL);
	assert_int_equal(block_table_set_units(&table, 0, UNITS + 1, MMVIZ_UNIT_FREE), -EINVAL);
	assert_int_equal(block_table_set_units(&table, 0, 1, MMVIZ_UNIT_LARGE), -EINVAL);
}

/* ------------------------------------------------------------------ sums */

static void blocks_add_up(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_PLAIN); /* 96 bytes */
	struct block_birth birth = birth_at(span_cell_place(span, 7), 90);

	assert_int_equal(block_table_alloc(table, &birth), 0);
	assert_int_equal(table->totals.live_blocks, 1);
	assert_int_equal(table->totals.live_bytes, 90);
	assert_int_equal(table->totals.live_cell_bytes, 112);
	assert_int_equal(table->used_cell_bytes, 8 * 112);
	assert_int_equal(table->span_units, 16);
	assert_int_equal(totals_context(&table->totals, 3)->live_bytes, 90);
	assert_int_equal(block_table_alloc(table, &birth),
			 -EEXIST); /* absolute, and counted once */
	assert_int_equal(table->totals.live_blocks, 1);
	assert_int_equal(block_table_resize(table, birth.place, 96, 4, false), 0);
	assert_int_equal(totals_context(&table->totals, 4)->live_bytes, 96);
	assert_int_equal(totals_context(&table->totals, 3)->live_blocks, 0);
	assert_int_equal(block_table_free(table, birth.place, MMVIZ_LIFE_CACHED), 0);
	assert_int_equal(block_table_free(table, birth.place, MMVIZ_LIFE_CACHED), -ENOENT);
	assert_int_equal(table->totals.live_cell_bytes, 0);
	assert_int_equal(table->totals.frees, 1);
	assert_int_equal(table->totals.freed_bytes, 96);
	assert_int_equal(block_table_resize(table, birth.place, 1, 1, false), -ENOENT);
	assert_int_equal(block_table_resize(table, birth.place, 1, 1, true), 0);
	assert_int_equal(table->totals.live_blocks, 1);
}

/* A walk met its header: it was freed after that resize, and is not revived by it. */
static void what_its_header_says_was_freed_stays_dead(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_PLAIN);
	struct walked_block block = {
		.place = span_cell_place(span, 7),
		.life = MMVIZ_LIFE_CACHED,
		.incarnation = mmviz_freed_by(0x401000),
	};

	walked_block(table, &block);
	assert_int_equal(block_table_resize(table, block.place, 1, 1, true), -ENOENT);
	assert_int_equal(table->totals.live_blocks, 0);
	block.incarnation = mmviz_incarnation(5); /* half written */
	walked_block(table, &block);
	assert_int_equal(block_table_resize(table, block.place, 1, 1, true), 0);
	assert_int_equal(table->totals.live_blocks, 1);
}

static void too_many_bytes_are_refused(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_PLAIN);
	struct block_birth birth = birth_at(span_cell_place(span, 0), 97);

	assert_int_equal(block_table_alloc(table, &birth), -EINVAL);
	birth.bytes = 96;
	birth.context = MMVIZ_CONTEXTS_MAX;
	assert_int_equal(block_table_alloc(table, &birth), -EINVAL);
	assert_int_equal(block_table_set_large(table, 100, 2, MMVIZ_SHAPE_PLAIN), 0);
	birth = birth_at(100 * PLACES_PER_UNIT + 4, 8192 - 79);
	assert_int_equal(block_table_alloc(table, &birth), -EINVAL);
	birth.bytes--;
	assert_int_equal(block_table_alloc(table, &birth), 0);
}

/* A payload that begins at byte 48 of a line and is 16 bytes long fits; 17 to 64 bytes need not. */
static void split_blocks_are_those_that_need_not_be(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 0, 3, MMVIZ_SHAPE_PLAIN); /* cells of 80 bytes */
	static const struct {
		uint32_t cell;
		uint64_t bytes;
		bool is_split;
	} cases[] = {
		/* Payloads begin at 16, 96, 176, 256: in their lines at 16, 32, 48, 0. */
		{0, 48, false}, {1, 33, true},	{1, 32, false}, {2, 16, false},
		{2, 17, true},	{3, 64, false}, {2, 0, false},	{0, 64, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct block_birth birth =
			birth_at(span_cell_place(span, cases[i].cell), cases[i].bytes);

		assert_int_equal(block_table_alloc(table, &birth), 0);
		assert_int_equal(table->totals.split_blocks, cases[i].is_split);
		assert_int_equal(block_table_free(table, birth.place, MMVIZ_LIFE_CACHED), 0);
		assert_int_equal(table->totals.split_blocks, 0);
	}
}

static void labels_are_kept_beside_their_cells(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_LABELLED);
	char label[MMVIZ_LABEL_BYTES] = "a label";
	struct block_birth birth = birth_at(span_cell_place(span, 2), 10);

	birth.label = label;
	assert_int_equal(block_table_alloc(table, &birth), 0);
	assert_string_equal(span->labels[2], "a label");
	assert_int_equal(table->totals.live_labelled, 1);
	birth.label = NULL;
	assert_int_equal(block_table_alloc(table, &birth), -EEXIST);
	assert_string_equal(span->labels[2], "");
}

/* ------------------------------------------------------------------ units change hands */

static void a_new_span_ends_whatever_it_touches(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_PLAIN);
	struct block_birth birth = birth_at(span_cell_place(span, 0), 10);

	assert_int_equal(block_table_alloc(table, &birth), 0);
	span_of_class(table, 24, 9, MMVIZ_SHAPE_PLAIN); /* over its second half */
	assert_int_equal(table->totals.live_blocks, 0);
	assert_null(block_table_span_at(table, 16));
	assert_int_equal(block_table_set_units(table, 30, 2, MMVIZ_UNIT_META), 0);
	assert_null(block_table_span_at(table, 24));
	assert_int_equal(table->meta_units, 2);
	assert_int_equal(table->span_units, 0);
}

static void a_large_block_is_cut_and_grows_in_place(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct block_birth birth = birth_at(10 * PLACES_PER_UNIT + 7, 3000);

	assert_int_equal(block_table_set_large(table, 10, 4, MMVIZ_SHAPE_PLAIN), 0);
	assert_int_equal(block_table_alloc(table, &birth), 0);
	assert_int_equal(table->totals.live_cell_bytes, 4 * MMVIZ_UNIT_BYTES);
	assert_int_equal(block_table_set_large(table, 10, 9, MMVIZ_SHAPE_PLAIN), 0);
	assert_int_equal(table->totals.live_cell_bytes, 9 * MMVIZ_UNIT_BYTES);
	assert_int_equal(block_table_set_units(table, 15, 20, MMVIZ_UNIT_FREE), 0);
	assert_int_equal(table->totals.live_cell_bytes, 5 * MMVIZ_UNIT_BYTES);
	assert_int_equal(table->totals.live_blocks, 1);
	assert_int_equal(block_table_set_units(table, 10, 1, MMVIZ_UNIT_FREE), 0);
	assert_int_equal(table->totals.live_blocks, 0);
	assert_int_equal(table->span_units, 0);
}

static void a_reset_frees_everything_but_books(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct span *span = span_of_class(table, 16, 5, MMVIZ_SHAPE_PLAIN);

	for (uint32_t i = 0; i < 100; i++) {
		struct block_birth birth = birth_at(span_cell_place(span, i), i);

		assert_int_equal(block_table_alloc(table, &birth), i >= 97 ? -EINVAL : 0);
		if (i == 96)
			break;
	}
	assert_int_equal(block_table_set_units(table, 0, 3, MMVIZ_UNIT_META), 0);
	block_table_reset(table);
	assert_int_equal(table->totals.live_blocks, 0);
	assert_int_equal(table->totals.frees, 97);
	assert_int_equal(table->span_units, 0);
	assert_int_equal(table->meta_units, 3);
}

static void free_runs_are_counted_anew_when_units_change_hands(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;

	table->frontier_units = 100;
	assert_int_equal(block_table_set_units(table, 0, 10, MMVIZ_UNIT_META), 0);
	assert_int_equal(block_table_set_large(table, 40, 20, 0), 0);
	assert_int_equal(block_table_free_runs(table)->committed_units, 70);
	assert_int_equal(block_table_free_runs(table)->committed_largest_units, 40);
	assert_int_equal(block_table_free_runs(table)->largest_units, UNITS - 60);
	assert_int_equal(block_table_set_large(table, 99, 1, 0), 0);
	assert_int_equal(block_table_free_runs(table)->committed_largest_units, 39);
	assert_int_equal(block_table_free_runs(table)->largest_units, UNITS - 100);
}

/* ------------------------------------------------------------------ any order */

/* Random changes, possible and impossible ones; the sums hold after each. */
static void sums_hold_whatever_happens(void **state)
{
	struct block_table *table = &((struct fixture *)*state)->table;
	struct random random = {random_seed()};

	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t unit = random_below(&random, 96), units = 1 + random_below(&random, 8);
		struct block_birth birth =
			birth_at(unit * PLACES_PER_UNIT + random_below(&random, 64),
				 random_below(&random, 6000));

		switch (random_below(&random, 16)) {
		case 0:
			span_of_class(table, unit & ~15u, random_below(&random, MMVIZ_CLASSES),
				      random_below(&random, MMVIZ_SHAPES));
			break;
		case 1:
			block_table_set_large(table, unit, units, random_below(&random, 2));
			break;
		case 2:
			block_table_set_units(table, unit, units,
					      random_below(&random, 2) ? MMVIZ_UNIT_META
								       : MMVIZ_UNIT_FREE);
			break;
		case 3:
			block_table_resize(table, birth.place, birth.bytes, 5,
					   random_below(&random, 2));
			break;
		case 4:
		case 5:
			block_table_free(table, birth.place, MMVIZ_LIFE_RETURNED);
			break;
		default:
			block_table_alloc(table, &birth);
		}
		if (i % 16 == 0)
			assert_int_equal(block_table_check(table), 0);
	}
}

/* ------------------------------------------------------------------ memory */

static void arrays_are_zero_and_come_back(void **state)
{
	struct cell_pool pool = {0};
	size_t sizes[] = {1, 64, 65, 512, 513, 1000, 32768, 100000, CELL_POOL_ARRAY_MAX_BYTES};
	char *first[9];

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		first[i] = cell_pool_take(&pool, sizes[i]);
		assert_non_null(first[i]);
		assert_int_equal((uintptr_t)first[i] % 64, 0);
		memset(first[i], 0xff, sizes[i]);
	}
	for (size_t i = 0; i < 9; i++)
		cell_pool_give(&pool, first[i], sizes[i]);
	for (size_t i = 0; i < 9; i++) {
		char *again = cell_pool_take(&pool, sizes[i]);

		for (size_t byte = 0; byte < sizes[i]; byte++)
			assert_int_equal(again[byte], 0);
	}
	assert_true(pool.reserved_bytes < 3 * 34u << 20);
	assert_null(cell_pool_take(&pool, CELL_POOL_ARRAY_MAX_BYTES + 1));
	assert_int_equal(errno, ENOMEM);
	cell_pool_fini(&pool);
}

/* The budget: 32 bytes for each live block, with blocks of 64 bytes in full spans. */
static void a_million_blocks_take_little_memory(void **state)
{
	struct mmviz_arena_head head = arena_head;
	struct cell_pool pool = {0};
	struct block_table table;
	uint64_t bytes;

	(void)state;
	head.capacity_bytes = 128ull << 20;
	assert_int_equal(block_table_init(&table, &pool, &head), 0);
	for (uint32_t unit = 0; table.totals.live_blocks < 1000000; unit += 16) {
		struct span *span = span_of_class(&table, unit, 3, MMVIZ_SHAPE_PLAIN);

		for (uint32_t i = 0; i < span->cells_count; i++) {
			struct block_birth birth = birth_at(span_cell_place(span, i), 64);

			assert_int_equal(block_table_put(&table, &birth), 0);
		}
	}
	bytes = pool.reserved_bytes - (size_t)(pool.end - pool.next) +
		table.spans_capacity * sizeof(struct span) + table.units_count * sizeof(uint32_t);
	print_message("%.1f bytes a block\n", (double)bytes / (double)table.totals.live_blocks);
	assert_true(bytes < 32 * table.totals.live_blocks);
	block_table_fini(&table);
	cell_pool_fini(&pool);
}

#define with_table(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_table(every_cell_is_found_and_nothing_else),
		with_table(places_outside_of_cells_are_refused),
		with_table(impossible_arenas_and_spans_are_refused),
		with_table(blocks_add_up),
		with_table(what_its_header_says_was_freed_stays_dead),
		with_table(too_many_bytes_are_refused),
		with_table(split_blocks_are_those_that_need_not_be),
		with_table(labels_are_kept_beside_their_cells),
		with_table(a_new_span_ends_whatever_it_touches),
		with_table(a_large_block_is_cut_and_grows_in_place),
		with_table(a_reset_frees_everything_but_books),
		with_table(free_runs_are_counted_anew_when_units_change_hands),
		with_table(sums_hold_whatever_happens),
		cmocka_unit_test(arrays_are_zero_and_come_back),
		cmocka_unit_test(a_million_blocks_take_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
