/* SPDX-License-Identifier: MIT */
/*
 * probe_file.h - which of the files that a process has mapped holds the probes.
 */
#ifndef MMVIZ_COLLECT_PROBE_FILE_H
#define MMVIZ_COLLECT_PROBE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "collect/elf_notes.h"
#include "collect/maps.h"
#include "collect/target.h"

struct probe_file {
	const struct mapping *mapping; /* one of the file's, executable */
	int fd;			       /* the caller closes it */
	struct elf_probe probes[TARGET_PROBES_MAX];
	int count;
};

/* Files found without probes, so that each library is read once for all processes. Starts zeroed;
 * the caller frees `rows`. */
struct probe_file_cache {
	struct mapping *rows;
	size_t count, room;
};

/*
 * Search libmmviz-preload.so, the executable, then all that is mapped executable. Files are opened through /proc/PID/exe
 * and map_files, which reach deleted files and those of other mount namespaces. 0, -ENODATA no file
 * has probes, -ENOMEM.
 */
int probe_file_find(pid_t pid, const struct maps *maps, struct probe_file_cache *cache,
		    struct probe_file *out);
/* Let the next search go on behind a file that was found. 0 or -ENOMEM. */
int probe_file_pass_over(struct probe_file_cache *cache, const struct probe_file *found);

#endif
