/* SPDX-License-Identifier: MIT */
/*
 * chaos.h - a test build's way to widen every race: STEP() between any two stores of an operation.
 *
 * In normal builds STEP() is nothing and rule_off() is false at compile time. With -DMMVIZ_CHAOS
 * the environment says how often a step yields or sleeps (MMVIZ_CHAOS="ONE_IN,MAX_MICROSECONDS")
 * and which rules of the replica protocol the library leaves out (MMVIZ_RULES_OFF, a comma list),
 * to prove that the tests would notice.
 */
#ifndef MMVIZ_LIB_CHAOS_H
#define MMVIZ_LIB_CHAOS_H

#include <stdbool.h>

enum chaos_rule {
	RULE_SEQ_LAST,		 /* "seq_last": off: seq is stored before headers and event */
	RULE_EVENT_BEFORE_SEQ,	 /* "event_before_seq": off: the event comes after seq */
	RULE_SEMAPHORE_LATE,	 /* "semaphore_late": off: the semaphore is read before the header
				    stores */
	RULE_LOG_RESTART,	 /* "log_restart": off: a stale half-full log is continued */
	RULE_HEADER_BEFORE_PUSH, /* "header_before_push": off: a return is told and counted before
				    its header is marked and pushed */
};

#ifdef MMVIZ_CHAOS
void chaos_step(void);
bool chaos_rule_off(enum chaos_rule rule);
#define STEP()	       chaos_step()
#define rule_off(rule) chaos_rule_off(rule)
#else
#define STEP()	       ((void)0)
#define rule_off(rule) false
#endif

#endif
