/* SPDX-License-Identifier: MIT */
/*
 * web.h - the web server process.
 *
 * Everything in web/ runs in this process alone: without privileges, in a seccomp filter, with
 * nothing open but the listening socket, its connections and the channel to the collector. It
 * knows nothing of views: it checks who asks, hands out embedded files, passes questions on, and
 * deals messages out to clients. One thread; ends when the collector closes the channel.
 */
#ifndef MMVIZ_SERVE_WEB_H
#define MMVIZ_SERVE_WEB_H

#include <stddef.h>

#include "serve/access.h"
#include "serve/server.h"

struct web_options {
	struct access access;
	int listen_fd, channel_fd; /* non-blocking */
	const struct server_document *documents;
	size_t documents_count;
};

/* Runs in the forked child until the channel is closed; returns the exit status. */
int web_main(const struct web_options *options);

#endif
