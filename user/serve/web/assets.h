/* SPDX-License-Identifier: MIT */
/*
 * assets.h - the dashboard's files, embedded in the binary by embed.sh.
 */
#ifndef MMVIZ_SERVE_WEB_ASSETS_H
#define MMVIZ_SERVE_WEB_ASSETS_H

#include <stddef.h>
#include <stdint.h>

struct asset {
	const char *content_type;
	const uint8_t *plain, *gzip; /* gzip: NULL when it would not be smaller */
	size_t plain_bytes, gzip_bytes;
};

#define ASSETS_MAX 16
struct assets {
	struct asset rows[ASSETS_MAX]; /* in the order of the embedded table */
};

/* Unpack what is embedded compressed. 0 or -errno, reported. */
int assets_init(struct assets *assets);
void assets_fini(struct assets *assets);
/* NULL: there is none. "/" is "/index.html". */
const struct asset *assets_find(const struct assets *assets, const char *path);

#endif
