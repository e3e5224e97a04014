/* SPDX-License-Identifier: MIT */
/*
 * pair.h - sixteen bytes by one store.
 *
 * Where blocks miss the cache, stores wait for their lines in a queue of the processor (64 places in one of
 * today), and a thread goes ahead as far as there is room in it: each store that a call does not need is a
 * part of the next call's wait.
 */
#ifndef MMVIZ_LIB_PAIR_H
#define MMVIZ_LIB_PAIR_H

#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "chaos.h"
#include "likely.h"

/* To `at`, a multiple of 16. Each half is stored whole; others may see one of them alone. */
hot_inline void pair_store(void *at, uint64_t low, uint64_t high)
{
#if defined(__SSE2__) && !defined(MMVIZ_CHAOS) && !defined(__SANITIZE_THREAD__)
	__m128i pair = _mm_set_epi64x((long long)high, (long long)low);

	__asm__("" : "+x"(pair)); /* or compilers make two stores of it */
	_mm_store_si128(at, pair);
#else
	typedef uint64_t __attribute__((may_alias)) half;
	half *halves = at;

	__atomic_store_n(&halves[0], low, __ATOMIC_RELAXED);
	STEP();
	__atomic_store_n(&halves[1], high, __ATOMIC_RELAXED);
#endif
}

#endif
