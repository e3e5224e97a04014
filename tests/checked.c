/* SPDX-License-Identifier: MIT */
/*
 * checked.c - a program with the mistake that its arguments name (MISTAKE BYTES [guard]), or none:
 * for test_checkers.sh, which runs it under memory checkers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/mmviz.h>

static struct mmviz_arena *arena;

/* Every kind of block, used to its last byte and no further. */
static void no_mistake(size_t bytes)
{
	char label[40], *block;

	for (int round = 0; round < 3; round++) {
		block = mmviz_alloc(arena, bytes, MMVIZ_TAG("plain"));
		memset(block, 1, bytes);
		block = mmviz_realloc(arena, block, bytes + 5, 0);
		memset(block, 2, bytes + 5);
		block = mmviz_realloc(arena, block, bytes * 3 + 1, 0);
		memset(block + bytes, 3, bytes * 2 + 1);
		block = mmviz_realloc(arena, block, bytes / 2 + 1, 0);
		if (block[bytes / 2] != 2)
			abort();
		mmviz_free(arena, block);
		block = mmviz_calloc(arena, 1, bytes, 0);
		if (block[0] || block[bytes - 1])
			abort();
		mmviz_free(arena, block);
		snprintf(label, sizeof(label), "label %zu", bytes);
		block = mmviz_alloc_labeled(arena, bytes, label);
		memset(block, 4, bytes);
		mmviz_free(arena, block);
		block = mmviz_alloc_aligned(arena, 4096, bytes, 0);
		memset(block, 5, bytes);
		mmviz_free(arena, block);
		mmviz_free(arena, mmviz_alloc(arena, 0, 0));
	}
}

static int look(const struct mmviz_block *block, void *context)
{
	*(size_t *)context += strlen(block->label) + block->bytes;
	return 0;
}

/* All that looks into the arena or takes it away. */
static void no_mistake_of_the_arena(void)
{
	struct mmviz_stats stats;
	size_t sum = 0;
	char *kept;

	kept = mmviz_alloc_labeled(arena, 1000, "kept");
	mmviz_arena_walk(arena, look, &sum);
	if (sum != 1004 || mmviz_arena_stats(arena, &stats) || mmviz_arena_check(arena))
		abort();
	mmviz_free(arena, kept);
	for (int i = 0; i < 1000; i++)
		if (!mmviz_alloc(arena, (size_t)i * 7, 0))
			abort();
	mmviz_arena_reset(arena);
	kept = mmviz_alloc(arena, 1u << 20, 0);
	memset(kept, 6, 1u << 20);
	if (mmviz_arena_check(arena))
		abort();
	mmviz_free(arena, kept);
}

/* No register and no place on the stack knows of the block afterwards. */
__attribute__((noinline)) static void leak(size_t bytes)
{
	volatile uintptr_t secret = ~(uintptr_t)mmviz_alloc(arena, bytes, MMVIZ_TAG("leak"));

	(void)secret;
}

__attribute__((noinline)) static int clear_stack(void)
{
	volatile char stack[8192];

	memset((void *)stack, 0, sizeof(stack));
	return stack[100];
}

static void mistake(const char *name, size_t bytes)
{
	volatile char *block;

	if (!strcmp(name, "leak")) {
		leak(bytes);
		exit(clear_stack()); /* the arena is still there */
	}
	block = mmviz_alloc(arena, bytes, MMVIZ_TAG("victim"));
	if (!strcmp(name, "read-after-free")) {
		block[bytes / 2] = 1;
		mmviz_free(arena, (void *)block);
		printf("%d\n", block[bytes / 2]);
	} else if (!strcmp(name, "write-after-free")) {
		mmviz_free(arena, (void *)block);
		block[0] = 1;
	} else if (!strcmp(name, "write-after-realloc")) {
		if (!mmviz_realloc(arena, (void *)block, bytes * 3, 0))
			abort();
		block[0] = 1;
	} else if (!strcmp(name, "write-after-reset")) {
		mmviz_arena_reset(arena);
		block[0] = 1;
	} else if (!strcmp(name, "overrun")) {
		block[bytes] = 1;
	} else if (!strcmp(name, "underrun")) {
		block[-1] = 1;
	} else if (!strcmp(name, "uninitialised")) {
		if (block[bytes / 2])
			puts("");
	}
}

int main(int count, char **arguments)
{
	static const size_t sizes[] = {1, 100, 5000, 50000};
	struct mmviz_arena_options options = {
		.options_bytes = sizeof(options),
		.name = "checked",
		.capacity_bytes = 16u << 20,
		.flags = count > 3 ? MMVIZ_GUARD_BYTES : 0,
	};

	arena = mmviz_arena_create_with(&options);
	for (int i = 0; i < 4; i++)
		no_mistake(sizes[i]);
	no_mistake_of_the_arena();
	if (count > 2)
		mistake(arguments[1], strtoul(arguments[2], NULL, 0));
	mmviz_arena_destroy(arena);
	arena = mmviz_arena_create("another", 16u << 20);
	memset(mmviz_alloc(arena, 12u << 20, 0), 7, 12u << 20);
	mmviz_arena_destroy(arena);
	puts("done");
	return 0;
}
