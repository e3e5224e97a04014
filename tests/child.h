/* SPDX-License-Identifier: MIT */
/*
 * child.h - starts attach_target and tells it what to do; for cmocka tests.
 */
#ifndef MMVIZ_TESTS_CHILD_H
#define MMVIZ_TESTS_CHILD_H

#include <stdio.h>
#include <sys/types.h>

#define BUILD_TESTS "build/tests/"

struct child {
	pid_t pid;
	FILE *to, *from;
};

/* Start the program and wait until it is ready. It dies with this process. */
void child_start(struct child *child, const char *path);
/* Write a command; child_do also waits until it is done. */
void child_tell(struct child *child, const char *command);
void child_do(struct child *child, const char *command);
void child_kill(const struct child *child, int signal);
/* Kill, wait, close. */
void child_stop(struct child *child);
void sleep_ms(long ms);

#endif
