/* SPDX-License-Identifier: MIT */
/*
 * unwind_memo.h - stacks that were unwound before, known again by the words that decided.
 *
 * A program that allocates fast does it on few paths. What unwinding a stack depends on is little:
 * where it starts, the return addresses that it found, and the words that point into the stack,
 * since frames are found from nothing else. Where all of these are the same in another copy, so
 * are its callers: some 0.1 us in place of 7.
 */
#ifndef MMVIZ_COLLECT_UNWIND_MEMO_H
#define MMVIZ_COLLECT_UNWIND_MEMO_H

#include "collect/unwind.h"

struct unwind_memo;
struct unwind_word { /* of a stack, that was read while it was unwound */
	uint64_t addr, value;
};

struct unwind_memo *unwind_memo_create(void); /* NULL: no memory */
void unwind_memo_destroy(struct unwind_memo *memo);

/* What was kept is void: other code may lie at the same addresses. */
void unwind_memo_clear(struct unwind_memo *memo);
/* Fill the frames of a stack like this one; 0: none was kept. */
uint32_t unwind_memo_find(const struct unwind_memo *memo, const struct unwind_input *input,
			  struct unwind_frame *frames, uint32_t max);
/* Keep the frames of a stack that was unwound to its bottom, and the words that were read for it. */
void unwind_memo_keep(struct unwind_memo *memo, const struct unwind_input *input,
		      const struct unwind_word *words, uint32_t words_count,
		      const struct unwind_frame *frames, uint32_t count);

#endif
