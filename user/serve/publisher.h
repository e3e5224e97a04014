/* SPDX-License-Identifier: MIT */
/*
 * publisher.h - turns views into wire messages, at the rates and only for the windows that clients
 * asked for.
 *
 * The collector's end of the channel. Without clients it encodes nothing. When the web server does
 * not keep up, whole frames are left out; the time line and names are only put off. What comes
 * from the web server is checked again here: that process is not trusted.
 */
#ifndef MMVIZ_SERVE_PUBLISHER_H
#define MMVIZ_SERVE_PUBLISHER_H

#include <stdbool.h>

#include "serve/channel.h"
#include "serve/server.h"
#include "serve/wire.h"

struct publisher;

/* 0 or -ENOMEM. `channel` and `options` must outlive it. */
int publisher_open(struct channel *channel, const struct server_options *options,
		   struct publisher **out);
void publisher_close(struct publisher *publisher); /* NULL is fine */

/* Answer what clients asked and publish what is due. 0; -EPIPE the web server is gone; -EPROTO;
 * -ENOMEM. */
int publisher_service(struct publisher *publisher, const struct view *view,
		      const struct wire_hello *hello);
bool publisher_has_clients(const struct publisher *publisher);
/* A line for every client, also for those that come later. `level`: info, warning, error. */
void publisher_notice(struct publisher *publisher, const char *level, const char *text);

#endif
