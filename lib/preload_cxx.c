/* SPDX-License-Identifier: MIT */
/*
 * preload_cxx.c - C++'s operators new and delete, so that a block is attributed to the code that
 * says `new`, and not to the C++ library.
 *
 * The library may not assume that it is alone: a program may replace some operators, and the others
 * have to call the replaced ones, as the standard wants it. So each derived operator ends in a call
 * of its basic one by name, which the dynamic linker binds to the program's if there is one
 * (preload.dynamic keeps these names open); the call is a jump, and the call site stays the
 * program's. When memory is short, the C++ library's own operator is called: it knows new handlers
 * and how to throw.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

#include "preload_family.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define SITE	  __builtin_return_address(0)

typedef void *new_function(size_t bytes, size_t second, const void *third);

#pragma GCC visibility push(default)
/* clang-format off: a table */
void *operator_new(size_t bytes) __asm__("_Znwm");
void *operator_new_array(size_t bytes) __asm__("_Znam");
void *operator_new_aligned(size_t bytes, size_t alignment) __asm__("_ZnwmSt11align_val_t");
void *operator_new_array_aligned(size_t bytes, size_t alignment) __asm__("_ZnamSt11align_val_t");
void *operator_new_nothrow(size_t bytes, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t");
void *operator_new_array_nothrow(size_t bytes, const void *nothrow) __asm__("_ZnamRKSt9nothrow_t");
void *
operator_new_aligned_nothrow(size_t bytes, size_t alignment,
			     const void *nothrow) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
void *operator_new_array_aligned_nothrow(
	size_t bytes, size_t alignment,
	const void *nothrow) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");
void operator_delete(void *block) __asm__("_ZdlPv");
void operator_delete_array(void *block) __asm__("_ZdaPv");
void operator_delete_sized(void *block, size_t bytes) __asm__("_ZdlPvm");
void operator_delete_array_sized(void *block, size_t bytes) __asm__("_ZdaPvm");
void operator_delete_nothrow(void *block, const void *nothrow) __asm__("_ZdlPvRKSt9nothrow_t");
void operator_delete_array_nothrow(void *block,
				   const void *nothrow) __asm__("_ZdaPvRKSt9nothrow_t");
void operator_delete_aligned(void *block, size_t alignment) __asm__("_ZdlPvSt11align_val_t");
void operator_delete_array_aligned(void *block, size_t alignment) __asm__("_ZdaPvSt11align_val_t");
void operator_delete_sized_aligned(void *block, size_t bytes,
				   size_t alignment) __asm__("_ZdlPvmSt11align_val_t");
void operator_delete_array_sized_aligned(void *block, size_t bytes,
					 size_t alignment) __asm__("_ZdaPvmSt11align_val_t");
void operator_delete_aligned_nothrow(void *block, size_t alignment, const void *nothrow) __asm__(
	"_ZdlPvSt11align_val_tRKSt9nothrow_t");
void operator_delete_array_aligned_nothrow(
	void *block, size_t alignment,
	const void *nothrow) __asm__("_ZdaPvSt11align_val_tRKSt9nothrow_t");
/* clang-format on */
#pragma GCC visibility pop

/* ------------------------------------------------------------------ memory is short */

/*
 * The C++ library's own operator: it is behind us in the program, or was loaded later and privately
 * by a plug-in.
 */
static new_function *library_operator(const char *name)
{
	static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
	new_function *found = (new_function *)dlsym(RTLD_NEXT, name);

	for (size_t i = 0; !found && i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);

		if (library)
			found = (new_function *)dlsym(library, name);
	}
	return found;
}

/* No C++ library: nobody can catch an exception either. */
static __attribute__((noinline, cold)) void *call_library(const char *name, size_t bytes,
							  size_t second, const void *third)
{
	new_function *function = library_operator(name);

	if (!function)
		abort();
	return function(bytes, second, third);
}

/* ------------------------------------------------------------------ new */

void *operator_new(size_t bytes)
{
	void *block = preload_alloc(bytes, SITE);

	return likely(block) ? block : call_library("_Znwm", bytes, 0, NULL);
}

void *operator_new_aligned(size_t bytes, size_t alignment)
{
	void *block = preload_alloc_aligned(alignment, bytes, SITE);

	return likely(block) ? block : call_library("_ZnwmSt11align_val_t", bytes, alignment, NULL);
}

void *operator_new_array(size_t bytes)
{
	return operator_new(bytes);
}

void *operator_new_array_aligned(size_t bytes, size_t alignment)
{
	return operator_new_aligned(bytes, alignment);
}

/*
 * If the program's operator new is its own, the nothrow form has to call it and to catch what it
 * throws, which the C++ library's does.
 */
static bool is_ours(const void *function)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));
	extern const char _end[] __attribute__((visibility("hidden")));

	return (const char *)function >= __ehdr_start && (const char *)function < _end;
}

void *operator_new_nothrow(size_t bytes, const void *nothrow)
{
	void *block = is_ours((void *)operator_new) ? preload_alloc(bytes, SITE) : NULL;

	return likely(block) ? block
			     : call_library("_ZnwmRKSt9nothrow_t", bytes, (size_t)nothrow, NULL);
}

void *operator_new_aligned_nothrow(size_t bytes, size_t alignment, const void *nothrow)
{
	void *block = is_ours((void *)operator_new_aligned)
			      ? preload_alloc_aligned(alignment, bytes, SITE)
			      : NULL;

	return likely(block) ? block
			     : call_library("_ZnwmSt11align_val_tRKSt9nothrow_t", bytes, alignment,
					    nothrow);
}

void *operator_new_array_nothrow(size_t bytes, const void *nothrow)
{
	if (is_ours((void *)operator_new_array))
		return operator_new_nothrow(bytes, nothrow);
	return call_library("_ZnamRKSt9nothrow_t", bytes, (size_t)nothrow, NULL);
}

void *operator_new_array_aligned_nothrow(size_t bytes, size_t alignment, const void *nothrow)
{
	if (is_ours((void *)operator_new_array_aligned))
		return operator_new_aligned_nothrow(bytes, alignment, nothrow);
	return call_library("_ZnamSt11align_val_tRKSt9nothrow_t", bytes, alignment, nothrow);
}

/* ------------------------------------------------------------------ delete */

void operator_delete(void *block)
{
	preload_free(block, SITE);
}

void operator_delete_aligned(void *block, size_t alignment)
{
	(void)alignment;
	preload_free(block, SITE);
}

void operator_delete_array(void *block)
{
	operator_delete(block);
}

void operator_delete_sized(void *block, size_t bytes)
{
	(void)bytes;
	operator_delete(block);
}

void operator_delete_array_sized(void *block, size_t bytes)
{
	(void)bytes;
	operator_delete_array(block);
}

void operator_delete_nothrow(void *block, const void *nothrow)
{
	(void)nothrow;
	operator_delete(block);
}

void operator_delete_array_nothrow(void *block, const void *nothrow)
{
	(void)nothrow;
	operator_delete_array(block);
}

void operator_delete_array_aligned(void *block, size_t alignment)
{
	operator_delete_aligned(block, alignment);
}

void operator_delete_sized_aligned(void *block, size_t bytes, size_t alignment)
{
	(void)bytes;
	operator_delete_aligned(block, alignment);
}

void operator_delete_array_sized_aligned(void *block, size_t bytes, size_t alignment)
{
	(void)bytes;
	operator_delete_array_aligned(block, alignment);
}

void operator_delete_aligned_nothrow(void *block, size_t alignment, const void *nothrow)
{
	(void)nothrow;
	operator_delete_aligned(block, alignment);
}

void operator_delete_array_aligned_nothrow(void *block, size_t alignment, const void *nothrow)
{
	(void)nothrow;
	operator_delete_array_aligned(block, alignment);
}
