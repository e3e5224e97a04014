/* SPDX-License-Identifier: MIT */
/*
 * test_large.c - what large blocks cost, and what stays resident of what was freed.
 */
#include "test.h"

#include <string.h>
#include <time.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arenas.h"

#if defined(__SANITIZE_ADDRESS__)
#define GIVES_BACK false /* under memory checkers the library lets nothing go by itself */
#else
#define GIVES_BACK true
#endif

#define MIB (1u << 20)

static uint64_t order_of(const struct mmviz_arena *arena)
{
	return ((const struct mmviz_arena_head *)arena)->order;
}

/* A written block. */
static void *make(struct mmviz_arena *arena, size_t bytes)
{
	char *block = mmviz_alloc(arena, bytes, 0);

	must(block);
	return memset(block, (int)bytes | 1, bytes);
}

/* Nobody calls anything: how long until less than this is resident; -1: not within 3 s. */
static int ms_until_resident_below(const struct mmviz_arena *arena, size_t bytes)
{
	static const struct timespec pause = {.tv_nsec = 50000000};

	for (int ms = 0; ms <= 3000; ms += 50) {
		if (arena_resident_bytes(arena) <= bytes)
			return ms;
		nanosleep(&pause, NULL);
	}
	return -1;
}

/* ------------------------------------------------------------------ up to 1 MiB: cells */

/* Freed and wanted again, they change neither map nor tree: nothing waits for a lock. */
static void test_blocks_up_to_a_mib_change_no_structure(void **state)
{
	static const size_t sizes[] = {32769, 36864, 50000, 65536, 200000, 524288, 1000000, MIB};
	struct mmviz_arena *arena = arena_of(1ULL << 30, 0, NULL);
	uint64_t before = 0;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *block = mmviz_alloc(arena, sizes[i], 0);

			assert_non_null(block);
			assert_true(mmviz_usable_bytes(block) >= sizes[i]);
			assert_true(mmviz_usable_bytes(block) <= sizes[i] / 8 * 9 + 16);
			block[0] = block[sizes[i] - 1] = 1;
			mmviz_free(arena, block);
		}
		if (round == 50)
			before = order_of(arena);
	}
	assert_true(before > 0);
	assert_true(order_of(arena) == before || !GIVES_BACK);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

static void test_small_arenas_have_no_big_cells(void **state)
{
	struct mmviz_arena *arena = arena_of(64 * MIB, 0, NULL);
	uint64_t before;

	(void)state;
	mmviz_free(arena, make(arena, 1));
	before = order_of(arena);
	mmviz_free(arena, make(arena, 100000));
	assert_int_equal(order_of(arena), before + 2);
	mmviz_arena_destroy(arena);
}

/* Where there is no memory for a span of its class, there is some for the block. */
static void test_a_full_arena_has_no_big_cells_either(void **state)
{
	struct mmviz_arena *arena = arena_of(1ULL << 30, 0, NULL);
	char *most = mmviz_alloc(arena, (1ULL << 30) - 12 * MIB, 0);
	unsigned given = 0;

	(void)state;
	assert_non_null(most);
	for (size_t bytes = MIB; mmviz_alloc(arena, bytes, 0); given++)
		;
	assert_true(given >= 7);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* What has outgrown its cell lies in units of its own, where it may go on growing. */
static void test_what_grows_goes_on_growing_in_place(void **state)
{
	struct mmviz_arena *arena = arena_of(1ULL << 30, 0, NULL);
	char *block = mmviz_alloc(arena, 100, 0);
	unsigned moved = 0;

	(void)state;
	for (size_t bytes = 100; bytes < 8 * MIB; bytes += bytes / 16) {
		char *again = mmviz_realloc(arena, block, bytes, 0);

		assert_non_null(again);
		moved += again != block && bytes > 40000;
		memset(again, 1, bytes);
		block = again;
	}
	assert_in_range(moved, 0, 2);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ more than 32 bits */

static int count_bytes(const struct mmviz_block *block, void *context)
{
	*(size_t *)context += block->bytes;
	return 0;
}

/* Sparse: only what is written takes memory. */
static void test_blocks_of_more_than_4_gib(void **state)
{
	static const size_t extra[] = {0, 1, 4096, 1ULL << 30};
	struct mmviz_arena *arena;

	(void)state;
	if (!GIVES_BACK)
		skip(); /* a checker writes an eighth of it */
	arena = arena_of(16ULL << 30, 0, NULL);
	for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		size_t bytes = (4ULL << 30) + extra[i] - 128, walked = 0;
		char *block = mmviz_alloc(arena, bytes, 0), *again;

		assert_non_null(block);
		assert_true(mmviz_usable_bytes(block) >= bytes);
		block[0] = 1;
		block[bytes - 1] = 2;
		assert_int_equal(arena_stats(arena).live_bytes, bytes);
		mmviz_arena_walk(arena, count_bytes, &walked);
		assert_int_equal(walked, bytes);
		assert_whole(arena);
		again = mmviz_realloc(arena, block, bytes + (2ULL << 30), 0);
		assert_ptr_equal(again, block);
		assert_true(again[0] == 1 && again[bytes - 1] == 2);
		assert_whole(arena);
		mmviz_free(arena, again);
		assert_whole(arena);
	}
	assert_int_equal(arena_stats(arena).live_bytes, 0);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ pages that go back */

/* A thread that does nothing any more keeps a few big cells, but not their pages. */
static void test_big_cells_of_an_idle_thread_are_let_go(void **state)
{
	struct mmviz_arena *arena = arena_of(1ULL << 30, 0, NULL);
	void *blocks[64];
	size_t peak;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		blocks[i] = make(arena, 40000 + i * 15000);
	peak = arena_resident_bytes(arena);
	assert_true(peak > 30 * MIB);
	for (unsigned i = 0; i < 64; i++)
		mmviz_free(arena, blocks[i]);
	assert_true(ms_until_resident_below(arena, peak / 20) >= 0 || !GIVES_BACK);
	assert_whole(arena);
	for (unsigned i = 0; i < 64; i++)
		blocks[i] = make(arena, 40000 + i * 15000);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* A span may lie where others had written; what it has not used yet is let go, too. */
static void test_pages_behind_the_cells_ever_used_are_let_go(void **state)
{
	struct mmviz_arena *arena = arena_of(1ULL << 30, 0, NULL);

	(void)state;
	mmviz_free(arena, make(arena, 300 * MIB)); /* no bin takes that much */
	for (size_t bytes = 4096; bytes <= 32768; bytes += bytes / 8)
		mmviz_alloc(arena, bytes, 0);
	assert_true(arena_resident_bytes(arena) > 200 * MIB);
	assert_true(ms_until_resident_below(arena, 3 * MIB) >= 0 || !GIVES_BACK);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

/* Holes of small blocks, then larger ones: pages of idle cells go, so that hardly more are resident. */
static void test_growth_is_paid_with_idle_pages(void **state)
{
	static void *blocks[120000];
	struct mmviz_arena *arena = arena_of(4ULL << 30, 0, NULL);
	struct random random = {random_seed()};
	size_t peak;

	(void)state;
	for (unsigned i = 0; i < 120000; i++)
		blocks[i] = make(arena, 16 + random_below(&random, 4081));
	peak = arena_resident_bytes(arena);
	for (unsigned i = 0; i < 120000; i++) {
		if (random_below(&random, 4) == 0)
			continue;
		mmviz_free(arena, blocks[i]);
		blocks[i] = NULL;
	}
	for (unsigned i = 0; i < 6000; i++)
		memset(make(arena, 4096 + random_below(&random, 12289)), 2, 4096);
	assert_true(arena_resident_bytes(arena) < peak + peak / 50 || !GIVES_BACK);
	assert_whole(arena);
	for (unsigned i = 0; i < 120000; i++)
		mmviz_free(arena, blocks[i]);
	assert_whole(arena);
	mmviz_arena_destroy(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_up_to_a_mib_change_no_structure),
		cmocka_unit_test(test_small_arenas_have_no_big_cells),
		cmocka_unit_test(test_a_full_arena_has_no_big_cells_either),
		cmocka_unit_test(test_what_grows_goes_on_growing_in_place),
		cmocka_unit_test(test_blocks_of_more_than_4_gib),
		cmocka_unit_test(test_big_cells_of_an_idle_thread_are_let_go),
		cmocka_unit_test(test_pages_behind_the_cells_ever_used_are_let_go),
		cmocka_unit_test(test_growth_is_paid_with_idle_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
