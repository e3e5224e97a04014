/* SPDX-License-Identifier: MIT */
/*
 * test_events.c - the list of events mode and its estimates, against sums made the plain way.
 */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/events.h"
#include "random.h"

#define SECOND 1000000000ull

static struct events *opened(void)
{
	struct events *events;

	assert_int_equal(events_open(&events), 0);
	return events;
}

static void tick(struct events *events, uint64_t at_ns)
{
	events_tick(events, at_ns, &(struct events_counted){0});
}

static void add(struct events *events, uint32_t context, uint32_t thread, uint64_t bytes,
		double weight)
{
	struct event event = {
		.context = context,
		.thread_id = thread,
		.bytes = bytes,
		.weight = weight,
		.comm = "worker",
	};

	events_add(events, &event);
}

static void the_newest_come_first_and_the_oldest_go(void **state)
{
	struct events *events = opened();
	struct event *listed = calloc(EVENTS_KEPT + 1, sizeof(*listed));
	const uint64_t made = 3 * EVENTS_KEPT + 7;
	uint64_t added = 0;

	(void)state;
	assert_int_equal(events_newest(events, listed, 10), 0);
	for (; added < 5; added++)
		add(events, 1, 1, added, 1);
	assert_int_equal(events_newest(events, listed, EVENTS_KEPT + 1), 5);
	assert_int_equal(listed[0].bytes, 4);
	assert_int_equal(listed[4].number, 1);
	for (; added < made; added++)
		add(events, 1, 1, added, 1);
	assert_int_equal(events_newest(events, listed, 3), 3);
	assert_int_equal(events_newest(events, listed, EVENTS_KEPT + 1), EVENTS_KEPT);
	for (uint64_t i = 0; i < EVENTS_KEPT; i++) {
		assert_int_equal(listed[i].bytes, made - 1 - i);
		assert_int_equal(listed[i].number, made - i);
	}
	events_restart(events);
	assert_int_equal(events_newest(events, listed, EVENTS_KEPT + 1), 0);
	add(events, 1, 1, 77, 1);
	assert_int_equal(events_newest(events, listed, EVENTS_KEPT + 1), 1);
	assert_int_equal(listed[0].bytes, 77);
	assert_int_equal(listed[0].number, made + 1);
	free(listed);
	events_close(events);
}

static void rates_are_of_whole_seconds(void **state)
{
	struct events *events = opened();
	struct events_totals totals;
	struct events_rate rate;

	(void)state;
	tick(events, SECOND);
	for (int i = 0; i < 300; i++)
		add(events, 7, 1, 100, 10);
	tick(events, SECOND + SECOND / 2);
	assert_int_equal(events_rates(events, EVENTS_BY_TAG, &rate, 1), 0); /* not over yet */
	tick(events, 3 * SECOND);
	events_totals(events, &totals);
	assert_int_equal(totals.newest, 300);
	assert_true(totals.window_s == 2);
	assert_true(totals.all.allocations == 1500);
	assert_true(totals.all.bytes == 150000);
	assert_true(fabs(totals.all.allocations_error - sqrt(300 * 90.0) / 2) < 1e-9);
	assert_int_equal(events_rates(events, EVENTS_BY_TAG, &rate, 1), 1);
	assert_int_equal(rate.key, 7);
	assert_true(rate.allocations == 1500);
	tick(events, 5 * SECOND); /* nothing in these two */
	events_totals(events, &totals);
	assert_true(totals.all.allocations == 750);
	for (uint64_t second = 6; second < 12; second++)
		tick(events, second * SECOND);
	events_totals(events, &totals);
	assert_true(totals.all.allocations == 0);
	assert_int_equal(events_rates(events, EVENTS_BY_TAG, &rate, 1), 0); /* given up */
	events_close(events);
}

static void what_was_counted_is_shown_by_the_second(void **state)
{
	struct events *events = opened();
	struct events_totals totals;

	(void)state;
	events_tick(events, SECOND, &(struct events_counted){.hits = 1000, .dropped = 5});
	events_tick(events, 3 * SECOND,
		    &(struct events_counted){
			    .hits = 3000, .allocations = 40, .told = 20, .dropped = 9});
	events_totals(events, &totals);
	assert_int_equal(totals.a_second.hits, 1000);
	assert_int_equal(totals.a_second.allocations, 20);
	assert_int_equal(totals.a_second.told, 10);
	assert_int_equal(totals.a_second.dropped, 2);
	assert_int_equal(totals.counted.hits, 3000);
	events_restart(events);
	events_totals(events, &totals);
	assert_int_equal(totals.a_second.hits, 0);
	assert_true(totals.window_s == 0);
	events_tick(events, 4 * SECOND, &(struct events_counted){.hits = 3100});
	events_tick(events, 5 * SECOND, &(struct events_counted){.hits = 3200});
	events_totals(events, &totals);
	assert_int_equal(totals.a_second.hits, 100); /* what was before does not count */
	events_close(events);
}

static void sizes_have_their_rows(void **state)
{
	static const struct {
		uint64_t bytes, key;
	} sizes[] = {{0, 0}, {1, 0},  {2, 1},  {3, 2},		{4, 2},
		     {5, 3}, {64, 6}, {65, 7}, {1ull << 36, 36}};
	struct events_rate rate;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct events *events = opened();

		tick(events, SECOND);
		add(events, 1, 1, sizes[i].bytes, 1);
		tick(events, 2 * SECOND);
		assert_int_equal(events_rates(events, EVENTS_BY_SIZE, &rate, 1), 1);
		assert_int_equal(rate.key, sizes[i].key);
		events_close(events);
	}
}

/* More contexts and threads than there are rows, for many seconds: nothing is lost, sums agree. */
static void every_table_has_the_same_sum(void **state)
{
	struct events *events = opened();
	struct events_rate *rates = calloc(EVENTS_ROWS_MAX + 1, sizeof(*rates));
	struct events_totals totals;
	struct random random = {random_seed()};

	(void)state;
	tick(events, SECOND);
	for (uint64_t second = 2; second < 20; second++) {
		for (int i = 0; i < 20000; i++)
			add(events, (uint32_t)(random_next(&random) % 3000),
			    (uint32_t)(random_next(&random) % 100 + second * 50),
			    random_next(&random) % 100000, 1 + (double)(random_next(&random) % 8));
		tick(events, second * SECOND);
		events_totals(events, &totals);
		for (int by = 0; by < EVENTS_TABLES; by++) {
			uint32_t count = events_rates(events, by, rates, EVENTS_ROWS_MAX + 1);
			double allocations = 0, bytes = 0;

			assert_true(count > 0);
			for (uint32_t i = 0; i < count; i++) {
				allocations += rates[i].allocations;
				bytes += rates[i].bytes;
				if (i > 0)
					assert_true(rates[i - 1].allocations >=
						    rates[i].allocations);
			}
			assert_true(fabs(allocations - totals.all.allocations) < 1e-3);
			assert_true(fabs(bytes - totals.all.bytes) < 1);
		}
	}
	assert_int_equal(events_rates(events, EVENTS_BY_TAG, rates, EVENTS_ROWS_MAX + 1),
			 EVENTS_ROWS_MAX + 1);
	assert_true(rates[0].key == EVENTS_OTHERS);
	free(rates);
	events_close(events);
}

static void bad_settings_are_named(void **state)
{
	struct events_settings settings = events_everything;

	(void)state;
	assert_null(events_settings_check(&settings));
	settings.sample = 0;
	assert_non_null(strstr(events_settings_check(&settings), "sample"));
	settings.sample = EVENTS_SAMPLE_MAX + 1;
	assert_non_null(strstr(events_settings_check(&settings), "sample"));
	settings = events_everything;
	settings.is_by_bytes = 2;
	assert_non_null(events_settings_check(&settings));
	settings = events_everything;
	settings.min_bytes = 2;
	settings.max_bytes = 1;
	assert_non_null(strstr(events_settings_check(&settings), "min_bytes is greater"));
	settings = events_everything;
	settings.max_bytes = EVENTS_BLOCK_MAX + 1;
	assert_non_null(events_settings_check(&settings));
	settings = events_everything;
	memset(settings.tag, 'x', sizeof(settings.tag));
	assert_non_null(strstr(events_settings_check(&settings), "127"));
	settings = events_everything;
	strcpy(settings.tag, "GET /");
	assert_null(events_settings_check(&settings));
	settings.tag_id = 3;
	assert_non_null(events_settings_check(&settings));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_come_first_and_the_oldest_go),
		cmocka_unit_test(rates_are_of_whole_seconds),
		cmocka_unit_test(what_was_counted_is_shown_by_the_second),
		cmocka_unit_test(sizes_have_their_rows),
		cmocka_unit_test(every_table_has_the_same_sum),
		cmocka_unit_test(bad_settings_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
