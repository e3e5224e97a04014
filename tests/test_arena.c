/* SPDX-License-Identifier: MIT */
/*
 * test_arena.c - arenas of every kind under random operations, and what the public API promises of
 * them.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arenas.h"
#include "ops.h"

/* ------------------------------------------------------------------ random operations */

static void run_operations(struct mmviz_arena *arena, uint64_t seed, uint32_t operations,
			   uint32_t check_every, bool makes_mistakes)
{
	struct random random = {seed};
	struct ops *ops = ops_create(arena, check_every);
	uint8_t stream[OPS_BYTES_MAX * 64];
	const char *fault = NULL;

	ops_let_err(ops, makes_mistakes);
	while (ops_count(ops) < operations && !fault) {
		for (size_t i = 0; i < sizeof(stream); i++)
			stream[i] = (uint8_t)random_next(&random);
		fault = ops_run(ops, stream, sizeof(stream));
	}
	if (!fault)
		fault = ops_finish(ops);
	if (fault)
		fail_msg("%s", fault);
	/* All of it was really done; in a small arena there is not always room for it. */
	assert_true(ops_counts(ops).given > operations / 30);
	assert_true(!makes_mistakes || ops_counts(ops).mistakes > operations / 300);
	if (arena_stats(arena).capacity_bytes > (2u << 20)) {
		assert_true(ops_counts(ops).in_place > operations / 3000);
		assert_true(ops_counts(ops).moved > operations / 3000);
		assert_true(ops_counts(ops).zeroed_again > operations / 3000);
		assert_true(ops_counts(ops).resets > 0);
	}
	ops_destroy(ops);
	mmviz_arena_destroy(arena);
}

static void run_random(struct mmviz_arena *arena, uint64_t seed, uint32_t operations,
		       uint32_t check_every)
{
	run_operations(arena, seed, operations, check_every, true);
}

/* A large heap's frees do not look at headers: a mistake is found later, which no oracle foretells. */
static void test_random_operations_in_a_large_heap(void **state)
{
	(void)state;
	run_operations(arena_of(1ULL << 30, 0, NULL), random_seed(), 60000, 50, false);
}

static void test_random_operations_in_a_large_arena(void **state)
{
	(void)state;
	run_random(arena_of(1ULL << 30, MMVIZ_CHECKED_FREES, NULL), random_seed(), 60000, 50);
}

static void test_random_operations_checked_after_each(void **state)
{
	(void)state;
	run_random(arena_of(24u << 20, MMVIZ_CHECKED_FREES, NULL), random_seed(), 6000, 1);
}

/* So small that most requests fail: every way out of memory is gone. */
static void test_random_operations_in_small_arenas(void **state)
{
	static const size_t capacities[] = {64u << 10, 200u << 10, 1u << 20, 4u << 20, 5000001};
	uint64_t seed = random_seed();

	(void)state;
	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
		run_random(arena_of(capacities[i], MMVIZ_CHECKED_FREES, NULL), seed + i, 6000, 5);
}

static void test_random_operations_with_guard_bytes(void **state)
{
	(void)state;
	run_random(arena_of(64u << 20, MMVIZ_GUARD_BYTES, NULL), random_seed(), 20000, 20);
}

static void test_random_operations_single_threaded(void **state)
{
	(void)state;
	run_random(arena_of(64u << 20, MMVIZ_SINGLE_THREADED | MMVIZ_CHECKED_FREES, NULL),
		   random_seed(), 20000, 20);
}

static void test_random_operations_with_huge_pages(void **state)
{
	(void)state;
	run_random(arena_of(64u << 20, MMVIZ_HUGE_PAGES | MMVIZ_CHECKED_FREES, NULL), random_seed(),
		   10000, 50);
}

/* The caller's memory is neither cleared nor aligned, and nothing outside of it is touched. */
static void test_random_operations_in_own_memory(void **state)
{
	const size_t bytes = 8u << 20, margin = 100;
	unsigned char *memory = malloc(bytes + 2 * margin);

	(void)state;
	memset(memory, 0xdb, bytes + 2 * margin);
	run_random(arena_of(bytes, MMVIZ_CHECKED_FREES, memory + margin), random_seed(), 10000, 20);
	for (size_t i = 0; i < margin; i++) {
		assert_int_equal(memory[i], 0xdb);
		assert_int_equal(memory[margin + bytes + i], 0xdb);
	}
	free(memory);
}

/* One arena after the other in the same memory: none believes what the last one left there. */
static void test_random_operations_where_another_arena_was(void **state)
{
	const size_t bytes = 1u << 20;
	static const unsigned flags[] = {MMVIZ_CHECKED_FREES, MMVIZ_GUARD_BYTES,
					 MMVIZ_SINGLE_THREADED | MMVIZ_CHECKED_FREES};
	unsigned char *memory = calloc(1, bytes + 4096);
	uint64_t seed = random_seed();

	(void)state;
	for (uint32_t i = 0; i < (12); i++)
		run_random(arena_of(bytes, flags[i % 3], memory + i * 24), seed + i, 600, 1);
	free(memory);
}

/* ------------------------------------------------------------------ promises */

static void test_a_class_per_size(void **state)
{
	struct mmviz_arena *arena = arena_of(64u << 20, 0, NULL);

	(void)state;
	for (size_t bytes = 0; bytes <= 40000; bytes++) {
		unsigned char *block = mmviz_alloc(arena, bytes, 0);
		size_t usable = mmviz_usable_bytes(block);

		assert_non_null(block);
		assert_int_equal((uintptr_t)block % 16, 0);
		assert_true(usable >= bytes);
		if (bytes > 128 && bytes <= 32768)
			assert_true(usable <= bytes + bytes / 8 + 16);
		memset(block, 0xff, usable);
		mmviz_free(arena, block);
	}
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static void test_memory_is_used_again(void **state)
{
	struct mmviz_arena *arena = arena_of(64u << 20, 0, NULL);
	uint64_t committed;

	(void)state;
	for (int round = 0; round < 100; round++) {
		void *blocks[64];

		for (int i = 0; i < 64; i++)
			assert_non_null(blocks[i] = mmviz_alloc(arena, (size_t)i * i * 20, 0));
		if (round == 0)
			committed = arena_stats(arena).committed_bytes;
		for (int i = 0; i < 64; i++)
			mmviz_free(arena, blocks[(i * 29 + round) % 64]);
	}
	assert_int_equal(arena_stats(arena).committed_bytes, committed);
	assert_int_equal(arena_stats(arena).live_blocks, 0);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static void test_reset_frees_everything(void **state)
{
	struct mmviz_arena *arena = arena_of(16u << 20, 0, NULL);
	struct mmviz_stats fresh, after;

	(void)state;
	mmviz_free(arena, mmviz_alloc(arena, 1, 0)); /* this thread's heap is there */
	mmviz_arena_reset(arena);
	fresh = arena_stats(arena);
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < 2000; i++)
			assert_non_null(mmviz_alloc(arena, i, 0));
		assert_non_null(mmviz_alloc_labeled(arena, 500, "one"));
		assert_non_null(mmviz_alloc_aligned(arena, 1 << 16, 500, 0));
		mmviz_arena_reset(arena);
		assert_whole(arena);
		after = arena_stats(arena);
		assert_int_equal(after.live_blocks, 0);
		assert_int_equal(after.cached_bytes, 0);
		assert_int_equal(after.free_bytes, fresh.free_bytes);
		assert_int_equal(after.largest_free_bytes, fresh.largest_free_bytes);
		assert_int_equal(after.meta_bytes, fresh.meta_bytes);
	}
	mmviz_arena_destroy(arena);
}

static void test_capacity_is_really_there(void **state)
{
	struct mmviz_arena *arena = arena_of(32u << 20, 0, NULL);
	uint64_t largest = 0;
	unsigned char *block;

	(void)state;
	mmviz_free(arena, mmviz_alloc(arena, 200000, 0));
	largest = arena_stats(arena).largest_free_bytes;
	assert_true(largest > (31u << 20));
	block = mmviz_alloc(arena, largest - 4096, 0);
	assert_non_null(block);
	memset(block, 1, largest - 4096);
	assert_null(mmviz_alloc(arena, largest, 0));
	mmviz_free(arena, block);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static void test_large_blocks_grow_in_place(void **state)
{
	struct mmviz_arena *arena = arena_of(64u << 20, 0, NULL);
	unsigned char *block = mmviz_alloc(arena, 100000, 0), *same;

	(void)state;
	block[99999] = 7;
	same = mmviz_realloc(arena, block, 5u << 20, 0);
	assert_ptr_equal(same, block);
	assert_int_equal(same[99999], 7);
	same = mmviz_realloc(arena, block, 100000, 0);
	assert_ptr_equal(same, block);
	assert_int_equal(arena_stats(arena).live_bytes, 100000);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static uint32_t context_of(void *block)
{
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;

	return mmviz_word_context(reveal(header, sizeof(*header))->word);
}

static void test_own_tag_survives_realloc(void **state)
{
	struct mmviz_arena *arena = arena_of(16u << 20, 0, NULL);
	void *block = mmviz_alloc(arena, 10, MMVIZ_TAG("first"));

	(void)state;
	block = mmviz_realloc(arena, block, 5000, 0);
	assert_int_equal(context_of(block), MMVIZ_TAG("first"));
	block = mmviz_realloc(arena, block, 5001, MMVIZ_TAG("second"));
	assert_int_equal(context_of(block), MMVIZ_TAG("second"));
	mmviz_free(arena, block);
	mmviz_arena_destroy(arena);
}

static void test_null_is_fine(void **state)
{
	struct mmviz_arena *arena = arena_of(1u << 20, 0, NULL);

	(void)state;
	mmviz_free(arena, NULL);
	mmviz_arena_destroy(NULL);
	mmviz_mark(NULL);
	assert_int_equal(mmviz_usable_bytes(NULL), 0);
	assert_int_equal(mmviz_arena_stats(NULL, NULL), -EINVAL);
	assert_int_equal(mmviz_arena_walk(arena, NULL, NULL), -EINVAL);
	assert_int_not_equal(mmviz_arena_check(NULL), 0);
	mmviz_arena_destroy(arena);
}

static int stop_at_three(const struct mmviz_block *block, void *context)
{
	(void)block;
	return ++*(int *)context == 3 ? 42 : 0;
}

static void test_a_visitor_can_end_the_walk(void **state)
{
	struct mmviz_arena *arena = arena_of(1u << 20, 0, NULL);
	int visits = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		mmviz_alloc(arena, 10, 0);
	assert_int_equal(mmviz_arena_walk(arena, stop_at_three, &visits), 42);
	assert_int_equal(visits, 3);
	mmviz_arena_destroy(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null_is_fine),
		cmocka_unit_test(test_a_class_per_size),
		cmocka_unit_test(test_memory_is_used_again),
		cmocka_unit_test(test_reset_frees_everything),
		cmocka_unit_test(test_capacity_is_really_there),
		cmocka_unit_test(test_large_blocks_grow_in_place),
		cmocka_unit_test(test_own_tag_survives_realloc),
		cmocka_unit_test(test_a_visitor_can_end_the_walk),
		cmocka_unit_test(test_random_operations_in_a_large_heap),
		cmocka_unit_test(test_random_operations_in_a_large_arena),
		cmocka_unit_test(test_random_operations_checked_after_each),
		cmocka_unit_test(test_random_operations_in_small_arenas),
		cmocka_unit_test(test_random_operations_with_guard_bytes),
		cmocka_unit_test(test_random_operations_single_threaded),
		cmocka_unit_test(test_random_operations_with_huge_pages),
		cmocka_unit_test(test_random_operations_in_own_memory),
		cmocka_unit_test(test_random_operations_where_another_arena_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
