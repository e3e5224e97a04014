/* SPDX-License-Identifier: MIT */
/*
 * uprobe_multi.h - the BPF link type that the installed libbpf does not know yet.
 */
#ifndef MMVIZ_COLLECT_UPROBE_MULTI_H
#define MMVIZ_COLLECT_UPROBE_MULTI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define UPROBE_MULTI_ATTACH_TYPE 48 /* BPF_TRACE_UPROBE_MULTI: set on a program before its load */

/* Does this kernel have it, with a filter by process that is right? False also when not permitted.
 */
bool uprobe_multi_is_supported(void);

/*
 * Put program `prog_fd` on one place of the file `path`, for process `pid` alone, and raise its
 * semaphore. The fd of the link, or a negative errno. Closing the fd undoes it all.
 */
int uprobe_multi_link(int prog_fd, const char *path, uint64_t offset, uint64_t semaphore_offset,
		      pid_t pid);

#endif
