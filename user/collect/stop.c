/* SPDX-License-Identifier: MIT */
/*
 * stop.c - PTRACE_SEIZE and PTRACE_INTERRUPT for every thread; see stop.h.
 *
 * Threads may be made while others are being stopped, so /proc/PID/task is read until a pass finds
 * no new one. A thread that was about to receive a signal gets it when it is let go.
 */
#define _GNU_SOURCE
#include "collect/stop.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

struct stopped_thread {
	pid_t tid;
	int pending_signal;
	bool is_waited_for;
};

struct stopped {
	pid_t pid;
	uint64_t since_ns;
	struct stopped_thread *threads;
	size_t count, capacity;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_known(const struct stopped *stopped, pid_t tid)
{
	for (size_t i = 0; i < stopped->count; i++)
		if (stopped->threads[i].tid == tid)
			return true;
	return false;
}

static int add_thread(struct stopped *stopped, pid_t tid)
{
	if (stopped->count == stopped->capacity) {
		size_t capacity = stopped->capacity ? stopped->capacity * 2 : 16;
		struct stopped_thread *threads =
			realloc(stopped->threads, capacity * sizeof(*threads));

		if (!threads)
			return -ENOMEM;
		stopped->threads = threads;
		stopped->capacity = capacity;
	}
	stopped->threads[stopped->count++] = (struct stopped_thread){.tid = tid};
	return 0;
}

/* -ESRCH: the thread has just ended, and is no concern of ours. */
static int seize(struct stopped *stopped, pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return errno == ESRCH ? 0 : -errno;
	return add_thread(stopped, tid);
}

/* Seize the threads that are new. Returns how many, or -errno. */
static int seize_new(struct stopped *stopped)
{
	char path[32];
	struct dirent *entry;
	DIR *tasks;
	int found = 0, error = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)stopped->pid);
	tasks = opendir(path);
	if (!tasks)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!error && (entry = readdir(tasks))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (tid <= 0 || is_known(stopped, tid))
			continue;
		error = seize(stopped, tid);
		found++;
	}
	closedir(tasks);
	return error ?: found;
}

/* A stop that is not our interrupt is a signal on its way to the thread. */
static void wait_for(struct stopped_thread *thread)
{
	int status;

	if (waitpid(thread->tid, &status, __WALL) < 0 || !WIFSTOPPED(status))
		return;
	if (status >> 16 != PTRACE_EVENT_STOP)
		thread->pending_signal = WSTOPSIG(status);
}

static void wait_for_all(struct stopped *stopped)
{
	for (size_t i = 0; i < stopped->count; i++) {
		if (!stopped->threads[i].is_waited_for)
			wait_for(&stopped->threads[i]);
		stopped->threads[i].is_waited_for = true;
	}
}

static void report(pid_t pid, int error)
{
	if (error == -EPERM)
		fprintf(stderr,
			"mmviz-bpf: process %d cannot be stopped: not permitted, or a debugger "
			"traces it already; run as root, or without --stop\n",
			(int)pid);
	else
		fprintf(stderr, "mmviz-bpf: process %d cannot be stopped: %s\n", (int)pid,
			strerror(-error));
}

int stop_process(pid_t pid, struct stopped **out)
{
	struct stopped *stopped = calloc(1, sizeof(*stopped));
	int found;

	if (!stopped)
		return -ENOMEM;
	stopped->pid = pid;
	stopped->since_ns = now_ns();
	do {
		found = seize_new(stopped);
		wait_for_all(stopped);
	} while (found > 0);
	if (found < 0) {
		report(pid, found);
		stop_resume(stopped, NULL);
		return found;
	}
	*out = stopped;
	return 0;
}

void stop_resume(struct stopped *stopped, uint64_t *pause_ns)
{
	if (!stopped)
		return;
	for (size_t i = 0; i < stopped->count; i++)
		ptrace(PTRACE_DETACH, stopped->threads[i].tid, NULL,
		       (void *)(long)stopped->threads[i].pending_signal);
	if (pause_ns)
		*pause_ns = now_ns() - stopped->since_ns;
	free(stopped->threads);
	free(stopped);
}
