/* SPDX-License-Identifier: MIT */
/*
 * channel.h - whole messages over one end of a stream socket pair, without ever blocking.
 *
 * What cannot be sent at once is queued, up to a bound; what arrives is handed out message by
 * message. The other end is not trusted: a message longer than this end accepts breaks the channel.
 */
#ifndef MMVIZ_SERVE_CHANNEL_H
#define MMVIZ_SERVE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/events.h"
#include "serve/wire.h"

#define CHANNEL_CLIENTS_MAX 16 /* clients are numbered from 0 */

enum channel_kind {
	/* collector -> web server */
	CHANNEL_BROADCAST = 1, /* a wire message for every client that was welcomed */
	CHANNEL_SEND,	       /* a wire message for one client; a hello welcomes it */
	CHANNEL_REPLY,	       /* the body of what answers `request`; detail: HTTP status */
	/* web server -> collector */
	CHANNEL_READY,	  /* sandboxed and serving; detail: 0 or the errno that prevents it */
	CHANNEL_OPEN,	  /* a client has come */
	CHANNEL_CLOSE,	  /* it has gone */
	CHANNEL_WINDOW,	  /* struct wire_window follows */
	CHANNEL_ACK,	  /* request: of the window */
	CHANNEL_PLACE,	  /* struct channel_place follows */
	CHANNEL_PAUSE,	  /* detail: 1 on, 0 off */
	CHANNEL_EVENTS,	  /* struct events_settings follow; client, or request of a POST */
	CHANNEL_SAMPLE,	  /* uint64_t mean bytes follows */
	CHANNEL_DOCUMENT, /* detail: index of the document that `request` asks for */
};

struct channel_header {
	uint32_t bytes; /* that follow */
	uint16_t kind, detail;
	uint32_t client, request;
};
struct channel_place {
	uint32_t request, arena_id, place;
};

struct channel_queue {
	uint8_t *bytes;
	size_t start, end, capacity; /* what is queued: [start, end) */
};
struct channel {
	int fd;
	size_t receive_max; /* longest message that is accepted */
	struct channel_queue out, in;
};

void channel_init(struct channel *channel, int fd, size_t receive_max);
void channel_fini(struct channel *channel); /* closes fd */

size_t channel_queued_bytes(const struct channel *channel);
/* Queue, then send what goes. 0; -ENOMEM; -EPIPE the other end is gone. header->bytes is set here.
 */
int channel_send(struct channel *channel, struct channel_header header, const void *bytes,
		 size_t count);
int channel_flush(struct channel *channel); /* 0; -EPIPE */

/* Take what has arrived into the buffer. 0; -EPIPE; -ENOMEM. */
int channel_fill(struct channel *channel);
/* The next whole message: 1; 0 none; -EPROTO. *bytes is valid until the next fill. */
int channel_next(struct channel *channel, struct channel_header *header, const uint8_t **bytes);

#endif
