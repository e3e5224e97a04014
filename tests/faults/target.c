/* SPDX-License-Identifier: MIT */
/*
 * target.c - a program for the fault tests: does what it is told on stdin, and answers each command
 * when it is done ("done RESULT").
 *
 *	x N  exits with N         k N  kills itself by signal N      t 0  answers (is it alive?)
 *	e 0  execs itself         E 0  execs sleep
 *	l 0  loads the library that is its first argument, whose work it does from then on
 *	u 0  unloads it
 *
 * Everything else is work (work.h): that it is linked with, or that it has loaded. Answers begin
 * with "ready" once.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "work.h"

__attribute__((weak)) long work_command(char letter, long number);

static work_function *work;
static void *library;

static long load(const char *path)
{
	library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	if (!library) {
		fprintf(stderr, "target: %s\n", path ? dlerror() : "no library was named");
		return -1;
	}
	work = (work_function *)dlsym(library, "work_command");
	return work ? 0 : -1;
}

static long unload(void)
{
	work = work_command;
	return library ? dlclose(library) : -1;
}

static long execute(char **argv, char letter, long number)
{
	switch (letter) {
	case 't':
		return 0;
	case 'x':
		exit((int)number);
	case 'k':
		raise((int)number);
		return -1;
	case 'e':
		execv("/proc/self/exe", argv);
		return -1;
	case 'E':
		execl("/bin/sleep", "sleep", "1000", NULL);
		return -1;
	case 'l':
		return load(argv[1]);
	case 'u':
		return unload();
	default:
		return work ? work(letter, number) : -1;
	}
}

int main(int argc, char **argv)
{
	char line[64];

	(void)argc;
	work = work_command;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		printf("done %ld\n", execute(argv, line[0], atol(line + 1)));
	return 0;
}
