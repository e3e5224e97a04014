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
#include <unistd.h>

#include "collect/mapped_file.h"

#define PROVIDER "mmviz"
#define PRELOAD	 "libmmviz-preload.so"

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
static int search_mapping(int proc_fd, const struct mapping *mapping, bool is_executable,
			  struct probe_file_cache *cache, struct probe_file *out)
{
	int fd;

	if (!mapping->is_executable || mapping->inode == 0 || cache_has(cache, mapping))
		return 0;
	fd = mapped_file_open(proc_fd, mapping, is_executable);
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

static int search(int proc_fd, const struct maps *maps, struct probe_file_cache *cache,
		  struct probe_file *out)
{
	char executable[4096];
	ssize_t length = readlinkat(proc_fd, "exe", executable, sizeof(executable) - 1);
	int result;

	executable[length < 0 ? 0 : length] = '\0';
	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < maps->count; i++) {
			const struct mapping *mapping = &maps->rows[i];
			bool is_executable = strcmp(mapping->path, executable) == 0;

			if ((pass == 0 && !is_preload(mapping)) || (pass == 1 && !is_executable))
				continue;
			result = search_mapping(proc_fd, mapping, is_executable, cache, out);
			if (result != 0)
				return result > 0 ? 0 : result;
		}
	return -ENODATA;
}

int probe_file_find(pid_t pid, const struct maps *maps, struct probe_file_cache *cache,
		    struct probe_file *out)
{
	char path[32];
	int proc_fd, result;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -ENODATA;
	result = search(proc_fd, maps, cache, out);
	close(proc_fd);
	return result;
}

int probe_file_pass_over(struct probe_file_cache *cache, const struct probe_file *found)
{
	return cache_add(cache, found->mapping);
}
