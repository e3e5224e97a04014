/* SPDX-License-Identifier: MIT */
/*
 * work.h - what the targets of the fault tests can do; one entry, so that it can also be found in
 * a library that is loaded late.
 */
#ifndef MMVIZ_TESTS_FAULTS_WORK_H
#define MMVIZ_TESTS_FAULTS_WORK_H

/*
 *	w N  N more threads churn for ever       p N  they pause N us after each 256 operations (0: never)
 *	s N  N short-lived threads at any time   o N  N threads make and destroy arenas for ever
 *	a N  arenas until there are N            d N  arenas are destroyed until there are N
 *	r 0  all rest                            g 0  all go on
 *	b N  N blocks, by the calling thread     q 0  all threads of the work end
 *	c 0  check every arena, at rest          f N  fork a child that churns alone until it is killed
 *	m 0  a double free, a free of what is no block, an allocation too large
 *
 * The result: the child's pid, arenas there are, 0; or -1 for what cannot be done. Blocks carry a
 * pattern that is checked before they are freed; damage aborts.
 */
long work_command(char letter, long number);
typedef long work_function(char letter, long number);

#endif
