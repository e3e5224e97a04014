/* SPDX-License-Identifier: MIT */
/*
 * stack.h - call stacks as contexts of blocks, while the probe `stack` is listened to.
 *
 * Owns the table of stacks: a stack is interned once and for all, together with the tag or the call
 * site that the block would have without it, and its id is a context like any other. So a block says
 * by its header which stack it is from, whoever attaches later, and sums by tag stay what they are.
 *
 *	slots:  hash | id | record ----> record: context, frames        contexts[id]: address of the record
 *
 * Found without a lock: a slot is whole before its id is stored (release; acquire in `find`), and
 * nothing is moved or taken back; a table that has become too small is copied and left. New stacks
 * go in under the registry's lock. Bounded by MMVIZ_STACKS_MAX and by the control word; beyond,
 * blocks keep their tag or site and are counted in stacks_refused. Any thread, without an arena's
 * lock; never allocates from an arena.
 */
#ifndef MMVIZ_LIB_STACK_H
#define MMVIZ_LIB_STACK_H

#include <stdint.h>

/*
 * The context for a new block: `context`, its tag or site, with the stack that called the allocator
 * at `site`. A context that has a stack stays as it is: a block that moves keeps it.
 */
uint32_t stack_context(uint32_t context, const void *site);

#endif
