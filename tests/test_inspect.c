/* SPDX-License-Identifier: MIT */
/* test_inspect.c - where the bytes of a type go, by <mmviz/inspect.h>. */
#include "test.h"

#include <string.h>

#include <mmviz/inspect.h>

struct holey {
	char kind;
	uint64_t id;
	char flag;
	uint32_t length;
	char last;
};

struct tight {
	uint64_t id;
	uint32_t length;
	uint32_t rest;
};

struct lines {
	char head[60];
	struct {
		char bytes[8];
	} split; /* 60..68: over the line, though it would fit in one */
	char body[200];
};

struct everything {
	int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9;
	int b0, b1, b2, b3, b4, b5, b6, b7, b8, b9;
	int c0, c1, c2, c3, c4, c5, c6, c7, c8, c9;
	int d0, d1;
};

static void test_holes_and_tail(void **state)
{
	const struct mmviz_layout *layout =
		MMVIZ_INSPECT(struct holey, kind, id, flag, length, last);
	struct mmviz_layout_summary summary;

	(void)state;
	mmviz_layout_summarise(layout, &summary);
	assert_string_equal(layout->type, "struct holey");
	assert_int_equal(layout->size_bytes, sizeof(struct holey));
	assert_int_equal(layout->alignment_bytes, 8);
	assert_int_equal(layout->members_count, 5);
	assert_int_equal(summary.member_bytes, 1 + 8 + 1 + 4 + 1);
	assert_int_equal(summary.holes, 2);
	assert_int_equal(summary.hole_bytes, 7 + 3);
	assert_int_equal(summary.tail_bytes, 7);
	assert_int_equal(summary.reordered_bytes, 16);
	assert_int_equal(summary.member_bytes + summary.hole_bytes + summary.tail_bytes,
			 sizeof(struct holey));
}

static void test_members_come_in_any_order(void **state)
{
	struct mmviz_layout_summary sorted, shuffled;

	(void)state;
	mmviz_layout_summarise(MMVIZ_INSPECT(struct holey, kind, id, flag, length, last), &sorted);
	mmviz_layout_summarise(MMVIZ_INSPECT(struct holey, length, last, kind, flag, id),
			       &shuffled);
	assert_memory_equal(&sorted, &shuffled, sizeof(sorted));
}

static void test_a_type_without_padding(void **state)
{
	struct mmviz_layout_summary summary;

	(void)state;
	mmviz_layout_summarise(MMVIZ_INSPECT(struct tight, id, length, rest), &summary);
	assert_int_equal(summary.hole_bytes + summary.tail_bytes + summary.holes, 0);
	assert_int_equal(summary.reordered_bytes, sizeof(struct tight));
	assert_int_equal(summary.split_members, 0);
}

static void test_cache_lines(void **state)
{
	struct mmviz_layout_summary summary;

	(void)state;
	mmviz_layout_summarise(MMVIZ_INSPECT(struct lines, head, split, body), &summary);
	assert_int_equal(summary.split_members, 1); /* body is longer than a line anyway */
}

static void test_thirty_two_members(void **state)
{
	struct mmviz_layout_summary summary;

	(void)state;
	mmviz_layout_summarise(MMVIZ_INSPECT(struct everything, a0, a1, a2, a3, a4, a5, a6, a7, a8,
					     a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2,
					     c3, c4, c5, c6, c7, c8, c9, d0, d1),
			       &summary);
	assert_int_equal(summary.member_bytes, sizeof(struct everything));
	assert_int_equal(summary.holes, 0);
}

static void test_the_table_as_text(void **state)
{
	const struct mmviz_layout *layout =
		MMVIZ_INSPECT(struct holey, kind, id, flag, length, last);
	char text[2048], cut[50];
	size_t length = mmviz_layout_format(layout, text, sizeof(text));

	(void)state;
	assert_int_equal(length, strlen(text));
	assert_non_null(strstr(text, "struct holey: 32 bytes, aligned to 8\n"));
	assert_non_null(strstr(text, "     1       7  (hole)\n"));
	assert_non_null(strstr(text, "     8       8  id\n"));
	assert_non_null(strstr(text, "    25       7  (padding)\n"));
	assert_non_null(strstr(text, "10 in 2 holes"));
	assert_non_null(strstr(text, "16 bytes if ordered"));
	memset(cut, 'x', sizeof(cut));
	assert_int_equal(mmviz_layout_format(layout, cut, 20), length);
	assert_int_equal(strlen(cut), 19);
	assert_memory_equal(cut, text, 19);
	assert_int_equal(cut[20], 'x'); /* nothing behind the buffer */
	assert_int_equal(mmviz_layout_format(layout, NULL, 0), length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holes_and_tail),
		cmocka_unit_test(test_members_come_in_any_order),
		cmocka_unit_test(test_a_type_without_padding),
		cmocka_unit_test(test_cache_lines),
		cmocka_unit_test(test_thirty_two_members),
		cmocka_unit_test(test_the_table_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
