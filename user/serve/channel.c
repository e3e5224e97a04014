/* SPDX-License-Identifier: MIT */
/*
 * channel.c - two byte queues around a non-blocking stream socket.
 *
 *	bytes |  taken  | start ... queued ... end |  room  | capacity
 *
 * A queue moves its content to the front when it needs room; it grows to what one burst needed and
 * stays there.
 */
#define _GNU_SOURCE
#include "serve/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILL_BYTES (64 << 10)

void channel_init(struct channel *channel, int fd, size_t receive_max)
{
	*channel = (struct channel){.fd = fd, .receive_max = receive_max};
}

void channel_fini(struct channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	free(channel->in.bytes);
	free(channel->out.bytes);
	*channel = (struct channel){.fd = -1};
}

size_t channel_queued_bytes(const struct channel *channel)
{
	return channel->out.end - channel->out.start;
}

/* Make room for `bytes` at queue->end. */
static int reserve(struct channel_queue *queue, size_t bytes)
{
	size_t used = queue->end - queue->start;

	if (queue->capacity - queue->end >= bytes)
		return 0;
	if (used > 0)
		memmove(queue->bytes, queue->bytes + queue->start, used);
	queue->start = 0;
	queue->end = used;
	if (queue->capacity - used < bytes) {
		size_t capacity = used + bytes + (used + bytes) / 2;
		uint8_t *grown = realloc(queue->bytes, capacity);

		if (grown == NULL)
			return -ENOMEM;
		queue->bytes = grown;
		queue->capacity = capacity;
	}
	return 0;
}

static void append(struct channel_queue *queue, const void *bytes, size_t count)
{
	if (count > 0)
		memcpy(queue->bytes + queue->end, bytes, count);
	queue->end += count;
}

int channel_send(struct channel *channel, struct channel_header header, const void *bytes,
		 size_t count)
{
	int error = reserve(&channel->out, sizeof(header) + count);

	if (error != 0)
		return error;
	header.bytes = (uint32_t)count;
	append(&channel->out, &header, sizeof(header));
	append(&channel->out, bytes, count);
	return channel_flush(channel);
}

int channel_flush(struct channel *channel)
{
	struct channel_queue *out = &channel->out;

	while (out->start < out->end) {
		ssize_t sent = send(channel->fd, out->bytes + out->start, out->end - out->start,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		out->start += (size_t)sent;
	}
	return 0;
}

int channel_fill(struct channel *channel)
{
	for (;;) {
		ssize_t got;

		if (reserve(&channel->in, FILL_BYTES) != 0)
			return -ENOMEM;
		got = recv(channel->fd, channel->in.bytes + channel->in.end, FILL_BYTES,
			   MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		if (got == 0)
			return -EPIPE;
		channel->in.end += (size_t)got;
		if (channel->in.end - channel->in.start > channel->receive_max)
			return 0; /* enough for one round */
	}
}

int channel_next(struct channel *channel, struct channel_header *header, const uint8_t **bytes)
{
	struct channel_queue *in = &channel->in;
	size_t available = in->end - in->start;

	if (available < sizeof(*header))
		return 0;
	memcpy(header, in->bytes + in->start, sizeof(*header));
	if (header->bytes > channel->receive_max)
		return -EPROTO;
	if (available < sizeof(*header) + header->bytes)
		return 0;
	*bytes = in->bytes + in->start + sizeof(*header);
	in->start += sizeof(*header) + header->bytes;
	return 1;
}
