/* SPDX-License-Identifier: MIT */
/*
 * bits.h - one bit of a word, in one instruction: compilers make five of a variable shift, a test
 * and a mask.
 */
#ifndef MMVIZ_LIB_BITS_H
#define MMVIZ_LIB_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "likely.h"

/* The word with bit (number % 64) set. */
hot_inline uint64_t bits_set(uint64_t word, uint32_t number)
{
#ifdef __x86_64__
	__asm__("btsq %1, %0" : "+r"(word) : "r"((uint64_t)number) : "cc");
	return word;
#else
	return word | 1ULL << (number & 63);
#endif
}

/* Clears bit (number % 64). Whether it was set. */
hot_inline bool bits_clear(uint64_t *word, uint32_t number)
{
	bool was_set;

#ifdef __x86_64__
	__asm__("btrq %2, %0" : "+r"(*word), "=@ccc"(was_set) : "r"((uint64_t)number));
#else
	was_set = *word >> (number & 63) & 1;
	*word &= ~(1ULL << (number & 63));
#endif
	return was_set;
}

#endif
