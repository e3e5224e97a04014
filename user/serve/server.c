/* SPDX-License-Identifier: MIT */
/*
 * server.c - the listening socket, the token, the fork, and the watch over the child.
 *
 * The socket is bound here, while errors still reach the user plainly and low ports still can be
 * had; the child inherits it and the other end of the channel, and closes everything else before it
 * touches a byte from outside.
 */
#define _GNU_SOURCE
#include "serve/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmviz/abi.h>

#include "serve/access.h"
#include "serve/publisher.h"
#include "serve/web/web.h"

#define BACKLOG		  64
#define READY_TIMEOUT_MS  10000
#define SOCKET_BYTES	  (4 << 20)
#define END_ROUNDS	  400 /* of 5 ms */
#define RECEIVE_BYTES_MAX 256 /* the web server sends small structs only */

struct server {
	struct server_options options;
	struct access access;
	struct sockaddr_storage address;
	char url[64 + ACCESS_TOKEN_MAX];
	pid_t child; /* 0: none */
	struct channel channel;
	struct publisher *publisher;
	struct wire_hello hello;
};

/* ------------------------------------------------------------------ the socket */

static socklen_t address_bytes(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
	return ntohs(address->ss_family == AF_INET
			     ? ((const struct sockaddr_in *)address)->sin_port
			     : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static int refuse_listen(const char *listen_text, int error)
{
	fprintf(stderr, "mmviz-bpf: cannot listen on %s: %s%s\n", listen_text, strerror(error),
		error == EADDRINUSE
			? "; choose another port: --listen 127.0.0.1:0 takes any that is free"
		: error == EADDRNOTAVAIL ? "; `ip address` lists the addresses of this machine"
					 : "");
	return -error;
}

static int listen_on(struct server *server, const char *text, int *out)
{
	socklen_t bytes = sizeof(server->address);
	const int on = 1;
	int fd, error;

	if (access_parse_listen(text, &server->address) != 0) {
		fprintf(stderr,
			"mmviz-bpf: --listen: '%s' is not ADDRESS:PORT, such as 127.0.0.1:7070 or "
			"[::1]:0\n",
			text);
		return -EINVAL;
	}
	fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return refuse_listen(text, errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&server->address, address_bytes(&server->address)) != 0 ||
	    listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&server->address, &bytes) != 0) {
		error = errno;
		close(fd);
		return refuse_listen(text, error);
	}
	server->access.port = port_of(&server->address);
	*out = fd;
	return 0;
}

static void warn_of_strangers(const struct server *server, const struct server_options *options)
{
	if (!access_is_loopback(&server->address))
		fprintf(stderr,
			"mmviz-bpf: warning: %s can be reached from other machines, and neither "
			"the token nor the data is encrypted on the way; safer: --listen "
			"127.0.0.1:%u and `ssh -L %u:localhost:%u`\n",
			options->listen, server->access.port, server->access.port,
			server->access.port);
	if (options->no_token)
		fprintf(stderr, "mmviz-bpf: warning: --no-token: everybody who can connect sees "
				"this heap\n");
}

static int make_token(struct server *server, const struct server_options *options)
{
	int error = 0;

	if (options->token_file != NULL)
		return access_token_load(&server->access, options->token_file);
	if (!options->no_token)
		error = access_token_generate(&server->access);
	if (error != 0)
		fprintf(stderr, "mmviz-bpf: no random token could be made: %s\n", strerror(-error));
	return error;
}

/* "Any address" is none to go to: loopback is one of those that it stands for. */
static void make_url(struct server *server)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&server->address;
	struct in_addr v4_addr = ((const struct sockaddr_in *)&server->address)->sin_addr;
	bool is_v6 = server->address.ss_family == AF_INET6;
	struct in6_addr v6_addr =
		IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) ? in6addr_loopback : v6->sin6_addr;
	char name[INET6_ADDRSTRLEN];

	if (v4_addr.s_addr == htonl(INADDR_ANY))
		v4_addr.s_addr = htonl(INADDR_LOOPBACK);
	inet_ntop(server->address.ss_family, is_v6 ? (void *)&v6_addr : (void *)&v4_addr, name,
		  sizeof(name));
	snprintf(server->url, sizeof(server->url),
		 is_v6 ? "http://[%s]:%u/%s%s" : "http://%s:%u/%s%s", name, server->access.port,
		 server->access.token[0] != '\0' ? "?token=" : "", server->access.token);
}

/* ------------------------------------------------------------------ the child */

static int spawn(struct server *server, const struct server_options *options, int listen_fd)
{
	struct web_options web = {
		.access = server->access,
		.listen_fd = listen_fd,
		.documents = options->documents,
		.documents_count = options->documents_count,
	};
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		goto failed;
	/* Room for one large map; with less it only takes more rounds. */
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &(int){SOCKET_BYTES}, sizeof(int));
	fflush(NULL);
	server->child = fork();
	if (server->child == 0) {
		web.channel_fd = pair[1];
		_exit(web_main(&web));
	}
	if (server->child > 0) {
		close(pair[1]);
		channel_init(&server->channel, pair[0], RECEIVE_BYTES_MAX);
		return 0;
	}
	server->child = 0;
	close(pair[0]);
	close(pair[1]);
failed:
	error = -errno;
	fprintf(stderr, "mmviz-bpf: the web server cannot be started: %m\n");
	return error;
}

static int report_end(struct server *server)
{
	int status = 0;

	channel_fini(&server->channel);
	waitpid(server->child, &status, 0);
	server->child = 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "mmviz-bpf: the web server was ended by signal %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "mmviz-bpf: the web server ended with status %d\n",
			WEXITSTATUS(status));
	return -EPIPE;
}

/* Until the child says that it is sandboxed and serving. */
static int wait_ready(struct server *server)
{
	struct pollfd ready = {.fd = server->channel.fd, .events = POLLIN};
	struct channel_header header;
	const uint8_t *bytes;
	int error;

	while (channel_next(&server->channel, &header, &bytes) != 1) {
		if (poll(&ready, 1, READY_TIMEOUT_MS) == 0) {
			fprintf(stderr, "mmviz-bpf: the web server does not start\n");
			return -ETIMEDOUT;
		}
		error = channel_fill(&server->channel);
		if (error != 0 && server->channel.in.end == server->channel.in.start)
			return report_end(server);
	}
	return header.kind == CHANNEL_READY ? 0 : -EPROTO;
}

/* A child that does not end by itself in time is ended. */
static void reap(pid_t child)
{
	const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};

	for (int round = 0; round < END_ROUNDS; round++) {
		if (waitpid(child, NULL, WNOHANG) != 0)
			return;
		nanosleep(&pause, NULL);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int server_open(const struct server_options *options, struct server **out)
{
	struct server *server = calloc(1, sizeof(*server));
	int listen_fd = -1, error;

	if (server == NULL)
		return -ENOMEM;
	server->options = *options;
	server->channel.fd = -1;
	error = make_token(server, options);
	if (error == 0)
		error = listen_on(server, options->listen, &listen_fd);
	if (error == 0) {
		warn_of_strangers(server, options);
		make_url(server);
		error = spawn(server, options, listen_fd);
	}
	if (listen_fd >= 0)
		close(listen_fd);
	if (error == 0)
		error = wait_ready(server);
	if (error == 0)
		error = publisher_open(&server->channel, &server->options, &server->publisher);
	if (error != 0) {
		server_close(server);
		return error;
	}
	*out = server;
	return 0;
}

void server_close(struct server *server)
{
	if (server == NULL)
		return;
	publisher_close(server->publisher);
	channel_fini(&server->channel); /* the child ends when its end is closed */
	if (server->child > 0)
		reap(server->child);
	explicit_bzero(server, sizeof(*server));
	free(server);
}

void server_attached(struct server *server, const struct server_target *target)
{
	server->hello = (struct wire_hello){
		.pid = target->pid,
		.comm = target->comm,
		.mode = target->mode,
		.version = target->version,
		.abi = MMVIZ_ABI_VERSION,
		.attached_at_ns = target->attached_at_ns,
	};
}

const char *server_url(const struct server *server)
{
	return server->url;
}

bool server_has_clients(const struct server *server)
{
	return publisher_has_clients(server->publisher);
}

struct pollfd server_poll(const struct server *server)
{
	bool has_queued = channel_queued_bytes(&server->channel) > 0;

	return (struct pollfd){.fd = server->channel.fd,
			       .events = (short)(POLLIN | (has_queued ? POLLOUT : 0))};
}

int server_service(struct server *server, const struct view *view)
{
	int error = publisher_service(server->publisher, view, &server->hello);

	if (error == -EPIPE)
		return report_end(server);
	if (error != 0)
		fprintf(stderr, "mmviz-bpf: the web server is given up: %s\n", strerror(-error));
	return error;
}

void server_notice(struct server *server, const char *level, const char *text)
{
	publisher_notice(server->publisher, level, text);
}
