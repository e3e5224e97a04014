/* SPDX-License-Identifier: MIT */
/*
 * test.h - what every unit test needs: cmocka, randomness, and `must`.
 *
 * cmocka's assertions jump, so they belong to the main thread; other threads and children say
 * `must`, which names the place and aborts.
 */
#ifndef MMVIZ_TESTS_TEST_H
#define MMVIZ_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "random.h"

#define must(condition)                                                                            \
	((condition) ? (void)0                                                                     \
		     : (fprintf(stderr, "%s:%d: must: %s\n", __FILE__, __LINE__, #condition),      \
			abort()))

/* A value that the compiler knows nothing about: for pointers that a test abuses on purpose. */
#define opaque(value)                                                                              \
	({                                                                                         \
		__typeof__((value) + 0) opaque_ = (value);                                         \
		__asm__ volatile("" : "+r"(opaque_)::"memory");                                    \
		opaque_;                                                                           \
	})

/* A look at what the library keeps from the program: a header, a label, guard bytes. */
#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
void __asan_unpoison_memory_region(const volatile void *address, size_t bytes);
#define REVEAL(address, bytes) __asan_unpoison_memory_region(address, bytes)
#else
#define REVEAL(address, bytes) ((void)(address), (void)(bytes))
#endif
#define reveal(address, bytes)                                                                     \
	({                                                                                         \
		__typeof__((address) + 0) revealed_ = opaque(address);                             \
		REVEAL(revealed_, bytes);                                                          \
		revealed_;                                                                         \
	})

/* Every invariant of the arena holds; the first mismatch is printed. */
#define assert_whole(arena)                                                                        \
	do {                                                                                       \
		if (mmviz_arena_check(arena))                                                      \
			fail_msg("%s", mmviz_check_message());                                     \
	} while (0)

#endif
