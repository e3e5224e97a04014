/* SPDX-License-Identifier: MIT */
/*
 * test_mistakes.c - wrong frees and overwritten headers at random, among the right calls of four
 * threads, in heaps so large that a free does not look.
 *
 * The threads take turns, so that a table knows which block lies where; the keeper comes when it
 * likes, and when it is called. Whatever the mistakes: no two blocks overlap, each keeps what was
 * written into it (but for the four bytes before a pointer into it that was freed), every mistake is
 * told once, in the end at the latest, and nothing else is. Where frees are checked, each is told at
 * once.
 *
 * LONG=1: thirty times as long. Under ThreadSanitizer: a tenth.
 */
#include "test.h"

#include <string.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arena.h"
#include "arenas.h"
#include "purge.h"
#include "worker.h"

#define CAPACITY_BYTES (1ULL << 30) /* the least that has big cells */
#define PLACES	       (CAPACITY_BYTES / MMVIZ_PLACE_BYTES)
#define WORKERS	       4u
#define BLOCKS	       6000u /* in use at most, ... */
#define CROWD	       400u  /* ... and those that come and go at once */
#define DEAD	       512u  /* freed ones that are remembered */
#define BALLAST	       1200u /* blocks that make a heap large */
#define TURNS	       250u
#define CALLS	       100u /* in one turn */

struct block {
	char *start; /* NULL: none */
	uint32_t bytes, stamp;
};

/* Of one run. The threads take turns: no lock is needed. */
static struct {
	struct mmviz_arena *arena;
	struct random random;
	struct worker workers[WORKERS];
	struct block blocks[BLOCKS + CROWD];
	char *dead[DEAD];
	uint8_t *claimed; /* by place: a header, or payload of a block in use */
	bool finds_at_once, overwrites;
	uint32_t stamp;
	uint64_t allocated, made, later, overwritten;
	uint64_t heard; /* by the handler, in whatever thread */
} run;

static uint32_t below(uint32_t limit)
{
	return random_below(&run.random, limit);
}

static void hear(const struct mmviz_error *error)
{
	must(error->kind == MMVIZ_ERROR_DOUBLE_FREE || error->kind == MMVIZ_ERROR_FOREIGN_POINTER ||
	     (error->kind == MMVIZ_ERROR_CORRUPT_HEADER && run.overwrites));
	run.heard++;
}

/* ------------------------------------------------------------------ what lies where */

static uint64_t place_of(const void *address)
{
	return ((uint64_t)address - (uint64_t)run.arena) / MMVIZ_PLACE_BYTES;
}

/* Header and payload. */
static void claim(const struct block *block, uint8_t before, uint8_t after)
{
	uint64_t first = place_of(block->start) - 1;
	uint64_t end = place_of(block->start + block->bytes + MMVIZ_PLACE_BYTES - 1);

	must(first < end && end <= PLACES);
	for (uint64_t place = first; place < end; place++) {
		must(run.claimed[place] == before);
		run.claimed[place] = after;
	}
}

/* Sizes and marks are whole words. */
static uint32_t word_of(const struct block *block, uint32_t offset)
{
	return (block->stamp << 22 | offset >> 2) * 2654435761u;
}

static void fill(const struct block *block, uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end; i += 4)
		*(uint32_t *)(block->start + i) = word_of(block, i);
}

static void look_at(const struct block *block, uint32_t end)
{
	for (uint32_t i = 0; i < end; i += 4)
		must(*(uint32_t *)(block->start + i) == word_of(block, i));
}

static void look_at_all(void)
{
	for (uint32_t i = 0; i < BLOCKS + CROWD; i++)
		if (run.blocks[i].start)
			look_at(&run.blocks[i], run.blocks[i].bytes);
}

/* The block in use that holds this byte, or NULL. */
static const struct block *block_around(const char *address)
{
	for (uint32_t i = 0; i < BLOCKS + CROWD; i++)
		if (run.blocks[i].start && address >= run.blocks[i].start &&
		    address < run.blocks[i].start + run.blocks[i].bytes)
			return &run.blocks[i];
	return NULL;
}

/* ------------------------------------------------------------------ right calls */

/* Few sizes, so that magazines run over and spans become empty; some are big cells, some large. */
static uint32_t draw_bytes(void)
{
	static const uint32_t sizes[] = {40,   40,   200,  1000, 1000,	4000,
					 8000, 8000, 8000, 8000, 30000, 30000};
	uint32_t what = below(200);

	return what == 0 ? 1500000 : what < 4 ? 300000 : what < 8 ? 60000 : sizes[what % 12];
}

static void born(struct block *block, char *start, uint32_t bytes)
{
	must(start);
	*block = (struct block){start, bytes, run.stamp++};
	claim(block, 0, 1);
	fill(block, 0, bytes);
	run.allocated++;
}

static void make(struct block *block)
{
	uint32_t bytes = draw_bytes(), way = below(16);

	born(block,
	     way == 0	? mmviz_alloc_aligned(run.arena, 64, bytes, 0)
	     : way == 1 ? mmviz_alloc_labeled(run.arena, bytes, "mistakes")
			: mmviz_alloc(run.arena, bytes, 0),
	     bytes);
}

static void forget(struct block *block)
{
	look_at(block, block->bytes);
	claim(block, 1, 0);
	run.dead[below(DEAD)] = block->start;
	block->start = NULL;
}

static void unmake(struct block *block)
{
	char *start = block->start;

	forget(block);
	mmviz_free(run.arena, start);
}

static void resize(struct block *block)
{
	uint32_t bytes = draw_bytes(), kept = bytes < block->bytes ? bytes : block->bytes;
	char *moved;

	claim(block, 1, 0);
	moved = mmviz_realloc(run.arena, block->start, bytes, 0);
	must(moved);
	if (moved != block->start)
		run.dead[below(DEAD)] = block->start;
	block->start = moved;
	look_at(block, kept);
	block->bytes = bytes;
	claim(block, 0, 1);
	fill(block, kept, bytes);
}

/* ------------------------------------------------------------------ mistakes */

/* The mark may lie in a payload: the block gets its bytes again. */
static void free_wrong(char *pointer)
{
	const struct block *block = block_around(pointer - 4);
	uint64_t heard = run.heard;

	mmviz_free(run.arena, opaque(pointer));
	run.made++;
	must(!run.finds_at_once || run.heard == heard + 1);
	run.later += run.heard == heard;
	if (block && !((uint64_t)pointer & 15))
		fill(block, (uint32_t)(pointer - 4 - block->start),
		     (uint32_t)(pointer - block->start));
}

/* What was freed, and is no block's start by now. */
static void free_again(char *pointer)
{
	const struct block *block = pointer ? block_around(pointer) : NULL;

	if (pointer && (!block || block->start != pointer))
		free_wrong(pointer);
}

static void free_inside(const struct block *block)
{
	uint32_t offset = below(block->bytes);

	if (offset && below(8))
		offset &= ~(MMVIZ_PLACE_BYTES - 1);
	if (offset)
		free_wrong(block->start + offset);
}

/* Another length in the header, then its free: told at once, and then it is put right, or later. */
static void overwrite_and_free(struct block *block)
{
	struct mmviz_header *header = (struct mmviz_header *)block->start - 1;
	uint64_t heard = run.heard;
	struct block kept = *block;

	__atomic_fetch_xor(&header->word, 1ULL << 40, __ATOMIC_RELAXED);
	run.overwritten++;
	forget(block);
	mmviz_free(run.arena, opaque(kept.start));
	must(!run.finds_at_once || run.heard == heard + 1);
	if (mmviz_header_is_whole(header, (uint64_t)header) || run.heard == heard)
		return; /* lost by now, or not looked at yet */
	__atomic_fetch_xor(&header->word, 1ULL << 40, __ATOMIC_RELAXED);
	mmviz_free(run.arena, kept.start);
}

/* ------------------------------------------------------------------ turns */

static void call(void)
{
	struct block *block = &run.blocks[below(BLOCKS)];
	uint32_t what = below(100);

	if (!block->start)
		make(block);
	else if (what < 5)
		free_inside(block);
	else if (what < 20)
		free_again(run.dead[below(DEAD)]);
	else if (what < 22 && run.overwrites)
		overwrite_and_free(block);
	else if (what < 30)
		resize(block);
	else
		unmake(block);
}

/*
 * Hundreds of one size come and go at once, and leave spans with nothing in them to the other heaps;
 * some are freed again not long after.
 */
static void come_and_go(void)
{
	struct block *crowd = run.blocks + BLOCKS;
	uint32_t bytes = below(2) ? 8000 : 1000;
	char *starts[CROWD];

	for (uint32_t i = 0; i < CROWD; i++)
		born(&crowd[i], mmviz_alloc(run.arena, bytes, 0), bytes);
	for (uint32_t i = 0; i < CROWD; i++) {
		uint32_t again = below(40);

		starts[i] = crowd[i].start;
		unmake(&crowd[i]);
		if (again <= i && below(4) == 0)
			free_again(starts[i - again]);
	}
}

static void take_turn(void *argument)
{
	(void)argument;
	if (below(3) == 0)
		come_and_go();
	for (uint32_t i = below(2) * CALLS; i > 0; i--)
		call();
}

static void take_ballast(void *argument)
{
	(void)argument;
	for (uint32_t i = 0; i < BALLAST; i++) {
		struct block block;

		born(&block, mmviz_alloc(run.arena, 8000, 0), 8000);
	}
}

static void let_idle_pages_go(void)
{
	uint32_t cursor = 0;
	bool goes_on = true;

	while (goes_on) {
		arena_lock(run.arena);
		goes_on = purge_idle_step(run.arena, &cursor, 0);
		arena_unlock(run.arena);
	}
}

/* While a mistake lies in a magazine, or a header is not what it was, the check may say so. */
static void check(void)
{
	const char *message = mmviz_check_message();

	if (!mmviz_arena_check(run.arena))
		return;
	if (run.made + run.overwritten > run.heard &&
	    (strstr(message, "which is no cached cell of it") ||
	     strstr(message, "more cells are cached outside free lists") ||
	     (run.overwrites && strstr(message, "check word"))))
		return;
	fail_msg("%s", message);
}

static void replace(struct worker *worker)
{
	worker_stop(worker);
	worker_start(worker);
}

static void begin(unsigned flags, bool is_reset)
{
	run.arena = arena_of(CAPACITY_BYTES, flags, NULL);
	run.claimed = calloc(PLACES, 1);
	must(run.claimed);
	if (is_reset)
		mmviz_arena_reset(run.arena);
	run.finds_at_once = flags & MMVIZ_CHECKED_FREES || is_reset;
	for (uint32_t i = 0; i < WORKERS; i++) {
		worker_start(&run.workers[i]);
		worker_do(&run.workers[i], take_ballast, NULL);
	}
}

/* What lies in magazines is looked at when threads end. */
static void end(void)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_stop(&run.workers[i]);
	look_at_all();
	if (!run.overwrites)
		assert_int_equal(run.heard, run.made);
	assert_true(run.heard <= run.made + run.overwritten);
	assert_true(run.heard >= run.made);
	assert_whole(run.arena);
	mmviz_arena_destroy(run.arena);
	free(run.claimed);
}

static void make_mistakes(unsigned flags, bool is_reset, bool overwrites)
{
	uint32_t turns = TURNS / LESS * (getenv("LONG") ? 30 : 1);

	memset(&run, 0, sizeof(run));
	run.random.state = random_seed();
	run.overwrites = overwrites;
	begin(flags, is_reset);
	for (uint32_t turn = 0; turn < turns; turn++) {
		struct worker *worker = &run.workers[below(WORKERS)];

		worker_do(worker, take_turn, NULL);
		if (below(10) == 0)
			let_idle_pages_go();
		if (below(30) == 0)
			replace(worker);
		if (below(60) == 0)
			look_at_all();
		if (below(60) == 0)
			check();
	}
	printf("%llu blocks, %llu wrong frees, %llu not found at once, %llu overwritten headers, "
	       "%llu "
	       "told\n",
	       (unsigned long long)run.allocated, (unsigned long long)run.made,
	       (unsigned long long)run.later, (unsigned long long)run.overwritten,
	       (unsigned long long)run.heard);
	end();
}

static void test_wrong_frees(void **state)
{
	(void)state;
	make_mistakes(0, false, false);
}

static void test_wrong_frees_and_overwritten_headers(void **state)
{
	(void)state;
	make_mistakes(0, false, true);
}

static void test_checked_frees(void **state)
{
	(void)state;
	make_mistakes(MMVIZ_CHECKED_FREES, false, true);
}

static void test_after_a_reset(void **state)
{
	(void)state;
	make_mistakes(0, true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_frees),
		cmocka_unit_test(test_wrong_frees_and_overwritten_headers),
		cmocka_unit_test(test_checked_frees),
		cmocka_unit_test(test_after_a_reset),
	};

	mmviz_set_error_handler(hear);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
