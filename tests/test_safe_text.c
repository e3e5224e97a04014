/* SPDX-License-Identifier: MIT */
/*
 * test_safe_text.c - hostile text made harmless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "collect/safe_text.h"

static void expect(const char *text, size_t count, const char *wanted)
{
	char out[256];

	assert_int_equal(safe_text(out, sizeof(out), text, count), strlen(wanted));
	assert_string_equal(out, wanted);
}
#define EXPECT(text, wanted) expect(text, sizeof(text) - 1, wanted)

static void test_good_text_stays(void **state)
{
	(void)state;
	EXPECT("", "");
	EXPECT("GET /api?x=1 <b>", "GET /api?x=1 <b>");
	EXPECT("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	       "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void test_control_bytes_are_shown(void **state)
{
	(void)state;
	EXPECT("\x1b[31m", "\\x1b[31m");
	EXPECT("a\nb\tc\x7f", "a\\x0a"
			      "b\\x09"
			      "c\\x7f");
	EXPECT("nul\0inside", "nul\\x00inside");
	EXPECT("\xc2\x9b", "\\xc2\\x9b"); /* CSI as one character */
	EXPECT("\xe2\x80\xae"
	       "abc",
	       "\\xe2\\x80\\xae"
	       "abc"); /* right-to-left override */
}

static void test_malformed_utf8_is_shown(void **state)
{
	(void)state;
	EXPECT("\xff", "\\xff");
	EXPECT("\x80x", "\\x80x");
	EXPECT("\xc0\xaf", "\\xc0\\xaf");		    /* overlong / */
	EXPECT("\xed\xa0\x80", "\\xed\\xa0\\x80");	    /* surrogate */
	EXPECT("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* over U+10FFFF */
	EXPECT("\xe2\x82", "\\xe2\\x82");		    /* cut */
	EXPECT("\xe2(\xa1", "\\xe2(\\xa1");
}

static void test_output_is_cut_at_a_character(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(safe_text(out, sizeof(out), "abcdefghij", 10), 7);
	assert_string_equal(out, "abcdefg");
	assert_int_equal(safe_text(out, sizeof(out), "abcdef\xc3\xa9", 8), 6);
	assert_string_equal(out, "abcdef");
	assert_int_equal(safe_text(out, sizeof(out), "ab\x01\x02", 4), 6);
	assert_string_equal(out, "ab\\x01");
	assert_int_equal(safe_text(out, 1, "abc", 3), 0);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_text_stays),
		cmocka_unit_test(test_control_bytes_are_shown),
		cmocka_unit_test(test_malformed_utf8_is_shown),
		cmocka_unit_test(test_output_is_cut_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
