/* SPDX-License-Identifier: MIT */
/*
 * target.c - a program for the fault tests: does what it is told on stdin, and answers each command
 * when it is done ("done RESULT").
 *
 *	x N  exits with N         k N  kills itself by signal N      t 0  answers (is it alive?)
 *	e 0  execs itself         E 0  execs sleep
 *	l 0  loads the library that is its first argument, whose work it does from then on
 *	u 0  unloads it
 *	y 0  starts a thread of ours that makes blocks and then waits; Y 0: it ends
 *
 * Everything else is work (work.h): that it is linked with, or that it has loaded. Answers begin
 * with "ready" once.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
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

/* ------------------------------------------------------------------ a thread that outlives its library */

static pthread_t patient;
static sem_t patience, has_worked;

static void *patient_main(void *argument)
{
	work('b', 10);
	sem_post(&has_worked);
	sem_wait(&patience);
	return argument;
}

static long start_patient(void)
{
	sem_init(&patience, 0, 0);
	sem_init(&has_worked, 0, 0);
	if (pthread_create(&patient, NULL, patient_main, NULL))
		return -1;
	return sem_wait(&has_worked);
}

static long end_patient(void)
{
	sem_post(&patience);
	return pthread_join(patient, NULL);
}

/* ------------------------------------------------------------------ commands */

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
	case 'y':
		return start_patient();
	case 'Y':
		return end_patient();
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
