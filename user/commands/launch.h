/* SPDX-License-Identifier: MIT */
/*
 * launch.h - a program of the user's, started under libmmviz-preload.so and held before its first
 * constructor until it is followed.
 *
 * Owns the child until it is released. Knows nothing of sessions. Reports its own errors. One
 * thread.
 */
#ifndef MMVIZ_LAUNCH_H
#define MMVIZ_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

struct launch;

/*
 * Find program and library, and check that the one can carry the other. `command` is a
 * NULL-terminated argv, kept by the caller. 0, or -errno: -ENOENT no such program, -EPERM set-uid,
 * -ENODATA static or of another machine.
 */
int launch_prepare(char **command, bool follow_children, struct launch **out);
/*
 * Start it and wait until it waits for us; its pid, which is not the child's own if that is a
 * program like `timeout`. -ENODATA: it runs, or has run, without the library.
 */
int launch_start(struct launch *launch, pid_t *out);
/* Let it run. */
void launch_release(struct launch *launch);
/* Kills what was not released. NULL is fine. */
void launch_close(struct launch *launch);

#endif
