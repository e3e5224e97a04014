/* SPDX-License-Identifier: MIT */
/* child.c - see child.h. A failed assertion here fails the test that called. */
#define _GNU_SOURCE
#include "child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static void expect_line(struct child *child, const char *wanted)
{
	char line[64];

	assert_non_null(fgets(line, sizeof(line), child->from));
	assert_string_equal(line, wanted);
}

void child_start(struct child *child, const char *path)
{
	int to[2], from[2];

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	child->pid = fork();
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		execl(path, path, NULL);
		_exit(127);
	}
	assert_true(child->pid > 0);
	close(to[0]);
	close(from[1]);
	child->to = fdopen(to[1], "w");
	child->from = fdopen(from[0], "r");
	expect_line(child, "ready\n");
}

void child_tell(struct child *child, const char *command)
{
	fprintf(child->to, "%s\n", command);
	fflush(child->to);
}

void child_do(struct child *child, const char *command)
{
	child_tell(child, command);
	expect_line(child, "done\n");
}

/* Never 0 or -1: they would mean a group of processes, or all of them. */
void child_kill(const struct child *child, int signal)
{
	assert_true(child->pid > 1);
	kill(child->pid, signal);
}

void child_stop(struct child *child)
{
	child_kill(child, SIGKILL);
	waitpid(child->pid, NULL, 0);
	fclose(child->to);
	fclose(child->from);
}

void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}
