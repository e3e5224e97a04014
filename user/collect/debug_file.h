/* SPDX-License-Identifier: MIT */
/*
 * debug_file.h - finds the separate file that holds the debug information of a stripped one.
 *
 * Looks on this machine only: nothing in here talks to a debuginfod server, whatever the
 * environment says.
 */
#ifndef MMVIZ_COLLECT_DEBUG_FILE_H
#define MMVIZ_COLLECT_DEBUG_FILE_H

#include <stddef.h>
#include <stdint.h>

struct debug_wanted {
	int root_fd;		 /* the target's root directory; -1: only our own is searched */
	const char *rooted_path; /* of the stripped file, below the target's root */
	const char *path;	 /* and below ours */
	const unsigned char *build_id; /* NULL without one */
	size_t build_id_bytes;
	const char *link; /* the name in .gnu_debuglink; NULL without one */
	uint32_t link_crc;
};

/*
 * Open the file: by build-id below /usr/lib/debug/.build-id; by its link next to the stripped file,
 * in .debug/ beside it, and in the same place below /usr/lib/debug. Each under the target's root,
 * then under our own. Taken is only what has the same build-id, or, where there is none, the
 * checksum of the link. An fd, or -ENOENT.
 */
int debug_file_open(const struct debug_wanted *wanted);

#endif
