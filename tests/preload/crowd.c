/* SPDX-License-Identifier: MIT */
/*
 * crowd.c - more than one arena holds: a program under a limit (ulimit -v) that uses most of what
 * it may.
 *
 *	crowd MEBIBYTES    hold so much at once, in blocks of many sizes, each checked
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <mmviz/abi.h>

#include "check.h"

static void *blocks[1 << 16];
static size_t lengths[1 << 16];
static size_t blocks_count;

static unsigned arenas(void)
{
	const struct mmviz_registry *registry = dlsym(RTLD_DEFAULT, "mmviz_registry");
	unsigned count = 0;

	for (unsigned slot = 0; registry && slot < MMVIZ_ARENAS_MAX; slot++)
		count += registry->arena_addr[slot] != 0;
	return count;
}

static void fill_up(size_t wanted_bytes)
{
	size_t held = 0;

	for (size_t i = 0; held < wanted_bytes; i++) {
		size_t bytes = i % 50 == 0 ? 3000000 : i % 10 == 0 ? 70000 : i % 3000;

		blocks[i] = i % 7 ? malloc(bytes) : aligned_alloc(64, bytes);
		if (!blocks[i])
			fprintf(stderr, "%zu bytes held, %u arenas, %zu more: %s\n", held, arenas(),
				bytes, strerror(errno));
		CHECK(blocks[i]);
		lengths[i] = bytes;
		fill(blocks[i], bytes, (unsigned)i);
		held += bytes;
		blocks_count = i + 1;
	}
}

int main(int count, char **arguments)
{
	size_t wanted_bytes = (size_t)(count > 1 ? atol(arguments[1]) : 100) << 20;

	fill_up(wanted_bytes);
	printf("%u arenas, %zu blocks\n", arenas(), blocks_count);
	for (size_t i = 0; i < blocks_count; i++) {
		CHECK(is_filled(blocks[i], lengths[i], (unsigned)i));
		CHECK(malloc_usable_size(blocks[i]) >= lengths[i]);
	}
	for (size_t i = 0; i < blocks_count; i += 2) {
		blocks[i] = realloc(blocks[i], lengths[i] / 2 + 1);
		CHECK(blocks[i] && is_filled(blocks[i], lengths[i] / 2, (unsigned)i));
	}
	for (size_t i = 0; i < blocks_count; i++)
		free(blocks[i]);
	blocks_count = 0;
	fill_up(wanted_bytes * 9 / 10); /* all of it can be had again */
	printf("ok %u arenas\n", arenas());
	return 0;
}
