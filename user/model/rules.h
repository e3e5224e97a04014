/* SPDX-License-Identifier: MIT */
/*
 * rules.h - which rules of the replica protocol are left out: none, but in a test build.
 *
 * With -DMMVIZ_CHAOS the environment variable MMVIZ_RULES_OFF (a comma list of the names below)
 * leaves rules out, to prove that the tests would notice, and MMVIZ_CUT_PAUSE_US lets time pass
 * between two reads of a cut. In normal builds rule_is_off() is false at compile time and none of
 * this exists.
 */
#ifndef MMVIZ_MODEL_RULES_H
#define MMVIZ_MODEL_RULES_H

#include <stdbool.h>

enum rule {
	RULE_ORDER,	  /* "order": structural changes are applied heap after heap */
	RULE_INCARNATION, /* "incarnation": a return frees whatever is live at its place */
	RULE_PENDING,	  /* "pending": a return that comes before its alloc is dropped */
	RULE_PAGE,	  /* "page": a span event leaves what the walk put on its units */
	RULE_RAISE_S2,	  /* "raise_s2": s2 is not raised past the orders that the walk has seen */
	RULE_START_GAP,	  /* "start_gap": an operation unlogged at attach is called a loss */
	RULE_TAIL_COVERS, /* "tail_covers": tails that do not reach seq are taken as they are */
	RULE_DEDUPE,	  /* "dedupe": events known by number are applied again */
};

#ifdef MMVIZ_CHAOS
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline bool rule_is_off(enum rule rule)
{
	static const char *const names[] = {"order",	"incarnation", "pending",     "page",
					    "raise_s2", "start_gap",   "tail_covers", "dedupe"};
	const char *list = getenv("MMVIZ_RULES_OFF");
	size_t length = strlen(names[rule]);

	for (const char *at = list; at && (at = strstr(at, names[rule])); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

static inline void rule_pause(void)
{
	const char *microseconds = getenv("MMVIZ_CUT_PAUSE_US");

	if (microseconds)
		usleep((useconds_t)atoi(microseconds));
}
#else
static inline bool rule_is_off(enum rule rule)
{
	(void)rule;
	return false;
}
static inline void rule_pause(void)
{
}
#endif

#endif
