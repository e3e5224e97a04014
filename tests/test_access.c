/* SPDX-License-Identifier: MIT */
/*
 * test_access.c - every way in that is meant to be shut is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>

#include "serve/access.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage out;

	assert_int_equal(access_parse_listen(text, &out), 0);
	return out;
}

static void listen_addresses_are_literal(void **state)
{
	static const char *const wrong[] = {
		"",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		":7070",
		"example.org:80",
		"127.0.0.1:80x",
		"[::1]",
		"[::1:80",
		"::1:80",
		"127.0.0.1:7070 ",
		"127.1:80",
		"0x7f000001:80",
		"127.0.0.1: 80",
		"127.0.0.1:99999999999999999999",
	};
	struct sockaddr_storage out = address("127.0.0.1:7070");

	(void)state;
	assert_int_equal(ntohs(((struct sockaddr_in *)&out)->sin_port), 7070);
	assert_true(access_is_loopback(&out));
	out = address("[::1]:0");
	assert_int_equal(out.ss_family, AF_INET6);
	assert_true(access_is_loopback(&out));
	out = address("localhost:1");
	assert_true(access_is_loopback(&out));
	out = address("0.0.0.0:80");
	assert_false(access_is_loopback(&out));
	out = address("[::ffff:127.0.0.1]:80");
	assert_true(access_is_loopback(&out));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(access_parse_listen(wrong[i], &out), -EINVAL);
}

static void tokens_are_random_hex(void **state)
{
	struct access a = {0}, b = {0};

	(void)state;
	assert_int_equal(access_token_generate(&a), 0);
	assert_int_equal(access_token_generate(&b), 0);
	assert_int_equal(strlen(a.token), 32);
	assert_int_equal(strspn(a.token, "0123456789abcdef"), 32);
	assert_string_not_equal(a.token, b.token);
}

static int load(const char *content, mode_t mode, struct access *out)
{
	char path[] = "/tmp/test_access.XXXXXX";
	int fd = mkstemp(path), error;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	error = access_token_load(out, path);
	unlink(path);
	return error;
}

static void token_files_must_be_private_and_whole(void **state)
{
	struct access access = {0};
	char text[ACCESS_TOKEN_MAX + 2];

	(void)state;
	assert_int_equal(load(TOKEN "\n", 0600, &access), 0);
	assert_string_equal(access.token, TOKEN);
	assert_int_equal(load(TOKEN, 0400, &access), 0);
	assert_int_equal(load(TOKEN "\n", 0640, &access), -EINVAL);
	assert_int_equal(load(TOKEN "\n", 0604, &access), -EINVAL);
	assert_int_equal(load("short\n", 0600, &access), -EINVAL);
	assert_int_equal(load("", 0600, &access), -EINVAL);
	assert_int_equal(load("0123456789abcdef;evil=1", 0600, &access), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[128] = '\0';
	assert_int_equal(load(text, 0600, &access), 0);
	assert_string_equal(access.token, text);
	text[128] = 'a';
	text[129] = '\0';
	assert_int_equal(load(text, 0600, &access), -EINVAL);
	assert_int_equal(access_token_load(&access, "/nonexistent/token"), -ENOENT);
	assert_int_equal(access_token_load(&access, "/dev/null"), -EINVAL);
}

struct attempt {
	const char *local, *host, *origin, *authorization, *cookie, *query_token;
	enum access_verdict verdict;
};

static enum access_verdict try(const struct access *access, const struct attempt *attempt)
{
	struct sockaddr_storage local = address(attempt->local);
	const struct access_request request = {
		.local = &local,
		.host = attempt->host,
		.origin = attempt->origin != NULL ? attempt->origin : "",
		.authorization = attempt->authorization != NULL ? attempt->authorization : "",
		.cookie = attempt->cookie != NULL ? attempt->cookie : "",
		.query_token = attempt->query_token != NULL ? attempt->query_token : "",
	};

	return access_check(access, &request);
}

#define V4     "127.0.0.1:7070"
#define V6     "[::1]:7070"
#define BEARER "Bearer " TOKEN

static void hosts_are_our_own_address(void **state)
{
	static const struct attempt attempts[] = {
		{V4, "127.0.0.1:7070", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, "localhost:7070", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, "LOCALHOST:7070", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, "localhost:8080", NULL, BEARER, NULL, NULL, ACCESS_GRANTED}, /* ssh -L */
		{V6, "[::1]:7070", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V6, "localhost", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{"192.0.2.7:80", "192.0.2.7", NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, "", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "evil.example:7070", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "localhost.evil.example", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "127.0.0.1.evil.example", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "127.0.0.1:7070@evil", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "127.0.0.2:7070", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{V4, "[::1]:7070", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{"192.0.2.7:80", "localhost", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
		{"192.0.2.7:80", "127.0.0.1", NULL, BEARER, NULL, NULL, ACCESS_WRONG_HOST},
	};
	const struct access access = {.token = TOKEN, .port = 7070};

	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(try(&access, &attempts[i]), attempts[i].verdict);
}

static void origins_are_our_own_pages(void **state)
{
	static const struct attempt attempts[] = {
		{V4, V4, "http://127.0.0.1:7070", BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, "localhost:80", "http://localhost:80", BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, V4, "http://localhost:7070", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
		{V4, V4, "http://127.0.0.1:3000", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
		{V4, V4, "https://127.0.0.1:7070", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
		{V4, V4, "http://127.0.0.1:70700", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
		{V4, V4, "null", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
		{V4, V4, "?", BEARER, NULL, NULL, ACCESS_WRONG_ORIGIN},
	};
	const struct access access = {.token = TOKEN, .port = 7070};

	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(try(&access, &attempts[i]), attempts[i].verdict);
}

static void tokens_open_and_nothing_else_does(void **state)
{
	static const struct attempt attempts[] = {
		{V4, V4, NULL, BEARER, NULL, NULL, ACCESS_GRANTED},
		{V4, V4, NULL, "bearer " TOKEN, NULL, NULL, ACCESS_GRANTED},
		{V4, V4, NULL, NULL, "mmviz-7070=" TOKEN, NULL, ACCESS_GRANTED},
		{V4, V4, NULL, NULL, "a=b; mmviz-7070=" TOKEN "; c=d", NULL, ACCESS_GRANTED},
		{V4, V4, NULL, NULL, "mmviz-7070=old; mmviz-7070=" TOKEN, NULL, ACCESS_GRANTED},
		{V4, V4, NULL, NULL, NULL, TOKEN, ACCESS_GRANTED_BY_QUERY},
		{V4, V4, NULL, NULL, NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, "Bearer ", NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, "Basic " TOKEN, NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, TOKEN, NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, BEARER "0", NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, "Bearer 0123456789abcdef0123456789abcdeF", NULL, NULL,
		 ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, "Bearer 0123456789abcdef", NULL, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, NULL, "mmviz-7071=" TOKEN, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, NULL, "xmmviz-7070=" TOKEN, NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, NULL, "mmviz-7070=" TOKEN "0", NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, NULL, "mmviz-7070=", NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, NULL, ";;; ;", NULL, ACCESS_WRONG_TOKEN},
		{V4, V4, NULL, BEARER, NULL, "wrong", ACCESS_WRONG_TOKEN},
		{V4, "evil", NULL, NULL, NULL, TOKEN, ACCESS_WRONG_HOST},
	};
	const struct access access = {.token = TOKEN, .port = 7070}, open = {.port = 7070};

	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(try(&access, &attempts[i]), attempts[i].verdict);
	assert_int_equal(try(&open, &attempts[6]), ACCESS_GRANTED);
	assert_int_equal(try(&open, &attempts[19]), ACCESS_WRONG_HOST);
}

static void the_cookie_is_for_this_site_and_no_script(void **state)
{
	const struct access access = {.token = TOKEN, .port = 7070};
	char cookie[256];

	(void)state;
	access_cookie(&access, cookie, sizeof(cookie));
	assert_string_equal(cookie, "mmviz-7070=" TOKEN "; Path=/; HttpOnly; SameSite=Strict");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listen_addresses_are_literal),
		cmocka_unit_test(tokens_are_random_hex),
		cmocka_unit_test(token_files_must_be_private_and_whole),
		cmocka_unit_test(hosts_are_our_own_address),
		cmocka_unit_test(origins_are_our_own_pages),
		cmocka_unit_test(tokens_open_and_nothing_else_does),
		cmocka_unit_test(the_cookie_is_for_this_site_and_no_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
