/* SPDX-License-Identifier: MIT */
/*
 * test_channel.c - a stream of random messages through a small socket buffer, compared one by one;
 * then the ways in which the other end can misbehave.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "serve/channel.h"

#define MESSAGES     2000
#define MESSAGE_MAX  100000
#define SOCKET_BYTES 8192

static void make_pair(struct channel *a, struct channel *b, size_t receive_max)
{
	int pair[2], bytes = SOCKET_BYTES;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	channel_init(a, pair[0], receive_max);
	channel_init(b, pair[1], receive_max);
}

/* Message `number`: its length and bytes follow from the number. */
static uint32_t content(uint32_t number, uint8_t *out)
{
	uint32_t seed = number * 2654435761u, bytes = number % 7 == 0 ? 0 : seed % MESSAGE_MAX;

	for (uint32_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(seed >> (i % 24));
	return bytes;
}

static uint32_t receive_some(struct channel *channel, uint32_t next)
{
	static uint8_t expected[MESSAGE_MAX];
	struct channel_header header;
	const uint8_t *bytes;

	assert_int_equal(channel_fill(channel), 0);
	while (channel_next(channel, &header, &bytes) == 1) {
		uint32_t length = content(next, expected);

		assert_int_equal(header.request, next);
		assert_int_equal(header.kind, CHANNEL_REPLY);
		assert_int_equal(header.bytes, length);
		assert_memory_equal(bytes, expected, length);
		next++;
	}
	return next;
}

static void messages_arrive_whole_and_in_order(void **state)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct channel a, b;
	uint32_t sent = 0, received = 0;
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	make_pair(&a, &b, MESSAGE_MAX);
	while (received < MESSAGES) {
		if (sent < MESSAGES && rand() % 3 > 0) {
			struct channel_header header = {.kind = CHANNEL_REPLY, .request = sent};
			uint32_t length = content(sent++, bytes);

			assert_int_equal(channel_send(&a, header, bytes, length), 0);
		} else {
			assert_int_equal(channel_flush(&a), 0);
			received = receive_some(&b, received);
		}
	}
	assert_int_equal(channel_queued_bytes(&a), 0);
	channel_fini(&a);
	channel_fini(&b);
}

static void sending_never_blocks(void **state)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct channel a, b;

	(void)state;
	make_pair(&a, &b, MESSAGE_MAX);
	for (int i = 0; i < 100; i++)
		assert_int_equal(channel_send(&a, (struct channel_header){.kind = CHANNEL_SEND},
					      bytes, sizeof(bytes)),
				 0);
	assert_true(channel_queued_bytes(&a) > 90 * sizeof(bytes));
	channel_fini(&a);
	channel_fini(&b);
}

static void a_longer_message_than_agreed_breaks_the_channel(void **state)
{
	struct channel a, b;
	struct channel_header header;
	const uint8_t *bytes;
	uint8_t message[101] = {0};

	(void)state;
	make_pair(&a, &b, 100);
	assert_int_equal(channel_send(&a, (struct channel_header){.kind = 1}, message, 100), 0);
	assert_int_equal(channel_send(&a, (struct channel_header){.kind = 1}, message, 101), 0);
	assert_int_equal(channel_fill(&b), 0);
	assert_int_equal(channel_next(&b, &header, &bytes), 1);
	assert_int_equal(channel_fill(&b), 0);
	assert_int_equal(channel_next(&b, &header, &bytes), -EPROTO);
	channel_fini(&a);
	channel_fini(&b);
}

static void the_end_comes_after_the_last_message(void **state)
{
	struct channel a, b;
	struct channel_header header;
	const uint8_t *bytes;

	(void)state;
	make_pair(&a, &b, 100);
	assert_int_equal(channel_send(&a, (struct channel_header){.kind = 1}, "last", 4), 0);
	channel_fini(&a);
	assert_int_equal(channel_fill(&b), -EPIPE);
	assert_int_equal(channel_next(&b, &header, &bytes), 1);
	assert_memory_equal(bytes, "last", 4);
	assert_int_equal(channel_next(&b, &header, &bytes), 0);
	assert_int_equal(channel_send(&b, (struct channel_header){.kind = 1}, "x", 1), -EPIPE);
	channel_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_whole_and_in_order),
		cmocka_unit_test(sending_never_blocks),
		cmocka_unit_test(a_longer_message_than_agreed_breaks_the_channel),
		cmocka_unit_test(the_end_comes_after_the_last_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
