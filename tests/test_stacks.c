/* SPDX-License-Identifier: MIT */
/*
 * test_stacks.c - sampled blocks by stack: the table against a naive one, intervals against truth,
 * a queue that overflows, and a real target whose bytes are known.
 */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "collect/attach.h"
#include "collect/stacks.h"
#include "collect/unwind.h"
#include "test.h"

/* ------------------------------------------------------------------ the table */

#define ORACLE_BLOCKS 400
#define ORACLE_STACKS 40

struct oracle {
	struct {
		uint64_t addr, weight;
		uint32_t stack, arena;
	} blocks[ORACLE_BLOCKS];
	double allocated[ORACLE_STACKS];
	uint32_t ids[ORACLE_STACKS];
};

static void oracle_alloc(struct oracle *oracle, struct stack_table *table, struct random *random)
{
	uint32_t at = random_below(random, ORACLE_BLOCKS),
		 which = random_below(random, ORACLE_STACKS);
	uint64_t addrs[3] = {which, which / 2, 77}, weight = 1 + random_below(random, 100000);
	const struct stack_sample sample = {
		.addr = 16 * (at + 1),
		.arena_id = 1 + at % 3,
		.stack_id = stack_table_intern(table, addrs, 1 + which % 3, which & 1),
		.weight_bytes = weight,
		.mean_bytes = 4096,
	};

	assert_true(oracle->ids[which] == 0 || oracle->ids[which] == sample.stack_id);
	assert_true(sample.stack_id > STACK_OTHER);
	oracle->ids[which] = sample.stack_id;
	stack_table_alloc(table, &sample);
	oracle->allocated[which] += (double)weight;
	oracle->blocks[at].addr = sample.addr;
	oracle->blocks[at].weight = weight;
	oracle->blocks[at].stack = which;
	oracle->blocks[at].arena = sample.arena_id;
}

static void oracle_compare(const struct oracle *oracle, const struct stack_table *table)
{
	for (uint32_t which = 0; which < ORACLE_STACKS; which++) {
		const struct stack_row *row = stack_table_row(table, oracle->ids[which]);
		uint64_t samples = 0;
		double live = 0;

		if (oracle->ids[which] == 0)
			continue;
		for (int i = 0; i < ORACLE_BLOCKS; i++)
			if (oracle->blocks[i].addr != 0 && oracle->blocks[i].stack == which) {
				live += (double)oracle->blocks[i].weight;
				samples++;
			}
		assert_true(row->live.bytes == live && row->live.samples == samples);
		assert_true(row->allocated.bytes == oracle->allocated[which]);
		assert_true(row->live.variance == live * 4096);
		assert_int_equal(row->addrs[0], which);
	}
}

static void test_table_equals_a_naive_one(void **state)
{
	struct random random = {.state = random_seed()};
	struct stack_table *table = stack_table_create();
	static struct oracle oracle;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		uint32_t at = random_below(&random, ORACLE_BLOCKS);

		if (random_below(&random, 3) != 0) {
			oracle_alloc(&oracle, table, &random);
		} else if (random_below(&random, 500) == 0) {
			stack_table_reset_arena(table, 2);
			for (int i = 0; i < ORACLE_BLOCKS; i++)
				if (oracle.blocks[i].arena == 2)
					oracle.blocks[i].addr = 0;
		} else {
			assert_int_equal(stack_table_free(table, 16 * (at + 1)),
					 oracle.blocks[at].addr != 0);
			oracle.blocks[at].addr = 0;
		}
		if (step % 16 == 0)
			oracle_compare(&oracle, table);
	}
	assert_int_equal(stack_table_count(table), 2 + ORACLE_STACKS);
	stack_table_destroy(table);
}

static void test_what_is_beyond_the_bounds_keeps_its_weight(void **state)
{
	struct stack_table *table = stack_table_create();
	double bytes = 0;

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++) {
		struct stack_sample sample = {.addr = i * 16, .weight_bytes = i, .mean_bytes = 1};

		sample.stack_id = stack_table_intern(table, &i, 1, true);
		stack_table_alloc(table, &sample);
	}
	for (uint32_t id = 0; id < stack_table_count(table); id++)
		bytes += stack_table_row(table, id)->live.bytes;
	assert_true(bytes == 100000.0 * 100001 / 2);
	assert_true(stack_table_row(table, STACK_OTHER)->live.samples > 30000);
	for (uint64_t i = 1; i <= 100000; i++)
		assert_true(stack_table_free(table, i * 16));
	for (uint32_t id = 0; id < stack_table_count(table); id++)
		assert_true(stack_table_row(table, id)->live.bytes == 0);
	stack_table_destroy(table);
}

static double exponential(struct random *random, double mean)
{
	return -mean * log(((double)(random_next(random) >> 11) + 1) / 9007199254740992.0);
}

/* Poisson processes whose truth is known: from less than one expected sample to many. */
static void test_interval_holds_the_truth(void **state)
{
	static const double expected[] = {0.5, 2, 10, 100, 3000};
	struct random random = {.state = random_seed()};
	const double mean = 524288;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		int held = 0;

		for (int round = 0; round < 2000; round++) {
			double truth = expected[i] * mean, at = exponential(&random, mean), low,
			       high;
			struct stack_estimate estimate = {0};

			for (; at < truth; at += exponential(&random, mean)) {
				estimate.samples++;
				estimate.bytes += mean;
				estimate.variance += mean * mean;
			}
			stack_estimate_interval(&estimate, (uint64_t)mean, &low, &high);
			assert_true(low <= estimate.bytes && estimate.bytes <= high);
			held += low <= truth && truth <= high;
		}
		print_message("%6.1f samples expected: %4.1f %% of 2000 within\n", expected[i],
			      held / 20.0);
		assert_true(held >= 1880); /* of 95 % 1900, four deviations fewer 1861 */
	}
}

/* ------------------------------------------------------------------ the queue */

#define FLOOD	    20000
#define STACK_WORDS 1536

static void test_flood_loses_stacks_but_no_weight(void **state)
{
	const uint64_t stack_addr = 0x7fff00000000;
	uint64_t registers[UNWIND_REGISTERS] = {0}, stack[STACK_WORDS];
	char *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stacks_snapshot snapshot;
	struct stacks *stacks;
	struct timespec before, after;
	double allocated = 0, live = 0, taken_ns;

	(void)state;
	assert_int_equal(stacks_open(getpid(), &stacks), 0);
	assert_int_equal(stacks_start(stacks), 0);
	/* Frames without end, so that unwinding is slower than taking. */
	for (uint64_t i = 0; i < STACK_WORDS; i += 2) {
		stack[i] = stack_addr + (i + 2) * 8;
		stack[i + 1] = (uint64_t)code + 64;
	}
	registers[UNWIND_RIP] = (uint64_t)code;
	registers[UNWIND_RSP] = registers[UNWIND_RBP] = stack_addr + 256;
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (uint64_t i = 1; i <= FLOOD; i++) {
		const struct attach_sample sample = {
			.addr = i * 16,
			.weight_bytes = i,
			.registers = registers,
			.stack_addr = stack_addr,
			.stack = stack,
			.stack_bytes = sizeof(stack),
		};

		stacks_take(stacks, &sample, 1);
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	for (uint64_t i = 1; i <= FLOOD; i += 2)
		stacks_take(stacks, &(struct attach_sample){.addr = i * 16, .is_free = true}, 1);
	stacks_finish(stacks);
	assert_int_equal(stacks_snapshot(stacks, 0, &snapshot), 0);
	for (uint32_t i = 0; i < snapshot.rows_count; i++) {
		allocated += snapshot.rows[i].allocated.bytes;
		live += snapshot.rows[i].live.bytes;
	}
	taken_ns = (double)(after.tv_sec - before.tv_sec) * 1e9 +
		   (double)(after.tv_nsec - before.tv_nsec);
	print_message("%d samples taken in %.0f ns each, %lu of them without stack\n", FLOOD,
		      taken_ns / FLOOD, snapshot.without_stack);
	assert_int_equal(snapshot.samples, FLOOD);
	assert_true(snapshot.without_stack > 0 && snapshot.without_stack < FLOOD);
	assert_int_equal(snapshot.lost + snapshot.untracked, 0);
	assert_true(allocated == (double)FLOOD * (FLOOD + 1) / 2);
	assert_true(live == (double)FLOOD * (FLOOD + 2) / 4); /* the even ones */
	stacks_snapshot_free(&snapshot);
	stacks_close(stacks);
	munmap(code, 4096);
}

/* ------------------------------------------------------------------ a target */

#define MEAN_BYTES 8192

struct watch {
	struct child child;
	struct target *target;
	struct attach *attach;
	struct stacks *stacks;
};

static void on_sample(void *context, const struct attach_sample *sample)
{
	stacks_take(((struct watch *)context)->stacks, sample, MEAN_BYTES);
}

static void watch_start(struct watch *watch, const char *program)
{
	const struct attach_options options = {.mode = ATTACH_SAMPLED};
	const struct attach_callbacks callbacks = {.context = watch, .sample = on_sample};
	const uint64_t mean = MEAN_BYTES;
	char path[256];

	snprintf(path, sizeof(path), BUILD_TESTS "stacks/%s", program);
	child_start(&watch->child, path);
	assert_int_equal(target_open(watch->child.pid, &watch->target), 0);
	assert_int_equal(target_write_control(watch->target,
					      offsetof(struct mmviz_registry, control_sample_bytes),
					      &mean, sizeof(mean)),
			 0);
	assert_int_equal(stacks_open(watch->child.pid, &watch->stacks), 0);
	assert_int_equal(stacks_start(watch->stacks), 0);
	assert_int_equal(attach_open(watch->target, &options, &callbacks, &watch->attach), 0);
}

static void watch_do(struct watch *watch, const char *command)
{
	child_do(&watch->child, command);
	assert_true(attach_drain(watch->attach) >= 0);
	stacks_finish(watch->stacks); /* a full queue would lose stacks */
}

static void watch_stop(struct watch *watch)
{
	attach_close(watch->attach);
	stacks_close(watch->stacks);
	child_stop(&watch->child);
	target_close(watch->target);
}

struct path {
	struct stack_estimate allocated, live;
	uint32_t stacks;
};

static void add(struct stack_estimate *to, const struct stack_estimate *from)
{
	to->samples += from->samples;
	to->bytes += from->bytes;
	to->variance += from->variance;
}

/* What is estimated of all stacks through `function`; each must be whole and begin with the caller
 * of the library. */
static struct path path_of(struct watch *watch, const char *function)
{
	struct stacks_snapshot snapshot;
	struct path path = {0};

	stacks_finish(watch->stacks);
	assert_int_equal(stacks_snapshot(watch->stacks, 0, &snapshot), 0);
	assert_int_equal(snapshot.unnamed, 0);
	assert_int_equal(snapshot.without_stack, 0);
	for (uint32_t i = 0; i < snapshot.rows_count; i++) {
		const struct stacks_row *row = &snapshot.rows[i];
		bool is_wanted = false, has_main = false;

		for (uint32_t k = 0; k < row->frames_count; k++) {
			is_wanted |= strstr(row->frames[k].function, function) != NULL;
			has_main |= strcmp(row->frames[k].function, "main") == 0;
		}
		if (!is_wanted)
			continue;
		path.stacks++;
		if (!has_main || !row->is_complete ||
		    strstr(row->frames[0].function, "inlined_alloc") == NULL)
			for (uint32_t k = 0; k < row->frames_count; k++)
				print_message("   %s %s:%u\n", row->frames[k].function,
					      row->frames[k].file, row->frames[k].line);
		assert_true(has_main && row->is_complete);
		assert_non_null(strstr(row->frames[0].function, "inlined_alloc"));
		assert_true(row->frames[0].is_inlined && row->frames[0].line > 0);
		assert_non_null(strstr(row->frames[0].file, "allocating.cpp"));
		add(&path.allocated, &row->allocated);
		add(&path.live, &row->live);
	}
	stacks_snapshot_free(&snapshot);
	return path;
}

/* Within the interval for 5 deviations: these tests must not fail once in twenty runs. */
static void assert_near(const char *what, const struct stack_estimate *estimate, double truth)
{
	double low, high;

	stack_estimate_interval(estimate, MEAN_BYTES, &low, &high);
	print_message("%s: %.0f bytes estimated of %.0f, within %.0f .. %.0f, %lu samples\n", what,
		      estimate->bytes, truth, low, high, estimate->samples);
	assert_true(fabs(estimate->bytes - truth) < 5 * sqrt(truth * MEAN_BYTES));
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

static void test_bytes_of_each_path(void **state)
{
	struct watch watch = {0};
	struct path kept, churned;

	(void)state;
	watch_start(&watch, "allocating");
	watch_do(&watch, "keep 200000");
	for (int i = 0; i < 4; i++)
		watch_do(&watch, "churn 100000");
	kept = path_of(&watch, "paths::Keeper<96");
	churned = path_of(&watch, "paths::churn");
	assert_near("kept, allocated", &kept.allocated, 200000 * 96.0);
	assert_near("kept, live", &kept.live, 200000 * 96.0);
	assert_near("churned, allocated", &churned.allocated, 400000 * 160.0);
	assert_true(churned.live.bytes == 0 && churned.live.samples == 0);
	watch_do(&watch, "drop");
	kept = path_of(&watch, "paths::Keeper<96");
	assert_true(kept.live.bytes == 0 && kept.live.samples == 0);
	assert_near("dropped, allocated", &kept.allocated, 200000 * 96.0);
	watch_stop(&watch);
}

static void test_after_the_end_of_the_target(void **state)
{
	struct watch watch = {0};
	struct path kept;

	(void)state;
	watch_start(&watch, "allocating");
	watch_do(&watch, "keep 20000");
	child_do(&watch.child, "keep 50000"); /* still in the ring */
	child_kill(&watch.child, SIGKILL);
	waitpid(watch.child.pid, NULL, 0);
	assert_true(attach_drain(watch.attach) > 0);
	kept = path_of(&watch, "paths::Keeper<96");
	assert_near("kept", &kept.live, 70000 * 96.0);
	attach_close(watch.attach);
	stacks_close(watch.stacks);
	target_close(watch.target);
	fclose(watch.child.to);
	fclose(watch.child.from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_equals_a_naive_one),
		cmocka_unit_test(test_what_is_beyond_the_bounds_keeps_its_weight),
		cmocka_unit_test(test_interval_holds_the_truth),
		cmocka_unit_test(test_flood_loses_stacks_but_no_weight),
		cmocka_unit_test_setup(test_bytes_of_each_path, skip_unless_root),
		cmocka_unit_test_setup(test_after_the_end_of_the_target, skip_unless_root),
	};

	alarm(110);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
