/* SPDX-License-Identifier: MIT */
/*
 * test_block.c - every size class and both sides of its border, every alignment, sizes up to the
 * capacity, reallocations from every size to every other: in arenas of every kind.
 *
 * Each test runs once for each kind of arena, with the oracle of ops.h and a full check after each
 * step, and ends with an arena that gives all of its capacity in one block again.
 */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arenas.h"
#include "ops.h"

struct kind {
	const char *name;
	size_t capacity_bytes;
	unsigned flags;
	bool is_own_memory;
};

static const struct kind kinds[] = {
	{"64 KiB", 64u << 10, 0, false},
	{"1 MiB", 1u << 20, 0, false},
	{"4 MiB", 4u << 20, 0, false},
	{"64 MiB", 64u << 20, 0, false},
	{"1 GiB", 1u << 30, 0, false},
	{"guarded 1 MiB", 1u << 20, MMVIZ_GUARD_BYTES, false},
	{"guarded 64 MiB", 64u << 20, MMVIZ_GUARD_BYTES, false},
	{"single-threaded 4 MiB", 4u << 20, MMVIZ_SINGLE_THREADED, false},
	{"huge pages 64 MiB", 64u << 20, MMVIZ_HUGE_PAGES, false},
	{"own 5 MiB", 5u << 20, 0, true},
	{"own guarded single-threaded 1 MiB", 1u << 20, MMVIZ_GUARD_BYTES | MMVIZ_SINGLE_THREADED,
	 true},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct {
	const struct kind *kind;
	struct mmviz_arena *arena;
	unsigned char *memory;
	size_t largest; /* block, when the arena was new */
} now;

static int setup(void **state)
{
	now.kind = *state;
	if (now.kind->is_own_memory) { /* crooked and dirty */
		now.memory = malloc(now.kind->capacity_bytes + 40);
		memset(now.memory, 0xdb, now.kind->capacity_bytes + 40);
	}
	now.arena = arena_of(now.kind->capacity_bytes, now.kind->flags,
			     now.memory ? now.memory + 40 : NULL);
	mmviz_free(now.arena, mmviz_alloc(now.arena, 1, 0)); /* this thread's heap is there */
	mmviz_arena_reset(now.arena);
	now.largest = arena_largest_block(now.arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mmviz_arena_destroy(now.arena);
	free(now.memory);
	now.memory = NULL;
	return 0;
}

/* Nothing is held: all of the memory is there again, in one piece. */
static void assert_all_is_given_back(void)
{
	assert_whole(now.arena);
	assert_int_equal(arena_stats(now.arena).live_blocks, 0);
	assert_int_equal(arena_largest_block(now.arena), now.largest);
	assert_whole(now.arena);
}

/* Spans of a few sizes are all that there is room for. */
static bool is_tiny(void)
{
	return now.kind->capacity_bytes < (256u << 10);
}

/* ------------------------------------------------------------------ by the oracle */

static void carry_out(struct ops *ops, const struct op *op)
{
	const char *error = ops_do(ops, op);

	if (error)
		fail_msg("%s", error);
}

static void finish(struct ops *ops)
{
	const char *error = ops_finish(ops);

	if (error)
		fail_msg("%s", error);
	ops_destroy(ops);
	assert_all_is_given_back();
}

/* Each way for a block to be born, with this size; blocks of the sizes before are still there. */
static void born_in_every_way(struct ops *ops, size_t bytes, uint32_t turn)
{
	const struct op ways[] = {
		{.kind = OP_ALLOC, .tag = turn % OPS_TAGS, .bytes = bytes},
		{.kind = OP_CALLOC, .count = 1, .bytes = bytes},
		{.kind = OP_LABELLED, .label_bytes = turn % 40, .bytes = bytes},
		{.kind = OP_ALIGNED, .alignment = 64, .bytes = bytes},
		{.kind = OP_REALLOC, .bytes = bytes},
		{.kind = OP_FREE},
	};

	for (uint32_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct op op = ways[i];

		op.slot = (turn + i * 7) % 16;
		carry_out(ops, &op);
	}
}

static void test_every_class_border_in_every_way(void **state)
{
	struct ops *ops = ops_create(now.arena, 1);
	uint32_t turn = 0;

	(void)state;
	born_in_every_way(ops, 0, turn++);
	for (unsigned class = 0; class < MMVIZ_CLASSES; class ++)
		for (int delta = -1; delta <= 1; delta++)
			born_in_every_way(
				ops, mmviz_class_payload_bytes(class) + (size_t)(delta + 1) - 1,
				turn++);
	assert_true(ops_counts(ops).given > (now.largest < (512u << 10) ? 300 : 900));
	finish(ops);
}

static void test_every_alignment_with_sizes_around_it(void **state)
{
	static const size_t sizes[] = {0,    1,	   15,	 16,	17,    63,    64,      65,
				       1000, 4080, 4096, 32768, 32769, 65521, 1000000, 3u << 20};
	struct ops *ops = ops_create(now.arena, 1);
	uint32_t turn = 0;

	(void)state;
	for (size_t alignment = 1; alignment <= (2u << 20); alignment *= 2)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct op op = {.kind = OP_ALIGNED,
					.slot = turn++ % 5,
					.alignment = alignment,
					.bytes = sizes[i]};

			carry_out(ops, &op);
			op.bytes = alignment + sizes[i] / 2;
			op.slot += 5;
			carry_out(ops, &op);
			op.kind = OP_REALLOC; /* keeps up to 64 */
			op.bytes = sizes[i] + 16;
			carry_out(ops, &op);
		}
	assert_true(ops_counts(ops).given > 100);
	finish(ops);
}

static void test_realloc_from_every_size_to_every_other(void **state)
{
	static const size_t sizes[] = {0,     1,     16,    17,	   100,	  128,	   129,
				       256,   1000,  2032,  4096,  4097,  16384,   32767,
				       32768, 32769, 50000, 65536, 65537, 1 << 20, 3 << 20};
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	static const struct op births[] = {
		{.kind = OP_ALLOC}, {.kind = OP_LABELLED}, {.kind = OP_ALIGNED, .alignment = 64}};
	struct ops *ops = ops_create(now.arena, 1);

	(void)state;
	for (size_t i = 0; i < count * count * 3; i++) {
		struct op birth = births[i % 3],
			  again = {.kind = OP_REALLOC, .tag = (uint32_t)i % 2};

		birth.slot = again.slot = (uint32_t)i % 3;
		birth.bytes = sizes[i / 3 / count];
		again.bytes = sizes[i / 3 % count];
		carry_out(ops, &birth);
		carry_out(ops, &again);
	}
	assert_true(ops_counts(ops).in_place > (is_tiny() ? 20 : 100));
	assert_true(ops_counts(ops).moved > (is_tiny() ? 20 : 100));
	finish(ops);
}

/* Small steps up and down again: what grows in place must end where its neighbour begins. */
static void test_realloc_in_small_steps(void **state)
{
	struct ops *ops = ops_create(now.arena, 1);
	size_t top = now.largest / 4 < 400000 ? now.largest / 4 : 400000;

	(void)state;
	for (uint32_t slot = 0; slot < 3; slot++)
		carry_out(ops, &(struct op){.kind = OP_ALLOC, .slot = slot, .bytes = 8});
	for (size_t bytes = 1; bytes < top; bytes += bytes / 9 + 7)
		carry_out(ops, &(struct op){.kind = OP_REALLOC,
					    .slot = (uint32_t)bytes % 3,
					    .bytes = bytes});
	for (size_t bytes = top; bytes; bytes -= bytes / 9 + 1)
		carry_out(ops, &(struct op){.kind = OP_REALLOC,
					    .slot = (uint32_t)bytes % 3,
					    .bytes = bytes});
	assert_true(ops_counts(ops).in_place > 10);
	assert_true(ops_counts(ops).moved > 10);
	finish(ops);
}

/* ------------------------------------------------------------------ up to the capacity */

static void test_sizes_up_to_the_capacity(void **state)
{
	struct ops *ops = ops_create(now.arena, 1);
	size_t overhead = now.kind->capacity_bytes - now.largest;

	(void)state;
	/* Heaps and, in own memory, the books; in a small arena that is much. */
	assert_true(overhead <= (160u << 10) + now.kind->capacity_bytes / 16);
	for (size_t parts = 1; parts <= 8; parts++)
		for (size_t less = 0; less < 3; less++) {
			size_t bytes = now.largest / parts - less * 150;

			carry_out(ops, &(struct op){.kind = OP_ALLOC, .bytes = bytes});
			carry_out(ops, &(struct op){.kind = OP_FREE});
		}
	assert_int_equal(ops_counts(ops).refused, 0);
	for (size_t more = 1; more < now.kind->capacity_bytes; more *= 3)
		carry_out(ops, &(struct op){.kind = OP_ALLOC, .bytes = now.largest + more});
	assert_true(ops_counts(ops).refused > 5);
	finish(ops);
}

static size_t fill_with(size_t bytes, void **blocks, size_t most)
{
	size_t count = 0;

	errno = 0;
	while (count < most && (blocks[count] = mmviz_alloc(now.arena, bytes, 0))) {
		memset(blocks[count], 0xee, bytes < 4096 ? bytes : 4096);
		count++;
	}
	if (count < most)
		assert_int_equal(errno, ENOMEM);
	return count;
}

static void free_scattered(void **blocks, size_t count)
{
	size_t at = 0, stride;

	if (count % 2 == 0 && count)
		mmviz_free(now.arena, blocks[--count]);
	stride = count / 2 + 1; /* has no divisor in common with an odd count */
	for (size_t i = 0; i < count; i++, at = (at + stride) % count)
		mmviz_free(now.arena, blocks[at]);
}

/* Whatever has filled an arena, when it is free all else can be had. */
static void test_exhausted_and_recovered(void **state)
{
	static const size_t sizes[] = {16, 200, 3000, 20000, 50000, 300000, 2500000};
	enum { MOST = 200000 };
	static void *blocks[MOST];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t count = fill_with(sizes[i], blocks, MOST);

		if (sizes[i] * 10 < now.largest)
			assert_true(count == MOST || count * (sizes[i] + 64) > now.largest / 2);
		assert_whole(now.arena);
		if (count < MOST) /* free one, and one can be had */
			for (size_t again = 0; again < 20 && count; again++) {
				size_t victim = again * 7919 % count;

				mmviz_free(now.arena, blocks[victim]);
				blocks[victim] = mmviz_alloc(now.arena, sizes[i], 0);
				assert_non_null(blocks[victim]);
			}
		free_scattered(blocks, count);
		assert_all_is_given_back();
	}
}

/* A mix of all sizes until nothing fits, thinned out, filled up again, many times over. */
static void test_always_nearly_full(void **state)
{
	enum { MOST = 3000 };
	static unsigned char *blocks[MOST];
	struct random random = {random_seed()};
	size_t refused = 0;

	(void)state;
	memset(blocks, 0, sizeof(blocks));
	for (uint32_t i = 0; i < 30000 / LESS; i++) {
		unsigned char **slot = &blocks[random_below(&random, MOST)];
		size_t most = (size_t)16 << random_below(&random, 16);
		size_t bytes = random_below(&random, (uint32_t)most);

		if (most > now.kind->capacity_bytes / 4)
			continue;
		mmviz_free(now.arena, *slot);
		*slot = mmviz_alloc(now.arena, bytes, 0);
		refused += !*slot;
		if (*slot && bytes)
			(*slot)[0] = (*slot)[bytes - 1] = 1;
		if (i % 1000 == 0)
			assert_whole(now.arena);
	}
	if (now.kind->capacity_bytes <= (4u << 20))
		assert_true(refused > 50 / LESS);
	for (size_t i = 0; i < MOST; i++)
		mmviz_free(now.arena, blocks[i]);
	assert_all_is_given_back();
}

/* ------------------------------------------------------------------ memory that was used before */

static void assert_zero(const unsigned char *block, size_t bytes)
{
	assert_true(bytes == 0 || (block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0));
}

static void test_calloc_clears_what_was_dirty(void **state)
{
	size_t largest = now.largest / 2 < (6u << 20) ? now.largest / 2 : (6u << 20);
	uint32_t reused = 0;

	(void)state;
	for (size_t bytes = 1; bytes < largest; bytes += bytes / 5 + 1) {
		unsigned char *dirty = mmviz_alloc(now.arena, bytes, 0), *clean;

		assert_non_null(dirty);
		memset(dirty, 0xff, bytes);
		mmviz_free(now.arena, dirty);
		clean = mmviz_calloc(now.arena, 1, bytes, 0);
		assert_non_null(clean);
		assert_zero(clean, bytes);
		reused += clean == dirty;
		memset(clean, 0xff, bytes);
		mmviz_free(now.arena, clean);
		clean = mmviz_calloc(now.arena, bytes, 1, 0);
		assert_zero(clean, bytes);
		mmviz_free(now.arena, clean);
	}
	assert_true(reused > 5);
	assert_all_is_given_back();
}

/* All of it dirty, then freed or reset, then cleared blocks of other sizes. */
static void test_calloc_clears_a_dirty_arena(void **state)
{
	size_t bytes = now.largest < (64u << 20) ? now.largest : (64u << 20);

	(void)state;
	for (int round = 0; round < 2; round++) {
		unsigned char *all = mmviz_alloc(now.arena, bytes, 0), *clean;

		memset(all, 0xff, bytes);
		if (round)
			mmviz_arena_reset(now.arena);
		else
			mmviz_free(now.arena, all);
		for (size_t size = 1; size < bytes / (is_tiny() ? 400 : 8); size += size / 2 + 1) {
			clean = mmviz_calloc(now.arena, 1, size, 0);
			assert_non_null(clean);
			assert_zero(clean, size);
		}
		mmviz_arena_reset(now.arena);
	}
	assert_all_is_given_back();
}

static void test_reset_gives_everything_back(void **state)
{
	static const size_t sizes[] = {1, 100, 3000, 20000, 100000};
	static void *blocks[2000];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t count = fill_with(sizes[i], blocks, 2000);

		assert_true(count > 0 || sizes[i] > now.largest);
		mmviz_alloc_labeled(now.arena, 10, "left behind");
		mmviz_alloc_aligned(now.arena, 4096, 10, 0);
		for (size_t j = 0; j < count; j += 3)
			mmviz_free(now.arena, blocks[j]);
		mmviz_arena_reset(now.arena);
		assert_all_is_given_back();
	}
}

/* ------------------------------------------------------------------ all of them */

static const struct {
	const char *name;
	CMUnitTestFunction function;
} promises[] = {
	{"every class border in every way", test_every_class_border_in_every_way},
	{"every alignment with sizes around it", test_every_alignment_with_sizes_around_it},
	{"realloc from every size to every other", test_realloc_from_every_size_to_every_other},
	{"realloc in small steps", test_realloc_in_small_steps},
	{"sizes up to the capacity", test_sizes_up_to_the_capacity},
	{"exhausted and recovered", test_exhausted_and_recovered},
	{"always nearly full", test_always_nearly_full},
	{"calloc clears what was dirty", test_calloc_clears_what_was_dirty},
	{"calloc clears a dirty arena", test_calloc_clears_a_dirty_arena},
	{"reset gives everything back", test_reset_gives_everything_back},
};
#define PROMISES (sizeof(promises) / sizeof(promises[0]))

int main(void)
{
	static struct CMUnitTest tests[KINDS * PROMISES];
	static char names[KINDS * PROMISES][100];

	for (size_t i = 0; i < KINDS * PROMISES; i++) {
		const struct kind *kind = &kinds[i / PROMISES];

		snprintf(names[i], sizeof(names[i]), "%s: %s", kind->name,
			 promises[i % PROMISES].name);
		tests[i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = promises[i % PROMISES].function,
			.setup_func = setup,
			.teardown_func = teardown,
			.initial_state = (void *)(uintptr_t)kind,
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
