/* SPDX-License-Identifier: MIT */
/*
 * socket.c - WebSocket clients: a bounded queue of frames for each, and what they ask.
 *
 * A frame is shared by all clients that wait for it and counted by references. A state message
 * replaces one of its type that still waits, so a slow client sees fewer frames and the same facts;
 * a client whose other frames pile up is closed, and gets all of it anew when it comes back.
 *
 * A client is welcomed by its hello; broadcasts before that are not for it: the collector sends
 * history first.
 */
#define _GNU_SOURCE
#include "serve/web/process.h"

#include <stdlib.h>
#include <string.h>

#include "serve/web/request.h"

#define QUEUE_FRAMES	1024
#define QUEUE_BYTES_MAX (16u << 20)

struct frame {
	uint32_t references;
	enum wire_type type;
	size_t bytes;
	uint8_t padded[]; /* LWS_PRE bytes for the library, then the message */
};

struct socket_client {
	struct lws *wsi;
	struct socket_client *next;
	uint32_t id;
	bool is_welcome, is_paused;
	bool is_closing;		   /* nothing is queued any more; what waits is the last */
	struct frame *queue[QUEUE_FRAMES]; /* a ring: queue[(first + i) % QUEUE_FRAMES] */
	uint32_t first, count;
	size_t queued_bytes;
	char message[REQUEST_BYTES_MAX];
	size_t message_bytes;
};
const size_t socket_client_bytes = sizeof(struct socket_client);

/* ------------------------------------------------------------------ frames */

static struct frame *frame_new(const uint8_t *bytes, size_t count)
{
	struct frame *frame = malloc(sizeof(*frame) + LWS_PRE + count);

	if (frame == NULL)
		return NULL;
	frame->references = 1;
	frame->type = wire_type_of(bytes, count);
	frame->bytes = count;
	memcpy(frame->padded + LWS_PRE, bytes, count);
	return frame;
}

static void frame_put(struct frame *frame)
{
	if (frame != NULL && --frame->references == 0)
		free(frame);
}

static struct frame **slot(struct socket_client *client, uint32_t index)
{
	return &client->queue[(client->first + index) % QUEUE_FRAMES];
}

static struct frame *take_first(struct socket_client *client)
{
	struct frame *frame = *slot(client, 0);

	client->first = (client->first + 1) % QUEUE_FRAMES;
	client->count--;
	client->queued_bytes -= frame->bytes;
	return frame;
}

static void drop_all(struct socket_client *client)
{
	while (client->count > 0)
		frame_put(take_first(client));
}

/* The waiting frame that `frame` makes superfluous. */
static struct frame **find_outdated(struct socket_client *client, const struct frame *frame)
{
	for (uint32_t i = 0; i < client->count && wire_is_state(frame->type); i++)
		if ((*slot(client, i))->type == frame->type)
			return slot(client, i);
	return NULL;
}

/* It does not read; an orderly end would wait for it. */
static void abandon(struct socket_client *client)
{
	drop_all(client);
	client->is_closing = true;
	lws_set_timeout(client->wsi, PENDING_TIMEOUT_LAGGING, LWS_TO_KILL_ASYNC);
}

static void enqueue(struct socket_client *client, struct frame *frame)
{
	struct frame **outdated = find_outdated(client, frame);

	if (client->is_closing)
		return;
	if (outdated == NULL && (client->count == QUEUE_FRAMES ||
				 client->queued_bytes + frame->bytes > QUEUE_BYTES_MAX)) {
		abandon(client);
		return;
	}
	frame->references++;
	client->queued_bytes += frame->bytes;
	if (outdated != NULL) {
		client->queued_bytes -= (*outdated)->bytes;
		frame_put(*outdated);
		*outdated = frame;
	} else {
		*slot(client, client->count++) = frame;
	}
	lws_callback_on_writable(client->wsi);
}

/* ------------------------------------------------------------------ from the collector */

static bool is_wanted(const struct socket_client *client, enum wire_type type)
{
	bool is_table = type == WIRE_ARENAS || type == WIRE_CONTEXTS || type == WIRE_EVENTS;

	return client->is_welcome && !(client->is_paused && is_table);
}

void socket_deliver(struct web *web, const struct channel_header *header, const uint8_t *bytes)
{
	struct frame *frame = frame_new(bytes, header->bytes);

	for (struct socket_client *client = web->clients; client != NULL; client = client->next) {
		if (header->kind == CHANNEL_SEND && client->id != header->client)
			continue;
		if (frame == NULL) {
			abandon(client); /* no memory: it would miss something */
			continue;
		}
		if (frame->type == WIRE_HELLO)
			client->is_welcome = true;
		if (is_wanted(client, frame->type))
			enqueue(client, frame);
	}
	frame_put(frame);
}

static int write_frame(struct socket_client *client)
{
	struct frame *frame;
	int sent;

	if (client->count == 0 && client->is_closing)
		lws_close_reason(client->wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, NULL, 0);
	if (client->count == 0)
		return client->is_closing ? -1 : 0;
	frame = take_first(client);
	sent = lws_write(client->wsi, frame->padded + LWS_PRE, frame->bytes, LWS_WRITE_BINARY);
	sent = sent < (int)frame->bytes ? -1 : 0;
	frame_put(frame);
	if (sent == 0 && (client->count > 0 || client->is_closing))
		lws_callback_on_writable(client->wsi);
	return sent;
}

/* ------------------------------------------------------------------ from the client */

/* Say why, and nothing else any more; the connection is closed when that was sent. */
static void complain(struct socket_client *client, const char *why)
{
	struct wire_buffer notice = {0};
	struct frame *frame = NULL;

	drop_all(client);
	wire_notice(&notice, (uint64_t)lws_now_usecs() * 1000, "error", why);
	if (!notice.is_failed)
		frame = frame_new(notice.bytes, notice.used);
	if (frame != NULL)
		enqueue(client, frame);
	frame_put(frame);
	wire_buffer_fini(&notice);
	client->is_closing = true;
	lws_callback_on_writable(client->wsi);
}

static int pass_on(struct web *web, struct socket_client *client, const struct request *request)
{
	struct channel_header header = {.client = client->id};

	if (web_is_behind(web))
		return -1;
	switch (request->type) {
	case REQUEST_MAP:
		header.kind = CHANNEL_WINDOW;
		return web_ask(web, header, &request->window, sizeof(request->window));
	case REQUEST_ACK:
		header.kind = CHANNEL_ACK;
		header.request = request->acknowledged;
		return web_ask(web, header, NULL, 0);
	case REQUEST_BLOCK:
		header.kind = CHANNEL_PLACE;
		return web_ask(web, header, &request->place, sizeof(request->place));
	case REQUEST_PAUSE:
		client->is_paused = request->is_on;
		header.kind = CHANNEL_PAUSE;
		header.detail = request->is_on;
		return web_ask(web, header, NULL, 0);
	case REQUEST_EVENTS:
		header.kind = CHANNEL_EVENTS;
		return web_ask(web, header, &request->events, sizeof(request->events));
	case REQUEST_SAMPLE:
		header.kind = CHANNEL_SAMPLE;
		return web_ask(web, header, &request->sample_bytes, sizeof(request->sample_bytes));
	}
	return -1;
}

static int receive(struct web *web, struct socket_client *client, const char *bytes, size_t count)
{
	struct request request;
	const char *why;

	if (client->is_closing)
		return 0;
	if (lws_is_first_fragment(client->wsi))
		client->message_bytes = 0;
	if (lws_frame_is_binary(client->wsi) ||
	    count > sizeof(client->message) - client->message_bytes) {
		complain(client, "messages are texts of at most 4096 bytes");
		return 0;
	}
	memcpy(client->message + client->message_bytes, bytes, count);
	client->message_bytes += count;
	if (!lws_is_final_fragment(client->wsi))
		return 0;
	if (request_parse(client->message, client->message_bytes, &request, &why) == 0)
		return pass_on(web, client, &request);
	complain(client, why);
	return 0;
}

static int open_client(struct web *web, struct lws *wsi, struct socket_client *client)
{
	*client = (struct socket_client){.wsi = wsi, .id = ++web->last_client};
	client->next = web->clients;
	web->clients = client;
	web->clients_count++;
	return web_ask(web, (struct channel_header){.kind = CHANNEL_OPEN, .client = client->id},
		       NULL, 0);
}

static void close_client(struct web *web, struct socket_client *client)
{
	for (struct socket_client **at = &web->clients; *at != NULL; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			web->clients_count--;
			break;
		}
	}
	drop_all(client);
	web_ask(web, (struct channel_header){.kind = CHANNEL_CLOSE, .client = client->id}, NULL, 0);
}

int socket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t length)
{
	struct web *web = web_of(wsi);

	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		return open_client(web, wsi, user);
	case LWS_CALLBACK_RECEIVE:
		return receive(web, user, in, length);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return write_frame(user);
	case LWS_CALLBACK_CLOSED:
		close_client(web, user);
		return 0;
	default:
		return 0;
	}
}
