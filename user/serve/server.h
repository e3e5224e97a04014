/* SPDX-License-Identifier: MIT */
/*
 * server.h - the dashboard's web server, a process of its own, as the collector sees it.
 *
 *	server_open      bind, fork; the child gives up everything and serves      (while
 *privileged) server_attached  from now on there is a view server_service   each round: answer,
 *publish server_close     end the child
 *
 * One thread. The child ends by itself when the collector ends.
 */
#ifndef MMVIZ_SERVE_SERVER_H
#define MMVIZ_SERVE_SERVER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/events.h"
#include "model/view.h"

struct server;

/* A page that is made from the view on demand. */
struct server_document {
	const char *path, *content_type; /* the path ends in "?kind=..." if there are several */
	/* *text is malloc'ed. 0 or -errno. */
	int (*render)(void *context, char **text, size_t *bytes);
};
struct server_options {
	const char *listen;	/* ADDR:PORT; port 0: any that is free */
	const char *token_file; /* NULL: a random token */
	bool no_token;
	const struct server_document *documents;
	size_t documents_count;
	void *documents_context;
	/* Events mode, with documents_context: what its page shows, as JSON; -ENODATA in other
	 * modes. NULL: nothing. */
	int (*render_events)(void *context, char **text, size_t *bytes);
	/* What a client wants to be told. NULL, or why not: a constant text. */
	const char *(*choose_events)(void *context, const struct events_settings *settings);
	/* A client wants stacks to be sampled after so many bytes on average. 0 or -errno. */
	int (*set_sample_bytes)(void *documents_context, uint64_t mean_bytes);
};
/* What the dashboard is told of the target. */
struct server_target {
	pid_t pid;
	const char *comm, *mode, *version;
	uint64_t attached_at_ns; /* CLOCK_REALTIME */
};

/* 0 or a negative errno, reported: -EINVAL a bad address or token file, -EADDRINUSE, ... The
 * documents must outlive the server. */
int server_open(const struct server_options *options, struct server **out);
void server_close(struct server *server); /* NULL is fine */

/* `target` and its texts must outlive the server. */
void server_attached(struct server *server, const struct server_target *target);
/* With the token, if there is one: to be shown to the user alone. */
const char *server_url(const struct server *server);
bool server_has_clients(const struct server *server);

/* What to poll for: a client wants something, or what waits for the web server can go on. */
struct pollfd server_poll(const struct server *server);
/* 0, or a negative errno, reported: the web server has ended. */
int server_service(struct server *server, const struct view *view);
/* Tell every client, now and when one comes later. `level`: info, warning, error. */
void server_notice(struct server *server, const char *level, const char *text);

#endif
