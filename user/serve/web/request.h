/* SPDX-License-Identifier: MIT */
/*
 * request.h - the JSON texts that a dashboard sends, checked and made into plain values.
 *
 * Pure.
 */
#ifndef MMVIZ_SERVE_WEB_REQUEST_H
#define MMVIZ_SERVE_WEB_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/channel.h"
#include "serve/wire.h"

#define REQUEST_BYTES_MAX 4096

#define REQUEST_SAMPLE_BYTES_MIN 1024 /* each sample costs the target about 2 us */
#define REQUEST_SAMPLE_BYTES_MAX (1ull << 40)

enum request_type {
	REQUEST_MAP,
	REQUEST_ACK,
	REQUEST_BLOCK,
	REQUEST_PAUSE,
	REQUEST_SAMPLE,
	REQUEST_EVENTS
};

struct request {
	enum request_type type;
	struct wire_window window;     /* REQUEST_MAP */
	struct channel_place place;    /* REQUEST_BLOCK */
	uint32_t acknowledged;	       /* REQUEST_ACK */
	bool is_on;		       /* REQUEST_PAUSE */
	uint64_t sample_bytes;	       /* REQUEST_SAMPLE */
	struct events_settings events; /* REQUEST_EVENTS; well-formed, their sense unchecked */
};

/* The body of a POST: settings of events mode, without a type. 0, or -EINVAL as below. */
int request_parse_events(const char *text, size_t bytes, struct events_settings *out,
			 const char **why);
/* 0, or -EINVAL and in *why a constant text. */
int request_parse(const char *text, size_t bytes, struct request *out, const char **why);

#endif
