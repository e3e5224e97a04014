/* SPDX-License-Identifier: MIT */
/* test_pace.c - what follows from the load, second by second, without a target. */
#include "test.h"

#include <string.h>

#include "pace.h"

#define RING_BYTES (64ull << 20)
#define TICK_NS	   20000000ull

struct day {
	struct pace pace;
	struct pace_facts facts;
	uint32_t falls, returns;
};

static struct day day_begin(uint64_t ring_bytes)
{
	struct day day = {.facts = {.now_ns = 1000000000, .is_whole = true}};

	pace_init(&day.pace, ring_bytes);
	return day;
}

/* Ticks for a while; `lost` of a hundred events are lost, and the session obeys. */
static void pass(struct day *day, double seconds, uint64_t events_per_second, unsigned lost)
{
	for (uint64_t ns = 0; ns < (uint64_t)(seconds * 1e9); ns += TICK_NS) {
		uint64_t events = events_per_second / 50;
		bool is_fallen = day->pace.since_ns != 0;

		day->facts.now_ns += TICK_NS;
		day->facts.events += events;
		day->facts.lost += is_fallen ? events : events * lost / 100;
		day->facts.is_whole = !is_fallen && lost == 0;
		pace_note(&day->pace, &day->facts);
		if (pace_is_outrun(&day->pace)) {
			pace_fell_back(&day->pace, day->facts.now_ns);
			day->falls++;
		} else if (pace_may_return(&day->pace, day->facts.now_ns)) {
			pace_returned(&day->pace, day->facts.now_ns);
			day->returns++;
		}
	}
}

static void batches_and_wakeups_follow_the_load(void **state)
{
	struct day day = day_begin(RING_BYTES);

	(void)state;
	assert_int_equal(day.pace.log_events, 512);
	pass(&day, 5, 0, 0);
	assert_int_equal(day.pace.log_events, 128);
	assert_int_equal(day.pace.wakeup_bytes, 64 << 10);
	pass(&day, 1, 100000, 0); /* 2 ms of it are 200 */
	assert_int_equal(day.pace.log_events, 256);
	pass(&day, 0.04, 20000000, 0); /* at once */
	assert_int_equal(day.pace.log_events, 512);
	assert_int_equal(day.pace.wakeup_bytes, 2 << 20); /* 5 ms of 320 MB/s */
	assert_int_equal(pace_wait_ms(&day.pace, false), 10);
	pass(&day, 0.1, 0, 0); /* and down later: a pause is no end */
	assert_int_equal(day.pace.log_events, 512);
	pass(&day, 10, 0, 0);
	assert_int_equal(day.pace.log_events, 128);
	assert_int_equal(pace_wait_ms(&day.pace, true), 20);
	assert_int_equal(pace_wait_ms(&day.pace, false), 40);
	day = day_begin(65536);
	pass(&day, 1, 20000000, 0);
	assert_int_equal(day.pace.wakeup_bytes, 16384); /* never more than a quarter */
}

/* Never more than some 500 hand-overs a second while logs can still grow. */
static void handovers_have_a_bound(void **state)
{
	(void)state;
	for (uint64_t rate = 1000; rate <= 256000; rate += 1000) {
		struct day day = day_begin(RING_BYTES);

		pass(&day, 3, rate, 0);
		assert_true(rate / day.pace.log_events <= 500);
		assert_true(day.pace.log_events == 128 || rate / day.pace.log_events >= 250);
	}
}

static void one_loss_is_healed_and_is_no_reason(void **state)
{
	struct day day = day_begin(RING_BYTES);

	(void)state;
	for (int i = 0; i < 60; i++) {
		pass(&day, 0.5, 10000000, 20);
		pass(&day, 1.5, 10000000, 0);
	}
	assert_int_equal(day.falls, 0);
	day.facts.now_ns += 20000000000ull; /* nobody let us run for 20 s: one bad window */
	day.facts.lost += 1000000;
	pass(&day, 5, 1000000, 0);
	assert_int_equal(day.falls, 0);
}

static void losses_without_end_are_a_reason(void **state)
{
	struct day day = day_begin(RING_BYTES);

	(void)state;
	pass(&day, 10, 10000000, 0);
	pass(&day, 1.4, 10000000, 10);
	assert_int_equal(day.falls, 0);
	pass(&day, 1, 10000000, 10);
	assert_int_equal(day.falls, 1);
}

static void calm_brings_it_back_soon(void **state)
{
	struct day day = day_begin(RING_BYTES);

	(void)state;
	pass(&day, 2.4, 10000000, 10);
	assert_int_equal(day.falls, 1);
	assert_int_equal(day.returns, 0);
	pass(&day, 1.5, 1000000, 0);
	assert_int_equal(day.returns, 1);
	pass(&day, 100, 1000000, 0);
	assert_int_equal(day.falls, 1);
}

static void it_does_not_flap(void **state)
{
	struct day day = day_begin(RING_BYTES);
	uint32_t minutes = 20;

	(void)state;
	pass(&day, 60.0 * minutes, 10000000, 10); /* never possible */
	print_message("outrun for %u minutes: fell back %u times\n", minutes, day.falls);
	assert_in_range(day.falls, 5, 5 + minutes);
	pass(&day, 70, 10000000, 0); /* possible, at the same load: it tries in a minute at most */
	assert_int_equal(day.pace.since_ns, 0);
	assert_int_equal(day.returns, day.falls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_and_wakeups_follow_the_load),
		cmocka_unit_test(handovers_have_a_bound),
		cmocka_unit_test(one_loss_is_healed_and_is_no_reason),
		cmocka_unit_test(losses_without_end_are_a_reason),
		cmocka_unit_test(calm_brings_it_back_soon),
		cmocka_unit_test(it_does_not_flap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
