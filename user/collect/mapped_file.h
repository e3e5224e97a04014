/* SPDX-License-Identifier: MIT */
/*
 * mapped_file.h - opens files as a process sees them: what it has mapped, what lies under its root.
 *
 * Only regular files are ever opened: to open a device, or a FIFO that somebody else made, can do
 * something or wait for ever.
 */
#ifndef MMVIZ_COLLECT_MAPPED_FILE_H
#define MMVIZ_COLLECT_MAPPED_FILE_H

#include "collect/maps.h"

/* Open `path`, seen from the open directory `dir_fd` (or AT_FDCWD). An fd, or a negative errno:
 * -EINVAL for what is no regular file. */
int regular_file_open(int dir_fd, const char *path);

/* The same with `root_fd` as the root directory: neither ".." nor links lead out of it. */
int rooted_file_open(int root_fd, const char *path);

/*
 * Open the file behind a mapping of the process whose /proc/PID is `proc_fd`: as the executable, by
 * its addresses, or by name. The first two reach deleted files and those of other mount namespaces;
 * what is found by name is taken only if it is the same inode.
 */
int mapped_file_open(int proc_fd, const struct mapping *mapping, bool is_executable);
/* By name alone, for those who may not look into /proc/PID any more. */
int rooted_mapped_file_open(int root_fd, const char *path, const struct mapping *mapping);

#endif
