/* SPDX-License-Identifier: MIT */
/*
 * test_extent_tree.c - the tree of free extents against an array of unit states.
 *
 * After every step: the tree's own checker, and every summary and every extent computed anew here,
 * from the links and the array alone, so that neither the tree nor its checker is believed.
 */
#include "test.h"

#include <string.h>

#include "extent_tree.h"

#define UNITS	 1500u
#define STEPS	 100000u
#define NODE_RED 0x80000000u

struct fixture {
	struct extent_tree tree;
	struct extent_node nodes[UNITS];
	bool is_free[UNITS];
	struct random random;
};

/* ------------------------------------------------------------------ the oracle */

static bool run_is_free(const struct fixture *f, uint32_t start, uint32_t units)
{
	for (uint32_t unit = start; unit < start + units; unit++)
		if (unit >= UNITS || !f->is_free[unit])
			return false;
	return true;
}

static void mark_run(struct fixture *f, uint32_t start, uint32_t units, bool is_free)
{
	for (uint32_t unit = start; unit < start + units; unit++) {
		assert_int_equal(f->is_free[unit], !is_free);
		f->is_free[unit] = is_free;
	}
}

static uint32_t extent_end(const struct fixture *f, uint32_t start)
{
	while (start < UNITS && f->is_free[start])
		start++;
	return start;
}

/* The lowest place for the request; `candidates` counts the extents that are long enough before it.
 */
static uint32_t lowest_fit(const struct fixture *f, const struct extent_request *request,
			   uint32_t *candidates)
{
	*candidates = 0;
	for (uint32_t unit = 0; unit < UNITS; unit = extent_end(f, unit) + 1) {
		uint32_t end = extent_end(f, unit), start = unit;

		while ((start + request->bias) % request->alignment)
			start++;
		if (start + request->units <= end)
			return start;
		*candidates += end - unit >= request->units;
	}
	return EXTENT_NONE;
}

/* ------------------------------------------------------------------ the tree, looked at from
 * outside */

static uint32_t checked_maximum(const struct extent_tree *tree, uint32_t n)
{
	const struct extent_node *node = &tree->nodes[n];
	uint32_t left, right, most;

	if (n == EXTENT_NONE)
		return 0;
	left = checked_maximum(tree, node->left);
	right = checked_maximum(tree, node->right);
	most = node->units > left ? node->units : left;
	most = most > right ? most : right;
	assert_int_equal(node->subtree_max & ~NODE_RED, most);
	return most;
}

static void check_all(const struct fixture *f)
{
	uint32_t extent = extent_tree_first(&f->tree), extents = 0, unit = 0;
	uint64_t free_units = 0;

	assert_int_equal(extent_tree_check(&f->tree), 0);
	assert_int_equal(checked_maximum(&f->tree, f->tree.root), extent_tree_largest(&f->tree));
	while (unit < UNITS) {
		uint32_t end = extent_end(f, unit);

		if (end > unit) {
			assert_int_equal(extent, unit);
			assert_int_equal(extent_tree_units(&f->tree, extent), end - unit);
			extent = extent_tree_next(&f->tree, extent);
			extents++;
			free_units += end - unit;
		}
		unit = end + 1;
	}
	assert_int_equal(extent, EXTENT_NONE);
	assert_int_equal(f->tree.extents, extents);
	assert_int_equal(f->tree.free_units, free_units);
}

/* ------------------------------------------------------------------ steps */

static void step_take(struct fixture *f)
{
	struct extent_request request = {
		.units = 1 + random_below(&f->random, random_below(&f->random, 4) ? 12 : 120),
		.alignment = 1u << (random_below(&f->random, 2) ? random_below(&f->random, 7) : 0),
		.bias = random_below(&f->random, 64),
	};
	uint32_t candidates, expected = lowest_fit(f, &request, &candidates);
	uint32_t start = extent_tree_take(&f->tree, &request);

	if (request.alignment == 1 || candidates < EXTENT_TREE_TRIES || expected == EXTENT_NONE)
		assert_int_equal(start, expected);
	if (start == EXTENT_NONE) {
		assert_int_equal(expected, EXTENT_NONE);
		return;
	}
	assert_int_equal((start + request.bias) % request.alignment, 0);
	mark_run(f, start, request.units, false);
}

static void step_take_at(struct fixture *f)
{
	uint32_t start = random_below(&f->random, UNITS), units = 1 + random_below(&f->random, 9);
	bool can = run_is_free(f, start, units);

	assert_int_equal(extent_tree_take_at(&f->tree, start, units), can ? 0 : -1);
	if (can)
		mark_run(f, start, units, false);
}

/* Gives a run of taken units that begins at a random place. */
static void step_give(struct fixture *f)
{
	uint32_t start = random_below(&f->random, UNITS), most = 1 + random_below(&f->random, 60),
		 units = 0;
	uint32_t joined, expected = start;

	while (units < most && start + units < UNITS && !f->is_free[start + units])
		units++;
	if (!units)
		return;
	while (expected > 0 && f->is_free[expected - 1])
		expected--;
	joined = extent_tree_give(&f->tree, start, units);
	mark_run(f, start, units, true);
	assert_int_equal(joined, expected);
}

static void setup(struct fixture *f, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	memset(f->nodes, 0xa5, sizeof(f->nodes)); /* the tree must not need cleared memory */
	f->random.state = seed;
	extent_tree_init(&f->tree, f->nodes);
}

/* ------------------------------------------------------------------ tests */

static void test_random_steps_match_the_oracle(void **state)
{
	static struct fixture f;

	(void)state;
	setup(&f, random_seed());
	extent_tree_give(&f.tree, 0, UNITS);
	mark_run(&f, 0, UNITS, true);
	for (uint32_t step = 0; step < STEPS; step++) {
		/* Phases of filling and of emptying, so that the tree is seen thin and thick. */
		uint32_t takes = step / 500 % 2 ? 3 : 6, kind = random_below(&f.random, 10);

		if (kind < takes)
			step_take(&f);
		else if (kind == 9)
			step_take_at(&f);
		else
			step_give(&f);
		check_all(&f);
	}
}

/*
 * Every extent has a length of its own and so has every maximum: a summary left stale by an
 * insertion, a removal or a rotation cannot be right by luck.
 */
static void test_no_summary_is_stale(void **state)
{
	enum { EXTENTS = 50 };
	static struct fixture f;
	uint32_t starts[EXTENTS], lengths[EXTENTS], at = 0;

	(void)state;
	for (uint64_t round = 0; round < 200; round++) {
		setup(&f, round);
		at = 0;
		for (uint32_t i = 0; i < EXTENTS; i++) {
			lengths[i] = 1 + i * 29 % EXTENTS;
			starts[i] = at;
			at += lengths[i] + 1;
		}
		assert_true(at <= UNITS);
		for (uint32_t step = 0; step < 2 * EXTENTS; step++) {
			uint32_t i = random_below(&f.random, EXTENTS);

			while (step < EXTENTS ? f.is_free[starts[i]] : !f.is_free[starts[i]])
				i = (i + 1) % EXTENTS;
			if (step < EXTENTS)
				extent_tree_give(&f.tree, starts[i], lengths[i]);
			else
				assert_int_equal(
					extent_tree_take_at(&f.tree, starts[i], lengths[i]), 0);
			mark_run(&f, starts[i], lengths[i], step < EXTENTS);
			check_all(&f);
		}
		assert_int_equal(f.tree.extents, 0);
	}
}

static void test_first_fit_is_the_lowest(void **state)
{
	static struct fixture f;
	struct extent_request five = {5, 1, 0}, aligned = {4, 8, 3};

	(void)state;
	setup(&f, 1);
	extent_tree_give(&f.tree, 900, 500);
	extent_tree_give(&f.tree, 100, 4);
	extent_tree_give(&f.tree, 200, 5);
	extent_tree_give(&f.tree, 300, 50);
	assert_int_equal(extent_tree_take(&f.tree, &five), 200);
	assert_int_equal(extent_tree_take(&f.tree, &five), 300);
	assert_int_equal(extent_tree_take(&f.tree, &aligned),
			 309); /* (309 + 3) % 8 == 0; 100 is too short */
	assert_int_equal(extent_tree_check(&f.tree), 0);
}

static void test_neighbours_are_joined(void **state)
{
	static struct fixture f;

	(void)state;
	setup(&f, 1);
	assert_int_equal(extent_tree_give(&f.tree, 10, 5), 10);
	assert_int_equal(extent_tree_give(&f.tree, 20, 5), 20);
	assert_int_equal(extent_tree_give(&f.tree, 15, 5), 10); /* both sides */
	assert_int_equal(f.tree.extents, 1);
	assert_int_equal(extent_tree_give(&f.tree, 5, 5), 5); /* the one behind: its node moves */
	assert_int_equal(extent_tree_units(&f.tree, 5), 20);
	assert_int_equal(extent_tree_largest(&f.tree), 20);
	assert_int_equal(extent_tree_check(&f.tree), 0);
}

static void test_an_empty_tree_gives_nothing(void **state)
{
	static struct fixture f;
	struct extent_request one = {1, 1, 0};

	(void)state;
	setup(&f, 1);
	assert_int_equal(extent_tree_take(&f.tree, &one), EXTENT_NONE);
	assert_int_equal(extent_tree_take_at(&f.tree, 3, 1), -1);
	assert_int_equal(extent_tree_largest(&f.tree), 0);
	assert_int_equal(extent_tree_first(&f.tree), EXTENT_NONE);
	assert_int_equal(extent_tree_check(&f.tree), 0);
}

/* ------------------------------------------------------------------ the checker finds what is
 * wrong */

static void grow_forest(struct fixture *f)
{
	setup(f, 7);
	for (uint32_t i = 0; i < 100; i++)
		extent_tree_give(&f->tree, i * 13 % 100 * 12, 1 + i % 10);
	assert_int_equal(extent_tree_check(&f->tree), 0);
}

/* Spoils `field` of every node in turn: the checker must name the rule (or, 0, any). */
#define assert_spoiling_is_found(field, spoilt, rule)                                              \
	do {                                                                                       \
		grow_forest(&f);                                                                   \
		for (uint32_t n = extent_tree_first(&f.tree); n != EXTENT_NONE; n += 12) {         \
			struct extent_node *node = &f.nodes[n], kept = *node;                      \
			int found;                                                                 \
                                                                                                   \
			if (n >= 1200)                                                             \
				break;                                                             \
			node->field = (spoilt);                                                    \
			found = extent_tree_check(&f.tree);                                        \
			*node = kept;                                                              \
			assert_int_not_equal(found, 0);                                            \
			if (rule)                                                                  \
				assert_int_equal(found, rule);                                     \
			assert_int_equal(extent_tree_check(&f.tree), 0);                           \
		}                                                                                  \
	} while (0)

static void test_corruption_is_found(void **state)
{
	static struct fixture f;

	(void)state;
	assert_spoiling_is_found(subtree_max, kept.subtree_max + 1, 5);
	assert_spoiling_is_found(subtree_max, kept.subtree_max - 1, 5);
	assert_spoiling_is_found(subtree_max, kept.subtree_max ^ NODE_RED, 0);
	assert_spoiling_is_found(units, kept.units + 20, 0);
	assert_spoiling_is_found(units, 0, 2);
	assert_spoiling_is_found(parent, n, 1);
	grow_forest(&f);
	f.tree.extents++;
	assert_int_equal(extent_tree_check(&f.tree), 6);
	f.tree.extents--;
	f.tree.free_units--;
	assert_int_equal(extent_tree_check(&f.tree), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_tree_gives_nothing),
		cmocka_unit_test(test_first_fit_is_the_lowest),
		cmocka_unit_test(test_neighbours_are_joined),
		cmocka_unit_test(test_no_summary_is_stale),
		cmocka_unit_test(test_corruption_is_found),
		cmocka_unit_test(test_random_steps_match_the_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
