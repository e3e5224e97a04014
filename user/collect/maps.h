/* SPDX-License-Identifier: MIT */
/*
 * maps.h - /proc/PID/maps as a table.
 */
#ifndef MMVIZ_COLLECT_MAPS_H
#define MMVIZ_COLLECT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
	uint64_t start, end; /* addresses in the target */
	uint64_t offset;     /* of `start` in the file */
	uint64_t inode;	     /* 0: no file */
	uint32_t dev_major, dev_minor;
	bool is_executable;
	const char *path; /* as the kernel prints it, "" without one; valid until maps_free */
};
struct maps {
	struct mapping *rows; /* in order of address */
	size_t count;
	char *text;
};

/* Read the open file /proc/PID/maps. 0, -ENOMEM, -ESRCH when the process is gone, other -errno. */
int maps_read(int fd, struct maps *out);
void maps_free(struct maps *maps); /* also of a zeroed struct */
/* The mapping that holds `addr`, or NULL. */
const struct mapping *maps_find(const struct maps *maps, uint64_t addr);
/* The lowest address at which the file of `mapping` is mapped. */
uint64_t maps_file_base(const struct maps *maps, const struct mapping *mapping);
bool mapping_is_same_file(const struct mapping *a, const struct mapping *b);

#endif
