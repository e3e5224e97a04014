/* SPDX-License-Identifier: MIT */
/*
 * test_wire.c - each message is read back by the offsets that WIRE.md gives, not by the encoder's
 * own ideas; texts are judged by jansson's UTF-8 check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include <mmviz/abi.h>

#include "serve/wire.h"

#define AT_NS  1700000000123000000ull
#define AT_MS  1700000000123.0
#define ROUNDS 20000

static size_t aligned(size_t offset)
{
	return (offset + 7) & ~(size_t)7;
}

static double f64_at(const struct wire_buffer *buffer, size_t offset)
{
	double value;

	assert_true(offset + sizeof(value) <= buffer->used);
	memcpy(&value, buffer->bytes + offset, sizeof(value));
	return value;
}

static uint32_t u32_at(const struct wire_buffer *buffer, size_t offset)
{
	uint32_t value;

	assert_true(offset + sizeof(value) <= buffer->used);
	memcpy(&value, buffer->bytes + offset, sizeof(value));
	return value;
}

static uint16_t u16_at(const struct wire_buffer *buffer, size_t offset)
{
	uint16_t value;

	assert_true(offset + sizeof(value) <= buffer->used);
	memcpy(&value, buffer->bytes + offset, sizeof(value));
	return value;
}

static void expect_header(const struct wire_buffer *buffer, uint16_t type, uint32_t count)
{
	assert_false(buffer->is_failed);
	assert_int_equal(buffer->bytes[0], 0x4d);
	assert_int_equal(buffer->bytes[1], 1);
	assert_int_equal(u16_at(buffer, 2), type);
	assert_int_equal(u32_at(buffer, 4), count);
	assert_true(f64_at(buffer, 8) == AT_MS);
}

static json_t *json_of(const struct wire_buffer *buffer)
{
	json_t *json = json_loadb((const char *)buffer->bytes + 16, u32_at(buffer, 4), 0, NULL);

	assert_non_null(json);
	assert_int_equal(buffer->used, 16 + u32_at(buffer, 4));
	return json;
}

static void hello_is_json(void **state)
{
	const struct wire_hello hello = {.pid = 42,
					 .comm = "a\"b\xff",
					 .mode = "exact",
					 .version = "0.1.0",
					 .abi = 7,
					 .attached_at_ns = AT_NS};
	struct wire_buffer buffer = {0};
	json_t *json;

	(void)state;
	wire_hello(&buffer, AT_NS, &hello);
	expect_header(&buffer, 1, u32_at(&buffer, 4));
	json = json_of(&buffer);
	assert_int_equal(json_integer_value(json_object_get(json, "pid")), 42);
	assert_string_equal(json_string_value(json_object_get(json, "comm")), "a\"b?");
	assert_string_equal(json_string_value(json_object_get(json, "mode")), "exact");
	assert_string_equal(json_string_value(json_object_get(json, "version")), "0.1.0");
	assert_int_equal(json_integer_value(json_object_get(json, "abi")), 7);
	assert_true(json_number_value(json_object_get(json, "attached_at_ms")) == AT_MS);
	json_decref(json);
	wire_buffer_fini(&buffer);
}

static void totals_come_in_the_order_of_the_contract(void **state)
{
	const struct view_totals totals = {
		.at_ns = AT_NS,
		.live_blocks = 0,
		.live_bytes = 1,
		.peak_live_bytes = 2,
		.allocations = 3,
		.frees = 4,
		.allocated_bytes = 5,
		.freed_bytes = 6,
		.events_seen = 7,
		.events_lost = 8,
		.resyncs = 9,
		.events_per_second = 10,
		.allocations_per_second = 11,
		.resident_bytes = 12,
		.collector_bytes = 13,
		.ring_used_bytes = 14,
		.ring_bytes = 15,
		.verified_at_ns = 16000000,
		.threads = 17,
		.arenas = 18,
		.contexts = 19,
		.is_exact = true,
		.target_state = VIEW_TARGET_EXECED,
		.exit_code = 22,
		.fallback_since_ns = 23000000,
	};
	struct wire_buffer buffer = {0};

	(void)state;
	wire_totals(&buffer, &totals);
	expect_header(&buffer, 2, 24);
	assert_int_equal(buffer.used, 16 + 24 * 8);
	for (int field = 0; field < 24; field++) {
		double expected = field == 20 ? 1 : field == 21 ? 2 : field;

		assert_true(f64_at(&buffer, 16 + 8 * (size_t)field) == expected);
	}
	wire_buffer_fini(&buffer);
}

static struct view_arena arena_numbered(uint32_t id, const char *name)
{
	struct view_arena arena = {
		.id = id,
		.base_addr = id + 1,
		.capacity_bytes = id + 2,
		.committed_bytes = id + 3,
		.frontier_bytes = id + 4,
		.live_blocks = id + 5,
		.live_bytes = id + 6,
		.header_bytes = id + 7,
		.padding_bytes = id + 8,
		.cached_bytes = id + 9,
		.unused_bytes = id + 10,
		.meta_bytes = id + 11,
		.free_bytes = id + 12,
		.largest_free_bytes = id + 13,
		.committed_free_bytes = id + 14,
		.fragmentation_ratio = id + 15,
		.split_blocks = id + 16,
		.is_gone = true,
	};

	strcpy(arena.name, name);
	return arena;
}

static void arenas_are_columns_and_names(void **state)
{
	const struct view_arena arenas[] = {arena_numbered(100, "one"), arena_numbered(200, ""),
					    arena_numbered(300, "dr\xc3\xb6i")};
	struct wire_buffer buffer = {0};
	size_t ends = 16 + 18 * 3 * 8, names = aligned(ends + 12);

	(void)state;
	wire_arenas(&buffer, AT_NS, arenas, 3);
	expect_header(&buffer, 3, 3);
	for (size_t column = 0; column < 18; column++)
		for (size_t row = 0; row < 3; row++)
			assert_true(f64_at(&buffer, 16 + (column * 3 + row) * 8) ==
				    (column == 17 ? 1 : (double)(100 * (row + 1) + column)));
	assert_int_equal(u32_at(&buffer, ends), 3);
	assert_int_equal(u32_at(&buffer, ends + 4), 3);
	assert_int_equal(u32_at(&buffer, ends + 8), 8);
	assert_int_equal(buffer.used, names + 8);
	assert_memory_equal(buffer.bytes + names, "onedr\xc3\xb6i", 8);
	wire_buffer_fini(&buffer);
}

static void contexts_are_columns(void **state)
{
	struct view_context contexts[3] = {{0}};
	struct wire_buffer buffer = {0};
	size_t ids = 16 + 8 * 3 * 8, kinds = aligned(ids + 12);

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		contexts[i] = (struct view_context){
			.id = 70 + i,
			.kind = i,
			.live_bytes = 10 * i,
			.live_blocks = 10 * i + 1,
			.peak_live_bytes = 10 * i + 2,
			.allocations = 10 * i + 3,
			.frees = 10 * i + 4,
			.allocated_bytes = 10 * i + 5,
			.allocations_per_second = 10 * i + 6,
			.growth_bytes_per_second = -7.5,
		};
	wire_contexts(&buffer, AT_NS, contexts, 3);
	expect_header(&buffer, 4, 3);
	for (size_t column = 0; column < 8; column++)
		for (size_t row = 0; row < 3; row++)
			assert_true(f64_at(&buffer, 16 + (column * 3 + row) * 8) ==
				    (column == 7 ? -7.5 : (double)(10 * row + column)));
	for (size_t row = 0; row < 3; row++) {
		assert_int_equal(u32_at(&buffer, ids + 4 * row), 70 + row);
		assert_int_equal(u32_at(&buffer, kinds + 4 * row), row);
	}
	assert_int_equal(buffer.used, kinds + 12);
	wire_buffer_fini(&buffer);
}

static void names_are_ids_ends_and_bytes(void **state)
{
	const uint32_t ids[] = {5, 9, 1};
	char *longest = calloc(1, WIRE_TEXT_MAX + 10);
	const char *texts[] = {"GET /", "\x1b[31m", longest};
	struct wire_buffer buffer = {0};
	size_t ends = aligned(16 + 12), bytes = aligned(ends + 12);

	(void)state;
	memset(longest, 'x', WIRE_TEXT_MAX + 9);
	wire_names(&buffer, AT_NS, ids, texts, 3);
	expect_header(&buffer, 5, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(u32_at(&buffer, 16 + 4 * i), ids[i]);
	assert_int_equal(u32_at(&buffer, ends), 5);
	assert_int_equal(u32_at(&buffer, ends + 4), 10);
	assert_int_equal(u32_at(&buffer, ends + 8), 10 + WIRE_TEXT_MAX - 1);
	assert_memory_equal(buffer.bytes + bytes, "GET / [31mxxx", 13);
	assert_int_equal(buffer.used, bytes + 10 + WIRE_TEXT_MAX - 1);
	free(longest);
	wire_buffer_fini(&buffer);
}

static void timeline_and_marks_carry_their_times(void **state)
{
	const struct view_point points[] = {{AT_NS, 1, 2, 3, 4, 5},
					    {AT_NS + 1000000, 6, 7, 8, 9, 10}};
	const struct view_mark marks[] = {{AT_NS, "load"}, {AT_NS + 2000000, "run"}};
	struct wire_buffer buffer = {0};
	size_t ends = 16 + 2 * 8, bytes = ends + 8;

	(void)state;
	wire_timeline(&buffer, AT_NS, points, 2);
	expect_header(&buffer, 6, 2);
	assert_true(f64_at(&buffer, 16) == AT_MS);
	assert_true(f64_at(&buffer, 24) == AT_MS + 1);
	for (size_t column = 1; column < 6; column++)
		for (size_t row = 0; row < 2; row++)
			assert_true(f64_at(&buffer, 16 + (column * 2 + row) * 8) ==
				    (double)(5 * row + column));
	wire_marks(&buffer, AT_NS, marks, 2);
	expect_header(&buffer, 7, 2);
	assert_true(f64_at(&buffer, 24) == AT_MS + 2);
	assert_int_equal(u32_at(&buffer, ends), 4);
	assert_int_equal(u32_at(&buffer, ends + 4), 7);
	assert_memory_equal(buffer.bytes + bytes, "loadrun", 7);
	wire_buffer_fini(&buffer);
}

/* Every count modulo 8, so that every column needs every padding. */
static void map_columns_are_aligned(void **state)
{
	struct wire_buffer buffer = {0};

	(void)state;
	for (uint32_t count = 1; count <= 17; count++) {
		const struct wire_window window = {9, 2, 4096, 16, count};
		struct view_texel texels[17];
		size_t at;

		for (uint32_t i = 0; i < count; i++)
			texels[i] = (struct view_texel){i,
							(uint8_t)(i + 1),
							(uint8_t)(i + 2),
							(uint8_t)(i + 3),
							(uint8_t)(i + 4),
							VIEW_CACHED,
							(uint8_t)(i + 6),
							(uint16_t)(i * 1000)};
		wire_map(&buffer, AT_NS, &window, texels);
		expect_header(&buffer, 8, count);
		assert_int_equal(u32_at(&buffer, 16), 9);
		assert_int_equal(u32_at(&buffer, 20), 2);
		assert_int_equal(u32_at(&buffer, 24), 4096);
		assert_int_equal(u32_at(&buffer, 28), 16);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(u32_at(&buffer, 32 + 4 * i), i);
		at = aligned(32 + 4 * count);
		for (uint32_t column = 0; column < 6; column++) {
			for (uint32_t i = 0; i < count; i++)
				assert_int_equal(buffer.bytes[at + i],
						 column == 4 ? VIEW_CACHED : i + column + 1);
			at = aligned(at + count);
		}
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(u16_at(&buffer, at + 2 * i), i * 1000);
		assert_int_equal(buffer.used, at + 2 * count);
	}
	wire_buffer_fini(&buffer);
}

static void blocks_are_columns_and_saturate(void **state)
{
	const uint64_t base = 0x7f0000000000;
	const struct wire_window window = {3, 1, 256, 4, 64};
	const struct view_block blocks[] = {
		{.cell_addr = base + 4096,
		 .cell_bytes = 64,
		 .bytes = 40,
		 .context = 7,
		 .age_ms = 9,
		 .life = MMVIZ_LIFE_LIVE,
		 .is_older_than_attach = true},
		{.cell_addr = base + 8192,
		 .cell_bytes = 5ull << 32,
		 .bytes = 5ull << 32,
		 .context = 8,
		 .life = MMVIZ_LIFE_CACHED,
		 .is_large = true},
	};
	const uint32_t expected[5][2] = {
		{256, 512}, {4, 5u << 28}, {40, UINT32_MAX}, {7, 8}, {9, 0}};
	struct wire_buffer buffer = {0};
	size_t at = 32;

	(void)state;
	wire_blocks(&buffer, AT_NS, &window, base, blocks, 2);
	expect_header(&buffer, 9, 2);
	assert_int_equal(u32_at(&buffer, 24), 256);
	assert_int_equal(u32_at(&buffer, 28), 256);
	for (size_t column = 0; column < 5; column++, at += 8)
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(u32_at(&buffer, at + 4 * i), expected[column][i]);
	assert_memory_equal(buffer.bytes + at, "\x01\x02", 2);
	assert_memory_equal(buffer.bytes + at + 8, "\x02\x01", 2);
	assert_int_equal(buffer.used, at + 10);
	wire_buffer_fini(&buffer);
}

static void a_block_is_told_in_full(void **state)
{
	const struct view_block block = {
		.arena_id = 2,
		.addr = 0x7f0000001030,
		.cell_addr = 0x7f0000001000,
		.cell_bytes = 112,
		.bytes = 50,
		.context = 6,
		.owner_heap = 3,
		.thread_id = 99,
		.life = MMVIZ_LIFE_RETURNED,
		.age_ms = 1500,
		.label = "sess\xfeion",
	};
	struct wire_buffer buffer = {0};
	json_t *json;

	(void)state;
	wire_block(&buffer, AT_NS, 12, &block, "GET /");
	expect_header(&buffer, 10, u32_at(&buffer, 4));
	json = json_of(&buffer);
	assert_true(json_is_true(json_object_get(json, "found")));
	assert_int_equal(json_integer_value(json_object_get(json, "request")), 12);
	assert_string_equal(json_string_value(json_object_get(json, "address")), "0x7f0000001030");
	assert_string_equal(json_string_value(json_object_get(json, "cell_address")),
			    "0x7f0000001000");
	assert_int_equal(json_integer_value(json_object_get(json, "front_bytes")), 48);
	assert_int_equal(json_integer_value(json_object_get(json, "padding_bytes")), 14);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "returned");
	assert_string_equal(json_string_value(json_object_get(json, "label")), "sess?ion");
	assert_string_equal(json_string_value(json_object_get(json, "context_text")), "GET /");
	assert_int_equal(json_object_size(json), 17);
	json_decref(json);

	wire_block(&buffer, AT_NS, 13, NULL, "");
	json = json_of(&buffer);
	assert_true(json_is_false(json_object_get(json, "found")));
	json_decref(json);
	wire_buffer_fini(&buffer);
}

static void hostile_text_becomes_valid_utf8(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\x80", "?"},		      /* a stray continuation */
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xe0\x80\x80", "???"},      /* overlong */
		{"\xed\xa0\x80", "???"},      /* a surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
		{"\xe2\x82", "??"},	      /* cut off */
		{"a\xe2\x82"
		 "b",
		 "a??b"},		     /* cut off inside */
		{"\x1b[2J\n\x7f", " [2J  "}, /* for terminals */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wire_text_clean(cases[i][0], out, sizeof(out));
		assert_string_equal(out, cases[i][1]);
	}
	wire_text_clean("\xc3\xa4\xc3\xa4", out, 4);
	assert_string_equal(out, "\xc3\xa4?");
}

static void random_text_becomes_valid_utf8(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < ROUNDS; round++) {
		char raw[33], out[33];
		json_t *judged;

		for (size_t i = 0; i < sizeof(raw); i++)
			raw[i] = (char)(rand() % 3 ? 0x80 | rand() : 1 + rand() % 255);
		raw[32] = '\0';
		assert_int_equal(wire_text_clean(raw, out, sizeof(out)), strlen(raw));
		judged = json_string(out);
		assert_non_null(judged);
		json_decref(judged);
		judged = json_string(raw);
		for (const char *at = raw; judged != NULL && *at != '\0'; at++)
			if ((unsigned char)*at >= 0x20 && *at != 0x7f)
				assert_int_equal(*at, out[at - raw]);
		json_decref(judged);
	}
}

static void what_is_no_message_has_no_type(void **state)
{
	struct wire_buffer buffer = {0};

	(void)state;
	wire_notice(&buffer, AT_NS, "info", "hello");
	assert_int_equal(wire_type_of(buffer.bytes, buffer.used), WIRE_NOTICE);
	assert_int_equal(wire_type_of(buffer.bytes, 15), 0);
	buffer.bytes[2] = WIRE_TYPES;
	assert_int_equal(wire_type_of(buffer.bytes, buffer.used), 0);
	buffer.bytes[2] = WIRE_NOTICE;
	buffer.bytes[1] = 2;
	assert_int_equal(wire_type_of(buffer.bytes, buffer.used), 0);
	assert_true(wire_is_state(WIRE_TOTALS));
	assert_false(wire_is_state(WIRE_TIMELINE));
	wire_buffer_fini(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is_json),
		cmocka_unit_test(totals_come_in_the_order_of_the_contract),
		cmocka_unit_test(arenas_are_columns_and_names),
		cmocka_unit_test(contexts_are_columns),
		cmocka_unit_test(names_are_ids_ends_and_bytes),
		cmocka_unit_test(timeline_and_marks_carry_their_times),
		cmocka_unit_test(map_columns_are_aligned),
		cmocka_unit_test(blocks_are_columns_and_saturate),
		cmocka_unit_test(a_block_is_told_in_full),
		cmocka_unit_test(hostile_text_becomes_valid_utf8),
		cmocka_unit_test(random_text_becomes_valid_utf8),
		cmocka_unit_test(what_is_no_message_has_no_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
