/* SPDX-License-Identifier: MIT */
/*
 * poison.h - telling memory checkers which bytes the program may touch: AddressSanitizer, if the
 * program was built with it, and Valgrind's memcheck, if the process runs in it.
 *
 *	| front, header |  payload as requested  |  padding, guard bytes |
 *	   poisoned            open                    poisoned             while a block lives
 *	   poisoned            poisoned                poisoned             once it is free
 *
 * Whether somebody checks is decided once, before the first arena. If so, arenas keep away from
 * their fast paths (as with guard bytes), and the general paths call what is declared here; if not,
 * nothing is ever called. The library itself is never compiled with AddressSanitizer: its own loads
 * and stores pass. Memcheck sees them, so headers stay open there, and a payload is written to
 * before it is closed.
 *
 * Blocks are named by payload and lengths: this module knows of no header. Any thread; a block is
 * told by the thread that holds it.
 */
#ifndef MMVIZ_LIB_POISON_H
#define MMVIZ_LIB_POISON_H

#include <stdbool.h>
#include <stddef.h>

/* Whether somebody checks; the same answer for the life of the process. */
bool poison_is_on(void);

/* All below do nothing if nobody checks. */

/* Memory becomes cells, none of which was handed out yet. */
void poison_cells(const void *address, size_t bytes);
/* A block is handed out: `front_bytes` lie before it, `usable_bytes` from its start to its end. */
void poison_born(const void *block, size_t bytes, size_t front_bytes, size_t usable_bytes);
/* A block changed its length where it is. */
void poison_resized(const void *block, size_t old_bytes, size_t bytes, size_t usable_bytes);
/* A block is free: from here on nobody may touch its payload, the library neither. */
void poison_ended(const void *block, size_t usable_bytes);
/* The library needs some closed bytes (open), and needs them no more (close); or memory gets
 * another use. */
void poison_open(const void *address, size_t bytes);
void poison_close(const void *address, size_t bytes);

#endif
