/* SPDX-License-Identifier: MIT */
/*
 * assets.c - finds embedded files by path; keeps each plain and, where that is smaller, gzipped,
 * for a client takes the one or the other. The table comes from the generated assets_table.S.
 */
#include "serve/web/assets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16)

/* A row of assets_table.S. */
struct assets_row {
	const char *path; /* "/app.js" */
	const uint8_t *bytes;
	uint64_t stored_bytes, plain_bytes; /* less stored than plain: it is gzipped */
};
extern const struct assets_row assets_table[];
extern const uint64_t assets_table_rows;

static const char *content_type(const char *path)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".ico", "image/x-icon"},
		{".json", "application/json"},
		{".txt", "text/plain; charset=utf-8"},
		{".woff2", "font/woff2"},
	};
	const char *suffix = strrchr(path, '.');

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && suffix != NULL; i++)
		if (strcmp(suffix, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

static const uint8_t *unpack(const struct assets_row *row)
{
	uint8_t *plain = malloc(row->plain_bytes);
	z_stream stream = {
		.next_in = (Bytef *)(uintptr_t)row->bytes,
		.avail_in = (uInt)row->stored_bytes,
		.next_out = plain,
		.avail_out = (uInt)row->plain_bytes,
	};
	int status = plain != NULL ? inflateInit2(&stream, GZIP_WINDOW_BITS) : Z_MEM_ERROR;

	if (status == Z_OK) {
		status = inflate(&stream, Z_FINISH);
		inflateEnd(&stream);
	}
	if (status == Z_STREAM_END && stream.avail_out == 0)
		return plain;
	free(plain);
	return NULL;
}

int assets_init(struct assets *assets)
{
	if (assets_table_rows > ASSETS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < assets_table_rows; i++) {
		const struct assets_row *row = &assets_table[i];
		struct asset *asset = &assets->rows[i];

		asset->content_type = content_type(row->path);
		asset->plain_bytes = row->plain_bytes;
		asset->plain = row->bytes;
		if (row->stored_bytes == row->plain_bytes)
			continue;
		asset->gzip = row->bytes;
		asset->gzip_bytes = row->stored_bytes;
		asset->plain = unpack(row);
		if (asset->plain == NULL) {
			fprintf(stderr, "mmviz-bpf: the embedded file %s cannot be unpacked\n",
				row->path);
			return -EIO;
		}
	}
	return 0;
}

void assets_fini(struct assets *assets)
{
	for (size_t i = 0; i < ASSETS_MAX; i++)
		if (assets->rows[i].gzip != NULL)
			free((void *)(uintptr_t)assets->rows[i].plain);
}

const struct asset *assets_find(const struct assets *assets, const char *path)
{
	if (strcmp(path, "/") == 0)
		path = "/index.html";
	for (size_t i = 0; i < assets_table_rows; i++)
		if (strcmp(path, assets_table[i].path) == 0)
			return &assets->rows[i];
	return NULL;
}
