/* SPDX-License-Identifier: MIT */
/*
 * access.h - who may look: the listening address, the token, and the checks of a request.
 *
 * Pure but for the token's sources (getrandom, a file). A browser on this machine runs scripts of
 * strangers, so a request must prove three things: that its Host is the address it came in by (a
 * name that was rebound to 127.0.0.1 is not), that its Origin, if any, is our own page, and that
 * it knows the token.
 */
#ifndef MMVIZ_SERVE_ACCESS_H
#define MMVIZ_SERVE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ACCESS_TOKEN_MAX 129 /* with the NUL */

struct access {
	char token[ACCESS_TOKEN_MAX]; /* "": none is asked for */
	uint16_t port;		      /* names the cookie: browsers share cookies between ports */
};

/* "127.0.0.1:7070", "[::1]:0", "localhost:7070". 0 or -EINVAL; resolves no names. */
int access_parse_listen(const char *text, struct sockaddr_storage *out);
bool access_is_loopback(const struct sockaddr_storage *address);

/* 128 random bits as hexadecimal digits. 0 or -errno. */
int access_token_generate(struct access *access);
/* From a regular file that nobody else can read: 16 to 128 of A-Z a-z 0-9 - _. Reports its errors.
 */
int access_token_load(struct access *access, const char *path);

/* Headers of one request; a missing one is "". */
struct access_request {
	const struct sockaddr_storage *local; /* our end of the connection */
	const char *host, *origin, *authorization, *cookie;
	const char *query_token; /* of ?token= */
};
enum access_verdict {
	ACCESS_GRANTED,
	ACCESS_GRANTED_BY_QUERY, /* answer with the cookie and a redirect to the clean URL */
	ACCESS_WRONG_HOST,
	ACCESS_WRONG_ORIGIN,
	ACCESS_WRONG_TOKEN,
};
enum access_verdict access_check(const struct access *access, const struct access_request *request);
/* Host and Origin alone. */
enum access_verdict access_check_source(const struct access_request *request);
/* The value of Set-Cookie. */
void access_cookie(const struct access *access, char *out, size_t max);

#endif
