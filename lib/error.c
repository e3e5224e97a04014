/* SPDX-License-Identifier: MIT */
/* error.c - see error.h. The message is the only thing that the library ever prints. */
#define _GNU_SOURCE
#include "error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "probes.h"

static const char *const texts[] = {
	[MMVIZ_ERROR_DOUBLE_FREE] = "double free",
	[MMVIZ_ERROR_FOREIGN_POINTER] = "not a block of this arena",
	[MMVIZ_ERROR_CORRUPT_HEADER] = "header overwritten",
	[MMVIZ_ERROR_OVERRUN] = "written behind its end",
	[MMVIZ_ERROR_OUT_OF_MEMORY] = "out of memory",
};

static const char *const remedies[] = {
	[MMVIZ_ERROR_DOUBLE_FREE] = "free each block once; the first free was before this call",
	[MMVIZ_ERROR_FOREIGN_POINTER] =
		"pass the pointer that the arena's alloc returned, to the same arena",
	[MMVIZ_ERROR_CORRUPT_HEADER] =
		"look for a write before this block or behind the block in front of it",
	[MMVIZ_ERROR_OVERRUN] = "look for writes past the requested size",
	[MMVIZ_ERROR_OUT_OF_MEMORY] = "create the arena with more capacity",
};

static void print_and_abort(const struct mmviz_error *error)
{
	char text[640], born[64] = "";
	int length;

	if (error->born_at)
		snprintf(born, sizeof(born), ", allocated by the code at %p", error->born_at);
	length = snprintf(text, sizeof(text),
			  "mmviz: %s: block %p (%zu bytes%s%s%s%s) in arena '%s', found by the "
			  "code at %p: %s\n",
			  error->what, error->address, error->bytes, error->tag[0] ? ", '" : "",
			  error->tag, error->tag[0] ? "'" : "", born, error->arena, error->now_at,
			  remedies[error->kind]);
	if (length > (int)sizeof(text) - 1)
		length = (int)sizeof(text) - 1;
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		abort();
	abort();
}

static mmviz_error_handler handler = print_and_abort;

mmviz_error_handler mmviz_set_error_handler(mmviz_error_handler wanted)
{
	return __atomic_exchange_n(&handler, wanted ? wanted : print_and_abort, __ATOMIC_ACQ_REL);
}

/* The head of the span or large block whose units hold the address, or NULL. */
static const struct mmviz_span *span_around(const struct mmviz_arena *arena, const void *address)
{
	uint32_t unit = arena_unit(arena, address);

	if (unit >= arena->head.frontier_units)
		return NULL;
	while (unit && arena->map[unit] == MMVIZ_UNIT_CONTINUATION)
		unit--;
	return arena->map[unit] >= MMVIZ_UNIT_LARGE ? arena_head_at(arena, unit) : NULL;
}

/* Whether a block's payload can begin here, by the map and the span's head alone. */
static bool is_block_start(const struct mmviz_arena *arena, const void *block)
{
	const struct mmviz_span *span = span_around(arena, block);
	uint64_t offset;

	if (!span)
		return false;
	offset = (uint64_t)block - MMVIZ_HEADER_BYTES - span->start_addr - span->first_header_bytes;
	return offset < (uint64_t)span->cell_bytes * span->bump_cells &&
	       offset % span->cell_bytes == 0;
}

static bool is_readable_block(const struct mmviz_arena *arena, const void *block)
{
	return (uint64_t)block - MMVIZ_HEADER_BYTES - arena->head.base_addr <
		       arena_readable_bytes(arena) &&
	       !((uint64_t)block & (MMVIZ_PLACE_BYTES - 1));
}

enum mmviz_error_kind error_of_block(const struct mmviz_arena *arena, const void *block)
{
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;

	if (!is_readable_block(arena, block))
		return MMVIZ_ERROR_FOREIGN_POINTER;
	if (!arena_is_live(arena, header))
		return is_block_start(arena, block) ? MMVIZ_ERROR_DOUBLE_FREE
						    : MMVIZ_ERROR_FOREIGN_POINTER;
	return mmviz_word_life(header->word) == MMVIZ_LIFE_RETURNED &&
			       mmviz_header_is_whole(header, (uint64_t)header)
		       ? MMVIZ_ERROR_DOUBLE_FREE
		       : MMVIZ_ERROR_CORRUPT_HEADER;
}

/* The name under which a program knows a block: its label, else its tag. */
static const char *name_of(const struct mmviz_span *span, const struct mmviz_header *header,
			   const struct mmviz_context *context)
{
	static __thread char label[MMVIZ_LABEL_BYTES]; /* a copy: the NUL may be overwritten, too */

	if (span && span->shape == MMVIZ_SHAPE_LABELLED) {
		memcpy(label, (const char *)header - MMVIZ_LABEL_BYTES, sizeof(label) - 1);
		return label;
	}
	return context->kind == MMVIZ_CONTEXT_TAG ? (const char *)context->value : "";
}

/* What can be said of the block, from a header that may be garbage. */
static void describe(struct mmviz_error *error, const struct mmviz_arena *arena, const void *block)
{
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;
	const struct mmviz_span *span;
	struct mmviz_context context;

	error->tag = "";
	if (error->kind == MMVIZ_ERROR_FOREIGN_POINTER || !is_readable_block(arena, block))
		return;
	span = is_block_start(arena, block) ? span_around(arena, block) : NULL;
	context = registry_context(mmviz_word_context(header->word));
	error->tag = name_of(span, header, &context);
	if (context.kind == MMVIZ_CONTEXT_SITE)
		error->born_at = (const void *)context.value;
	if (mmviz_word_life(header->word) == MMVIZ_LIFE_LIVE)
		error->bytes = mmviz_word_bytes(header->word);
	else if (span)
		error->bytes = span_usable_bytes(span);
}

void error_report(struct mmviz_arena *arena, enum mmviz_error_kind kind, const void *block,
		  const void *now_at)
{
	struct mmviz_error error = {
		.kind = (int)kind,
		.what = texts[kind],
		.address = block,
		.arena = arena->head.name,
		.now_at = now_at,
	};

	if (registry_here.semaphores.error)
		mmviz_probe_error(kind, block, arena->head.id);
	if (kind == MMVIZ_ERROR_OUT_OF_MEMORY)
		return; /* the caller is told by NULL and ENOMEM */
	describe(&error, arena, block);
	__atomic_load_n(&handler, __ATOMIC_ACQUIRE)(&error);
}
