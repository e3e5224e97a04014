/* SPDX-License-Identifier: MIT */
/*
 * bench_replica - the collector's heart: what a walked block, an event and a map cost, and how much
 * memory a live block takes, from 10 k to 1 M live blocks.
 *
 * Blocks of 40 bytes in cells of 80. The churn frees 64 blocks picked at random and allocates them
 * again in another order, in batches of 512 events, as one heap hands them over; events lie in
 * memory that is colder than a ring would be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "compare/machine.h"
#include "model/view_state.h"

#define RUNS	     7
#define EVENTS	     (4u << 20) /* in each run */
#define BATCH_EVENTS 512u
#define CLASS	     3u /* payloads of 64 bytes */
#define SPAN_UNITS   16u
#define FREED	     64u
#define CONTEXTS     100u
#define TEXELS	     262144u

struct bench {
	struct replica replica;
	struct replica_arena *arena;
	struct mmviz_event *events;
	uint32_t *places; /* of live blocks */
	uint32_t live;
	uint64_t random;
};

static uint32_t draw(struct bench *bench, uint32_t bound)
{
	uint64_t x = bench->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	bench->random = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dULL >> 32) * bound >> 32);
}

static double clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ------------------------------------------------------------------ the walk */

static void walk_span(struct bench *bench, uint32_t unit, uint32_t blocks)
{
	struct mmviz_span head = {.owner_heap = 1, .units = SPAN_UNITS, .size_class = CLASS};

	head.cells = mmviz_span_cells(SPAN_UNITS * MMVIZ_UNIT_BYTES, CLASS, MMVIZ_SHAPE_PLAIN);
	head.bump_cells = head.cells;
	replica_walk_span(bench->arena, unit, &head);
	for (uint32_t i = 0; i < head.cells && bench->live < blocks; i++) {
		struct walked_block block = {
			.place = unit * PLACES_PER_UNIT +
				 i * mmviz_cell_bytes(CLASS, MMVIZ_SHAPE_PLAIN) / MMVIZ_PLACE_BYTES,
			.life = MMVIZ_LIFE_LIVE,
			.word = mmviz_word_make(40, i % CONTEXTS, 0, MMVIZ_LIFE_LIVE),
		};

		replica_walk_block(bench->arena, &block);
		bench->places[bench->live++] = block.place;
	}
}

/* Nanoseconds for each block, with the table's memory touched for the first time. */
static double walk(struct bench *bench, uint32_t blocks)
{
	struct mmviz_arena_head head = {.id = 1,
					.base_addr = 1ULL << 40,
					.capacity_bytes = 1ULL << 30,
					.committed_units = 1u << 18,
					.span_shift = {16, 19}};
	struct replica_cut cut = {0};
	double began = clock_ns();

	if (replica_arena_add(&bench->replica, &head, true, &bench->arena) ||
	    replica_baseline_begin(&bench->replica, bench->arena, &cut, 1, 0, 1))
		abort();
	for (uint32_t unit = 0; bench->live < blocks; unit += SPAN_UNITS)
		walk_span(bench, unit, blocks);
	replica_baseline_end(bench->arena, head.committed_units);
	replica_settle(bench->arena, 0);
	return (clock_ns() - began) / blocks;
}

/* ------------------------------------------------------------------ events */

static void make_events(struct bench *bench)
{
	uint32_t freed[FREED];

	for (uint32_t i = 0; i < EVENTS; i += 2 * FREED) {
		for (uint32_t f = 0; f < FREED; f++) {
			uint32_t pick = draw(bench, bench->live);

			freed[f] = bench->places[pick];
			bench->places[pick] = bench->places[--bench->live];
			bench->events[i + f].what = mmviz_event_what(MMVIZ_EVENT_FREE, 0, freed[f]);
		}
		for (uint32_t f = 0; f < FREED; f++) {
			uint32_t pick = draw(bench, FREED - f), place = freed[pick];

			freed[pick] = freed[FREED - f - 1];
			bench->places[bench->live++] = place;
			bench->events[i + FREED + f] = (struct mmviz_event){
				mmviz_event_what(MMVIZ_EVENT_ALLOC, draw(bench, CONTEXTS), place),
				40};
		}
	}
}

#define EVENT_NS 50 /* in the target */

/* Nanoseconds for each event; the best and, as result, the median run. */
static double apply(struct bench *bench, double *best_ns)
{
	double ns[RUNS], median_ns;
	uint64_t number = 0;

	for (unsigned run = 0; run < RUNS; run++) {
		double began = clock_ns();

		for (uint32_t i = 0; i < EVENTS; i += BATCH_EVENTS) {
			struct replica_batch batch = {.heap_id = 1,
						      .thread_id = 1,
						      .first = number,
						      .next = number + BATCH_EVENTS,
						      .first_ns = 2 + number * EVENT_NS,
						      .until_ns = 2 + (number + BATCH_EVENTS) *
									      EVENT_NS,
						      .events = bench->events + i};

			replica_feed(&bench->replica, bench->arena, &batch);
			number += BATCH_EVENTS;
		}
		ns[run] = (clock_ns() - began) / EVENTS;
	}
	median_ns = median(ns, RUNS);
	*best_ns = ns[0];
	return median_ns;
}

/* ------------------------------------------------------------------ the map, memory */

static double map_ms(struct bench *bench)
{
	static struct view_texel texels[TEXELS];
	struct view view = {.replica = &bench->replica, .now.monotonic_ns = 1000000000};
	uint64_t bytes = (uint64_t)bench->arena->table.span_units * MMVIZ_UNIT_BYTES;
	double ms[RUNS];

	for (unsigned run = 0; run < RUNS; run++) {
		double began = clock_ns();

		view_map(&view, 1, 0, bytes / TEXELS + 1, texels, TEXELS);
		ms[run] = (clock_ns() - began) / 1e6;
	}
	return median(ms, RUNS);
}

static double bytes_each(const struct bench *bench)
{
	const struct cell_pool *pool = &bench->replica.pool;
	uint64_t bytes = pool->reserved_bytes - (uint64_t)(pool->end - pool->next) +
			 bench->arena->table.spans_capacity * sizeof(struct span) +
			 bench->arena->table.span_units * sizeof(uint32_t);

	return (double)bytes / bench->live;
}

/* ------------------------------------------------------------------ the table */

static void print_head(void)
{
	machine_print("bench/replica", stdout);
	printf("runs      %u of %u events for each figure, %u texels\n\n", RUNS, EVENTS, TEXELS);
	printf("%10s %12s %14s %10s %12s %8s %12s\n", "live", "walk ns", "event ns", "best",
	       "M events/s", "map ms", "bytes each");
}

static int measure(struct bench *bench, uint32_t blocks)
{
	double walk_ns, event_ns, best_ns;

	bench->live = 0;
	bench->random = 0x9e3779b97f4a7c15ULL;
	bench->replica = (struct replica){.attach_ns = 1};
	walk_ns = walk(bench, blocks);
	make_events(bench);
	event_ns = apply(bench, &best_ns);
	printf("%10u %12.1f %14.1f %10.1f %12.1f %8.2f %12.1f\n", blocks, walk_ns, event_ns,
	       best_ns, 1e3 / event_ns, map_ms(bench), bytes_each(bench));
	if (bench->arena->violations || block_table_check(&bench->arena->table) ||
	    bench->arena->table.totals.live_blocks != blocks) {
		fprintf(stderr, "bench_replica: the replica broke at %u blocks\n", blocks);
		return EXIT_FAILURE;
	}
	replica_fini(&bench->replica);
	return EXIT_SUCCESS;
}

int main(void)
{
	struct bench bench = {.events = calloc(EVENTS, sizeof(struct mmviz_event)),
			      .places = calloc(1000000, sizeof(uint32_t))};
	int result = EXIT_SUCCESS;

	if (!bench.events || !bench.places) {
		fprintf(stderr, "bench_replica: out of memory\n");
		return EXIT_FAILURE;
	}
	print_head();
	for (uint32_t blocks = 10000; blocks <= 1000000 && !result; blocks *= 10)
		result = measure(&bench, blocks);
	free(bench.events);
	free(bench.places);
	return result;
}
