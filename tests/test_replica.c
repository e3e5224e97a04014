/* SPDX-License-Identifier: MIT */
/*
 * test_replica.c - the replica against simulated heaps, attached and followed while they work.
 *
 * A collector is played here step by step, as session, follow and baseline do it, and between any
 * two of its steps the heaps take theirs (heap_sim.h). At the end everything stands still, and the
 * replica must be what is in the simulated memory, to the byte. In the chaos build each rule of the
 * protocol is left out in turn, and the same rounds must then fail.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "heap_sim.h"
#include "model/compare.h"
#include "model/replica.h"

#define WARM_UP_STEPS  3000u
#define TICKS	       12u
#define ATTACH_NS      1000000000ull
#define CHECKED_ROUNDS 300u

struct collector {
	struct heap_sim *sim;
	struct replica replica;
	struct replica_arena *arena;
	struct random random;
	uint32_t pace;	      /* steps of the heaps between two of ours, at most */
	uint32_t cut_pace;    /* the same, while the cut is made */
	uint32_t lose_one_in; /* batches that the ring loses; 0: none */
	uint64_t steps_ns;
};

static void let_heaps_step(struct collector *collector, uint32_t most)
{
	uint32_t steps = random_below(&collector->random, most + 1);

	for (uint32_t i = 0; i < steps; i++)
		heap_sim_step(collector->sim);
}

static void let_heaps_work(struct collector *collector)
{
	let_heaps_step(collector, collector->pace);
}

/* ------------------------------------------------------------------ reading the simulated target
 */

/* First the map, in two halves; then each span's head; then header after header, as they are then.
 */
static void read_map(struct collector *collector, uint8_t map[SIM_UNITS + 1])
{
	memcpy(map, collector->sim->map, SIM_UNITS / 2);
	let_heaps_work(collector);
	memcpy(map + SIM_UNITS / 2, collector->sim->map + SIM_UNITS / 2, SIM_UNITS / 2);
	map[SIM_UNITS] = MMVIZ_UNIT_FREE;
}

static uint32_t run_units(const uint8_t map[SIM_UNITS + 1], uint32_t first)
{
	uint8_t rest =
		map[first] >= MMVIZ_UNIT_LARGE ? (uint8_t)MMVIZ_UNIT_CONTINUATION : map[first];
	uint32_t end = first + 1;

	while (end < SIM_UNITS && map[end] == rest)
		end++;
	return end - first;
}

static void walk_cell(struct collector *collector, struct block_table *table, uint32_t place)
{
	const struct sim_cell *cell = heap_sim_header_at(collector->sim, place);
	struct walked_block block = {.place = place, .life = MMVIZ_LIFE_CACHED};
	char label[MMVIZ_LABEL_BYTES];

	if (cell) {
		memcpy(label, cell->label, sizeof(label));
		block.life = sim_cell_life(cell);
		block.word = mmviz_word_make(cell->bytes, cell->context, 0, cell->life);
		block.incarnation = cell->incarnation;
		block.label = label;
	}
	if (table == &collector->arena->table)
		replica_walk_block(collector->arena, &block);
	else
		walked_block(table, &block);
	let_heaps_work(collector);
}

static void walk_run(struct collector *collector, struct block_table *table,
		     const uint8_t map[SIM_UNITS + 1], uint32_t unit)
{
	const struct sim_span *span = collector->sim->spans[unit];
	uint32_t units = run_units(map, unit);
	struct mmviz_span head;

	if (map[unit] < MMVIZ_UNIT_LARGE) {
		walked_units(table, unit, units,
			     map[unit] == MMVIZ_UNIT_META ? MMVIZ_UNIT_META : MMVIZ_UNIT_FREE);
		return;
	}
	head = span->head;
	if (map[unit] == MMVIZ_UNIT_LARGE ? head.fit != MMVIZ_FIT_LARGE
					  : head.size_class + MMVIZ_UNIT_SPAN != map[unit]) {
		walked_units(table, unit, units, MMVIZ_UNIT_FREE);
		return;
	}
	head.units = units;
	walked_span(table, unit, &head);
	let_heaps_work(collector);
	for (uint32_t i = 0; i < head.bump_cells; i++)
		walk_cell(collector, table,
			  unit * PLACES_PER_UNIT +
				  (head.first_header_bytes + i * head.cell_bytes) / 16);
}

static void walk(struct collector *collector, struct block_table *table)
{
	uint8_t map[SIM_UNITS + 1];

	read_map(collector, map);
	for (uint32_t unit = 0; unit < SIM_UNITS; unit += run_units(map, unit))
		walk_run(collector, table, map, unit);
}

/* ------------------------------------------------------------------ baseline */

static void take_baseline(struct collector *collector)
{
	struct replica_cut cuts[SIM_HEAPS] = {{0}};
	struct heap_sim *sim = collector->sim;
	uint32_t heaps = sim->heaps_count;
	uint64_t order;

	for (uint32_t i = 0; i < heaps; i++) {
		cuts[i].s1 = sim->heaps[i].seq;
		let_heaps_step(collector, collector->cut_pace);
	}
	for (uint32_t i = 0; i < heaps; i++) {
		cuts[i].s2 = sim->heaps[i].seq;
		let_heaps_step(collector, collector->cut_pace);
	}
	order = sim->order;
	let_heaps_work(collector);
	assert_int_equal(replica_baseline_begin(&collector->replica, collector->arena, cuts, heaps,
						order, ATTACH_NS),
			 0);
	walk(collector, &collector->arena->table);
	replica_baseline_end(collector->arena, sim->committed_units);
	let_heaps_work(collector);
}

/* ------------------------------------------------------------------ ticks */

struct tail {
	uint64_t seq;
	struct sim_batch batch;
};

static uint64_t expected_of(const struct collector *collector, uint32_t heap_id)
{
	const struct replica_heap *heap = replica_heap_find(collector->arena, heap_id);

	return heap ? heap->expected : 0;
}

static void read_tail(const struct sim_heap *heap, uint32_t heap_id, struct tail *tail)
{
	*tail = (struct tail){.seq = heap->seq};
	tail->batch.heap_id = heap_id;
	tail->batch.first = heap->log_first;
	tail->batch.next = heap->log_next;
	memcpy(tail->batch.events, heap->log, sizeof(heap->log));
}

static void feed(struct collector *collector, const struct sim_batch *batch)
{
	struct replica_batch fed = {
		.heap_id = batch->heap_id,
		.thread_id = batch->heap_id,
		.first = batch->first,
		.next = batch->next,
		.until_ns = ATTACH_NS + (collector->steps_ns += 1000000),
		.events = batch->events,
	};

	replica_feed(&collector->replica, collector->arena, &fed);
	if (random_below(&collector->random, 4) == 0) /* what is known by number is dropped */
		replica_feed(&collector->replica, collector->arena, &fed);
}

static void drain(struct collector *collector)
{
	struct sim_batch *batch;

	while ((batch = heap_sim_take_batch(collector->sim))) {
		if (!collector->lose_one_in ||
		    random_below(&collector->random, collector->lose_one_in))
			feed(collector, batch);
		free(batch);
	}
}

static void feed_tail(struct collector *collector, const struct tail *tail)
{
	uint32_t id = tail->batch.heap_id;

	if (tail->batch.next > expected_of(collector, id))
		feed(collector, &tail->batch);
	else if (tail->seq > expected_of(collector, id))
		replica_accept_unlogged(collector->arena, id, tail->seq);
	replica_declare_lost(collector->arena, id, tail->seq); /* nothing, but for losses */
}

static void tick(struct collector *collector)
{
	struct heap_sim *sim = collector->sim;
	struct tail tails[SIM_HEAPS];
	uint64_t horizon = sim->order;
	uint32_t heaps = sim->heaps_count, first;

	let_heaps_work(collector);
	first = random_below(&collector->random, heaps);
	for (uint32_t i = 0; i < heaps; i++) {
		uint32_t h = (first + i) % heaps;
		uint64_t seq = sim->heaps[h].seq;

		let_heaps_work(collector);
		read_tail(&sim->heaps[h], h + 1, &tails[i]);
		tails[i].seq = seq;
		let_heaps_work(collector);
	}
	drain(collector);
	for (uint32_t i = 0; i < heaps; i++)
		feed_tail(collector, &tails[i]);
	replica_settle(collector->arena, horizon);
}

/* ------------------------------------------------------------------ is it right? */

static uint64_t count_wrong(const struct collector *collector)
{
	struct comparison comparison = {0};
	struct block_table truth;
	struct collector reader = *collector;
	struct mmviz_arena_head head;

	heap_sim_head(collector->sim, &head);
	assert_int_equal(block_table_init(&truth, &reader.replica.pool, &head), 0);
	reader.pace = 0;
	walk(&reader, &truth);
	compare_arena(collector->arena, &truth, &comparison);
	if (comparison.first[0] && getenv("MMVIZ_TEST_VERBOSE"))
		print_message("%s\n", comparison.first);
	block_table_fini(&truth);
	return comparison.missing + comparison.extra + comparison.different;
}

/* Everything stands still; the replica hears of all of it. */
static void settle_all(struct collector *collector)
{
	heap_sim_quiesce(collector->sim);
	collector->pace = collector->cut_pace = 0;
	tick(collector);
	tick(collector);
}

static bool are_numbers_right(const struct collector *collector)
{
	const struct replica_arena *arena = collector->arena;
	uint64_t passed = 0;

	for (uint32_t i = 0; i < collector->sim->heaps_count; i++) {
		const struct replica_heap *heap = replica_heap_find(arena, i + 1);

		if (heap->expected != collector->sim->heaps[i].seq ||
		    heap->applied != heap->expected)
			return false;
		passed += heap->expected - heap->attach_seq;
	}
	/* An operation that was not logged at attach is older than the attach. */
	return passed - arena->seen - arena->lost <= SIM_HEAPS * MMVIZ_OPERATION_EVENTS_MAX &&
	       block_table_check(&arena->table) == 0 &&
	       arena->committed_units == collector->sim->committed_units;
}

/* ------------------------------------------------------------------ rounds */

struct round {
	uint32_t pace, cut_pace, ticks, lose_one_in;
	bool has_resets, verifies;
	uint64_t wrong, lost, violations; /* out */
	const char *violation;
	bool is_exact;
};

static void start(struct collector *collector, struct heap_sim *sim, uint64_t seed)
{
	struct mmviz_arena_head head;

	heap_sim_init(sim, seed);
	for (uint32_t i = 0; i < WARM_UP_STEPS; i++)
		heap_sim_step(sim);
	*collector = (struct collector){
		.sim = sim, .random = {~seed}, .replica = {.attach_ns = ATTACH_NS}};
	heap_sim_head(sim, &head);
	assert_int_equal(replica_arena_add(&collector->replica, &head, true, &collector->arena), 0);
}

/* Compare while the heaps go on: what no event has touched must be equal. */
static uint64_t verify_running(struct collector *collector)
{
	struct comparison comparison = {0};
	struct block_table fresh;
	uint64_t wrong;

	assert_int_equal(replica_touch_begin(collector->arena), 0);
	assert_int_equal(
		block_table_init(&fresh, &collector->replica.pool, &collector->arena->head), 0);
	walk(collector, &fresh);
	heap_sim_quiesce(collector->sim); /* no operation is stuck half way */
	tick(collector);
	tick(collector);
	if (collector->arena->state == REPLICA_EXACT)
		compare_arena(collector->arena, &fresh, &comparison);
	wrong = comparison.missing + comparison.extra + comparison.different;
	replica_touch_end(collector->arena);
	block_table_fini(&fresh);
	return wrong;
}

static void play(struct collector *collector, struct round *round)
{
	collector->sim->is_listening = true;
	collector->pace = round->pace;
	collector->cut_pace = round->cut_pace ? round->cut_pace : round->pace;
	take_baseline(collector);
	tick(collector);
	for (uint32_t i = 0; i < round->ticks; i++) {
		collector->lose_one_in = round->lose_one_in;
		for (uint32_t s = 0; s < 40 * round->pace; s++)
			heap_sim_step(collector->sim);
		if (round->has_resets && random_below(&collector->random, 4) == 0)
			heap_sim_reset(collector->sim);
		if (round->verifies && collector->sim->heaps_count > 1)
			round->wrong += verify_running(collector);
		tick(collector);
		collector->lose_one_in = 0;
		if (collector->arena->state == REPLICA_BROKEN && i % 2) {
			take_baseline(collector);
			tick(collector);
		}
	}
}

static void run_round(struct round *round, uint64_t seed)
{
	struct collector collector;
	struct heap_sim sim;

	round->wrong = 0;
	start(&collector, &sim, seed);
	play(&collector, round);
	settle_all(&collector);
	if (collector.arena->state == REPLICA_BROKEN && round->lose_one_in) {
		take_baseline(&collector);
		settle_all(&collector);
	}
	round->is_exact = collector.arena->state == REPLICA_EXACT;
	round->lost = collector.arena->lost;
	round->violations = collector.arena->violations;
	round->violation = collector.arena->violation;
	if (round->is_exact)
		round->wrong += count_wrong(&collector) + !are_numbers_right(&collector);
	replica_fini(&collector.replica);
	heap_sim_fini(&sim);
}

static bool is_right(const struct round *round)
{
	return !round->wrong && round->is_exact && !round->violations &&
	       (!round->lost || round->lose_one_in);
}

#ifndef MMVIZ_CHAOS

/* Rounds of that kind from `seed` on. Every one of them must be exact and right. */
static void all_right(struct round round, uint64_t seed, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		run_round(&round, seed + i);
		if (!is_right(&round))
			fail_msg("seed 0x%llx: %llu wrong, %llu lost, %llu violations (%s), exact "
				 "%d",
				 (unsigned long long)(seed + i), (unsigned long long)round.wrong,
				 (unsigned long long)round.lost,
				 (unsigned long long)round.violations,
				 round.violation ? round.violation : "none", round.is_exact);
	}
}

static void attach_to_busy_heaps(void **state)
{
	(void)state;
	all_right((struct round){.pace = 3, .ticks = 0}, random_seed(), CHECKED_ROUNDS);
}

static void follow_busy_heaps(void **state)
{
	(void)state;
	all_right((struct round){.pace = 3, .ticks = TICKS}, random_seed(), CHECKED_ROUNDS);
}

static void attach_slowly(void **state)
{
	(void)state;
	all_right((struct round){.pace = 40, .ticks = 2}, random_seed(), CHECKED_ROUNDS);
}

static void cut_slowly(void **state)
{
	(void)state;
	all_right((struct round){.pace = 1, .cut_pace = 500, .ticks = 1}, random_seed(),
		  CHECKED_ROUNDS);
}

static void follow_resets(void **state)
{
	(void)state;
	all_right((struct round){.pace = 5, .ticks = TICKS, .has_resets = true}, random_seed(),
		  CHECKED_ROUNDS);
}

static void verify_while_running(void **state)
{
	(void)state;
	all_right((struct round){.pace = 2, .ticks = TICKS, .verifies = true}, random_seed(),
		  CHECKED_ROUNDS);
}

static void losses_are_counted_and_heal(void **state)
{
	(void)state;
	all_right((struct round){.pace = 8, .ticks = TICKS, .lose_one_in = 5}, random_seed(),
		  CHECKED_ROUNDS);
}

/* Made after the attach, seen for the first time when lost events had to heal. */
static void a_heap_that_a_later_baseline_finds_is_counted_from_its_first_event(void **state)
{
	const struct replica_cut cuts[] = {{.s1 = 100, .s2 = 100}, {.s1 = 70, .s2 = 70}};
	struct collector collector;
	struct heap_sim sim;

	(void)state;
	start(&collector, &sim, random_seed());
	for (uint32_t heaps = 1; heaps <= 2; heaps++) {
		assert_int_equal(replica_baseline_begin(&collector.replica, collector.arena, cuts,
							heaps, 0, ATTACH_NS),
				 0);
		replica_baseline_end(collector.arena, 0);
		replica_settle(collector.arena, 0);
	}
	replica_declare_lost(collector.arena, 1, 101);
	replica_declare_lost(collector.arena, 2, 75);
	assert_int_equal(collector.arena->seen + collector.arena->lost, 1 + 75);
	replica_fini(&collector.replica);
	heap_sim_fini(&sim);
}

/* When a block of heap 1 was born that a walk finds, whose ALLOC had this number. */
static uint32_t birth_of(struct collector *collector, uint64_t number)
{
	const struct mmviz_span head = {.owner_heap = 1,
					.units = 2,
					.cell_bytes = mmviz_cell_bytes(3, MMVIZ_SHAPE_PLAIN),
					.bump_cells = 1,
					.size_class = 3};
	struct walked_block block = {.place = 100 * PLACES_PER_UNIT,
				     .life = MMVIZ_LIFE_LIVE,
				     .word = mmviz_word_make(8, 1, 0, MMVIZ_LIFE_LIVE),
				     .incarnation = mmviz_incarnation(number)};

	replica_walk_span(collector->arena, 100, &head);
	replica_walk_block(collector->arena, &block);
	return collector->arena->table.spans[collector->arena->table.span_of_unit[100]]
		.cells[0]
		.born_tick;
}

static void cut_at(struct collector *collector, uint64_t seq, uint64_t now_ns)
{
	const struct replica_cut cut = {.s1 = seq, .s2 = seq};

	assert_int_equal(
		replica_baseline_begin(&collector->replica, collector->arena, &cut, 1, 0, now_ns),
		0);
}

/* A header has 31 bits of the number: at 20 M events a second they last for less than two minutes. */
static void births_are_told_from_the_31_bits_that_headers_have(void **state)
{
	static const uint64_t seqs[] = {1000, 1ull << 30, 3ull << 30, 1ull << 31, (1ull << 32) + 5};
	const uint64_t most = (1ull << 31) - (1ull << 24) - 1, since = (1ull << 30) + (1ull << 29);
	const uint64_t later_ns = ATTACH_NS + 1000 * tick_ns(1);

	(void)state;
	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
		uint64_t seq = seqs[i], oldest = seq > most ? seq - most : 0;
		struct collector collector;
		struct heap_sim sim;

		start(&collector, &sim, random_seed());
		cut_at(&collector, seq, ATTACH_NS);
		assert_int_equal(birth_of(&collector, seq - 1), BORN_BEFORE_ATTACH);
		assert_int_equal(birth_of(&collector, seq / 2 + oldest / 2), BORN_BEFORE_ATTACH);
		assert_int_equal(birth_of(&collector, oldest), BORN_BEFORE_ATTACH);
		assert_int_equal(birth_of(&collector, seq), 0); /* while the arena is walked */
		replica_baseline_end(collector.arena, 0);
		replica_settle(collector.arena, 0);
		replica_declare_lost(collector.arena, 1, seq + since);
		cut_at(&collector, seq + since, later_ns);
		assert_int_equal(birth_of(&collector, seq - 1), BORN_BEFORE_ATTACH);
		assert_int_equal(birth_of(&collector, seq), 0);
		assert_in_range(birth_of(&collector, seq + since / 2), 499, 501);
		assert_int_equal(birth_of(&collector, seq + since), 1000);
		replica_fini(&collector.replica);
		heap_sim_fini(&sim);
	}
}

/* ------------------------------------------------------------------ a hostile target */

/* Half of them likely: kinds that exist, places inside of the arena. */
static struct mmviz_event hostile_event(struct random *random)
{
	uint32_t place = random_below(random, 2 * SIM_UNITS * PLACES_PER_UNIT);
	uint64_t data = random_below(random, 4096);

	if (random_below(random, 4) == 0)
		return (struct mmviz_event){random_next(random), random_next(random)};
	if (random_below(random, 4) == 0)
		place &= ~(PLACES_PER_UNIT - 1);
	if (random_below(random, 2))
		data |= (uint64_t)random_below(random, 256) << 32 |
			(uint64_t)random_below(random, 4) << 40;
	if (random_below(random, 16) == 0)
		data |= MMVIZ_ALLOC_LABELLED;
	return (struct mmviz_event){
		mmviz_event_what(random_below(random, 11), random_below(random, 1u << 24), place),
		data};
}

static void feed_hostile(struct collector *collector)
{
	struct random *random = &collector->random;
	struct mmviz_event events[MMVIZ_LOG_SLOTS];
	struct replica_batch batch = {
		.heap_id = random_below(random, 6),
		.first = random_below(random, 100000),
		.first_ns = random_next(random),
		.until_ns = random_next(random),
		.events = events,
	};
	const struct replica_heap *heap = replica_heap_find(collector->arena, batch.heap_id);

	if (heap && random_below(random, 8))
		batch.first = heap->expected;
	batch.next = batch.first + random_below(random, MMVIZ_LOG_SLOTS + 1);
	if (random_below(random, 64) == 0)
		batch.next = random_next(random);
	for (uint32_t i = 0; i < MMVIZ_LOG_SLOTS; i++)
		events[i] = hostile_event(random);
	replica_feed(&collector->replica, collector->arena, &batch);
}

static void walk_hostile(struct collector *collector)
{
	struct random *random = &collector->random;
	struct mmviz_span head;
	struct walked_block block = {
		.place = (uint32_t)random_next(random) >> random_below(random, 20),
		.life = random_below(random, 4),
		.word = random_next(random),
		.incarnation = (uint32_t)random_next(random),
	};

	for (size_t i = 0; i < sizeof(head); i++)
		((uint8_t *)&head)[i] = (uint8_t)(random_next(random) >> random_below(random, 64));
	if (random_below(random, 2))
		head.fit = MMVIZ_FIT_LARGE;
	replica_walk_span(collector->arena, random_below(random, SIM_UNITS + 2), &head);
	replica_walk_block(collector->arena, &block);
	replica_walk_units(collector->arena, (uint32_t)random_next(random), block.place,
			   random_below(random, 5));
}

static void hostile_bytes_do_no_harm(void **state)
{
	struct replica_cut cuts[SIM_HEAPS] = {{0}};
	struct collector collector;
	struct heap_sim sim;
	uint64_t fed = 0;

	(void)state;
	start(&collector, &sim, random_seed());
	for (uint32_t i = 0; i < 3000; i++) {
		if (i % 64 == 0) {
			for (uint32_t h = 0; h < SIM_HEAPS; h++)
				cuts[h].s1 = cuts[h].s2 = expected_of(&collector, h + 1);
			assert_int_equal(replica_baseline_begin(&collector.replica, collector.arena,
								cuts, SIM_HEAPS, i, ATTACH_NS),
					 0);
			for (uint32_t w = 0; w < 32; w++)
				walk_hostile(&collector);
			replica_baseline_end(collector.arena, random_next(&collector.random));
		}
		feed_hostile(&collector);
		replica_settle(collector.arena, random_below(&collector.random, 5000));
		fed += collector.arena->seen;
		assert_int_equal(block_table_check(&collector.arena->table), 0);
	}
	assert_true(fed > 0 && collector.arena->violations > 0);
	replica_fini(&collector.replica);
	heap_sim_fini(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_bytes_do_no_harm),
		cmocka_unit_test(attach_to_busy_heaps),
		cmocka_unit_test(follow_busy_heaps),
		cmocka_unit_test(attach_slowly),
		cmocka_unit_test(cut_slowly),
		cmocka_unit_test(follow_resets),
		cmocka_unit_test(verify_while_running),
		cmocka_unit_test(losses_are_counted_and_heal),
		cmocka_unit_test(
			a_heap_that_a_later_baseline_finds_is_counted_from_its_first_event),
		cmocka_unit_test(births_are_told_from_the_31_bits_that_headers_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#define PROOF_ROUNDS 200u

/* Bad ones among rounds of three kinds, with these rules left out. */
static uint32_t count_bad(const char *rules_off)
{
	static const struct round kinds[] = {{.pace = 3, .ticks = 2},
					     {.pace = 40, .ticks = 1},
					     {.pace = 1, .cut_pace = 500, .ticks = 1}};
	uint64_t seed = random_seed();
	uint32_t bad = 0;

	setenv("MMVIZ_RULES_OFF", rules_off, 1);
	for (uint32_t i = 0; i < PROOF_ROUNDS; i++) {
		struct round round = kinds[i % 3];

		run_round(&round, seed + i);
		bad += !is_right(&round);
	}
	print_message("%s left out: %u of %u rounds bad\n", rules_off, bad, PROOF_ROUNDS);
	return bad;
}

static void with_all_rules_nothing_is_bad(void **state)
{
	(void)state;
	assert_int_equal(count_bad("none"), 0);
}

static void each_rule_is_needed(void **state)
{
	static const char *const rules[] = {"order",	"incarnation", "pending", "page",
					    "raise_s2", "start_gap",   "dedupe"};

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		assert_int_not_equal(count_bad(rules[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_all_rules_nothing_is_bad),
		cmocka_unit_test(each_rule_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
