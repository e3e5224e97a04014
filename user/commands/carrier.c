/* SPDX-License-Identifier: MIT */
/*
 * carrier.c - see carrier.h. Reads the first page of a file by the rules of the kernel's exec and
 * of ld.so: set-uid programs ignore LD_PRELOAD, static ones have nobody who would read it.
 */
#define _GNU_SOURCE
#include "commands/carrier.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MAX 4 /* interpreters of interpreters, as in the kernel */
#define HEAD_BYTES  4096

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#else
#define OUR_MACHINE EM_AARCH64
#endif

__attribute__((format(printf, 2, 3))) static int refuse(int error, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "mmviz-bpf: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return error;
}

/* ------------------------------------------------------------------ find */

static bool is_program(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static int find_in_path(const char *name, char *path, size_t path_bytes)
{
	const char *folders = getenv("PATH");

	if (folders == NULL)
		folders = "/usr/local/bin:/usr/bin:/bin";
	for (const char *end = folders; *end != '\0'; folders = end + 1) {
		end = strchrnul(folders, ':');
		snprintf(path, path_bytes, "%.*s%s%s", (int)(end - folders), folders,
			 end > folders ? "/" : "", name);
		if (is_program(path))
			return 0;
	}
	return refuse(-ENOENT, "there is no program '%s' in PATH; give its path", name);
}

int carrier_find(const char *name, char *path, size_t path_bytes)
{
	if (strchr(name, '/') == NULL)
		return find_in_path(name, path, path_bytes);
	snprintf(path, path_bytes, "%s", name);
	if (is_program(path))
		return 0;
	if (access(path, F_OK) != 0)
		return refuse(-errno, "%s: %m", path);
	return refuse(-EACCES, "%s is not an executable file; chmod +x makes it one", path);
}

/* ------------------------------------------------------------------ check */

/* Root gains nothing from capabilities of a file, nor anybody from an own set-uid program. */
static int check_privileges(const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return refuse(-errno, "%s: %m", path);
	if ((status.st_mode & S_ISUID) && status.st_uid != geteuid())
		return refuse(-EPERM,
			      "%s is set-uid: the dynamic linker loads no other library into it; "
			      "run it as its owner (uid %u)",
			      path, (unsigned)status.st_uid);
	if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getegid())
		return refuse(-EPERM,
			      "%s is set-gid: the dynamic linker loads no other library into it; "
			      "run it as its group (gid %u)",
			      path, (unsigned)status.st_gid);
	if (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return refuse(-EPERM,
			      "%s has capabilities of its own: the dynamic linker loads no other "
			      "library into it; run it as root",
			      path);
	return 0;
}

/* The name of the dynamic linker; 0, -ENOENT: a static program. */
static int read_linker(int fd, const Elf64_Ehdr *elf, char *out, size_t out_bytes)
{
	Elf64_Phdr header;

	for (unsigned i = 0; i < elf->e_phnum; i++) {
		off_t at = (off_t)(elf->e_phoff + (uint64_t)i * elf->e_phentsize);
		ssize_t got;

		if (pread(fd, &header, sizeof(header), at) != sizeof(header))
			return -ENOENT;
		if (header.p_type != PT_INTERP)
			continue;
		got = pread(fd, out, out_bytes - 1, (off_t)header.p_offset);
		out[got < 0 ? 0 : got] = '\0';
		return 0;
	}
	return -ENOENT;
}

static int check_elf(const char *path, int fd, const char *head)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)head;
	char linker[256];

	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != OUR_MACHINE)
		return refuse(
			-ENODATA,
			"%s was made for another machine than libmmviz-preload.so; build mmviz "
			"for that one",
			path);
	if (read_linker(fd, elf, linker, sizeof(linker)) != 0)
		return refuse(-ENODATA,
			      "%s is a static program: no library can be put under it; link it "
			      "dynamically, or with libmmviz.a and call its functions",
			      path);
	if (strstr(linker, "ld-musl") != NULL)
		return refuse(
			-ENODATA,
			"%s was made for musl (%s), libmmviz-preload.so for glibc; build mmviz "
			"with the C library of the program",
			path, linker);
	return 0;
}

/* The interpreter in "#! /path argument". */
static void read_interpreter(char *head, char *out, size_t out_bytes)
{
	char *name = head + 2 + strspn(head + 2, " \t");

	name[strcspn(name, " \t\n")] = '\0';
	snprintf(out, out_bytes, "%s", name);
}

/* 0: fine. 1: a script; `next` is its interpreter. */
static int check_file(const char *path, char *next, size_t next_bytes)
{
	char head[HEAD_BYTES + 1] = "";
	int result, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == EACCES ? 0 : refuse(-errno, "%s: %m", path); /* execute-only */
	if (pread(fd, head, HEAD_BYTES, 0) < 0) {
		result = refuse(-errno, "%s: %m", path);
	} else if (memcmp(head, ELFMAG, SELFMAG) == 0) {
		result = check_privileges(path, fd);
		if (result == 0)
			result = check_elf(path, fd, head);
	} else {
		result = 1;
		if (strncmp(head, "#!", 2) == 0)
			read_interpreter(head, next, next_bytes);
		else
			snprintf(next, next_bytes, "/bin/sh");
	}
	close(fd);
	return result;
}

int carrier_check(const char *path)
{
	char here[4096], next[4096];
	int result = 1;

	snprintf(here, sizeof(here), "%s", path);
	for (int depth = 0; result == 1 && depth <= SCRIPTS_MAX; depth++) {
		result = check_file(here, next, sizeof(next));
		memcpy(here, next, result == 1 ? sizeof(here) : 0);
	}
	return result < 0 ? result : 0;
}
