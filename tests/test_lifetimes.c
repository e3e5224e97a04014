/* SPDX-License-Identifier: MIT */
/*
 * test_lifetimes.c - times and lifetimes of the model against an oracle that keeps every time.
 *
 * Two heaps of one arena: each allocates and frees its own blocks and returns the other's. Batches
 * are fed in random order of heaps, so that returns come before and after what they end. The oracle
 * knows when each batch began and ended, and computes each event's time, and each age, in whole
 * nanoseconds of its own.
 */
#include "test.h"

#include <string.h>

#include "model/lifetimes.h"
#include "model/view_state.h"
#include "random.h"

#define ATTACH_NS  5000000000ull
#define HEAPS	   2u
#define CONTEXTS   5u
#define SPAN_UNITS 16u
#define CLASS	   2u
#define CELLS	   400u /* of each heap */
#define BATCH	   200u
#define BATCHES	   600u

struct birth {
	bool is_live, is_returned;
	uint32_t tick, context, returned_in;
	uint64_t number; /* of its ALLOC */
};

struct batch {
	uint64_t first, next, from_ns, until_ns;
	struct mmviz_event events[BATCH];
};

struct oracle_heap {
	struct birth births[CELLS];
	uint64_t seq, now_ns;
};

struct fixture {
	struct random random;
	struct replica replica;
	struct replica_arena *arena;
	struct oracle_heap heaps[HEAPS];
	uint64_t deaths[CONTEXTS][VIEW_LIFETIME_BUCKETS];
	uint64_t counted;
	uint32_t round;
	bool is_in_order; /* this round: a reclaim follows its return */
};

static uint32_t place_of(uint32_t heap, uint32_t cell)
{
	return (16 + heap * SPAN_UNITS) * PLACES_PER_UNIT +
	       cell * mmviz_cell_bytes(CLASS, MMVIZ_SHAPE_PLAIN) / MMVIZ_PLACE_BYTES;
}

static const char *describe(void *context, uint32_t id, uint32_t *kind)
{
	static char text[32];

	(void)context;
	*kind = MMVIZ_CONTEXT_TAG;
	snprintf(text, sizeof(text), "context %u", id);
	return text;
}

static struct fixture *set_up(void)
{
	const struct mmviz_arena_head head = {.id = 1,
					      .base_addr = 1ULL << 40,
					      .capacity_bytes = 1ULL << 24,
					      .committed_units = 256,
					      .span_shift = {16, 19},
					      .name = "lived in"};
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->random.state = random_seed();
	fixture->replica.attach_ns = ATTACH_NS;
	must(replica_arena_add(&fixture->replica, &head, false, &fixture->arena) == 0);
	for (uint32_t h = 0; h < HEAPS; h++) {
		struct mmviz_event events[2] = {
			{mmviz_event_what(MMVIZ_EVENT_ORDER, 0, 0), h + 1},
			{mmviz_event_what(MMVIZ_EVENT_UNITS, 0,
					  (16 + h * SPAN_UNITS) * PLACES_PER_UNIT),
			 SPAN_UNITS | (uint64_t)(MMVIZ_UNIT_SPAN + CLASS) << 32},
		};
		struct replica_batch batch = {.heap_id = h + 1,
					      .next = 2,
					      .first_ns = ATTACH_NS,
					      .until_ns = ATTACH_NS,
					      .events = events};

		replica_feed(&fixture->replica, fixture->arena, &batch);
		replica_settle(fixture->arena, h + 1);
		fixture->heaps[h].seq = 2;
		fixture->heaps[h].now_ns = ATTACH_NS;
	}
	return fixture;
}

static void tear_down(struct fixture *fixture)
{
	replica_fini(&fixture->replica);
	free(fixture);
}

/* ------------------------------------------------------------------ the oracle */

static uint32_t tick_of_event(const struct batch *batch, uint64_t number)
{
	uint64_t step_q8 = ((batch->until_ns - batch->from_ns) << 8) / (batch->next - batch->first);

	return (uint32_t)(((batch->from_ns - ATTACH_NS) * 256 +
			   (number - batch->first) * step_q8) >>
			  24);
}

static unsigned log2_of(uint64_t value)
{
	unsigned log = 0;

	while (value >>= 1)
		log++;
	return log;
}

static void note_death(struct fixture *fixture, const struct birth *birth, uint32_t tick,
		       uint64_t position_ns, bool is_same_heap)
{
	int64_t ticks = (int64_t)tick - birth->tick;
	uint64_t age_ns = ticks < 0 ? 32768 : (uint64_t)ticks * 65536 + 32768;

	if (ticks >= 0 && ticks < 2 && is_same_heap && position_ns < 131072)
		age_ns = position_ns;
	fixture->deaths[birth->context][log2_of(age_ns)]++;
	fixture->counted++;
}

/* ------------------------------------------------------------------ the traffic */

static struct mmviz_event alloc_event(struct fixture *fixture, struct batch *batch, uint32_t heap,
				      uint32_t cell)
{
	struct birth *birth = &fixture->heaps[heap].births[cell];

	*birth = (struct birth){.is_live = true,
				.tick = tick_of_event(batch, fixture->heaps[heap].seq),
				.number = fixture->heaps[heap].seq,
				.context = random_below(&fixture->random, CONTEXTS)};
	return (struct mmviz_event){
		mmviz_event_what(MMVIZ_EVENT_ALLOC, birth->context, place_of(heap, cell)), 40};
}

static struct mmviz_event free_event(struct fixture *fixture, struct batch *batch, uint32_t heap,
				     uint32_t cell)
{
	struct oracle_heap *own = &fixture->heaps[heap];
	struct birth *birth = &own->births[cell];
	uint64_t step_q8 = ((batch->until_ns - batch->from_ns) << 8) / (batch->next - batch->first);

	if (!birth->is_returned)
		note_death(fixture, birth, tick_of_event(batch, own->seq),
			   (own->seq - birth->number) * step_q8 >> 8, true);
	birth->is_live = false;
	fixture->is_in_order |= birth->is_returned && birth->returned_in == fixture->round;
	return (struct mmviz_event){
		mmviz_event_what(birth->is_returned ? MMVIZ_EVENT_RECLAIM : MMVIZ_EVENT_FREE, 0,
				 place_of(heap, cell)),
		0};
}

static struct mmviz_event return_event(struct fixture *fixture, struct batch *batch, uint32_t heap,
				       uint32_t cell)
{
	struct birth *birth = &fixture->heaps[1 - heap].births[cell];

	note_death(fixture, birth, tick_of_event(batch, fixture->heaps[heap].seq), 0, false);
	birth->is_returned = true;
	birth->returned_in = fixture->round;
	return (struct mmviz_event){
		mmviz_event_what(MMVIZ_EVENT_RETURN, 0, place_of(1 - heap, cell)),
		mmviz_incarnation(birth->number) | (uint64_t)(2 - heap) << 32};
}

static struct mmviz_event any_event(struct fixture *fixture, struct batch *batch, uint32_t heap)
{
	struct oracle_heap *own = &fixture->heaps[heap], *other = &fixture->heaps[1 - heap];
	uint32_t cell;

	for (;;) {
		cell = random_below(&fixture->random, CELLS);
		if (random_below(&fixture->random, 4) == 0 && other->births[cell].is_live &&
		    !other->births[cell].is_returned)
			return return_event(fixture, batch, heap, cell);
		if (!own->births[cell].is_live)
			return alloc_event(fixture, batch, heap, cell);
		if (random_below(&fixture->random, 8) == 0)
			return free_event(fixture, batch, heap, cell);
	}
}

/* From a microsecond to half a second long, after a pause as long. */
static void make_batch(struct fixture *fixture, uint32_t heap, struct batch *batch)
{
	struct oracle_heap *own = &fixture->heaps[heap];

	batch->first = own->seq;
	batch->next = own->seq + BATCH;
	batch->from_ns = own->now_ns +
			 random_below(&fixture->random, 1u << random_below(&fixture->random, 28));
	batch->until_ns = batch->from_ns + (1000u << random_below(&fixture->random, 20));
	own->now_ns = batch->until_ns;
	for (uint32_t i = 0; i < BATCH; i++) {
		batch->events[i] = any_event(fixture, batch, heap);
		own->seq++;
	}
}

static void feed(struct fixture *fixture, uint32_t heap, const struct batch *batch)
{
	struct replica_batch fed = {.heap_id = heap + 1,
				    .first = batch->first,
				    .next = batch->next,
				    .first_ns = batch->from_ns,
				    .until_ns = batch->until_ns,
				    .events = batch->events};

	replica_feed(&fixture->replica, fixture->arena, &fed);
}

/* ------------------------------------------------------------------ tests */

static uint64_t compare(struct fixture *fixture)
{
	struct view view = {.replica = &fixture->replica, .names = {NULL, describe}};
	struct view_lifetimes all, rows[CONTEXTS + 1];
	uint32_t count = view_lifetimes(&view, 1, &all, rows, CONTEXTS + 1);
	uint64_t sum = 0;

	assert_int_equal(count, CONTEXTS);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t b = 0; b < VIEW_LIFETIME_BUCKETS; b++) {
			assert_int_equal(rows[i].deaths[b], fixture->deaths[rows[i].id][b]);
			sum += rows[i].deaths[b];
		}
	for (uint32_t b = 0; b < VIEW_LIFETIME_BUCKETS; b++)
		sum -= all.deaths[b];
	assert_int_equal(sum, 0);
	assert_int_equal(all.older, 0);
	return fixture->counted;
}

static void lifetimes_are_those_of_an_oracle(void **state)
{
	struct fixture *fixture = set_up();
	static struct batch batches[HEAPS];
	uint32_t used = 0;

	(void)state;
	for (uint32_t i = 0; i < BATCHES; i++) {
		/* Both are made, one after the other, and fed in any order: a return may come before
		 * the alloc, and an alloc before the return. (A reclaim before its return would
		 * count as the death.) */
		uint32_t early = random_below(&fixture->random, HEAPS);

		fixture->round = i;
		fixture->is_in_order = false;
		for (uint32_t h = 0; h < HEAPS; h++)
			make_batch(fixture, (early + h) % HEAPS, &batches[(early + h) % HEAPS]);
		if (!fixture->is_in_order)
			early = random_below(&fixture->random, HEAPS);
		for (uint32_t h = 0; h < HEAPS; h++)
			feed(fixture, (early + h) % HEAPS, &batches[(early + h) % HEAPS]);
	}
	assert_int_equal(fixture->arena->violations, 0);
	assert_int_equal(compare(fixture), fixture->arena->table.totals.frees);
	for (uint32_t b = 0; b < VIEW_LIFETIME_BUCKETS; b++)
		used += fixture->deaths[0][b] > 0;
	print_message("%llu deaths, in %u powers of two\n", (unsigned long long)fixture->counted,
		      used);
	assert_true(fixture->counted > 10000 && used > 8);
	tear_down(fixture);
}

/* 46 hours of a 2^32 of ticks are put behind us when they are full; ages stay. */
static void time_zero_moves_on_and_ages_stay(void **state)
{
	struct fixture *fixture = set_up();
	static struct batch batch;
	struct view view = {.replica = &fixture->replica, .names = {NULL, describe}};
	struct view_block before, after;
	uint64_t now_ns = ATTACH_NS + tick_ns(0xf0000000u) + 1000;

	(void)state;
	fixture->heaps[0].now_ns = now_ns - 3600000000000ull; /* an hour before */
	make_batch(fixture, 0, &batch);
	feed(fixture, 0, &batch);
	view.now.monotonic_ns = view.now.realtime_ns = now_ns;
	for (uint32_t cell = 0;; cell++) {
		if (!fixture->heaps[0].births[cell].is_live)
			continue;
		assert_int_equal(view_block_at(&view, 1, place_of(0, cell) * 16ull, &before), 0);
		break;
	}
	replica_keep_time(&fixture->replica, now_ns - 2000);
	assert_int_equal(fixture->replica.moved_ns, 0);
	replica_keep_time(&fixture->replica, now_ns);
	assert_true(fixture->replica.moved_ns > 0);
	assert_int_equal(view_block_at(&view, 1, before.cell_addr - (1ULL << 40), &after), 0);
	assert_int_equal(after.born_at_ns, before.born_at_ns);
	assert_in_range(after.age_ms, 3590000, 3600000);
	assert_in_range(before.age_ms, 3590000, 3600000);
	tear_down(fixture);
}

static void births_that_nobody_heard_come_from_the_numbers(void **state)
{
	struct seq_times times = {0};
	struct random random = {random_seed()};
	uint64_t seq = 1000, ns = 1000000000, worst_ns = 0;

	(void)state;
	assert_int_equal(seq_times_find(&times, 5), 0);
	for (uint32_t i = 0; i < 1000; i++) { /* a reading each 20 ms, 100 s */
		seq_times_note(&times, seq, ns);
		seq += i % 7 ? 50 + random_below(&random, 100) : 0;
		ns += 20000000;
	}
	assert_true(times.count <= SEQ_TIMES_MAX);
	assert_int_equal(seq_times_find(&times, 999), 0);
	for (uint32_t i = 1; i < times.count; i++) {
		assert_true(times.points[i].seq >= times.points[i - 1].seq);
		assert_true(times.points[i].ns > times.points[i - 1].ns);
		assert_int_equal(seq_times_find(&times, times.points[i].seq - 1) <=
					 times.points[i].ns,
				 true);
	}
	for (uint32_t i = times.count - 50; i < times.count; i++) {
		uint64_t found = seq_times_find(&times, times.points[i].seq);

		if (found < times.points[i].ns || found - times.points[i].ns > worst_ns)
			worst_ns = found - times.points[i].ns;
	}
	assert_true(worst_ns <= 20000000);
	assert_int_equal(seq_times_find(&times, seq + 1000), times.points[times.count - 1].ns);
	seq_times_fini(&times);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lifetimes_are_those_of_an_oracle),
		cmocka_unit_test(time_zero_moves_on_and_ages_stay),
		cmocka_unit_test(births_that_nobody_heard_come_from_the_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
