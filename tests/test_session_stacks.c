/* SPDX-License-Identifier: MIT */
/*
 * test_session_stacks.c - what a session estimates of a real target, again and again: the truth,
 * which the target tells, lies within the stated intervals. LONG=1: a hundred times.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "session.h"
#include "test.h"

#define RUNS_SHORT   12
#define RUNS_LONG    100
#define SAMPLE_BYTES 65536
#define KEPT_BYTES   96

/* How often an interval held the truth. */
enum quantity { MIXED_ALLOCATED, MIXED_LIVE, KEPT_LIVE, KEPT_BLOCKS, ALL_ALLOCATED, QUANTITIES };
static const char *const names[QUANTITIES] = {"many sizes, allocated bytes",
					      "many sizes, live bytes", "one size, live bytes",
					      "one size, live blocks", "all, allocated bytes"};

struct truth {
	uint64_t allocated_bytes, allocated_blocks, live_bytes, live_blocks;
};

static void operate(struct child *child, uint64_t seed, uint64_t kept, struct truth *mixed)
{
	char command[64], line[128];

	snprintf(command, sizeof(command), "keep %lu", kept);
	child_do(child, command);
	snprintf(command, sizeof(command), "mixed %lu", seed);
	child_tell(child, command);
	assert_non_null(fgets(line, sizeof(line), child->from));
	assert_int_equal(sscanf(line, "%lu bytes in %lu blocks allocated, %lu in %lu live",
				&mixed->allocated_bytes, &mixed->allocated_blocks,
				&mixed->live_bytes, &mixed->live_blocks),
			 4);
	assert_non_null(fgets(line, sizeof(line), child->from));
	assert_string_equal(line, "done\n");
}

static const struct stack_view_row *row_of(const struct stack_view *view, const char *function)
{
	for (uint32_t i = 0; i < view->rows_count; i++)
		for (uint32_t k = 0; k < view->rows[i].frames_count; k++)
			if (strstr(view->rows[i].frames[k].function, function) != NULL)
				return &view->rows[i];
	fail_msg("no stack has %s", function);
	return NULL;
}

static bool holds(double low, double high, uint64_t truth)
{
	assert_true(low <= high && low >= 0);
	return low <= (double)truth && (double)truth <= high;
}

static void compare(const struct stack_view *view, uint64_t kept, const struct truth *mixed,
		    int *held)
{
	const struct stack_view_amount *many = &row_of(view, "Mixed::make")->allocated;
	const struct stack_view_amount *many_live = &row_of(view, "Mixed::make")->live;
	const struct stack_view_amount *one = &row_of(view, "Keeper<96")->live;

	assert_int_equal(view->without_stack + view->untracked + view->lost, 0);
	assert_int_equal(view->sample_bytes, SAMPLE_BYTES);
	assert_true(many->samples > 60 && many_live->samples > 20 && one->samples > 20);
	held[MIXED_ALLOCATED] += holds(many->low_bytes, many->high_bytes, mixed->allocated_bytes);
	held[MIXED_LIVE] += holds(many_live->low_bytes, many_live->high_bytes, mixed->live_bytes);
	held[KEPT_LIVE] += holds(one->low_bytes, one->high_bytes, kept * KEPT_BYTES);
	held[KEPT_BLOCKS] += holds(one->low_blocks, one->high_blocks, kept);
	held[ALL_ALLOCATED] += holds(view->allocated.low_bytes, view->allocated.high_bytes,
				     mixed->allocated_bytes + kept * KEPT_BYTES);
}

static void run_once(enum attach_mode mode, uint64_t seed, int *held)
{
	const struct session_options wanted = {.attach = {.mode = mode},
					       .sample_bytes = SAMPLE_BYTES};
	struct session_options options = wanted;
	uint64_t kept = 30000 + seed % 30000;
	struct session *session;
	struct stack_view view;
	struct child child;
	struct truth mixed;

	child_start(&child, BUILD_TESTS "stacks/allocating");
	options.pid = child.pid;
	assert_int_equal(session_open(&options, &session), 0);
	operate(&child, seed, kept, &mixed);
	assert_int_equal(session_tick(session, 0), 0);
	session_stacks_finish(session);
	assert_int_equal(session_stacks(session, 0, &view), 0);
	compare(&view, kept, &mixed, held);
	session_stacks_free(&view);
	session_close(session);
	child_stop(&child);
}

static void test_truth_lies_within_the_intervals(void **state)
{
	const int runs = getenv("LONG") != NULL ? RUNS_LONG : RUNS_SHORT;
	const int misses_max = runs == RUNS_LONG ? 6 : 3;
	const uint64_t seed = random_seed();
	int held[QUANTITIES] = {0};

	(void)state;
	for (int run = 0; run < runs; run++)
		run_once(run % 2 == 0 ? ATTACH_EXACT : ATTACH_SAMPLED, seed + (uint64_t)run, held);
	for (int i = 0; i < QUANTITIES; i++)
		print_message("%-28s %3d of %d within\n", names[i], held[i], runs);
	for (int i = 0; i < QUANTITIES; i++)
		assert_true(held[i] >= runs - misses_max);
}

/* No stacks are wanted: then there are none, and none can be asked for. */
static void test_without_stacks(void **state)
{
	struct session_options options = {.attach = {.mode = ATTACH_EXACT}};
	struct session *session;
	struct stack_view view;
	struct child child;

	(void)state;
	child_start(&child, BUILD_TESTS "stacks/allocating");
	options.pid = child.pid;
	assert_int_equal(session_open(&options, &session), 0);
	child_do(&child, "keep 20000");
	assert_int_equal(session_tick(session, 0), 0);
	assert_int_equal(session_stacks(session, 0, &view), -EOPNOTSUPP);
	assert_int_equal(session_set_sample_bytes(session, 4096), -EOPNOTSUPP);
	session_close(session);
	child_stop(&child);
}

/* What is not listed one by one is in one row, and nothing is lost from the sum. */
static void test_few_rows_hold_the_same_sum(void **state)
{
	struct session_options options = {.attach = {.mode = ATTACH_EXACT}, .sample_bytes = 4096};
	struct stack_view all, few;
	struct session *session;
	struct child child;
	char map[64];

	(void)state;
	child_start(&child, BUILD_TESTS "stacks/allocating");
	options.pid = child.pid;
	assert_int_equal(session_open(&options, &session), 0);
	child_do(&child, "keep 2000");
	child_do(&child, "churn 1000");
	child_do(&child, "jit 500");
	snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)child.pid);
	unlink(map);
	assert_int_equal(session_tick(session, 0), 0);
	session_stacks_finish(session);
	assert_int_equal(session_stacks(session, 0, &all), 0);
	assert_int_equal(session_stacks(session, 1, &few), 0);
	assert_int_equal(all.left_out, 0);
	assert_true(few.left_out >= 2 && few.rows_count < all.rows_count);
	assert_true(few.rows[STACK_VIEW_OTHER].allocated.samples > 0);
	assert_int_equal(few.allocated.samples, all.allocated.samples);
	assert_true(few.allocated.bytes == all.allocated.bytes && few.live.bytes == all.live.bytes);
	session_stacks_free(&all);
	session_stacks_free(&few);
	assert_int_equal(session_set_sample_bytes(session, 0), -EINVAL);
	assert_int_equal(session_set_sample_bytes(session, SESSION_SAMPLE_BYTES_MAX + 1), -EINVAL);
	child_stop(&child);
	while (session_tick(session, 10) == 0)
		;
	assert_int_equal(session_set_sample_bytes(session, 4096), -ESRCH);
	session_close(session);
}

static int skip_unless_root(void **state)
{
	(void)state;
	if (geteuid() == 0)
		return 0;
	print_message("needs root\n");
	skip();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_truth_lies_within_the_intervals, skip_unless_root),
		cmocka_unit_test_setup(test_without_stacks, skip_unless_root),
		cmocka_unit_test_setup(test_few_rows_hold_the_same_sum, skip_unless_root),
	};

	alarm(115);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
