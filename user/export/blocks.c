/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - see blocks.h.
 *
 * A million lines share a few hundred tags: each is quoted once and kept by its context id.
 */
#include "export/blocks.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h> /* for the quoting of JSON strings */
#include <stdlib.h>
#include <string.h>

struct block_writer {
	FILE *out;
	const struct view *view;
	char *(*quote)(const char *text); /* malloc'ed */
	const char *format;
	char **quoted; /* by context id */
	uint32_t quoted_count;
	int error;
};

static char *quote_json(const char *text)
{
	json_t *string = json_string(text);
	char *quoted = json_dumps(string, JSON_ENCODE_ANY);

	json_decref(string);
	return quoted;
}

static char *quote_csv(const char *text)
{
	char *quoted = malloc(2 * strlen(text) + 3), *to = quoted;

	if (!quoted)
		return NULL;
	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"')
			*to++ = '"';
		*to++ = *text;
	}
	strcpy(to, "\"");
	return quoted;
}

static const char *quoted_tag(struct block_writer *writer, uint32_t context)
{
	if (context >= writer->quoted_count) {
		uint32_t count = 2 * context + 64;
		char **quoted = realloc(writer->quoted, count * sizeof(*quoted));

		if (!quoted)
			return NULL;
		memset(quoted + writer->quoted_count, 0,
		       (count - writer->quoted_count) * sizeof(*quoted));
		writer->quoted = quoted;
		writer->quoted_count = count;
	}
	if (!writer->quoted[context])
		writer->quoted[context] = writer->quote(view_context_text(writer->view, context));
	return writer->quoted[context];
}

static int write_block(const struct view_block *block, void *context)
{
	struct block_writer *writer = context;
	const char *tag = quoted_tag(writer, block->context);

	if (!tag)
		writer->error = -ENOMEM;
	else if (fprintf(writer->out, writer->format, block->arena_id, block->addr, block->bytes,
			 tag) < 0)
		writer->error = -errno;
	return writer->error;
}

static int write_all(struct block_writer *writer)
{
	view_each_live(writer->view, write_block, writer);
	for (uint32_t i = 0; i < writer->quoted_count; i++)
		free(writer->quoted[i]);
	free(writer->quoted);
	return writer->error;
}

int export_blocks_ndjson(FILE *out, const struct view *view)
{
	struct block_writer writer = {
		.out = out,
		.view = view,
		.quote = quote_json,
		.format = "{\"arena\":%" PRIu32 ",\"address\":\"0x%" PRIx64 "\",\"bytes\":%" PRIu64
			  ",\"state\":\"live\",\"tag\":%s}\n",
	};

	return write_all(&writer);
}

int export_blocks_csv(FILE *out, const struct view *view)
{
	struct block_writer writer = {
		.out = out,
		.view = view,
		.quote = quote_csv,
		.format = "%" PRIu32 ",0x%" PRIx64 ",%" PRIu64 ",live,%s\n",
	};

	if (fputs("arena,address,bytes,state,tag\n", out) < 0)
		return -errno;
	return write_all(&writer);
}
