/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - the thread that gives memory back while the program does something else.
 *
 * Made when there is something to do, gone three seconds after there was; its signals are blocked.
 * Four times a second it takes what has been free for some ticks to the system, in short steps under
 * the locks. Where no thread can be made, memory stays until one can: it is tried again each second. A
 * child of fork has none until it needs one.
 */
#ifndef MMVIZ_LIB_KEEPER_H
#define MMVIZ_LIB_KEEPER_H

/* There is something to do. Any lock may be held. */
void keeper_want(void);
/*
 * Make the thread, if somebody wants it and it is not there. Not with an arena's lock; with the
 * registry's it does nothing, for making a thread may allocate. Leaves errno alone.
 */
void keeper_wake(void);
/* In the child of a fork. */
void keeper_forked(void);

#endif
