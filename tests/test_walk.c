/* SPDX-License-Identifier: MIT */
/*
 * test_walk.c - what a walk finds in a real target that stands still.
 *
 * The target does what it is told, so it is known what it holds; headers are changed from here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "child.h"
#include "collect/registry_reader.h"
#include "collect/walk.h"

#define SMALL_BYTES 64u	  /* such cells are read with their span, ... */
#define LARGE_BYTES 3000u /* ... of such only the headers */

struct fixture {
	struct child child;
	struct target *target;
	struct registry_reader *reader;
	struct mmviz_arena_head head;
	uint32_t blocks[4];    /* by life */
	uint32_t wanted_bytes; /* of a live block: ... */
	uint64_t wanted_addr;  /* ... of its header */
	uint32_t labels, last_place, spans;
};

static void fixture_start(struct fixture *fixture)
{
	const struct registry_arena **arenas;

	*fixture = (struct fixture){0};
	child_start(&fixture->child, BUILD_TESTS "attach_target_pie");
	assert_int_equal(target_open(fixture->child.pid, &fixture->target), 0);
	assert_int_equal(registry_reader_open(fixture->target, &fixture->reader), 0);
	assert_int_equal(registry_reader_arenas(fixture->reader, &arenas), 1);
	fixture->head = arenas[0]->head;
}

static void fixture_stop(struct fixture *fixture)
{
	registry_reader_close(fixture->reader);
	target_close(fixture->target);
	child_stop(&fixture->child);
}

static void tell(struct fixture *fixture, char letter, uint32_t number)
{
	char command[32];

	snprintf(command, sizeof(command), "%c%u", letter, number);
	child_do(&fixture->child, command);
}

static void poke(const struct fixture *fixture, uint64_t addr, const void *value, size_t bytes)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)fixture->child.pid);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, value, bytes, (off_t)addr), bytes);
	close(fd);
}

static void on_span(void *context, uint32_t first_unit, const struct mmviz_span *head)
{
	struct fixture *fixture = context;

	(void)first_unit;
	assert_true(head->bump_cells <= head->cells);
	fixture->spans++;
}

static void on_block(void *context, const struct walk_block *block)
{
	struct fixture *fixture = context;

	assert_true(block->place > fixture->last_place);
	fixture->last_place = block->place;
	fixture->blocks[block->life]++;
	if (block->life != MMVIZ_LIFE_LIVE)
		return;
	assert_int_equal(block->incarnation & 1, 0);
	fixture->labels += block->label && strcmp(block->label, "a label") == 0;
	if (mmviz_word_bytes(block->word) == fixture->wanted_bytes)
		fixture->wanted_addr =
			fixture->head.base_addr + (uint64_t)block->place * MMVIZ_PLACE_BYTES;
}

/* The arena's head is the fixture's, but for how far the arena has grown. */
static uint32_t count_live(struct fixture *fixture)
{
	const struct walk_callbacks callbacks = {
		.context = fixture, .span = on_span, .block = on_block};
	struct mmviz_arena_head fresh;

	assert_int_equal(
		target_read(fixture->target, fixture->head.base_addr, &fresh, sizeof(fresh)), 0);
	fixture->head.frontier_units = fresh.frontier_units;
	memset(fixture->blocks, 0, sizeof(fixture->blocks));
	fixture->labels = fixture->last_place = fixture->spans = 0;
	assert_int_equal(walk_arena(fixture->target, &fixture->head, &callbacks), 0);
	assert_true(fixture->spans > 0);
	assert_int_equal(fixture->blocks[MMVIZ_LIFE_NEVER], 0);
	return fixture->blocks[MMVIZ_LIFE_LIVE];
}

/* ------------------------------------------------------------------ what the target holds */

static void live_blocks_are_those_that_the_target_holds(void **state)
{
	static const struct {
		uint32_t bytes, blocks;
	} kinds[] = {{SMALL_BYTES, 20000}, {LARGE_BYTES, 5000}, {40000, 400}, {2000000, 20}};
	uint32_t held = 10;
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture);
	assert_int_equal(count_live(&fixture), held);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		tell(&fixture, 'b', kinds[i].bytes);
		tell(&fixture, 'a', kinds[i].blocks);
		assert_int_equal(count_live(&fixture), held + kinds[i].blocks);
		tell(&fixture, 'f', kinds[i].blocks - 3);
		held += 3;
		assert_int_equal(count_live(&fixture), held);
		assert_int_equal(fixture.blocks[MMVIZ_LIFE_RETURNED], 0);
		tell(&fixture, 'L', 7);
		held += 7;
		assert_int_equal(count_live(&fixture), held);
		assert_int_equal(fixture.labels, 7 * (i + 1));
	}
	tell(&fixture, 'r', 0);
	child_do(&fixture.child, "b64");
	tell(&fixture, 'a', 1);
	assert_int_equal(count_live(&fixture), 1);
	fixture_stop(&fixture);
}

static void a_block_that_another_thread_freed_is_returned(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture);
	tell(&fixture, 'w', 100);
	assert_int_equal(count_live(&fixture), 110);
	tell(&fixture, 'f', 30);
	assert_int_equal(count_live(&fixture), 80);
	assert_int_equal(fixture.blocks[MMVIZ_LIFE_RETURNED], 30);
	fixture_stop(&fixture);
}

/* ------------------------------------------------------------------ what one header says */

/* Of the blocks that were live, all but one are; that one is what its header says. */
static void expect(struct fixture *fixture, uint64_t addr, const struct mmviz_header *header,
		   enum mmviz_life life)
{
	uint32_t before = count_live(fixture), others = fixture->blocks[life];
	struct mmviz_header kept;

	assert_int_equal(target_read(fixture->target, addr, &kept, sizeof(kept)), 0);
	poke(fixture, addr, header, sizeof(*header));
	assert_int_equal(count_live(fixture), before - 1);
	assert_int_equal(fixture->blocks[life], others + 1);
	poke(fixture, addr, &kept, sizeof(kept));
	assert_int_equal(count_live(fixture), before);
}

static void check_headers(uint32_t bytes)
{
	struct mmviz_header header, changed;
	struct fixture fixture = {0};
	uint64_t addr;

	fixture_start(&fixture);
	fixture.wanted_bytes = bytes;
	tell(&fixture, 'b', bytes);
	tell(&fixture, 'a', 50);
	count_live(&fixture);
	addr = fixture.wanted_addr;
	assert_int_equal(target_read(fixture.target, addr, &header, sizeof(header)), 0);
	changed = header;
	changed.incarnation = mmviz_freed_by(0x401234);
	expect(&fixture, addr, &changed, MMVIZ_LIFE_CACHED);
	changed = header;
	changed.word = (header.word & ~3ull) | MMVIZ_LIFE_RETURNED;
	expect(&fixture, addr, &changed, MMVIZ_LIFE_RETURNED);
	changed.word = (header.word & ~3ull) | MMVIZ_LIFE_CACHED;
	expect(&fixture, addr, &changed, MMVIZ_LIFE_CACHED);
	for (uint32_t bit = 0; bit < 32; bit += 5) {
		changed = header;
		changed.check ^= 1u << bit;
		expect(&fixture, addr, &changed, MMVIZ_LIFE_CACHED);
		changed.word = (header.word & ~3ull) | MMVIZ_LIFE_RETURNED;
		expect(&fixture, addr, &changed, MMVIZ_LIFE_CACHED);
	}
	changed = (struct mmviz_header){0}; /* its page was let go */
	expect(&fixture, addr, &changed, MMVIZ_LIFE_CACHED);
	fixture_stop(&fixture);
}

static void headers_say_what_lives(void **state)
{
	(void)state;
	check_headers(SMALL_BYTES);
	check_headers(LARGE_BYTES);
}

/* ------------------------------------------------------------------ idle bits */

/* One more cell than is idle is said to be. Returns how many live blocks are missing then. */
static uint32_t missing_when_idle(struct fixture *fixture, uint32_t bytes)
{
	uint64_t place, addr, word, with;
	uint32_t before, after;

	fixture->wanted_bytes = bytes;
	tell(fixture, 'b', bytes);
	tell(fixture, 'a', 50);
	before = count_live(fixture);
	place = (fixture->wanted_addr - fixture->head.base_addr) / MMVIZ_PLACE_BYTES;
	addr = fixture->head.idle_addr + place / 64 * sizeof(word);
	assert_int_equal(target_read(fixture->target, addr, &word, sizeof(word)), 0);
	with = word | 1ull << place % 64;
	assert_int_not_equal(with, word);
	poke(fixture, addr, &with, sizeof(with));
	after = count_live(fixture);
	poke(fixture, addr, &word, sizeof(word));
	assert_int_equal(count_live(fixture), before);
	return before - after;
}

static void headers_of_idle_cells_are_not_read_one_by_one(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture);
	assert_int_equal(missing_when_idle(&fixture, LARGE_BYTES), 1);
	assert_int_equal(missing_when_idle(&fixture, 20000), 1);
	assert_int_equal(missing_when_idle(&fixture, SMALL_BYTES), 0); /* it was read anyway */
	fixture_stop(&fixture);
}

static void without_idle_bits_every_header_is_read(void **state)
{
	static const uint64_t places[] = {0, 8, UINT64_MAX - 7, 1ull << 62};
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture);
	tell(&fixture, 'b', LARGE_BYTES);
	tell(&fixture, 'a', 5000);
	tell(&fixture, 'f', 4000);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		fixture.head.idle_addr = places[i];
		assert_int_equal(count_live(&fixture), 1010);
	}
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live_blocks_are_those_that_the_target_holds),
		cmocka_unit_test(a_block_that_another_thread_freed_is_returned),
		cmocka_unit_test(headers_say_what_lives),
		cmocka_unit_test(headers_of_idle_cells_are_not_read_one_by_one),
		cmocka_unit_test(without_idle_bits_every_header_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
