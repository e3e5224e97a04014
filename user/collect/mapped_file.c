/* SPDX-License-Identifier: MIT */
/* mapped_file.c - see mapped_file.h. A path is opened without effect first, looked at, then opened
 * again by its descriptor: what was looked at is what is read. */
#define _GNU_SOURCE
#include "collect/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Consumes `place`, which was opened with O_PATH. */
static int open_place(int place, const struct mapping *expected)
{
	struct stat status;
	char again[32];
	int fd = -1;

	snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
	if (fstat(place, &status) == 0 && S_ISREG(status.st_mode) &&
	    (expected == NULL || status.st_ino == expected->inode))
		fd = open(again, O_RDONLY | O_CLOEXEC);
	close(place);
	return fd < 0 ? -EINVAL : fd;
}

int regular_file_open(int dir_fd, const char *path)
{
	int place = openat(dir_fd, path, O_PATH | O_CLOEXEC);

	return place < 0 ? -errno : open_place(place, NULL);
}

static int rooted_place(int root_fd, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	long place = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return place < 0 ? -errno : (int)place;
}

int rooted_file_open(int root_fd, const char *path)
{
	int place = rooted_place(root_fd, path);

	return place < 0 ? place : open_place(place, NULL);
}

int rooted_mapped_file_open(int root_fd, const char *path, const struct mapping *mapping)
{
	int place = rooted_place(root_fd, path);

	return place < 0 ? place : open_place(place, mapping);
}

int mapped_file_open(int proc_fd, const struct mapping *mapping, bool is_executable)
{
	char path[64];
	int fd, root_fd;

	if (is_executable && (fd = regular_file_open(proc_fd, "exe")) >= 0)
		return fd;
	snprintf(path, sizeof(path), "map_files/%lx-%lx", mapping->start, mapping->end);
	fd = regular_file_open(proc_fd, path);
	if (fd >= 0)
		return fd;
	root_fd = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;
	fd = rooted_mapped_file_open(root_fd, mapping->path, mapping);
	close(root_fd);
	return fd;
}
