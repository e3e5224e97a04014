/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the binary messages of WIRE.md, made from the plain values of view.h.
 *
 * Pure: no sockets, no clocks, no state but the buffer. Each wire_* function replaces the buffer's
 * content by one whole message. Text from the target is made valid UTF-8 here, whatever it was.
 * A failed allocation marks the buffer (is_failed); its content must then not be sent.
 */
#ifndef MMVIZ_SERVE_WIRE_H
#define MMVIZ_SERVE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/view.h"

#define WIRE_MAGIC	  0x4d
#define WIRE_VERSION	  1
#define WIRE_HEADER_BYTES 16
#define WIRE_TEXELS_MAX	  262144u
#define WIRE_BLOCKS_MAX	  50000u
#define WIRE_TEXT_MAX	  4096u /* bytes of one name or mark; the rest is cut off */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_TOTALS,
	WIRE_ARENAS,
	WIRE_CONTEXTS,
	WIRE_NAMES,
	WIRE_TIMELINE,
	WIRE_MARKS,
	WIRE_MAP,
	WIRE_BLOCKS,
	WIRE_BLOCK,
	WIRE_NOTICE,
	WIRE_EVENTS,
	WIRE_TYPES,
};

struct wire_buffer {
	uint8_t *bytes;
	size_t used, capacity;
	bool is_failed;
};
void wire_buffer_fini(struct wire_buffer *buffer);

struct wire_hello {
	pid_t pid;
	const char *comm, *mode, *version;
	uint32_t abi;
	uint64_t attached_at_ns; /* CLOCK_REALTIME */
};
/* A window of an arena, as the client asked for it. */
struct wire_window {
	uint32_t request, arena_id, first_place, places_per_texel, texels;
};

void wire_hello(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_hello *hello);
void wire_totals(struct wire_buffer *buffer, const struct view_totals *totals);
void wire_arenas(struct wire_buffer *buffer, uint64_t at_ns, const struct view_arena *arenas,
		 uint32_t count);
void wire_contexts(struct wire_buffer *buffer, uint64_t at_ns, const struct view_context *contexts,
		   uint32_t count);
void wire_names(struct wire_buffer *buffer, uint64_t at_ns, const uint32_t *ids,
		const char *const *texts, uint32_t count);
void wire_timeline(struct wire_buffer *buffer, uint64_t at_ns, const struct view_point *points,
		   uint32_t count);
void wire_marks(struct wire_buffer *buffer, uint64_t at_ns, const struct view_mark *marks,
		uint32_t count);
void wire_map(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_window *window,
	      const struct view_texel *texels);
void wire_blocks(struct wire_buffer *buffer, uint64_t at_ns, const struct wire_window *window,
		 uint64_t base_addr, const struct view_block *blocks, uint32_t count);
/* `block` NULL: nothing was found there. */
void wire_block(struct wire_buffer *buffer, uint64_t at_ns, uint32_t request,
		const struct view_block *block, const char *context_text);
/* `json`: its text, valid UTF-8. */
void wire_events(struct wire_buffer *buffer, uint64_t at_ns, const char *json, size_t bytes);
void wire_notice(struct wire_buffer *buffer, uint64_t at_ns, const char *level, const char *text);

/* 0 when these bytes are not a message. */
enum wire_type wire_type_of(const uint8_t *bytes, size_t count);
/* The newest message of such a type says all that the ones before said. */
bool wire_is_state(enum wire_type type);

/*
 * Copy `text` (at most `max` bytes, less one for the NUL) with every byte that is not part of valid
 * UTF-8 replaced by '?' and control characters by a space. `out` holds `max` bytes; returns its
 * length.
 */
size_t wire_text_clean(const char *text, char *out, size_t max);

#endif
