/* SPDX-License-Identifier: MIT */
/*
 * debug_file.c - see debug_file.h for the order of the search.
 *
 * Link and path are hostile: they are followed inside of one root only, and what they name is used
 * only when it proves to belong to the stripped file.
 */
#define _GNU_SOURCE
#include "collect/debug_file.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "collect/mapped_file.h"

#define DEBUG_ROOT	   "/usr/lib/debug"
#define BUILD_ID_BYTES_MIN 2
#define BUILD_ID_BYTES_MAX 64
#define PATH_BYTES	   8192

static bool has_checksum(int fd, uint32_t wanted)
{
	unsigned char chunk[65536];
	uLong sum = crc32(0, NULL, 0);
	off_t offset = 0;
	ssize_t got;

	while ((got = pread(fd, chunk, sizeof(chunk), offset)) > 0) {
		sum = crc32(sum, chunk, (uInt)got);
		offset += got;
	}
	return got == 0 && sum == wanted;
}

/* 1: the same build-id; 0: another one, or no ELF file; -1: the file has none. */
static int compare_build_id(int fd, const struct debug_wanted *wanted)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *id;
	ssize_t bytes;
	int result;

	if (elf == NULL)
		return 0;
	bytes = elf_kind(elf) == ELF_K_ELF ? dwelf_elf_gnu_build_id(elf, &id) : -1;
	if (bytes <= 0)
		result = bytes == 0 ? -1 : 0;
	else
		result = (size_t)bytes == wanted->build_id_bytes &&
			 memcmp(id, wanted->build_id, wanted->build_id_bytes) == 0;
	elf_end(elf);
	return result;
}

static bool is_wanted(int fd, const struct debug_wanted *wanted)
{
	if (wanted->build_id != NULL) {
		int same = compare_build_id(fd, wanted);

		if (same >= 0)
			return same == 1;
	}
	return wanted->link != NULL && has_checksum(fd, wanted->link_crc);
}

static int try_path(int root_fd, const struct debug_wanted *wanted, const char *path)
{
	int fd = rooted_file_open(root_fd, path);

	if (fd < 0)
		return fd;
	if (is_wanted(fd, wanted))
		return fd;
	close(fd);
	return -ENOENT;
}

static int try_build_id(int root_fd, const struct debug_wanted *wanted)
{
	char path[sizeof(DEBUG_ROOT) + 32 + 2 * BUILD_ID_BYTES_MAX];
	int used;

	if (wanted->build_id == NULL || wanted->build_id_bytes < BUILD_ID_BYTES_MIN ||
	    wanted->build_id_bytes > BUILD_ID_BYTES_MAX)
		return -ENOENT;
	used = sprintf(path, DEBUG_ROOT "/.build-id/%02x/", wanted->build_id[0]);
	for (size_t i = 1; i < wanted->build_id_bytes; i++)
		used += sprintf(path + used, "%02x", wanted->build_id[i]);
	strcpy(path + used, ".debug");
	return try_path(root_fd, wanted, path);
}

static int try_link(int root_fd, const struct debug_wanted *wanted, const char *stripped)
{
	static const char *const forms[] = {"%.*s/%s", "%.*s/.debug/%s", DEBUG_ROOT "%.*s/%s"};
	const char *slash = strrchr(stripped, '/');
	char path[PATH_BYTES];
	int fd = -ENOENT;

	if (wanted->link == NULL || slash == NULL || strchr(wanted->link, '/') != NULL)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && fd < 0; i++) {
		int length = snprintf(path, sizeof(path), forms[i], (int)(slash - stripped),
				      stripped, wanted->link);

		if (length > 0 && (size_t)length < sizeof(path))
			fd = try_path(root_fd, wanted, path);
	}
	return fd;
}

int debug_file_open(const struct debug_wanted *wanted)
{
	int own_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct {
		int fd;
		const char *path;
	} roots[] = {{wanted->root_fd, wanted->rooted_path}, {own_root_fd, wanted->path}};
	int fd = -ENOENT;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]) && fd < 0; i++) {
		if (roots[i].fd < 0)
			continue;
		fd = try_build_id(roots[i].fd, wanted);
		if (fd < 0)
			fd = try_link(roots[i].fd, wanted, roots[i].path);
	}
	if (own_root_fd >= 0)
		close(own_root_fd);
	return fd < 0 ? -ENOENT : fd;
}
