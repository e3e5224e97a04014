/* SPDX-License-Identifier: MIT */
/* chaos.c - see chaos.h. Part of test builds only. */
#define _GNU_SOURCE
#include "chaos.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned one_in, most_microseconds;
static const char *rules_off = "";
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
	const char *setting = getenv("MMVIZ_CHAOS"), *rules = getenv("MMVIZ_RULES_OFF");

	if (setting && sscanf(setting, "%u,%u", &one_in, &most_microseconds) != 2) {
		fprintf(stderr, "MMVIZ_CHAOS must be ONE_IN,MAX_MICROSECONDS\n");
		abort();
	}
	if (rules)
		rules_off = rules;
}

void chaos_step(void)
{
	static __thread uint64_t state;

	pthread_once(&once, read_environment);
	if (!one_in)
		return;
	if (!state)
		state = (uint64_t)&state ^ (uint32_t)gettid() * 0x9e3779b97f4a7c15ULL;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if (state >> 20 & 1 && state % one_in == 0)
		sched_yield();
	else if (state % one_in == 0)
		usleep((useconds_t)(state >> 32) % (most_microseconds + 1));
}

bool chaos_rule_off(enum chaos_rule rule)
{
	static const char *const names[] = {
		[RULE_SEQ_LAST] = "seq_last",
		[RULE_EVENT_BEFORE_SEQ] = "event_before_seq",
		[RULE_SEMAPHORE_LATE] = "semaphore_late",
		[RULE_LOG_RESTART] = "log_restart",
		[RULE_HEADER_BEFORE_PUSH] = "header_before_push",
	};
	size_t length = strlen(names[rule]);

	pthread_once(&once, read_environment);
	for (const char *at = rules_off; (at = strstr(at, names[rule])); at += length)
		if ((at == rules_off || at[-1] == ',') && (at[length] == ',' || !at[length]))
			return true;
	return false;
}
