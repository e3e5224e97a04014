/* SPDX-License-Identifier: MIT */
/*
 * test_reuse.c - memory that one size class has used is there for the others: classes begin with
 * short spans, and a heap gathers what lies in its magazines before it grows.
 */
#include "test.h"

#include <string.h>

#include "arena.h"
#include "arenas.h"
#include "random.h"

#define KEPT	   300u
#define ROUNDS	   20000u
#define SMALL	   200000u
#define SMALL_SPAN (64u << 10)

static struct mmviz_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_of(1ULL << 30, 0, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mmviz_arena_destroy(arena);
	return 0;
}

/* In spans and large blocks. */
static uint64_t taken_bytes(void)
{
	struct mmviz_stats stats = arena_stats(arena);

	return stats.capacity_bytes - stats.free_bytes - stats.meta_bytes;
}

static void test_payloads_of_magazines(void **state)
{
	(void)state;
	for (unsigned number = 0; number < SPAN_MAGAZINES; number++)
		assert_int_equal(span_magazine_payloads[number],
				 mmviz_class_payload_bytes(span_magazine_class(number)));
}

static void test_a_class_begins_with_a_short_span(void **state)
{
	(void)state;
	for (unsigned class = 0; class < MMVIZ_CLASSES; class ++) {
		uint64_t before = taken_bytes();
		size_t bytes = mmviz_class_payload_bytes(class);

		memset(mmviz_alloc(arena, bytes, 0), 1, bytes);
		assert_true(taken_bytes() - before <= bytes + MMVIZ_HEADER_BYTES + SMALL_SPAN);
	}
	assert_whole(arena);
}

/* One class alone is served by few spans: each is twice as long as the one before. */
static void test_spans_grow(void **state)
{
	struct mmviz_stats before, after;

	(void)state;
	before = arena_stats(arena);
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(mmviz_alloc(arena, 20000, 0));
	after = arena_stats(arena);
	assert_true(after.spans - before.spans < 50);
	assert_true(taken_bytes() < after.live_bytes * 5 / 4);
	assert_whole(arena);
}

/* Buffers of all sizes come and go. */
static void use_buffers(void)
{
	static void *kept[KEPT];
	struct random random = {7};

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t at = random_below(&random, KEPT);
		size_t bytes = 1000 + random_below(&random, 60000);

		mmviz_free(arena, kept[at]);
		kept[at] = mmviz_alloc(arena, bytes, 0);
		assert_non_null(kept[at]);
	}
	for (unsigned i = 0; i < KEPT; i++) {
		mmviz_free(arena, kept[i]);
		kept[i] = NULL;
	}
}

/* After them small blocks, as many bytes, lie where the buffers lay; and so on, back and forth. */
static void test_small_blocks_take_what_buffers_had(void **state)
{
	static void *small[SMALL];
	struct random random = {8};

	(void)state;
	for (unsigned turn = 0; turn < 3; turn++) {
		struct mmviz_stats stats;

		use_buffers();
		for (unsigned i = 0; i < SMALL; i++) {
			size_t bytes = 16 + random_below(&random, 84);

			small[i] = mmviz_alloc(arena, bytes, 0);
			memset(small[i], (int)turn, bytes);
		}
		stats = arena_stats(arena);
		assert_true(taken_bytes() <
			    (stats.live_bytes + stats.header_bytes) * 5 / 4 + (4u << 20));
		assert_whole(arena);
		for (unsigned i = 0; i < SMALL; i++)
			mmviz_free(arena, small[i]);
	}
	assert_int_equal(arena_stats(arena).live_blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payloads_of_magazines),
		cmocka_unit_test_setup_teardown(test_a_class_begins_with_a_short_span, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_spans_grow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_blocks_take_what_buffers_had, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
