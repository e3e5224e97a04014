/* SPDX-License-Identifier: MIT */
/*
 * own_malloc.c - a program that puts its own malloc in front, on top of the next one: found by
 * dlsym, or under glibc's inner names with -DBY_NAME.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

#include "check.h"

static long allocations, frees;

#ifdef BY_NAME
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void __libc_free(void *block);
#define NEXT(name, type) __libc_##name
#else
#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, #name))
#endif

typedef void *malloc_function(size_t bytes);
typedef void *calloc_function(size_t count, size_t bytes);
typedef void *realloc_function(void *block, size_t bytes);
typedef void free_function(void *block);

void *malloc(size_t bytes)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return NEXT(malloc, malloc_function *)(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return NEXT(calloc, calloc_function *)(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
	return NEXT(realloc, realloc_function *)(block, bytes);
}

void free(void *block)
{
	__atomic_add_fetch(&frees, 1, __ATOMIC_RELAXED);
	NEXT(free, free_function *)(block);
}

static void every_call_comes_by_the_program(void)
{
	long before = allocations;
	char *text = NULL;

	for (int i = 0; i < 1000; i++) {
		text = realloc(text, (size_t)i * 10 + 1);
		free(strdup("some text"));
	}
	free(text);
	CHECK(allocations >= before + 1000 && frees >= 1001);
}

static void blocks_of_libc_are_freed_by_the_program(void)
{
	void *block = NULL;

	CHECK(posix_memalign(&block, 4096, 100) == 0);
	free(block);
	free(aligned_alloc(64, 64));
}

int main(void)
{
	BEHAVIOUR(every_call_comes_by_the_program);
	BEHAVIOUR(blocks_of_libc_are_freed_by_the_program);
	return 0;
}
