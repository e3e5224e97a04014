/* SPDX-License-Identifier: MIT */
/*
 * link_keeper.h - arms a probe again when the collector is not permitted to any more.
 *
 * Only the death of its last link lowers a probe's semaphore, and to make a link takes privileges,
 * which the collector gives up once it is attached. So before that it forks a keeper: a process that
 * can do one thing, link one loaded program to one place of one file for one process, and hands
 * the link over. It keeps no link, two capabilities and eight system calls, reads nothing of the
 * target, and ends with the collector.
 */
#ifndef MMVIZ_COLLECT_LINK_KEEPER_H
#define MMVIZ_COLLECT_LINK_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

struct link_keeper;

struct link_keeper_place {
	int prog_fd, pidfd;
	const char *path; /* of the file with the probe */
	uint64_t offset, semaphore_offset;
	pid_t pid;
};

/* While privileged, and while the process has one thread. 0 or -errno. */
int link_keeper_start(const struct link_keeper_place *place, struct link_keeper **out);
void link_keeper_stop(struct link_keeper *keeper); /* NULL is fine */

/* A new link (uprobe_multi.h): its fd, or -errno; -ESRCH: the process has ended; -EPIPE: the keeper
 * has. */
int link_keeper_link(struct link_keeper *keeper);

#endif
