/* SPDX-License-Identifier: MIT */
/*
 * check.h - what the programs of this folder share, in C and in C++: a named behaviour, checked,
 * told.
 *
 * They run without any help from the library, under glibc's malloc and under
 * libmmviz-preload.so: what holds for the one must hold for the other.
 */
#ifndef MMVIZ_TESTS_PRELOAD_CHECK_H
#define MMVIZ_TESTS_PRELOAD_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			_Exit(1);                                                                  \
		}                                                                                  \
	} while (0)

#define BEHAVIOUR(function)                                                                        \
	do {                                                                                       \
		function();                                                                        \
		printf("ok %s\n", #function);                                                      \
		fflush(stdout);                                                                    \
	} while (0)

/* A pattern that a block is filled with and must still hold later. */
static inline void fill(void *block, size_t bytes, unsigned seed)
{
	unsigned char *at = (unsigned char *)block;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (unsigned char)(seed + i * 7);
}

static inline int is_filled(const void *block, size_t bytes, unsigned seed)
{
	const unsigned char *at = (const unsigned char *)block;

	for (size_t i = 0; i < bytes; i++)
		if (at[i] != (unsigned char)(seed + i * 7))
			return 0;
	return 1;
}

static inline int is_zero(const void *block, size_t bytes)
{
	const unsigned char *at = (const unsigned char *)block;

	for (size_t i = 0; i < bytes; i++)
		if (at[i])
			return 0;
	return 1;
}

#endif
