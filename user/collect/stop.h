/* SPDX-License-Identifier: MIT */
/*
 * stop.h - hold every thread of a process still for a moment.
 *
 * By ptrace, so that the process goes on by itself if this one dies. A stop makes epoll_wait, recv
 * with a timeout and sigtimedwait return EINTR in the process: never a default. One thread; the
 * thread that stopped it must be the one that resumes it.
 */
#ifndef MMVIZ_COLLECT_STOP_H
#define MMVIZ_COLLECT_STOP_H

#include <stdint.h>
#include <sys/types.h>

struct stopped;

/* Stop all threads of `pid`. Reports its own errors; -ESRCH no such process, -EPERM not permitted,
 * or somebody traces it already. */
int stop_process(pid_t pid, struct stopped **out);
/* Let it go on; how long it was stopped, in `pause_ns` (may be NULL). NULL is fine. */
void stop_resume(struct stopped *stopped, uint64_t *pause_ns);

#endif
