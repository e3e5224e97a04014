/* SPDX-License-Identifier: MIT */
/*
 * test_attach_events.c - events mode on a real process: what passes, what is chosen, and whether
 * estimates from it are right. Needs root.
 *
 * The target does what it is told, so the test knows the truth to the operation. The draws are the
 * kernel's: no seed can be set. Bounds are five sigma: a
 * right program fails once in about two million runs; the draws that were seen are printed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "child.h"
#include "collect/attach.h"
#include "collect/target.h"

#define TARGET	  BUILD_TESTS "attach_target_pie"
#define SIGMAS	  5.0
#define SIZES_MAX 8192

struct seen {
	uint64_t allocations, frees, bytes;
	double weights, weighted_bytes; /* of allocations */
	uint64_t by_size[SIZES_MAX];
	struct attach_event last;
};

static void on_event(void *context, const struct attach_event *event)
{
	struct seen *seen = context;

	assert_true(event->weight >= 1);
	assert_true(strncmp(event->comm, "attach_target_pie", 15) == 0);
	seen->last = *event;
	if (event->is_free) {
		seen->frees++;
		return;
	}
	seen->allocations++;
	seen->bytes += event->bytes;
	seen->weights += event->weight;
	seen->weighted_bytes += event->weight * (double)event->bytes;
	if (event->bytes < SIZES_MAX)
		seen->by_size[event->bytes]++;
}

struct watched {
	struct child child;
	struct target *target;
	struct attach *attach;
	struct seen seen;
};

static const struct attach_choice everything = ATTACH_EVERYTHING;

static void watch_with(struct watched *watched, const struct attach_options *options)
{
	struct attach_callbacks callbacks = {.context = &watched->seen, .event = on_event};

	child_start(&watched->child, TARGET);
	assert_int_equal(target_open(watched->child.pid, &watched->target), 0);
	assert_int_equal(attach_open(watched->target, options, &callbacks, &watched->attach), 0);
}

static void watch(struct watched *watched, const struct attach_choice *choice)
{
	const struct attach_options options = {.mode = ATTACH_EVENTS, .choice = *choice};

	watch_with(watched, &options);
}

static struct mmviz_semaphores semaphores_of(const struct watched *watched)
{
	struct mmviz_semaphores now;

	assert_int_equal(target_read(watched->target, target_registry_addr(watched->target), &now,
				     sizeof(now)),
			 0);
	return now;
}

static void unwatch(struct watched *watched)
{
	const struct mmviz_semaphores none = {0};
	struct mmviz_semaphores after;

	attach_close(watched->attach);
	after = semaphores_of(watched);
	assert_memory_equal(&after, &none, sizeof(none));
	target_close(watched->target);
	child_stop(&watched->child);
}

/* Tell the target, and hear what comes of that alone. */
static void hear(struct watched *watched, const char *command)
{
	watched->seen = (struct seen){0};
	child_do(&watched->child, command);
	assert_true(attach_drain(watched->attach) >= 0);
}

static void choose(struct watched *watched, const struct attach_choice *choice)
{
	assert_int_equal(attach_choose(watched->attach, choice), 0);
}

static void assert_near(double value, double truth, double variance, const char *what)
{
	double sigma = sqrt(variance);

	print_message("%s: %.0f, truly %.0f, sigma %.1f\n", what, value, truth, sigma);
	assert_true(fabs(value - truth) <= SIGMAS * sigma + 1e-6 * truth);
}

static int skip_unless_root(void **state)
{
	(void)state;
	if (geteuid() == 0)
		return 0;
	print_message("skip: attaching needs root\n");
	skip();
	return 0;
}

/* ------------------------------------------------------------------ everything */

static void check_everything(bool force_perf)
{
	const struct attach_options options = {.mode = ATTACH_EVENTS, .force_perf = force_perf};
	struct attach_event_counters counters;
	struct watched watched = {0};
	struct mmviz_semaphores armed;

	watch_with(&watched, &options);
	armed = semaphores_of(&watched);
	assert_true(armed.alloc == 1 && armed.free == 1 && armed.batch == 0 && armed.sample == 0);
	assert_true(armed.arena == 1); /* what a reset ends */
	hear(&watched, "a1000");
	assert_int_equal(watched.seen.allocations, 1000);
	assert_int_equal(watched.seen.bytes, 64000);
	assert_true(watched.seen.weights == 1000);
	assert_int_equal(watched.seen.last.thread_id, watched.child.pid);
	sleep_ms(20);
	hear(&watched, "f300");
	assert_int_equal(watched.seen.frees, 300);
	assert_int_equal(watched.seen.allocations, 0);
	assert_true(watched.seen.last.lifetime_ns >= 20000000);
	assert_true(watched.seen.last.weight == 1);
	attach_event_counters_read(watched.attach, &counters);
	assert_int_equal(counters.hits, 1300);
	assert_int_equal(counters.allocations, 1000);
	assert_int_equal(counters.allocated_bytes, 64000);
	assert_int_equal(counters.told, 1300);
	assert_int_equal(counters.dropped, 0);
	assert_int_equal(counters.remembered, 700);
	unwatch(&watched);
}

static void every_allocation_and_its_free_are_told(void **state)
{
	(void)state;
	check_everything(false);
	check_everything(true);
}

static void a_free_of_a_block_that_is_older_is_not_told(void **state)
{
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	hear(&watched, "a5");
	hear(&watched, "f15"); /* ten were there before */
	assert_int_equal(watched.seen.frees, 5);
	unwatch(&watched);
}

static void labels_are_told(void **state)
{
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	hear(&watched, "L3");
	assert_int_equal(watched.seen.allocations, 3);
	assert_string_equal(watched.seen.last.label, "a label");
	hear(&watched, "f1");
	assert_int_equal(watched.seen.frees, 1);
	assert_string_equal(watched.seen.last.label, "a label");
	hear(&watched, "a1");
	assert_string_equal(watched.seen.last.label, "");
	unwatch(&watched);
}

/* Blocks that end without a word, and others at their addresses: no free is told with the wrong
 * birth. */
static void a_reset_gives_no_block_a_wrong_birth(void **state)
{
	struct attach_choice none_passes = ATTACH_EVERYTHING;
	struct watched watched = {0};

	(void)state;
	none_passes.min_bytes = 1 << 20;
	watch(&watched, &everything);
	hear(&watched, "a1000");
	assert_int_equal(watched.seen.allocations, 1000);
	hear(&watched, "r0");
	choose(&watched, &none_passes);
	hear(&watched, "a1000"); /* where the others were, and not chosen */
	assert_int_equal(watched.seen.allocations, 0);
	choose(&watched, &everything);
	hear(&watched, "f1000");
	assert_int_equal(watched.seen.frees, 0);
	hear(&watched, "a1000"); /* where they all were */
	hear(&watched, "f400");
	assert_int_equal(watched.seen.frees, 400);
	hear(&watched, "r0");
	hear(&watched, "a10"); /* chosen anew, each its own birth */
	sleep_ms(20);
	hear(&watched, "a10");
	hear(&watched, "f10");
	assert_int_equal(watched.seen.frees, 10);
	assert_true(watched.seen.last.lifetime_ns < 20000000);
	hear(&watched, "f10");
	assert_int_equal(watched.seen.frees, 10);
	assert_true(watched.seen.last.lifetime_ns >= 20000000);
	unwatch(&watched);
}

static void a_resize_in_place_is_a_free_and_an_allocation(void **state)
{
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	hear(&watched, "a1");
	hear(&watched, "R60");
	assert_int_equal(watched.seen.frees, 1);
	assert_int_equal(watched.seen.allocations, 1);
	assert_int_equal(watched.seen.bytes, 60);
	hear(&watched, "f1");
	assert_int_equal(watched.seen.frees, 1);
	unwatch(&watched);
}

/* ------------------------------------------------------------------ draws */

static void one_in_n_is_within_its_binomial_bound(void **state)
{
	static const uint64_t periods[] = {2, 10, 100, 1000};
	const double made = 200000;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		struct attach_choice choice = ATTACH_EVERYTHING;
		double chance = 1.0 / (double)periods[i];
		uint64_t chosen;

		choice.sample = periods[i];
		choose(&watched, &choice);
		hear(&watched, "a200000");
		chosen = watched.seen.allocations;
		print_message("1 in %lu: ", periods[i]);
		assert_near((double)chosen, made * chance, made * chance * (1 - chance), "chosen");
		assert_near(watched.seen.weights, made, made * (1 - chance) / chance, "estimate");
		hear(&watched, "f200000"); /* the chosen ones and no others */
		assert_int_equal(watched.seen.frees, chosen);
	}
	unwatch(&watched);
}

/* Chosen by bytes: each size as often as a Poisson process says, and sums are right. */
static void by_bytes_is_poisson_and_unbiased(void **state)
{
	static const unsigned sizes[] = {0, 1, 24, 64, 200, 1000, 2000};
	const double made = 20000, mean = 512;
	const struct attach_choice choice = {.is_by_bytes = true,
					     .sample = 512,
					     .max_bytes = UINT64_MAX,
					     .context = ATTACH_ANY_CONTEXT};
	double bytes = 0, allocations = 0, weights = 0, weighted_bytes = 0, variance = 0,
	       bytes_variance = 0;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &choice);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double chance = 1 - exp(-(double)(sizes[i] ?: 1) / mean);
		char command[16];

		snprintf(command, sizeof(command), "b%u", sizes[i]);
		child_do(&watched.child, command);
		hear(&watched, "a20000");
		print_message("%u bytes: ", sizes[i]);
		assert_near((double)watched.seen.by_size[sizes[i]], made * chance,
			    made * chance * (1 - chance), "chosen");
		child_do(&watched.child, "f20000");
		allocations += made;
		bytes += made * sizes[i];
		weights += watched.seen.weights;
		weighted_bytes += watched.seen.weighted_bytes;
		variance += made * (1 - chance) / chance;
		bytes_variance += made * sizes[i] * sizes[i] * (1 - chance) / chance;
	}
	assert_near(weights, allocations, variance, "allocations");
	assert_near(weighted_bytes, bytes, bytes_variance, "bytes");
	unwatch(&watched);
}

/* The mean of many estimates lies much closer to the truth than one of them: no bias hides. */
static void estimates_have_no_bias(void **state)
{
	const struct attach_choice choice = {.is_by_bytes = true,
					     .sample = 100000,
					     .max_bytes = UINT64_MAX,
					     .context = ATTACH_ANY_CONTEXT};
	double sum = 0, variance = 0;
	const int rounds = 40;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &choice);
	child_do(&watched.child, "b300");
	for (int i = 0; i < rounds; i++) {
		hear(&watched, "a20000");
		sum += watched.seen.weighted_bytes;
		variance += 20000.0 * 300 * 300 / (1 - exp(-300 / 100000.0)) * exp(-300 / 100000.0);
		child_do(&watched.child, "f20000");
	}
	assert_near(sum, 20000.0 * 300 * rounds, variance, "bytes of 40 rounds");
	unwatch(&watched);
}

/* ------------------------------------------------------------------ filters */

static void sizes_are_filtered(void **state)
{
	struct attach_choice choice = ATTACH_EVERYTHING;
	struct attach_event_counters counters;
	struct watched watched = {0};

	(void)state;
	choice.min_bytes = 100;
	choice.max_bytes = 200;
	watch(&watched, &choice);
	for (unsigned bytes = 99; bytes <= 201; bytes++) {
		char command[16];

		snprintf(command, sizeof(command), "b%u", bytes);
		child_do(&watched.child, command);
		hear(&watched, "a3");
		assert_int_equal(watched.seen.allocations, bytes < 100 || bytes > 200 ? 0 : 3);
	}
	attach_event_counters_read(watched.attach, &counters);
	assert_int_equal(counters.hits, 103 * 3);
	assert_int_equal(counters.allocations, 101 * 3);
	assert_int_equal(counters.told, 101 * 3);
	hear(&watched, "f309");
	assert_int_equal(watched.seen.frees, 101 * 3);
	unwatch(&watched);
}

static void tags_are_filtered(void **state)
{
	struct attach_choice choice = ATTACH_EVERYTHING;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	child_do(&watched.child, "g1");
	hear(&watched, "a1");
	choice.context = watched.seen.last.context;
	choose(&watched, &choice);
	hear(&watched, "a50");
	assert_int_equal(watched.seen.allocations, 50);
	child_do(&watched.child, "g2");
	hear(&watched, "a50");
	assert_int_equal(watched.seen.allocations, 0);
	hear(&watched, "f100");
	assert_int_equal(watched.seen.frees, 50);
	unwatch(&watched);
}

/* The other thread of the target. */
static uint32_t assistant_of(const struct watched *watched)
{
	char path[64];
	uint32_t found = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)watched->child.pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL)
		if (atoi(entry->d_name) != 0 && atoi(entry->d_name) != watched->child.pid)
			found = (uint32_t)atoi(entry->d_name);
	closedir(tasks);
	assert_int_not_equal(found, 0);
	return found;
}

/* What a thread allocated is its event, whoever frees it. */
static void threads_are_filtered(void **state)
{
	struct attach_choice choice = ATTACH_EVERYTHING;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	hear(&watched, "w10");
	assert_int_equal(watched.seen.allocations, 10);
	choice.thread_id = assistant_of(&watched);
	assert_int_equal(watched.seen.last.thread_id, choice.thread_id);
	choose(&watched, &choice);
	hear(&watched, "a20");
	assert_int_equal(watched.seen.allocations, 0);
	hear(&watched, "f20");
	assert_int_equal(watched.seen.frees, 0);
	hear(&watched, "w20");
	assert_int_equal(watched.seen.allocations, 20);
	hear(&watched, "f20");
	assert_int_equal(watched.seen.frees, 20);
	assert_int_equal(watched.seen.last.thread_id, watched.child.pid);
	assert_int_equal(watched.seen.last.birth_thread_id, choice.thread_id);
	unwatch(&watched);
}

/* ------------------------------------------------------------------ while it runs */

/* A target at full speed, and settings that change all the time: what is told always fits. */
static void settings_change_while_the_target_runs(void **state)
{
	struct attach_choice choice = ATTACH_EVERYTHING;
	struct attach_event_counters before, after;
	struct watched watched = {0};

	(void)state;
	choice.sample = 100;
	watch(&watched, &choice);
	child_do(&watched.child, "c2");
	for (uint64_t period = 10; period <= 100; period += 30) {
		choice.sample = period;
		choose(&watched, &choice);
		sleep_ms(30);
		assert_true(attach_drain(watched.attach) >= 0);
		watched.seen = (struct seen){0};
		sleep_ms(100);
		assert_true(attach_drain(watched.attach) > 0);
		assert_true(watched.seen.allocations > 0);
		assert_true(fabs(watched.seen.last.weight - (double)period) < 1e-3);
	}
	choice.min_bytes = 65; /* they are of 64 bytes */
	choose(&watched, &choice);
	sleep_ms(30);
	assert_true(attach_drain(watched.attach) >= 0);
	attach_event_counters_read(watched.attach, &before);
	sleep_ms(50);
	assert_int_equal(attach_drain(watched.attach), 0);
	attach_event_counters_read(watched.attach, &after);
	assert_true(after.hits > before.hits);
	assert_int_equal(after.told, before.told);
	unwatch(&watched);
}

static void settings_change_after_privileges_are_given_up(void **state)
{
	struct attach_choice choice = ATTACH_EVERYTHING;
	struct watched watched = {0};

	(void)state;
	watch(&watched, &everything);
	choice.min_bytes = 65;
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(attach_choose(watched.attach, &choice), 0);
	assert_int_equal(seteuid(0), 0);
	hear(&watched, "a10");
	assert_int_equal(watched.seen.allocations, 0);
	unwatch(&watched);
}

static void bad_settings_are_refused_and_change_nothing(void **state)
{
	struct attach_choice none = ATTACH_EVERYTHING, crossed = ATTACH_EVERYTHING,
			     rare = ATTACH_EVERYTHING;
	struct watched watched = {0};

	(void)state;
	none.sample = 0;
	crossed.min_bytes = 2;
	crossed.max_bytes = 1;
	rare.sample = 1ull << 32;
	watch(&watched, &everything);
	assert_int_equal(attach_choose(watched.attach, &none), -EINVAL);
	assert_int_equal(attach_choose(watched.attach, &crossed), -EINVAL);
	assert_int_equal(attach_choose(watched.attach, &rare), -EINVAL);
	hear(&watched, "a10");
	assert_int_equal(watched.seen.allocations, 10);
	unwatch(&watched);
}

static void what_has_no_room_is_counted(void **state)
{
	const struct attach_options options = {.mode = ATTACH_EVENTS, .ring_bytes = 1 << 16};
	struct attach_event_counters counters;
	struct watched watched = {0};

	(void)state;
	watch_with(&watched, &options);
	hear(&watched, "a100000");
	attach_event_counters_read(watched.attach, &counters);
	assert_int_equal(counters.told, watched.seen.allocations);
	assert_true(counters.told > 100);
	assert_int_equal(counters.told + counters.dropped, 100000);
	assert_int_equal(counters.allocations, 100000);
	hear(&watched, "f100"); /* their allocations were dropped: nothing is told of them */
	assert_int_equal(watched.seen.frees, 0);
	hear(&watched, "a100"); /* there is room again */
	assert_int_equal(watched.seen.allocations, 100);
	unwatch(&watched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_allocation_and_its_free_are_told, skip_unless_root),
		cmocka_unit_test_setup(a_free_of_a_block_that_is_older_is_not_told,
				       skip_unless_root),
		cmocka_unit_test_setup(labels_are_told, skip_unless_root),
		cmocka_unit_test_setup(a_reset_gives_no_block_a_wrong_birth, skip_unless_root),
		cmocka_unit_test_setup(a_resize_in_place_is_a_free_and_an_allocation,
				       skip_unless_root),
		cmocka_unit_test_setup(one_in_n_is_within_its_binomial_bound, skip_unless_root),
		cmocka_unit_test_setup(by_bytes_is_poisson_and_unbiased, skip_unless_root),
		cmocka_unit_test_setup(estimates_have_no_bias, skip_unless_root),
		cmocka_unit_test_setup(sizes_are_filtered, skip_unless_root),
		cmocka_unit_test_setup(tags_are_filtered, skip_unless_root),
		cmocka_unit_test_setup(threads_are_filtered, skip_unless_root),
		cmocka_unit_test_setup(settings_change_while_the_target_runs, skip_unless_root),
		cmocka_unit_test_setup(settings_change_after_privileges_are_given_up,
				       skip_unless_root),
		cmocka_unit_test_setup(bad_settings_are_refused_and_change_nothing,
				       skip_unless_root),
		cmocka_unit_test_setup(what_has_no_room_is_counted, skip_unless_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
