/* SPDX-License-Identifier: MIT */
/*
 * test_request.c - what a dashboard may say, and what it may not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "serve/web/request.h"

static int parse(const char *text, struct request *out)
{
	const char *why = NULL;
	int error = request_parse(text, strlen(text), out, &why);

	assert_true((error == 0) == (why == NULL));
	return error;
}

static void messages_of_the_contract_are_understood(void **state)
{
	struct request request;

	(void)state;
	assert_int_equal(parse("{\"type\":\"map\",\"request\":1,\"arena\":2,\"first_place\":"
			       "4294967295,\"places_per_texel\":4,\"texels\":262144}",
			       &request),
			 0);
	assert_int_equal(request.type, REQUEST_MAP);
	assert_int_equal(request.window.request, 1);
	assert_int_equal(request.window.arena_id, 2);
	assert_int_equal(request.window.first_place, UINT32_MAX);
	assert_int_equal(request.window.places_per_texel, 4);
	assert_int_equal(request.window.texels, 262144);
	assert_int_equal(parse("{\"request\":7,\"type\":\"ack\"}", &request), 0);
	assert_int_equal(request.type, REQUEST_ACK);
	assert_int_equal(request.acknowledged, 7);
	assert_int_equal(
		parse("{\"type\":\"block\",\"request\":3,\"arena\":1,\"place\":99}", &request), 0);
	assert_int_equal(request.type, REQUEST_BLOCK);
	assert_int_equal(request.place.place, 99);
	assert_int_equal(parse("{\"type\":\"sample\",\"bytes\":1099511627776}", &request), 0);
	assert_int_equal(request.type, REQUEST_SAMPLE);
	assert_int_equal(request.sample_bytes, 1ull << 40);
	assert_int_equal(parse("{\"type\":\"pause\",\"on\":true}", &request), 0);
	assert_int_equal(request.type, REQUEST_PAUSE);
	assert_true(request.is_on);
}

static void anything_else_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"x",
		"[]",
		"null",
		"{}",
		"{\"type\":1}",
		"{\"type\":\"quit\"}",
		"{\"type\":\"ack\"}",
		"{\"type\":\"ack\",\"request\":-1}",
		"{\"type\":\"ack\",\"request\":4294967296}",
		"{\"type\":\"ack\",\"request\":1.5}",
		"{\"type\":\"ack\",\"request\":\"1\"}",
		"{\"type\":\"ack\",\"request\":99999999999999999999}",
		"{\"type\":\"ack\",\"request\":1,\"request\":2}",
		"{\"type\":\"ack\",\"request\":1} trailing",
		"{\"type\":\"sample\"}",
		"{\"type\":\"sample\",\"bytes\":1023}",
		"{\"type\":\"sample\",\"bytes\":-1}",
		"{\"type\":\"sample\",\"bytes\":1099511627777}",
		"{\"type\":\"sample\",\"bytes\":4096.0}",
		"{\"type\":\"sample\",\"bytes\":\"4096\"}",
		"{\"type\":\"pause\",\"on\":1}",
		"{\"type\":\"map\",\"request\":1,\"arena\":1,\"first_place\":0,"
		"\"places_per_texel\":0,\"texels\":1}",
		"{\"type\":\"map\",\"request\":1,\"arena\":1,\"first_place\":0,"
		"\"places_per_texel\":1,\"texels\":0}",
		"{\"type\":\"map\",\"request\":1,\"arena\":1,\"first_place\":0,"
		"\"places_per_texel\":1,\"texels\":262145}",
		"{\"type\":\"ack\xff\",\"request\":1}",
		"{\"type\":\"events\",\"sample\":-1}",
		"{\"type\":\"events\",\"sample\":1.5}",
		"{\"type\":\"events\",\"sample\":\"10\"}",
		"{\"type\":\"events\",\"by\":\"size\"}",
		"{\"type\":\"events\",\"by\":1}",
		"{\"type\":\"events\",\"min_bytes\":-5}",
		"{\"type\":\"events\",\"thread\":4294967296}",
		"{\"type\":\"events\",\"tag_id\":4294967295}",
		"{\"type\":\"events\",\"tag\":7}",
		"{\"type\":\"events\",\"request\":7}",
	};
	struct request request;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(parse(wrong[i], &request), -EINVAL);
}

static void settings_of_events_are_understood(void **state)
{
	struct events_settings settings;
	struct request request;
	char longer[256];
	const char *why;

	(void)state;
	assert_int_equal(parse("{\"type\":\"events\"}", &request), 0);
	assert_int_equal(request.type, REQUEST_EVENTS);
	assert_int_equal(request.events.sample, 1);
	assert_int_equal(request.events.max_bytes, EVENTS_BLOCK_MAX);
	assert_int_equal(request.events.tag_id, EVENTS_ANY_TAG);
	assert_int_equal(parse("{\"type\":\"events\",\"by\":\"bytes\",\"sample\":4096,"
			       "\"min_bytes\":16,\"max_bytes\":null,\"tag\":\"GET /\","
			       "\"tag_id\":null,\"thread\":17}",
			       &request),
			 0);
	assert_int_equal(request.events.is_by_bytes, 1);
	assert_int_equal(request.events.sample, 4096);
	assert_int_equal(request.events.min_bytes, 16);
	assert_int_equal(request.events.max_bytes, EVENTS_BLOCK_MAX);
	assert_int_equal(request.events.thread_id, 17);
	assert_string_equal(request.events.tag, "GET /");
	assert_int_equal(request_parse_events("{\"tag_id\":3}", 12, &settings, &why), 0);
	assert_int_equal(settings.tag_id, 3);
	assert_int_equal(request_parse_events("[]", 2, &settings, &why), -EINVAL);
	assert_int_equal(request_parse_events("", 0, &settings, &why), -EINVAL);
	/* Too long a name arrives without an end, and is refused by its check. */
	snprintf(longer, sizeof(longer), "{\"tag\":\"%0128d\"}", 0);
	assert_int_equal(request_parse_events(longer, strlen(longer), &settings, &why), 0);
	assert_null(memchr(settings.tag, '\0', sizeof(settings.tag)));
}

static void deep_nesting_does_no_harm(void **state)
{
	char text[REQUEST_BYTES_MAX];
	struct request request;
	const char *why;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(request_parse(text, sizeof(text), &request, &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_the_contract_are_understood),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(settings_of_events_are_understood),
		cmocka_unit_test(deep_nesting_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
