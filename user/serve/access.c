/* SPDX-License-Identifier: MIT */
/*
 * access.c - parsing of addresses, making of tokens, verdicts on requests.
 *
 * Host must name, as a literal address or as localhost, the very address that the connection came
 * in by; its port is free, so that `ssh -L 8080:localhost:7070` works (a rebound name is still
 * refused: it is neither a literal nor localhost). Origin must then be http:// + Host.
 */
#define _GNU_SOURCE
#include "serve/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANDOM_BYTES	16
#define TOKEN_MIN_CHARS 16
#define HOST_MAX	64

/* ------------------------------------------------------------------ addresses */

/* Split "name:port" or "[name]:port"; without a port, *port is left alone. */
static bool split_host(const char *text, char name[HOST_MAX], unsigned *port)
{
	bool is_bracketed = text[0] == '[';
	const char *start = text + is_bracketed;
	const char *end = start + strcspn(start, is_bracketed ? "]" : ":");
	size_t length = (size_t)(end - start);
	char *rest;

	if (length == 0 || length >= HOST_MAX || (is_bracketed && *end != ']'))
		return false;
	memcpy(name, start, length);
	name[length] = '\0';
	end += is_bracketed;
	if (*end == '\0')
		return true;
	if (*end != ':' || end[1] < '0' || end[1] > '9')
		return false;
	errno = 0;
	*port = (unsigned)strtoul(end + 1, &rest, 10);
	return *rest == '\0' && errno == 0 && *port <= UINT16_MAX;
}

/* A literal address. */
static bool parse_address(const char *name, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, name, &v4->sin_addr) == 1)
		out->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, name, &v6->sin6_addr) == 1)
		out->ss_family = AF_INET6;
	else
		return false;
	return true;
}

int access_parse_listen(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_storage address;
	char name[HOST_MAX];
	unsigned port = UINT32_MAX;

	if (!split_host(text, name, &port) || port > UINT16_MAX)
		return -EINVAL;
	if (!parse_address(strcasecmp(name, "localhost") == 0 ? "127.0.0.1" : name, &address))
		return -EINVAL;
	if (address.ss_family == AF_INET)
		((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)port);
	*out = address;
	return 0;
}

/* An IPv4 address that came in by an IPv6 socket, as what it is. */
static struct sockaddr_storage unmapped(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	struct sockaddr_storage out = *address;

	if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
		struct in_addr v4_addr;

		memcpy(&v4_addr, v6->sin6_addr.s6_addr + 12, sizeof(v4_addr));
		memset(&out, 0, sizeof(out));
		v4->sin_family = AF_INET;
		v4->sin_addr = v4_addr;
	}
	return out;
}

bool access_is_loopback(const struct sockaddr_storage *address)
{
	struct sockaddr_storage plain = unmapped(address);

	if (plain.ss_family == AF_INET)
		return ntohl(((struct sockaddr_in *)&plain)->sin_addr.s_addr) >> 24 == 127;
	return plain.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&plain)->sin6_addr);
}

static bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct sockaddr_storage x = unmapped(a), y = unmapped(b);

	if (x.ss_family != y.ss_family)
		return false;
	if (x.ss_family == AF_INET)
		return ((struct sockaddr_in *)&x)->sin_addr.s_addr ==
		       ((struct sockaddr_in *)&y)->sin_addr.s_addr;
	return x.ss_family == AF_INET6 &&
	       IN6_ARE_ADDR_EQUAL(&((struct sockaddr_in6 *)&x)->sin6_addr,
				  &((struct sockaddr_in6 *)&y)->sin6_addr);
}

/* ------------------------------------------------------------------ tokens */

int access_token_generate(struct access *access)
{
	uint8_t random[RANDOM_BYTES];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return errno != 0 ? -errno : -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(access->token + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static bool is_token(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_");

	return length >= TOKEN_MIN_CHARS && text[length] == '\0';
}

static int read_token(struct access *access, int fd, const char *path)
{
	char text[ACCESS_TOKEN_MAX + 1];
	struct stat status;
	ssize_t length;

	if (fstat(fd, &status) != 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0) {
		fprintf(stderr,
			"mmviz-bpf: the token file %s can be read by others: chmod 600 '%s'\n",
			path, path);
		return -EINVAL;
	}
	length = read(fd, text, sizeof(text) - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (strlen(text) >= ACCESS_TOKEN_MAX || !is_token(text)) {
		fprintf(stderr,
			"mmviz-bpf: the token file %s must hold one line of 16 to 128 letters, "
			"digits, "
			"- and _: (umask 077; openssl rand -hex 16 > '%s')\n",
			path, path);
		return -EINVAL;
	}
	memcpy(access->token, text, strlen(text) + 1);
	return 0;
}

int access_token_load(struct access *access, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error;

	if (fd < 0) {
		error = -errno;
		fprintf(stderr,
			"mmviz-bpf: the token file %s cannot be opened: %m; make one: (umask 077; "
			"openssl rand -hex 16 > '%s')\n",
			path, path);
		return error;
	}
	error = read_token(access, fd, path);
	close(fd);
	return error;
}

/* Takes as long for a wrong token as for the right one; the length is no secret. */
static bool is_equal_secret(const char *secret, const char *given, size_t given_length)
{
	size_t length = strlen(secret);
	unsigned difference = 0;

	if (given_length != length)
		return false;
	for (size_t i = 0; i < length; i++)
		difference |= (unsigned char)secret[i] ^ (unsigned char)given[i];
	return difference == 0;
}

/* ------------------------------------------------------------------ requests */

static void cookie_name(const struct access *access, char *out, size_t max)
{
	snprintf(out, max, "mmviz-%u", access->port);
}

void access_cookie(const struct access *access, char *out, size_t max)
{
	char name[32];

	cookie_name(access, name, sizeof(name));
	snprintf(out, max, "%s=%s; Path=/; HttpOnly; SameSite=Strict", name, access->token);
}

/* Any cookie of our name with the token: a browser may send several. */
static bool has_cookie(const struct access *access, const char *header)
{
	char name[32];
	size_t name_length;

	cookie_name(access, name, sizeof(name));
	name_length = strlen(name);
	while (*header != '\0') {
		size_t length;

		header += strspn(header, "; ");
		length = strcspn(header, ";");
		if (length > name_length && strncmp(header, name, name_length) == 0 &&
		    header[name_length] == '=' &&
		    is_equal_secret(access->token, header + name_length + 1,
				    length - name_length - 1))
			return true;
		header += length;
	}
	return false;
}

static bool has_bearer(const struct access *access, const char *header)
{
	static const char scheme[] = "Bearer ";

	return strncasecmp(header, scheme, strlen(scheme)) == 0 &&
	       is_equal_secret(access->token, header + strlen(scheme),
			       strlen(header + strlen(scheme)));
}

static bool is_own_host(const struct access_request *request)
{
	struct sockaddr_storage address;
	char name[HOST_MAX];
	unsigned port;

	if (!split_host(request->host, name, &port))
		return false;
	if (strcasecmp(name, "localhost") == 0)
		return access_is_loopback(request->local);
	return parse_address(name, &address) && is_same_address(&address, request->local);
}

static bool is_own_origin(const struct access_request *request)
{
	static const char scheme[] = "http://";

	if (request->origin[0] == '\0')
		return true;
	return strncasecmp(request->origin, scheme, strlen(scheme)) == 0 &&
	       strcasecmp(request->origin + strlen(scheme), request->host) == 0;
}

enum access_verdict access_check_source(const struct access_request *request)
{
	if (!is_own_host(request))
		return ACCESS_WRONG_HOST;
	return is_own_origin(request) ? ACCESS_GRANTED : ACCESS_WRONG_ORIGIN;
}

enum access_verdict access_check(const struct access *access, const struct access_request *request)
{
	enum access_verdict source = access_check_source(request);

	if (source != ACCESS_GRANTED)
		return source;
	if (access->token[0] == '\0')
		return ACCESS_GRANTED;
	if (request->query_token[0] != '\0')
		return is_equal_secret(access->token, request->query_token,
				       strlen(request->query_token))
			       ? ACCESS_GRANTED_BY_QUERY
			       : ACCESS_WRONG_TOKEN;
	return has_cookie(access, request->cookie) || has_bearer(access, request->authorization)
		       ? ACCESS_GRANTED
		       : ACCESS_WRONG_TOKEN;
}
