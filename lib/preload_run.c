/* SPDX-License-Identifier: MIT */
/*
 * preload_run.c - the first thing that a preloaded program does: wait for `mmviz-bpf run`.
 *
 *	MMVIZ_RUN=FD:INODE:FOLLOW:LIBRARY
 *
 * says that a collector waits at the other end of socket FD (whose inode proves that it still is
 * that socket). We say who we are and go on when it answers, or when it is gone. Nothing of this is
 * left for the program's children: MMVIZ_RUN is taken out of the environment, and, unless FOLLOW is
 * 1, LIBRARY out of LD_PRELOAD.
 *
 * The library is linked with `-z initfirst`: this runs before every other constructor, also before
 * libc's own. So the environment comes as an argument and is changed in place, where libc will find
 * it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload.h"

#define CHECKED_FREES "MMVIZ_CHECKED_FREES" /* whatever it is: each free looks at its header */
#define VARIABLE      "MMVIZ_RUN"

struct run {
	int fd;
	unsigned long inode;
	bool follow;
	const char *library;
};

/* ------------------------------------------------------------------ the environment */

static char **find_variable(char **environment, const char *name)
{
	size_t length = strlen(name);

	for (; *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return environment;
	return NULL;
}

static void remove_variable(char **environment, const char *name)
{
	char **at = find_variable(environment, name);

	for (; at && *at; at++)
		at[0] = at[1];
}

/* Take `library` out of LD_PRELOAD, in place. */
static void forget_library(char **environment, const char *library)
{
	char **variable = find_variable(environment, "LD_PRELOAD");
	size_t length = strlen(library), part;
	char *list, *at;

	if (!variable)
		return;
	list = at = strchr(*variable, '=') + 1;
	while (*at) {
		part = strcspn(at, ": ");
		if (part == length && strncmp(at, library, length) == 0)
			memmove(at, at + part + !!at[part], strlen(at + part + !!at[part]) + 1);
		else
			at += part + !!at[part];
	}
	if (list[strspn(list, ": ")] == '\0')
		remove_variable(environment, "LD_PRELOAD");
}

/* ------------------------------------------------------------------ MMVIZ_RUN */

static bool parse(char *text, struct run *out)
{
	char *end;

	out->fd = (int)strtol(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	text = end + 1;
	out->inode = strtoul(text, &end, 10);
	if (end == text || *end != ':' || (end[1] != '0' && end[1] != '1') || end[2] != ':')
		return false;
	out->follow = end[1] == '1';
	out->library = end + 3;
	return true;
}

/* Programs that only start another one in their place: the collector waits for that one. */
static bool is_launcher(const char *program)
{
	static const char *const launchers[] = {
		"env",	   "nice",    "nohup",	 "setsid",  "stdbuf",  "chrt",	 "ionice",
		"prlimit", "setarch", "taskset", "numactl", "setpriv", "timeout"};
	const char *name = program ? strrchr(program, '/') : NULL;

	name = name ? name + 1 : program;
	for (size_t i = 0; name && i < sizeof(launchers) / sizeof(launchers[0]); i++)
		if (strcmp(name, launchers[i]) == 0)
			return true;
	return false;
}

static void wait_for_collector(const struct run *run)
{
	struct stat status;
	pid_t pid = getpid();
	char answer;

	if (fstat(run->fd, &status) != 0 || !S_ISSOCK(status.st_mode) ||
	    status.st_ino != run->inode)
		return;
	if (send(run->fd, &pid, sizeof(pid), MSG_NOSIGNAL) == sizeof(pid))
		while (recv(run->fd, &answer, 1, 0) < 0 && errno == EINTR)
			;
	close(run->fd);
}

__attribute__((constructor)) static void begin(int count, char **arguments, char **environment)
{
	char **variable;
	struct run run;
	int saved = errno;

	if (!preload_current())
		preload_grow(0, 0); /* so that whoever attaches finds it */
	if (getauxval(AT_SECURE) || !environment)
		return;
	if (find_variable(environment, CHECKED_FREES))
		preload_check_frees();
	variable = find_variable(environment, VARIABLE);
	if (!variable || (count > 0 && is_launcher(arguments[0])))
		return;
	if (parse(*variable + sizeof(VARIABLE), &run)) {
		if (!run.follow)
			forget_library(environment, run.library);
		wait_for_collector(&run);
	}
	remove_variable(environment, VARIABLE);
	errno = saved;
}
