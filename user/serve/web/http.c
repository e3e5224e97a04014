/* SPDX-License-Identifier: MIT */
/*
 * http.c - one HTTP request at a time per connection: check, find, answer.
 *
 * Order of the checks, each with an answer of its own: Host and Origin (403), path /healthz (no
 * token), token (401, or 302 when it came in the URL), method (405), path (404). The answer is
 * prepared in struct http_request and sent when the connection is writable; for a document the
 * body is awaited from the collector first.
 *
 * Nothing of the request is ever echoed.
 */
#define _GNU_SOURCE
#include "serve/web/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/web/request.h"

#define CHUNK_BYTES	 (32u << 10)
#define HEAD_BYTES	 2048
#define DOCUMENT_SECONDS 20
#define PLAIN_TEXT	 "text/plain; charset=utf-8"
#define EXTRA_MAX	 2
#define EVENTS_PATH	 "/api/v1/events/settings"

struct http_request {
	struct lws *wsi;
	struct http_request *next; /* in web->waiting */
	uint32_t id;		   /* waits for this document; 0: does not wait */
	unsigned status;
	const char *content_type;
	struct http_extra {
		const char *name, *value;
	} extra[EXTRA_MAX];
	uint8_t *owned; /* the body, when it is not constant */
	const uint8_t *body;
	size_t body_bytes, sent_bytes;
	bool is_head_only, is_head_sent, must_close;
	bool is_posting; /* the body is still coming, into posted */
	char posted[REQUEST_BYTES_MAX];
	size_t posted_bytes;
	char cookie[64 + ACCESS_TOKEN_MAX];
};
const size_t http_request_bytes = sizeof(struct http_request);

/* ------------------------------------------------------------------ sending */

static void answer(struct http_request *request, unsigned status, const char *content_type,
		   const void *body, size_t bytes)
{
	request->status = status;
	request->content_type = content_type;
	request->body = body;
	request->body_bytes = bytes;
	lws_callback_on_writable(request->wsi);
}

static void answer_text(struct http_request *request, unsigned status, const char *text)
{
	answer(request, status, PLAIN_TEXT, text, strlen(text));
}

static void add_header(struct http_request *request, const char *name, const char *value)
{
	for (size_t i = 0; i < EXTRA_MAX; i++) {
		if (request->extra[i].name == NULL) {
			request->extra[i] = (struct http_extra){name, value};
			return;
		}
	}
}

static int send_head(struct http_request *request)
{
	uint8_t buffer[LWS_PRE + HEAD_BYTES];
	uint8_t *start = buffer + LWS_PRE, *at = start, *end = buffer + sizeof(buffer);

	if (lws_add_http_common_headers(request->wsi, request->status, request->content_type,
					request->body_bytes, &at, end) != 0)
		return -1;
	for (size_t i = 0; i < EXTRA_MAX && request->extra[i].name != NULL; i++)
		if (lws_add_http_header_by_name(
			    request->wsi, (const uint8_t *)request->extra[i].name,
			    (const uint8_t *)request->extra[i].value,
			    (int)strlen(request->extra[i].value), &at, end) != 0)
			return -1;
	request->is_head_sent = true;
	return lws_finalize_write_http_header(request->wsi, start, &at, end);
}

static int send_chunk(struct http_request *request)
{
	uint8_t buffer[LWS_PRE + CHUNK_BYTES];
	size_t left = request->body_bytes - request->sent_bytes;
	size_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;

	memcpy(buffer + LWS_PRE, request->body + request->sent_bytes, bytes);
	request->sent_bytes += bytes;
	return lws_write(request->wsi, buffer + LWS_PRE, bytes,
			 bytes == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) == (int)bytes
		       ? 0
		       : -1;
}

static int send_more(struct http_request *request)
{
	if (request->status == 0)
		return 0; /* still waiting */
	if (!request->is_head_sent && send_head(request) != 0)
		return -1;
	if (request->is_head_only)
		request->sent_bytes = request->body_bytes;
	if (request->sent_bytes < request->body_bytes && send_chunk(request) != 0)
		return -1;
	if (request->sent_bytes < request->body_bytes) {
		lws_callback_on_writable(request->wsi);
		return 0;
	}
	return request->must_close || lws_http_transaction_completed(request->wsi) ? -1 : 0;
}

/* ------------------------------------------------------------------ documents */

static void forget(struct web *web, struct http_request *request)
{
	for (struct http_request **at = &web->waiting; *at != NULL; at = &(*at)->next) {
		if (*at == request) {
			*at = request->next;
			break;
		}
	}
	free(request->owned);
	request->owned = NULL;
	request->id = 0;
}

/* An answer of the collector's is waited for. */
static void await(struct web *web, struct http_request *request, struct channel_header *question,
		  const char *content_type)
{
	request->id = question->request = ++web->last_request;
	request->content_type = content_type;
	request->next = web->waiting;
	web->waiting = request;
	lws_set_timeout(request->wsi, PENDING_TIMEOUT_HTTP_CONTENT, DOCUMENT_SECONDS);
}

static int await_document(struct web *web, struct http_request *request, size_t index)
{
	struct channel_header question = {.kind = CHANNEL_DOCUMENT, .detail = (uint16_t)index};

	if (web_is_behind(web))
		return -1;
	await(web, request, &question, web->options->documents[index].content_type);
	return web_ask(web, question, NULL, 0);
}

void http_reply(struct web *web, const struct channel_header *header, const uint8_t *bytes)
{
	struct http_request *request = web->waiting;
	const char *content_type;
	uint8_t *copy;

	while (request != NULL && request->id != header->request)
		request = request->next;
	if (request == NULL)
		return; /* the connection was closed meanwhile */
	content_type = request->content_type;
	forget(web, request);
	copy = malloc(header->bytes + 1u);
	if (copy == NULL || (header->detail != 200 && header->detail != 400)) {
		free(copy);
		answer_text(request, 500, "the collector could not make this document\n");
		return;
	}
	memcpy(copy, bytes, header->bytes);
	request->owned = copy;
	answer(request, header->detail, content_type, copy, header->bytes);
}

/* ------------------------------------------------------------------ requests */

/* A header's value; "" when it is missing, "?" (which never is right) when it is too long. */
static const char *get_header(struct lws *wsi, enum lws_token_indexes token, char *out, int max)
{
	if (lws_hdr_total_length(wsi, token) <= 0)
		return "";
	return lws_hdr_copy(wsi, out, max, token) >= 0 ? out : "?";
}

static enum access_verdict check(struct web *web, struct lws *wsi, bool with_token)
{
	char host[256], origin[256], authorization[256], cookie[4096], argument[256];
	struct sockaddr_storage local;
	socklen_t local_bytes = sizeof(local);
	const char *token = lws_get_urlarg_by_name(wsi, "token=", argument, sizeof(argument));
	struct access_request request = {
		.local = &local,
		.host = get_header(wsi, WSI_TOKEN_HOST, host, sizeof(host)),
		.origin = get_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof(origin)),
		.authorization = get_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization,
					    sizeof(authorization)),
		.cookie = get_header(wsi, WSI_TOKEN_HTTP_COOKIE, cookie, sizeof(cookie)),
		.query_token = token != NULL ? token : "",
	};

	if (getsockname(lws_get_socket_fd(wsi), (struct sockaddr *)&local, &local_bytes) != 0)
		return ACCESS_WRONG_HOST;
	return with_token ? access_check(&web->options->access, &request)
			  : access_check_source(&request);
}

static const char *refusal(enum access_verdict verdict)
{
	switch (verdict) {
	case ACCESS_WRONG_HOST:
		return "this server answers only to its own address: open the URL that mmviz-bpf "
		       "printed\n";
	case ACCESS_WRONG_ORIGIN:
		return "this server answers only its own pages\n";
	default:
		return "a token is needed: open the URL that mmviz-bpf printed, or send the header "
		       "`Authorization: Bearer TOKEN`\n";
	}
}

static void refuse(struct http_request *request, enum access_verdict verdict)
{
	if (verdict == ACCESS_WRONG_TOKEN)
		add_header(request, "www-authenticate:", "Bearer realm=\"mmviz\"");
	answer_text(request, verdict == ACCESS_WRONG_TOKEN ? 401 : 403, refusal(verdict));
}

static bool accepts_gzip(struct lws *wsi)
{
	char accepted[256];

	return strstr(get_header(wsi, WSI_TOKEN_HTTP_ACCEPT_ENCODING, accepted, sizeof(accepted)),
		      "gzip") != NULL;
}

static void answer_asset(struct http_request *request, const struct asset *asset)
{
	add_header(request, "vary:", "accept-encoding");
	if (asset->gzip != NULL && accepts_gzip(request->wsi)) {
		add_header(request, "content-encoding:", "gzip");
		answer(request, 200, asset->content_type, asset->gzip, asset->gzip_bytes);
	} else {
		answer(request, 200, asset->content_type, asset->plain, asset->plain_bytes);
	}
}

/* The token was in the URL: hide it in a cookie and show the URL without it. */
static void answer_redirect(struct web *web, struct http_request *request, const char *clean_path)
{
	access_cookie(&web->options->access, request->cookie, sizeof(request->cookie));
	add_header(request, "set-cookie:", request->cookie);
	add_header(request, "location:", clean_path);
	answer(request, 302, PLAIN_TEXT, "", 0);
}

static int route(struct web *web, struct http_request *request, const char *path,
		 enum access_verdict verdict)
{
	const struct server_document *documents = web->options->documents;
	const struct asset *asset = assets_find(&web->assets, path);
	char argument[32], name[256];
	const char *kind =
		lws_get_urlarg_by_name(request->wsi, "kind=", argument, sizeof(argument));
	size_t index = 0;

	snprintf(name, sizeof(name), "%s%s%s", path, kind != NULL ? "?kind=" : "",
		 kind != NULL ? kind : "");
	while (index < web->options->documents_count && strcmp(documents[index].path, name) != 0)
		index++;
	if (verdict == ACCESS_GRANTED_BY_QUERY)
		answer_redirect(web, request,
				index < web->options->documents_count ? documents[index].path
								      : "/");
	else if (index < web->options->documents_count)
		return await_document(web, request, index);
	else if (asset != NULL)
		answer_asset(request, asset);
	else if (strcmp(path, "/ws") == 0)
		answer_text(request, 426,
			    "this is a WebSocket, sub-protocol " WEB_SUBPROTOCOL "\n");
	else
		answer_text(request, 404, "there is nothing here; / is the dashboard\n");
	return 0;
}

static int begin(struct web *web, struct http_request *request, const char *path)
{
	enum access_verdict verdict;
	char *uri;
	int uri_bytes, method = lws_http_get_uri_and_method(request->wsi, &uri, &uri_bytes);
	bool is_health = strcmp(path, "/healthz") == 0;

	request->is_head_only = method == LWSHUMETH_HEAD;
	request->is_posting = method == LWSHUMETH_POST && strcmp(path, EVENTS_PATH) == 0;
	request->must_close =
		method != LWSHUMETH_GET && method != LWSHUMETH_HEAD && !request->is_posting;
	verdict = check(web, request->wsi, !is_health);
	if (verdict != ACCESS_GRANTED && verdict != ACCESS_GRANTED_BY_QUERY) {
		request->must_close = request->must_close || request->is_posting;
		request->is_posting = false;
		refuse(request, verdict);
		return 0;
	}
	if (request->is_posting)
		return 0; /* answered when its body is there */
	if (request->must_close) {
		add_header(request, "allow:", "GET, HEAD");
		answer_text(request, 405, "only GET and HEAD are known here\n");
		return 0;
	}
	if (is_health) {
		answer_text(request, 200, "ok\n");
		return 0;
	}
	return route(web, request, path, verdict);
}

/* ------------------------------------------------------------------ settings of events mode */

/* As much as there is room for; more is noticed by who reads it. */
static void take_body(struct http_request *request, const char *bytes, size_t count)
{
	size_t room = sizeof(request->posted) - request->posted_bytes;

	if (!request->is_posting)
		return;
	if (count > room) {
		request->is_posting = false;
		request->must_close = true;
		answer_text(request, 413, "settings have at most 4096 bytes\n");
		return;
	}
	memcpy(request->posted + request->posted_bytes, bytes, count);
	request->posted_bytes += count;
}

static int end_body(struct web *web, struct http_request *request)
{
	struct channel_header question = {.kind = CHANNEL_EVENTS};
	struct events_settings settings;
	const char *why;

	if (!request->is_posting)
		return 0;
	request->is_posting = false;
	if (web_is_behind(web))
		return -1;
	if (request_parse_events(request->posted, request->posted_bytes, &settings, &why) != 0) {
		int length = snprintf(request->posted, sizeof(request->posted),
				      "{\"error\":\"%s\"}\n", why);

		answer(request, 400, "application/json", request->posted, (size_t)length);
		return 0;
	}
	await(web, request, &question, "application/json");
	return web_ask(web, question, &settings, sizeof(settings));
}

/* ------------------------------------------------------------------ upgrade to a WebSocket */

static int refuse_upgrade(struct lws *wsi, unsigned status, const char *text)
{
	return lws_return_http_status(wsi, status, text) != 0 ? -1 : 1;
}

/* 0: may go on; > 0: answered; < 0: hang up. */
static int confirm_upgrade(struct web *web, struct lws *wsi, const char *protocol)
{
	char path[16], subprotocol[32];
	enum access_verdict verdict = check(web, wsi, true);

	if (verdict == ACCESS_WRONG_HOST || verdict == ACCESS_WRONG_ORIGIN)
		return refuse_upgrade(wsi, 403, refusal(verdict));
	if (verdict == ACCESS_WRONG_TOKEN)
		return refuse_upgrade(wsi, 401, refusal(verdict));
	if (strcasecmp(protocol, "websocket") != 0 ||
	    strcmp(get_header(wsi, WSI_TOKEN_GET_URI, path, sizeof(path)), "/ws") != 0)
		return refuse_upgrade(wsi, 404, "the WebSocket is /ws");
	if (strcmp(get_header(wsi, WSI_TOKEN_PROTOCOL, subprotocol, sizeof(subprotocol)),
		   WEB_SUBPROTOCOL) != 0)
		return refuse_upgrade(wsi, 400, "the sub-protocol is " WEB_SUBPROTOCOL);
	if (web->clients_count >= CHANNEL_CLIENTS_MAX)
		return refuse_upgrade(wsi, 503, "too many dashboards are open");
	return 0;
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		  size_t length)
{
	struct http_request *request = user;
	struct web *web = web_of(wsi);

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		forget(web, request);
		*request = (struct http_request){.wsi = wsi};
		return begin(web, request, in);
	case LWS_CALLBACK_HTTP_BODY:
		take_body(request, in, length);
		return 0;
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return end_body(web, request);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return request != NULL ? send_more(request) : 0;
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_CLOSED_HTTP:
		if (request != NULL)
			forget(web, request);
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return confirm_upgrade(web, wsi, in);
	default:
		return 0;
	}
}
