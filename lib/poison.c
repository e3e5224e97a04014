/* SPDX-License-Identifier: MIT */
/*
 * poison.c - see poison.h. AddressSanitizer's functions are weak: there or not, as the program has
 * them. Valgrind's requests are instructions that do nothing elsewhere; without its header at build
 * time they are left out.
 */
#include "poison.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(address, bytes)	   ((void)(address), (void)(bytes), 0)
#define VALGRIND_MAKE_MEM_NOACCESS(address, bytes)	   ((void)(address), (void)(bytes), 0)
#define VALGRIND_MALLOCLIKE_BLOCK(block, bytes, red, zero) ((void)(block), (void)(bytes))
#define VALGRIND_RESIZEINPLACE_BLOCK(block, old, new, red) ((void)(block), (void)(old), (void)(new))
#define VALGRIND_FREELIKE_BLOCK(block, red)		   ((void)(block))
#endif

__attribute__((weak)) void __asan_poison_memory_region(const volatile void *address, size_t bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *address,
							 size_t bytes);

enum checker {
	CHECKER_UNKNOWN,
	CHECKER_NONE,
	CHECKER_ASAN,
	CHECKER_MEMCHECK,
};

/* Memcheck answers this request, no other tool of Valgrind's does: callgrind sees the fast paths. */
static bool is_in_memcheck(void)
{
	char byte = 0;

	return VALGRIND_MAKE_MEM_DEFINED(&byte, 1) != 0;
}

static enum checker who_checks(void)
{
	static enum checker decided; /* whoever decides finds the same */
	enum checker checker = __atomic_load_n(&decided, __ATOMIC_RELAXED);

	if (checker != CHECKER_UNKNOWN)
		return checker;
	checker = __asan_poison_memory_region && __asan_unpoison_memory_region ? CHECKER_ASAN
		  : is_in_memcheck()					       ? CHECKER_MEMCHECK
									       : CHECKER_NONE;
	__atomic_store_n(&decided, checker, __ATOMIC_RELAXED);
	return checker;
}

bool poison_is_on(void)
{
	return who_checks() != CHECKER_NONE;
}

void poison_cells(const void *address, size_t bytes)
{
	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_poison_memory_region(address, bytes);
		break;
	case CHECKER_MEMCHECK: /* headers will lie anywhere in it */
		(void)VALGRIND_MAKE_MEM_DEFINED(address, bytes);
		break;
	default:
		break;
	}
}

void poison_born(const void *block, size_t bytes, size_t front_bytes, size_t usable_bytes)
{
	const char *start = block;

	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_poison_memory_region(start - front_bytes, front_bytes);
		__asan_unpoison_memory_region(start, bytes);
		__asan_poison_memory_region(start + bytes, usable_bytes - bytes);
		break;
	case CHECKER_MEMCHECK:
		(void)VALGRIND_MAKE_MEM_NOACCESS(start + bytes, usable_bytes - bytes);
		VALGRIND_MALLOCLIKE_BLOCK(start, bytes, 0, 0);
		break;
	default:
		break;
	}
}

void poison_resized(const void *block, size_t old_bytes, size_t bytes, size_t usable_bytes)
{
	const char *start = block;

	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_unpoison_memory_region(start, bytes);
		__asan_poison_memory_region(start + bytes, usable_bytes - bytes);
		break;
	case CHECKER_MEMCHECK:
		VALGRIND_RESIZEINPLACE_BLOCK(start, old_bytes, bytes, 0);
		(void)VALGRIND_MAKE_MEM_NOACCESS(start + bytes, usable_bytes - bytes);
		break;
	default:
		break;
	}
}

void poison_ended(const void *block, size_t usable_bytes)
{
	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_poison_memory_region(block, usable_bytes);
		break;
	case CHECKER_MEMCHECK:
		VALGRIND_FREELIKE_BLOCK(block, 0);
		(void)VALGRIND_MAKE_MEM_NOACCESS(block, usable_bytes);
		break;
	default:
		break;
	}
}

void poison_open(const void *address, size_t bytes)
{
	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_unpoison_memory_region(address, bytes);
		break;
	case CHECKER_MEMCHECK:
		(void)VALGRIND_MAKE_MEM_DEFINED(address, bytes);
		break;
	default:
		break;
	}
}

void poison_close(const void *address, size_t bytes)
{
	switch (who_checks()) {
	case CHECKER_ASAN:
		__asan_poison_memory_region(address, bytes);
		break;
	case CHECKER_MEMCHECK:
		(void)VALGRIND_MAKE_MEM_NOACCESS(address, bytes);
		break;
	default:
		break;
	}
}
