/* SPDX-License-Identifier: MIT */
/*
 * process.h - what the parts of the web server process share: http.c and socket.c speak to
 * browsers, web.c to the collector.
 */
#ifndef MMVIZ_SERVE_WEB_PROCESS_H
#define MMVIZ_SERVE_WEB_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libwebsockets.h>

#include "serve/channel.h"
#include "serve/web/assets.h"
#include "serve/web/web.h"

#define WEB_SUBPROTOCOL "mmviz.1"

struct http_request;
struct socket_client;

struct web {
	const struct web_options *options;
	struct assets assets;
	struct channel channel;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct lws *channel_wsi;
	struct http_request *waiting; /* for a document */
	uint32_t last_request;
	struct socket_client *clients;
	uint32_t clients_count, last_client;
	bool is_over;
};

struct web *web_of(struct lws *wsi);
/* The collector does not keep up with what clients ask: ask nothing more, close the connection. */
bool web_is_behind(const struct web *web);
/* Queue a message for the collector. 0, or -1: it is gone. */
int web_ask(struct web *web, struct channel_header header, const void *bytes, size_t count);

/* ---- http.c */
extern const size_t http_request_bytes;
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		  size_t length);
/* The document that `header->request` waits for has come. */
void http_reply(struct web *web, const struct channel_header *header, const uint8_t *bytes);

/* ---- socket.c */
extern const size_t socket_client_bytes;
int socket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t length);
/* A wire message for one client or for all. */
void socket_deliver(struct web *web, const struct channel_header *header, const uint8_t *bytes);

#endif
