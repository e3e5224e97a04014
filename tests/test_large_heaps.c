/* SPDX-License-Identifier: MIT */
/*
 * test_large_heaps.c - mistakes in heaps so large that a free does not look at its block's header.
 *
 * Told later: when the cell would be used again, goes back to its span, or at a walk or check. Until
 * then, and whatever else was done meanwhile, no cell has two owners, and no page of a block in use
 * is let go. Memory checkers look at every free: these tests are not for them.
 */
#include "heard.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "arenas.h"
#include "purge.h"
#include "worker.h"

#define BLOCK_BYTES 8000u

static int setup(void **state)
{
	(void)state;
	mmviz_set_error_handler(hear);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mmviz_set_error_handler(NULL);
	return 0;
}

/* More than the bytes up to which a free looks at its block's header. */
#define MANY 2000u
static void *many[MANY];

static struct mmviz_arena *arena_with_a_large_heap(unsigned flags)
{
	struct mmviz_arena_options options = {.options_bytes = sizeof(options),
					      .name = "large heap",
					      .capacity_bytes = 64u << 20,
					      .flags = flags};
	struct mmviz_arena *arena = mmviz_arena_create_with(&options);

	assert_non_null(arena);
	for (size_t i = 0; i < MANY; i++)
		assert_non_null(many[i] = mmviz_alloc(arena, BLOCK_BYTES, MMVIZ_TAG("many")));
	heard_count = 0;
	return arena;
}

static int visit_none(const struct mmviz_block *block, void *context)
{
	(void)block, (void)context;
	return 0;
}

static void *alloc_like(struct mmviz_arena *arena)
{
	return mmviz_alloc(arena, BLOCK_BYTES, MMVIZ_TAG("another"));
}

/* Its cell is looked at before it is used again, or by the next walk or check. */
static void test_free_of_an_overwritten_header_in_a_large_heap(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		struct mmviz_arena *arena = arena_with_a_large_heap(0);

		header_of(many[7])->word ^= 1ULL << 40;
		mmviz_free(arena, opaque(many[7]));
		assert_int_equal(heard_count, 0);
		if (way == 0)
			assert_ptr_not_equal(alloc_like(arena), many[7]); /* it is lost */
		else if (way == 1)
			mmviz_arena_walk(arena, visit_none, NULL);
		else
			assert_int_equal(mmviz_arena_check(arena), -EUCLEAN);
		if (way < 2) {
			assert_int_equal(heard_count, 1);
			assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
			assert_ptr_equal(heard.address, many[7]);
		}
		mmviz_arena_destroy(arena);
	}
}

/* Once more at once is found at once, with both frees. */
static void test_a_double_free_in_a_row_in_a_large_heap(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);

	(void)state;
	mmviz_free(arena, many[7]);
	mmviz_free(arena, opaque(many[7]));
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_ptr_equal(heard.address, many[7]);
	assert_non_null(heard.freed_at);
	assert_non_null(heard.now_at);
	assert_string_equal(heard.tag, "many");
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* Otherwise before the cell could have a second owner: it never has two. */
static void test_a_double_free_in_a_large_heap_gives_no_cell_twice(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);
	char *first, *second, *third;

	(void)state;
	mmviz_free(arena, many[7]);
	mmviz_free(arena, many[8]);
	mmviz_free(arena, opaque(many[7]));
	assert_int_equal(heard_count, 0);
	first = alloc_like(arena);
	assert_ptr_equal(first, many[7]);
	second = alloc_like(arena);
	third = alloc_like(arena);
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_ptr_equal(heard.address, first);
	assert_true(second != first && third != first && third != second);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* The second free may go to the span while the first one's cell is in use, or the other way round:
 * pages and spans of cells in use are never given away. */
static void test_a_double_free_in_a_large_heap_on_its_way_to_the_span(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct mmviz_arena *arena = arena_with_a_large_heap(0);
		char *again = NULL;

		mmviz_free(arena, many[0]);
		mmviz_free(arena, many[1]);
		mmviz_free(arena, opaque(many[0]));
		if (way == 1)
			again = alloc_like(arena); /* many[0], which lies below, too */
		for (size_t i = 2; i < MANY; i++)
			mmviz_free(arena, many[i]);
		assert_int_equal(heard_count, 1);
		assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
		assert_ptr_equal(heard.address, many[0]);
		assert_whole(arena);
		assert_int_equal(live_blocks(arena), again != NULL);
		mmviz_arena_destroy(arena);
	}
}

static void test_a_wrong_pointer_in_a_large_heap_is_never_given_out(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);
	char *inside = (char *)many[7] + 160;

	(void)state;
	mmviz_free(arena, opaque(inside));
	assert_true((char *)alloc_like(arena) != inside);
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_ptr_equal(heard.address, inside);
	assert_ptr_equal(heard.near_block, many[7]);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static void test_checked_frees_find_all_at_once(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(MMVIZ_CHECKED_FREES);

	(void)state;
	mmviz_free(arena, opaque((char *)many[7] + 160));
	assert_int_equal(heard.kind, MMVIZ_ERROR_FOREIGN_POINTER);
	header_of(many[8])->word ^= 1ULL << 40;
	mmviz_free(arena, opaque(many[8]));
	assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
	header_of(many[8])->word ^= 1ULL << 40;
	mmviz_free(arena, many[7]);
	mmviz_free(arena, many[8]);
	assert_int_equal(heard_count, 2);
	mmviz_free(arena, opaque(many[7]));
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_int_equal(heard_count, 3);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ cells without two owners */

/* So many more blocks: none is another one's, and none is `block`. */
static void assert_never_given_out(struct mmviz_arena *arena, const char *block, uint32_t count)
{
	char **others = calloc(count, sizeof(*others));

	for (uint32_t i = 0; i < count; i++) {
		assert_non_null(others[i] = alloc_like(arena));
		assert_true(others[i] + BLOCK_BYTES <= block || others[i] >= block + BLOCK_BYTES);
		memset(others[i], 'o', BLOCK_BYTES);
	}
	for (uint32_t i = 0; i < count; i++)
		mmviz_free(arena, others[i]);
	free(others);
}

/* The keeper comes by, and finds everything old enough. */
static void let_idle_pages_go(struct mmviz_arena *arena)
{
	uint32_t cursor = 0;
	bool goes_on = true;

	while (goes_on) {
		arena_lock(arena);
		goes_on = purge_idle_step(arena, &cursor, 0);
		arena_unlock(arena);
	}
}

static bool is_idle(const struct mmviz_arena *arena, const void *block)
{
	uint32_t place = heap_place(arena->spare, (const struct mmviz_header *)block - 1);

	return arena->idle[span_bit_word(place)] & span_bit(place);
}

static bool is_filled_with(const char *block, char value)
{
	for (uint32_t i = 0; i < BLOCK_BYTES; i++)
		if (block[i] != value)
			return false;
	return true;
}

/* A cell that lies idle in its span, its page gone or not, is freed once more: it stays idle. */
static void test_a_free_of_an_idle_cell_leaves_it_idle(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct mmviz_arena *arena = arena_with_a_large_heap(0);
		char *again[200], *idle = many[1021];

		for (uint32_t i = 1; i < 200; i++)
			if (i != 22) /* so that the span stays */
				mmviz_free(arena, many[1000 + i]);
		assert_true(is_idle(arena, idle));
		if (way == 1)
			let_idle_pages_go(arena);
		mmviz_free(arena, opaque(idle));
		assert_int_equal(heard_count, 0);
		for (uint32_t i = 0; i < 200; i++) {
			assert_non_null(again[i] = alloc_like(arena));
			memset(again[i], (char)i, BLOCK_BYTES);
			assert_false(is_idle(arena, again[i]));
		}
		assert_int_equal(heard_count, 1);
		assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
		assert_ptr_equal(heard.address, idle);
		let_idle_pages_go(arena);
		for (uint32_t i = 0; i < 200; i++)
			assert_true(is_filled_with(again[i], (char)i));
		assert_whole(arena);
		mmviz_arena_destroy(arena);
	}
}

struct errand {
	struct mmviz_arena *arena;
	char *blocks[400], *wanted;
};

/* Its heap is there before the wanted cell's span is free, and takes none of that for itself. */
static void make_heap(void *argument)
{
	struct errand *errand = argument;

	mmviz_free(errand->arena, alloc_like(errand->arena));
}

/* Another heap takes cells until it has the wanted one, and frees that: it is in its magazine. */
static void take_and_free_the_wanted(void *argument)
{
	struct errand *errand = argument;
	uint32_t count = 0;

	while (count < 400 && (!count || errand->blocks[count - 1] != errand->wanted))
		must((errand->blocks[count++] = alloc_like(errand->arena)));
	must(errand->blocks[count - 1] == errand->wanted);
	mmviz_free(errand->arena, errand->wanted);
}

static void take_the_wanted(void *argument)
{
	struct errand *errand = argument;

	must(alloc_like(errand->arena) == errand->wanted);
}

/*
 * A cell freed twice lies in the magazine still when its span, all idle, goes back to the arena: then
 * the span may be another heap's. `before` and `between`: how many frees of others come, which
 * decides where the magazine is cut.
 */
static void double_free_outlives_span(uint32_t before, uint32_t between)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);
	uint32_t cells = heap_span(arena->spare, many[700])->cells, first = 700;
	struct errand errand = {.arena = arena};
	struct worker other;

	while (heap_span(arena->spare, many[first])->start_addr + MMVIZ_HEADER_BYTES !=
	       (uint64_t)many[first])
		first++;
	errand.wanted = many[first];
	worker_start(&other);
	worker_do(&other, make_heap, &errand);
	for (uint32_t i = 0; i < before; i++)
		mmviz_free(arena, many[i]);
	for (uint32_t i = first; i < first + cells; i++)
		mmviz_free(arena, many[i]);
	for (uint32_t i = 0; i < between; i++)
		mmviz_free(arena, many[400 + i]);
	mmviz_free(arena, opaque(many[first])); /* long idle */
	for (uint32_t i = 1500; arena_is_block_start(arena, errand.wanted); i++)
		mmviz_free(arena, many[i]);
	worker_do(&other, take_and_free_the_wanted, &errand);
	assert_never_given_out(arena, errand.wanted, 100);
	worker_do(&other, take_the_wanted, &errand);
	assert_int_equal(heard_count, 1);
	assert_ptr_equal(heard.address, errand.wanted);
	assert_whole(arena);
	worker_stop(&other);
	mmviz_arena_destroy(arena);
}

static void test_a_double_free_does_not_outlive_its_span(void **state)
{
	(void)state;
	for (uint32_t before = 0; before < 8; before++)
		for (uint32_t between = 0; between < 18; between++)
			double_free_outlives_span(before, between);
}

/* Where a large block lay, lie cells now: its header among them makes no cell. */
static void test_a_freed_large_block_becomes_no_cell(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);
	char *large = mmviz_alloc(arena, 12u << 20, 0), *cells[800];
	uint32_t around = 0;

	(void)state;
	assert_non_null(large);
	mmviz_free(arena, large); /* into no bin */
	for (uint32_t i = 0; i < 800; i++) {
		assert_non_null(cells[i] = alloc_like(arena));
		around += cells[i] <= large && large < cells[i] + BLOCK_BYTES;
	}
	assert_int_equal(around, 1);
	assert_int_equal(heard_count, 0);
	mmviz_free(arena, opaque(large));
	assert_never_given_out(arena, large, 1);
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* What was written over cannot tell whether it is in use. */
static void test_a_cell_freed_twice_and_overwritten_has_one_owner(void **state)
{
	struct mmviz_arena *arena = arena_with_a_large_heap(0);

	(void)state;
	mmviz_free(arena, many[7]);
	mmviz_free(arena, many[8]);
	mmviz_free(arena, opaque(many[7]));
	assert_ptr_equal(alloc_like(arena), many[7]);
	memset(many[7], 'm', BLOCK_BYTES);
	header_of(many[7])->word ^= 1ULL << 40;
	assert_never_given_out(arena, many[7], 200);
	assert_true(is_filled_with(many[7], 'm'));
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ the ends of threads */

static void free_twice(void *argument)
{
	struct errand *errand = argument;

	for (uint32_t i = 0; i < 400; i++)
		must((errand->blocks[i] = mmviz_alloc(errand->arena, 32000, 0)));
	mmviz_free(errand->arena, errand->blocks[7]);
	mmviz_free(errand->arena, errand->blocks[8]);
	mmviz_free(errand->arena, opaque(errand->blocks[7]));
}

/* What a thread leaves behind is looked at before others get it. */
static void test_a_thread_that_ends_leaves_no_mistake_behind(void **state)
{
	struct errand errand = {.arena = arena_with_a_large_heap(0)};
	struct worker other;

	(void)state;
	worker_start(&other);
	worker_do(&other, free_twice, &errand);
	assert_int_equal(heard_count, 0);
	worker_stop(&other);
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_ptr_equal(heard.address, errand.blocks[7]);
	assert_whole(errand.arena);
	mmviz_arena_destroy(errand.arena);
}

#define large_heap_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		large_heap_test(test_free_of_an_overwritten_header_in_a_large_heap),
		large_heap_test(test_a_double_free_in_a_row_in_a_large_heap),
		large_heap_test(test_a_double_free_in_a_large_heap_gives_no_cell_twice),
		large_heap_test(test_a_double_free_in_a_large_heap_on_its_way_to_the_span),
		large_heap_test(test_a_wrong_pointer_in_a_large_heap_is_never_given_out),
		large_heap_test(test_checked_frees_find_all_at_once),
		large_heap_test(test_a_free_of_an_idle_cell_leaves_it_idle),
		large_heap_test(test_a_double_free_does_not_outlive_its_span),
		large_heap_test(test_a_freed_large_block_becomes_no_cell),
		large_heap_test(test_a_cell_freed_twice_and_overwritten_has_one_owner),
		large_heap_test(test_a_thread_that_ends_leaves_no_mistake_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
