/* SPDX-License-Identifier: MIT */
/*
 * totals.c - the file behind totals.h. A shared mapping: the kernel keeps what was stored, however
 * the process ends.
 */
#include "totals.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int totals_create(const char *path, unsigned threads, unsigned arenas, struct totals_cell **out)
{
	size_t bytes = sizeof(struct totals_header) + sizeof(struct totals_cell) * threads * arenas;
	int error = 0, fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct totals_header *header = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) == 0)
		header = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		error = -errno;
	close(fd);
	if (error)
		return error;
	header->threads = threads;
	header->arenas = arenas;
	header->magic = TOTALS_MAGIC;
	*out = (struct totals_cell *)(header + 1);
	return 0;
}
