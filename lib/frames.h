/* SPDX-License-Identifier: MIT */
/*
 * frames.h - the calling thread's stack, frame pointer by frame pointer.
 *
 *	frame:  | caller's frame ---> ... | return address |        addresses grow this way -->
 *
 * Contract: never crashes and never allocates, whatever the frame pointer register holds. Nothing is
 * read but what is known to be readable:
 *   - the thread's own stack, from where it stands up to its top. That it is one readable piece is
 *     asked of the kernel once, page by page, and remembered: it lives as long as the thread does;
 *   - of any other stack (a coroutine's, a signal's) the page that it stands on, and further pages
 *     when the kernel says so each time: such stacks come and go.
 * A frame lies above the one it was called from, at a multiple of 8; where the chain breaks that
 * rule, the stack ends. So code without frame pointers makes stacks short, or adds words that are no
 * return addresses: those that frames_is_return says no to are to be left out.
 *
 * Owns one thread-local record. Any thread, with or without locks.
 */
#ifndef MMVIZ_LIB_FRAMES_H
#define MMVIZ_LIB_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <mmviz/abi.h>

struct frames {
	uint64_t hash; /* of the return addresses */
	uint32_t count;
	uint16_t flags; /* enum mmviz_stack_flag */
	uint64_t return_addr[MMVIZ_STACK_FRAMES_MAX];
};

/*
 * The stack from `site` outwards, which is always its first return address. `frame`: of a function
 * of the library that the site's call led to.
 */
void frames_walk(const void *frame, const void *site, struct frames *out);
/* Keep the first `count` frames. */
void frames_cut(struct frames *frames, uint32_t count);
/* Whether this is code, behind a call instruction. Slow at an address's first time. */
bool frames_is_return(uint64_t addr);

#endif
