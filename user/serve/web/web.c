/* SPDX-License-Identifier: MIT */
/*
 * web.c - the process: gives up what it inherited, then runs libwebsockets' loop.
 *
 * The listening socket and the channel are adopted as plain files: the loop says when they are
 * readable, we accept and read. Order at the start: limits, descriptors, library (it opens
 * /dev/urandom), privileges, filter; only then is anything accepted.
 */
#define _GNU_SOURCE
#include "serve/web/web.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/sandbox.h"
#include "serve/web/process.h"

#define LISTEN_FD	   3
#define CHANNEL_FD	   4
#define DESCRIPTORS_MAX	   128
#define CONNECTIONS_FD_MAX 96 /* an accepted descriptor above this is one too many */
#define ASKED_BYTES_MAX	   (256u << 10)
#define RECEIVE_BYTES_MAX  (256u << 20)
#define ADDRESS_SPACE_MAX  (1ul << 30)
#define HEADERS_BYTES_MAX  8192
#define IDLE_SECONDS	   20

struct web *web_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

/* ------------------------------------------------------------------ channel */

static void end_loop(struct web *web)
{
	web->is_over = true;
	lws_cancel_service(web->context);
}

bool web_is_behind(const struct web *web)
{
	return channel_queued_bytes(&web->channel) > ASKED_BYTES_MAX;
}

int web_ask(struct web *web, struct channel_header header, const void *bytes, size_t count)
{
	if (channel_send(&web->channel, header, bytes, count) != 0) {
		end_loop(web);
		return -1;
	}
	if (channel_queued_bytes(&web->channel) > 0)
		lws_callback_on_writable(web->channel_wsi);
	return 0;
}

static void receive(struct web *web)
{
	struct channel_header header;
	const uint8_t *bytes;
	int error = channel_fill(&web->channel), result;

	while ((result = channel_next(&web->channel, &header, &bytes)) == 1) {
		if (header.kind == CHANNEL_REPLY)
			http_reply(web, &header, bytes);
		else
			socket_deliver(web, &header, bytes);
	}
	if (error != 0 || result < 0)
		end_loop(web);
}

static int channel_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
			    size_t length)
{
	struct web *web = web_of(wsi);

	(void)user, (void)in, (void)length;
	switch (reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		receive(web);
		return 0;
	case LWS_CALLBACK_RAW_WRITEABLE_FILE:
		if (channel_flush(&web->channel) != 0)
			end_loop(web);
		else if (channel_queued_bytes(&web->channel) > 0)
			lws_callback_on_writable(wsi);
		return 0;
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		web->channel.fd = -1; /* the library closes it */
		end_loop(web);
		return 0;
	default:
		return 0;
	}
}

/* ------------------------------------------------------------------ listener */

static int listener_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
			     void *in, size_t length)
{
	struct web *web = web_of(wsi);
	int fd;

	(void)user, (void)in, (void)length;
	if (reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	while ((fd = accept4(LISTEN_FD, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (fd > CONNECTIONS_FD_MAX)
			close(fd);
		else
			lws_adopt_socket_vhost(web->vhost, fd);
	}
	return 0;
}

/* ------------------------------------------------------------------ process */

/* The terminal's signals are for the collector, whose end ends this process. */
static void ignore_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

static void set_limits(void)
{
	const struct rlimit descriptors = {DESCRIPTORS_MAX, DESCRIPTORS_MAX}, none = {0, 0};

	setrlimit(RLIMIT_NOFILE, &descriptors);
	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	setrlimit(RLIMIT_AS, &(struct rlimit){ADDRESS_SPACE_MAX, ADDRESS_SPACE_MAX});
#endif
}

/* Standard error stays; the two sockets become 3 and 4; all others are closed. */
static int keep_descriptors(const struct web_options *options)
{
	int null_fd = open("/dev/null", O_RDWR);
	int listen_fd = fcntl(options->listen_fd, F_DUPFD, CHANNEL_FD + 1);
	int channel_fd = fcntl(options->channel_fd, F_DUPFD, CHANNEL_FD + 1);

	if (null_fd < 0 || listen_fd < 0 || channel_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0 || dup2(listen_fd, LISTEN_FD) < 0 ||
	    dup2(channel_fd, CHANNEL_FD) < 0 || close_range(CHANNEL_FD + 1, ~0u, 0) != 0)
		return -errno;
	return 0;
}

static void report_library(int level, const char *line)
{
	(void)level;
	fprintf(stderr, "mmviz-bpf: web server: %s", line);
}

/* Sent with every answer. */
static const struct lws_protocol_vhost_options answer_headers[] = {
	{&answer_headers[1], NULL, "content-security-policy:",
	 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src "
	 "'self' "
	 "data:; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{&answer_headers[2], NULL, "x-content-type-options:", "nosniff"},
	{&answer_headers[3], NULL, "x-frame-options:", "DENY"},
	{&answer_headers[4], NULL, "referrer-policy:", "no-referrer"},
	{&answer_headers[5], NULL, "cross-origin-opener-policy:", "same-origin"},
	{&answer_headers[6], NULL, "cross-origin-resource-policy:", "same-origin"},
	{NULL, NULL, "cache-control:", "no-store"},
};

static struct lws *adopt(struct web *web, int fd, const char *protocol)
{
	lws_sock_file_fd_type file = {.filefd = fd};

	return lws_adopt_descriptor_vhost(web->vhost, LWS_ADOPT_RAW_FILE_DESC, file, protocol,
					  NULL);
}

static int open_library(struct web *web, const struct lws_protocols *protocols)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.headers = answer_headers,
		.server_string = "mmviz",
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.max_http_header_data = HEADERS_BYTES_MAX,
		.timeout_secs = IDLE_SECONDS,
		.keepalive_timeout = IDLE_SECONDS,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = web,
	};

	lws_set_log_level(LLL_ERR, report_library);
	web->context = lws_create_context(&info);
	if (web->context == NULL)
		return -ENOMEM;
	web->vhost = lws_create_vhost(web->context, &info);
	if (web->vhost == NULL || adopt(web, LISTEN_FD, "listener") == NULL)
		return -ENOMEM;
	web->channel_wsi = adopt(web, CHANNEL_FD, "channel");
	return web->channel_wsi != NULL ? 0 : -ENOMEM;
}

static int start(struct web *web, const struct lws_protocols *protocols)
{
	int error;

	prctl(PR_SET_NAME, "mmviz-web");
	ignore_signals();
	error = keep_descriptors(web->options);
	if (error == 0)
		error = assets_init(&web->assets);
	set_limits();
	channel_init(&web->channel, CHANNEL_FD, RECEIVE_BYTES_MAX);
	if (error == 0)
		error = open_library(web, protocols);
	if (error == 0)
		error = sandbox_drop_privileges();
	if (error == 0)
		error = sandbox_confine_server();
	return error;
}

int web_main(const struct web_options *options)
{
	const struct lws_protocols protocols[] = {
		{.name = "http",
		 .callback = http_callback,
		 .per_session_data_size = http_request_bytes},
		{.name = WEB_SUBPROTOCOL,
		 .callback = socket_callback,
		 .per_session_data_size = socket_client_bytes,
		 .rx_buffer_size = 4096},
		{.name = "listener", .callback = listener_callback},
		{.name = "channel", .callback = channel_callback},
		{0},
	};
	struct web web = {.options = options};
	int error = start(&web, protocols);

	if (error != 0) {
		fprintf(stderr, "mmviz-bpf: the web server cannot start: %s\n", strerror(-error));
		return 1;
	}
	if (web_ask(&web, (struct channel_header){.kind = CHANNEL_READY}, NULL, 0) != 0)
		return 1;
	while (!web.is_over && lws_service(web.context, 0) >= 0)
		continue;
	lws_context_destroy(web.context);
	channel_fini(&web.channel);
	assets_fini(&web.assets);
	return 0;
}
