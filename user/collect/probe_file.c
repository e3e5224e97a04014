/* SPDX-License-Identifier: MIT */
/*
 * probe_file.c - opens mapped files and looks for the provider's notes.
 *
 * Opens regular files only: a mapping can also be of a device. What cannot be opened is passed
 * over; whether we may look at the process at all has been decided by opening its memory.
 */
#define _GNU_SOURCE
#include "collect/probe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROVIDER "mmviz"
#define PRELOAD	 "libmmviz-preload.so"

/* Open what `path` names, if it is a regular file; never opens a device. */
static int open_regular(const char *path)
{
	struct stat status;
	char again[32];
	int fd, place = open(path, O_PATH | O_CLOEXEC);

	if (place < 0)
		return -errno;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
	fd = fstat(place, &status) == 0 && S_ISREG(status.st_mode)
		     ? open(again, O_RDONLY | O_CLOEXEC)
		     : -1;
	close(place);
	return fd < 0 ? -EINVAL : fd;
}

/* Open the file behind a mapping: as the executable, by its addresses, or by name. */
static int open_mapped(pid_t pid, const struct mapping *mapping, const char *executable)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (strcmp(mapping->path, executable) == 0 && (fd = open_regular(path)) >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", (int)pid, mapping->start,
		 mapping->end);
	fd = open_regular(path);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, mapping->path);
	return open_regular(path);
}

static bool cache_has(const struct probe_file_cache *cache, const struct mapping *mapping)
{
	for (size_t i = cache->count; i-- > 0;)
		if (mapping_is_same_file(&cache->rows[i], mapping))
			return true;
	return false;
}

static int cache_add(struct probe_file_cache *cache, const struct mapping *mapping)
{
	if (cache->count == cache->room) {
		size_t room = cache->room == 0 ? 64 : cache->room * 2;
		struct mapping *rows = realloc(cache->rows, room * sizeof(*rows));

		if (rows == NULL)
			return -ENOMEM;
		cache->rows = rows;
		cache->room = room;
	}
	cache->rows[cache->count] = *mapping;
	cache->rows[cache->count++].path = ""; /* it dies with its maps */
	return 0;
}

/* Look for probes in the file of one mapping. 1 found, 0 not, or -ENOMEM. */
static int search_mapping(pid_t pid, const struct mapping *mapping, const char *executable,
			  struct probe_file_cache *cache, struct probe_file *out)
{
	int fd;

	if (!mapping->is_executable || mapping->inode == 0 || cache_has(cache, mapping))
		return 0;
	fd = open_mapped(pid, mapping, executable);
	if (fd < 0)
		return 0;
	out->count = elf_notes_read(fd, PROVIDER, out->probes, TARGET_PROBES_MAX);
	if (out->count > 0) {
		out->fd = fd;
		out->mapping = mapping;
		return 1;
	}
	close(fd);
	return cache_add(cache, mapping);
}

/*
 * Where malloc is. Its copy of the library also takes the place of libmmviz.so, if the program has
 * that too.
 */
static bool is_preload(const struct mapping *mapping)
{
	const char *name = strrchr(mapping->path, '/');

	return name != NULL && strncmp(name + 1, PRELOAD, strlen(PRELOAD)) == 0;
}

int probe_file_find(pid_t pid, const struct maps *maps, struct probe_file_cache *cache,
		    struct probe_file *out)
{
	char link[32], executable[4096];
	ssize_t length;
	int result;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	length = readlink(link, executable, sizeof(executable) - 1);
	executable[length < 0 ? 0 : length] = '\0';
	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < maps->count; i++) {
			const struct mapping *mapping = &maps->rows[i];

			if ((pass == 0 && !is_preload(mapping)) ||
			    (pass == 1 && strcmp(mapping->path, executable) != 0))
				continue;
			result = search_mapping(pid, mapping, executable, cache, out);
			if (result != 0)
				return result > 0 ? 0 : result;
		}
	return -ENODATA;
}

int probe_file_pass_over(struct probe_file_cache *cache, const struct probe_file *found)
{
	return cache_add(cache, found->mapping);
}
