/* SPDX-License-Identifier: MIT */
/*
 * preload_family.h - the malloc family with the call site as an argument, for the C++ operators;
 * and declarations of what glibc exports and its headers do not name.
 */
#ifndef MMVIZ_LIB_PRELOAD_FAMILY_H
#define MMVIZ_LIB_PRELOAD_FAMILY_H

#include <stddef.h>

void *preload_alloc(size_t bytes, const void *site);
/* `alignment` is a power of two. */
void *preload_alloc_aligned(size_t alignment, size_t bytes, const void *site);
void preload_free(void *block, const void *site);

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);
void cfree(void *block);
void *__libc_memalign(size_t alignment, size_t bytes);
void *__libc_valloc(size_t bytes);
void *__libc_pvalloc(size_t bytes);
int __posix_memalign(void **out, size_t alignment, size_t bytes);

#endif
