/* SPDX-License-Identifier: MIT */
/*
 * test_log.c - what a listener is told: logs, their numbers and their hand-over, per-event probes,
 * samples.
 *
 * The semaphores are raised here as the kernel would, spy.o stands where a breakpoint would,
 * log_reader replays.
 */
#include "test.h"

#include <string.h>

#include <mmviz/mmviz.h>

#include "arena.h"
#include "heap.h"
#include "log_reader.h"
#include "ops.h"
#include "registry.h"
#include "spy.h"
#include "worker.h"

#define CAPACITY_BYTES (8u << 20)

static struct mmviz_arena *arena;
static struct log_reader *reader;
static uint64_t arenas_id;

static int setup(void **state)
{
	(void)state;
	memset(&spy, 0, sizeof(spy));
	arena = mmviz_arena_create("log", CAPACITY_BYTES);
	mmviz_free(arena, mmviz_alloc(arena, 16, 0)); /* this thread's heap, class 0's span */
	arenas_id = ((struct mmviz_arena_head *)arena)->id;
	return 0;
}

static int setup_attached(void **state)
{
	setup(state);
	reader = log_reader_attach(arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (reader)
		log_reader_detach(reader);
	reader = NULL;
	registry_here.semaphores = (struct mmviz_semaphores){0};
	registry_here.error_semaphore = 0;
	registry_here.control_log_events = 0;
	registry_here.control_sample_bytes = 0;
	mmviz_arena_destroy(arena);
	return 0;
}

static const struct mmviz_log *my_log(void)
{
	return &thread_heaps[arena->slot]->log;
}

/* What was told since the last time is this, and the picture made of it is the walk's. */
static void assert_told(const char *events)
{
	const char *difference;

	assert_string_equal(log_reader_trace(reader), events);
	difference = log_reader_compare(reader);
	if (difference)
		fail_msg("%s", difference);
}

/* ------------------------------------------------------------------ every kind of operation */

static void test_each_operation_is_told(void **state)
{
	char *block, *large, *labelled;

	(void)state;
	block = mmviz_alloc(arena, 10, MMVIZ_TAG("first"));
	assert_told("ALLOC");
	block = mmviz_realloc(arena, block, 16, MMVIZ_TAG("second"));
	assert_told("RESIZE");
	block = mmviz_realloc(arena, block, 1000, 0);
	assert_told("ORDER UNITS ALLOC FREE"); /* a span for its class */
	mmviz_free(arena, block);
	assert_told("FREE");
	block = mmviz_calloc(arena, 10, 100, 0);
	assert_told("ALLOC");
	labelled = mmviz_alloc_labeled(arena, 10, "who");
	assert_told("ORDER UNITS ALLOC label label");
	labelled = mmviz_realloc(arena, labelled, 12, 0);
	assert_told("RESIZE");
	mmviz_free(arena, labelled);
	assert_told("FREE");
	mmviz_free(arena, mmviz_alloc_aligned(arena, 64, 10, 0));
	assert_told("ORDER UNITS ALLOC FREE");
	large = mmviz_alloc_aligned(arena, 1u << 20, 3u << 20, 0);
	assert_told("ORDER COMMIT UNITS ALLOC");
	large = mmviz_realloc(arena, large, 1u << 20, 0);
	assert_told("ORDER UNITS RESIZE UNITS");
	large = mmviz_realloc(arena, large, (1u << 20) - 1, 0);
	assert_told("ORDER RESIZE");
	large = mmviz_realloc(arena, large, 2u << 20, 0);
	assert_told("ORDER UNITS RESIZE");
	mmviz_free(arena, large);
	log_reader_trace(reader);
	assert_told(""); /* told, and its units free or kept: as the walk says */
	mmviz_arena_reset(arena);
	assert_told("ORDER RESET");
	mmviz_free(arena, block = mmviz_alloc(arena, 10, 0));
	assert_told("ORDER UNITS ALLOC FREE");
	assert_int_equal(log_reader_lost(reader), 0);
}

static void test_failures_are_not_told(void **state)
{
	(void)state;
	assert_null(mmviz_alloc(arena, CAPACITY_BYTES, 0));
	assert_null(mmviz_alloc_aligned(arena, 3, 100, 0));
	assert_null(mmviz_calloc(arena, opaque(SIZE_MAX), 100, 0));
	mmviz_free(arena, NULL);
	assert_told("");
}

static void test_labels_are_two_raw_slots(void **state)
{
	static const char *const labels[] = {"", "x", "exactly thirty-one bytes of it.",
					     "more than thirty-one bytes are cut at the end"};
	const struct mmviz_event *event;
	char expected[MMVIZ_LABEL_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		for (size_t bytes = 10; bytes < 200000; bytes *= 100) { /* in a span, and large */
			void *block = mmviz_alloc_labeled(arena, bytes, labels[i]);

			memset(expected, 0, sizeof(expected));
			memcpy(expected, labels[i], strnlen(labels[i], sizeof(expected) - 1));
			event = &my_log()->events[my_log()->next - my_log()->first - 3];
			assert_int_equal(mmviz_event_kind(event->what), MMVIZ_EVENT_ALLOC);
			assert_int_equal(event->data, bytes | MMVIZ_ALLOC_LABELLED);
			assert_int_equal(mmviz_event_slots(event), 3);
			assert_memory_equal(event + 1, expected, MMVIZ_LABEL_BYTES);
			log_reader_trace(reader);
			assert_told("");
			mmviz_free(arena, block);
		}
	}
}

/* ------------------------------------------------------------------ numbers and hand-over */

static void test_seq_counts_logged_or_not(void **state)
{
	uint64_t seq = my_log()->seq;
	void *blocks[100];

	(void)state;
	for (int i = 0; i < 100; i++)
		blocks[i] = mmviz_alloc(arena, 10, 0);
	assert_int_equal(my_log()->seq, seq + 100);
	registry_here.semaphores.batch = 1;
	for (int i = 0; i < 100; i++)
		mmviz_free(arena, blocks[i]);
	assert_int_equal(my_log()->seq, seq + 200);
	assert_int_equal(my_log()->next, seq + 200);
	assert_int_equal(my_log()->first, seq + 100);
	registry_here.semaphores.batch = 0;
	seq = my_log()->seq;
	mmviz_free(arena, mmviz_alloc_labeled(arena, 16, "three slots"));
	assert_int_equal(my_log()->seq, seq + 2 + 3 + 1); /* order, units, block with label, free */
}

static void count_batch(const struct mmviz_log *log, uint64_t bytes)
{
	must(log->next - log->first >= MMVIZ_LOG_EVENTS);
	must(log->next - log->first < MMVIZ_LOG_EVENTS + MMVIZ_OPERATION_EVENTS_MAX);
	must(log->next == log->seq);
	must(bytes == MMVIZ_LOG_HEAD_BYTES + 16 * (log->next - log->first));
	must(log->first_ns != 0);
}

static void test_a_full_log_is_handed_over(void **state)
{
	(void)state;
	spy.on_batch = count_batch;
	registry_here.semaphores.batch = 1;
	for (int i = 0; i < 255; i++)
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	assert_int_equal(my_log()->next - my_log()->first, 510);
	assert_int_equal(spy.counts[SPY_BATCH], 0);
	mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	assert_int_equal(spy.counts[SPY_BATCH], 1);
	assert_int_equal(my_log()->first, my_log()->next);
	for (int i = 0; i < 2560; i++)
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	assert_int_equal(spy.counts[SPY_BATCH], 11);
	/* An operation of several events at the edge is handed over whole. */
	for (int i = 0; i < 255; i++)
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	mmviz_alloc(arena, 10, 0);
	mmviz_alloc_labeled(arena, 100000, "eight slots at most");
	assert_int_equal(spy.counts[SPY_BATCH], 12);
}

static void test_a_collector_may_want_shorter_batches(void **state)
{
	(void)state;
	registry_here.semaphores.batch = 1;
	registry_here.control_log_events = 8;
	for (int i = 0; i < 400; i++) /* the new limit is read at the next hand-over */
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	memset(&spy, 0, sizeof(spy));
	for (int i = 0; i < 400; i++)
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	assert_int_equal(spy.counts[SPY_BATCH], 100);
	registry_here.control_log_events = 100000; /* hostile or mistaken: the log's size stays */
	for (int i = 0; i < 4000; i++)
		mmviz_free(arena, mmviz_alloc(arena, 10, 0));
	assert_int_equal(my_log()->next - my_log()->first <= MMVIZ_LOG_EVENTS, true);
	assert_whole(arena);
}

/* A half-full log of an earlier listener is not continued: its events have old numbers. */
static void test_a_log_restarts_after_detach_and_attach(void **state)
{
	uint64_t seq;

	(void)state;
	for (int i = 0; i < 7; i++)
		mmviz_alloc(arena, 10, 0);
	assert_told("ALLOC ALLOC ALLOC ALLOC ALLOC ALLOC ALLOC");
	registry_here.semaphores.batch = 0;
	for (int i = 0; i < 5; i++)
		mmviz_alloc(arena, 10, 0);
	registry_here.semaphores.batch = 1;
	seq = my_log()->seq;
	assert_int_equal(my_log()->next, seq - 5);
	mmviz_alloc(arena, 10, 0);
	assert_int_equal(my_log()->first, seq);
	assert_int_equal(my_log()->next, seq + 1);
	log_reader_drain(reader);
	assert_int_equal(log_reader_lost(reader), 5);
	assert_int_equal(log_reader_seen(reader), 8);
	/* The same with an operation of several events. */
	registry_here.semaphores.batch = 0;
	mmviz_alloc(arena, 10, 0);
	registry_here.semaphores.batch = 1;
	seq = my_log()->seq;
	mmviz_alloc(arena, 100000, 0);
	assert_int_equal(my_log()->first, seq);
	log_reader_drain(reader);
	assert_int_equal(log_reader_lost(reader), 6);
}

static void test_destroy_hands_over_the_rest(void **state)
{
	struct mmviz_arena *other = mmviz_arena_create("short", 1u << 20);
	struct log_reader *theirs = log_reader_attach(other);

	(void)state;
	mmviz_alloc(other, 10, 0);
	mmviz_alloc(other, 100, 0);
	assert_int_equal(spy.counts[SPY_BATCH], 0);
	mmviz_arena_destroy(other);
	assert_int_equal(spy.counts[SPY_BATCH], 1);
	assert_true(log_reader_seen(theirs) >= 2);
	assert_int_equal(log_reader_lost(theirs), 0);
	log_reader_detach(theirs);
}

/* ------------------------------------------------------------------ replay */

static void replay(struct mmviz_arena *subject, uint64_t seed, int rounds)
{
	struct log_reader *theirs = log_reader_attach(subject);
	struct ops *ops = ops_create(subject, 1000);
	struct random random = {seed};
	uint8_t stream[256];
	const char *fault = NULL;

	for (int round = 0; round < rounds && !fault; round++) {
		for (size_t i = 0; i < sizeof(stream); i++)
			stream[i] = (uint8_t)random_next(&random);
		fault = ops_run(ops, stream, sizeof(stream));
		if (!fault)
			fault = log_reader_compare(theirs);
	}
	if (!fault)
		fault = ops_finish(ops);
	if (!fault)
		fault = log_reader_compare(theirs);
	if (fault)
		fail_msg("%s", fault);
	assert_int_equal(log_reader_lost(theirs), 0);
	ops_destroy(ops);
	log_reader_detach(theirs);
}

static void test_replay_equals_the_walk(void **state)
{
	(void)state;
	replay(arena, random_seed(), 400);
}

static void test_replay_equals_the_walk_in_small_arenas(void **state)
{
	struct mmviz_arena *small = mmviz_arena_create("small", 300u << 10);

	(void)state;
	replay(small, random_seed(), 100);
	mmviz_arena_destroy(small);
}

static void test_replay_equals_the_walk_with_samples(void **state)
{
	(void)state;
	registry_here.control_sample_bytes = 1000;
	registry_here.semaphores.sample = registry_here.semaphores.sample_free = 1;
	replay(arena, random_seed(), 50);
	assert_true(spy.counts[SPY_SAMPLE] > 100);
	assert_true(spy.counts[SPY_SAMPLE_FREE] > 100);
}

/* The header that a walk reads and the event name the same stack. */
static void test_replay_equals_the_walk_with_stacks(void **state)
{
	(void)state;
	registry_here.semaphores.stack = 1;
	replay(arena, random_seed(), 400);
	assert_true(spy.counts[SPY_STACK] > 2);
}

static void test_a_stack_is_told_when_it_is_new(void **state)
{
	void *block = NULL;

	(void)state;
	registry_here.semaphores.stack = 1;
	for (volatile int i = 0; i < 100; i++) {
		block = mmviz_alloc(arena, 1234, 0);
		assert_int_equal(spy.counts[SPY_STACK], 1);
		assert_int_equal(registry_context(spy.context).value, (uint64_t)spy.stack);
		assert_int_equal(
			mmviz_word_context(reveal((struct mmviz_header *)block - 1, 16)->word),
			spy.context);
	}
	assert_true(spy.stack->frames_count >= 1);
}

/* ------------------------------------------------------------------ two threads, in turns */

struct turn {
	void *blocks[64];
	size_t bytes;
};

static void task_alloc(void *argument)
{
	struct turn *turn = argument;

	for (int i = 0; i < 64; i++)
		turn->blocks[i] = mmviz_alloc(arena, turn->bytes, 0);
}

static void task_free(void *argument)
{
	struct turn *turn = argument;

	for (int i = 0; i < 64; i++)
		mmviz_free(arena, turn->blocks[i]);
}

static void test_returns_name_incarnation_and_owner(void **state)
{
	struct turn turn = {.bytes = 16};
	struct worker worker;
	const char *events;

	(void)state;
	worker_start(&worker);
	for (int round = 0; round < 50; round++) {
		const char *difference;

		if (round % 2) {
			task_alloc(&turn);
			log_reader_drain(reader);
			worker_do(&worker, task_free, &turn);
		} else {
			worker_do(&worker, task_alloc, &turn);
			log_reader_drain(reader);
			task_free(&turn);
		}
		difference = log_reader_compare(reader);
		if (difference)
			fail_msg("round %d: %s", round, difference);
	}
	events = log_reader_trace(reader);
	assert_non_null(strstr(events, "RETURN"));
	assert_non_null(strstr(events, "RECLAIM"));
	worker_stop(&worker);
	assert_int_equal(log_reader_lost(reader), 0);
}

/* ------------------------------------------------------------------ per-event probes */

static void test_alloc_and_free_probes(void **state)
{
	mmviz_tag tag = mmviz_tag_intern("GET /");
	static const size_t sizes[] = {0, 100, 5000, 3u << 20};

	(void)state;
	registry_here.semaphores.alloc = registry_here.semaphores.free = 1;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int is_labelled = 0; is_labelled < 2; is_labelled++) {
			void *block = is_labelled ? mmviz_alloc_labeled(arena, sizes[i], "a label")
						  : mmviz_alloc(arena, sizes[i], tag);
			const char *text = is_labelled ? "a label" : "GET /";
			uint32_t context = spy.context;

			assert_int_equal(spy.arena_id, arenas_id);
			assert_int_equal(spy.address, (uint64_t)block);
			assert_int_equal(spy.bytes, sizes[i]);
			assert_string_equal(spy.text, text);
			if (!is_labelled)
				assert_int_equal(context, tag);
			memset(&spy.arena_id, 0, sizeof(spy) - sizeof(spy.counts));
			mmviz_free(arena, block);
			assert_int_equal(spy.arena_id, arenas_id);
			assert_int_equal(spy.address, (uint64_t)block);
			assert_int_equal(spy.bytes, sizes[i]);
			assert_int_equal(spy.context, context);
			assert_string_equal(spy.text, text);
		}
	}
	assert_int_equal(spy.counts[SPY_ALLOC], 8);
	assert_int_equal(spy.counts[SPY_FREE], 8);
}

/* For those who follow single events a realloc is an end and a birth, in place or not. */
static void test_realloc_is_a_free_and_an_alloc(void **state)
{
	void *block;

	(void)state;
	registry_here.semaphores.alloc = registry_here.semaphores.free = 1;
	block = mmviz_alloc(arena, 100, 0);
	block = mmviz_realloc(arena, block, 110, 0);
	block = mmviz_realloc(arena, block, 20000, 0);
	block = mmviz_realloc(arena, block, 21000, 0);
	mmviz_free(arena, block);
	assert_int_equal(spy.counts[SPY_ALLOC], 4);
	assert_int_equal(spy.counts[SPY_FREE], 4);
}

static void ignore_error(const struct mmviz_error *error)
{
	(void)error;
}

static void test_arena_mark_and_error_probes(void **state)
{
	struct mmviz_arena *other;
	void *block;

	(void)state;
	registry_here.semaphores.arena = registry_here.semaphores.mark =
		registry_here.error_semaphore = 1;
	other = mmviz_arena_create("other", 8u << 20);
	assert_int_equal(spy.change, MMVIZ_ARENA_CREATE);
	assert_string_equal(spy.text, "other");
	mmviz_alloc(other, 5u << 20, 0);
	assert_int_equal(spy.change, MMVIZ_ARENA_GROW);
	mmviz_arena_reset(other);
	assert_int_equal(spy.change, MMVIZ_ARENA_RESET);
	assert_int_equal(spy.arena_id, ((struct mmviz_arena_head *)other)->id);
	assert_null(mmviz_alloc(other, 9u << 20, 0));
	assert_int_equal(spy.counts[SPY_ERROR], 1);
	assert_int_equal(spy.kind, MMVIZ_ERROR_OUT_OF_MEMORY);
	mmviz_set_error_handler(ignore_error);
	block = mmviz_alloc(other, 10, 0);
	mmviz_free(other, block);
	mmviz_free(other, opaque(block));
	mmviz_set_error_handler(NULL);
	assert_int_equal(spy.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_int_equal(spy.address, (uint64_t)block);
	mmviz_arena_destroy(other);
	assert_int_equal(spy.change, MMVIZ_ARENA_DESTROY);
	mmviz_mark("phase two");
	assert_string_equal(spy.text, "phase two");
	assert_int_equal(spy.counts[SPY_MARK], 1);
}

/* ------------------------------------------------------------------ samples */

/* The weights of the samples add up to the bytes allocated, whatever the sizes. */
static void sampled_bytes(size_t bytes, uint32_t count, double tolerance)
{
	double truth = (double)bytes * count;

	spy.weights = spy.counts[SPY_SAMPLE] = spy.counts[SPY_SAMPLE_FREE] = 0;
	for (uint32_t i = 0; i < count; i++)
		mmviz_free(arena, mmviz_alloc(arena, bytes, 0));
	assert_int_equal(spy.counts[SPY_SAMPLE], spy.counts[SPY_SAMPLE_FREE]);
	if (spy.weights < truth * (1 - tolerance) || spy.weights > truth * (1 + tolerance))
		fail_msg("%zu bytes: weights %.0f of %.0f", bytes, (double)spy.weights, truth);
}

static void test_samples_are_unbiased(void **state)
{
	(void)state;
	registry_here.control_sample_bytes = 4096;
	registry_here.semaphores.sample = registry_here.semaphores.sample_free = 1;
	/* Five standard deviations of a Poisson count of count * bytes / 4096. */
	sampled_bytes(16, 2000000, 0.06);
	sampled_bytes(1000, 200000, 0.025);
	sampled_bytes(30000, 20000, 0.02);
	assert_true(spy.weight_bytes >= 4096);
}

static void test_the_end_of_a_sampled_block_is_told(void **state)
{
	uint64_t sampled = 0;

	(void)state;
	registry_here.control_sample_bytes = 100000;
	registry_here.semaphores.sample = registry_here.semaphores.sample_free = 1;
	for (int i = 0; i < 20000; i++) {
		void *block = mmviz_alloc(arena, i % 2 ? 100 : 9000, 0);
		bool is_sampled = spy.counts[SPY_SAMPLE] > sampled;

		sampled = spy.counts[SPY_SAMPLE];
		if (is_sampled)
			assert_int_equal(spy.address, (uint64_t)block);
		mmviz_free(arena, block);
		assert_int_equal(spy.counts[SPY_SAMPLE_FREE], sampled);
	}
	assert_true(sampled > 100);
	assert_whole(arena);
}

#define with(set_up, name) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(setup_attached, test_each_operation_is_told),
		with(setup_attached, test_failures_are_not_told),
		with(setup_attached, test_labels_are_two_raw_slots),
		with(setup, test_seq_counts_logged_or_not),
		with(setup, test_a_full_log_is_handed_over),
		with(setup, test_a_collector_may_want_shorter_batches),
		with(setup_attached, test_a_log_restarts_after_detach_and_attach),
		with(setup, test_destroy_hands_over_the_rest),
		with(setup, test_replay_equals_the_walk),
		with(setup, test_replay_equals_the_walk_in_small_arenas),
		with(setup, test_replay_equals_the_walk_with_samples),
		with(setup, test_replay_equals_the_walk_with_stacks),
		with(setup, test_a_stack_is_told_when_it_is_new),
		with(setup_attached, test_returns_name_incarnation_and_owner),
		with(setup, test_alloc_and_free_probes),
		with(setup, test_realloc_is_a_free_and_an_alloc),
		with(setup, test_arena_mark_and_error_probes),
		with(setup, test_samples_are_unbiased),
		with(setup, test_the_end_of_a_sampled_block_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
