/* SPDX-License-Identifier: MIT */
/*
 * launch.c - see launch.h.
 *
 *	mmviz-bpf                         CMD
 *	fork ───────────────────────────→ LD_PRELOAD, MMVIZ_RUN=FD:INODE:FOLLOW:LIBRARY; exec
 *	                                  the library's constructor, the first of all:
 *	   ←──────────── its pid ──────── takes both out of the environment
 *	attach, baseline
 *	   ─────────────── go ──────────→ close(FD); the program begins
 *
 * The socket pair carries it all. A negative number in place of a pid is the errno of an exec that
 * failed. If we die, the program reads an end of file and runs on its own.
 */
#define _GNU_SOURCE
#include "commands/launch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands/carrier.h"
#include "commands/commands.h"

#define LIBRARY	      "libmmviz-preload.so"
#define HELLO_SECONDS 10
#define CLOSED_MS     200 /* from a closed socket to the end of its process */

#ifndef MMVIZ_LIBDIR
#define MMVIZ_LIBDIR "/usr/local/lib"
#endif

struct launch {
	char **command;
	bool follow_children, is_released;
	char program[4096], library[4096];
	pid_t child;
	int socket_fd, pidfd;
};

/* ------------------------------------------------------------------ prepare */

/* Beside this program (in build/), or where `make install` puts it. */
static int find_library(char *path, size_t path_bytes)
{
	static const char *const folders[] = {"", "../lib/", "../lib64/"};
	char self[2048];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *name;

	self[length < 0 ? 0 : length] = '\0';
	name = strrchr(self, '/');
	if (name != NULL)
		name[1] = '\0';
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, path_bytes, "%s%s" LIBRARY, self, folders[i]);
		if (access(path, R_OK) == 0)
			return 0;
	}
	snprintf(path, path_bytes, MMVIZ_LIBDIR "/" LIBRARY);
	if (access(path, R_OK) == 0)
		return 0;
	fprintf(stderr,
		"mmviz-bpf: " LIBRARY " is neither in %s nor in " MMVIZ_LIBDIR
		"; build it with make, or install it with make install\n",
		self);
	return -ENOENT;
}

static int check_library_path(const char *path)
{
	if (strpbrk(path, ": ") == NULL)
		return 0;
	fprintf(stderr,
		"mmviz-bpf: %s: the dynamic linker takes no path with a colon or a space in it; "
		"move it\n",
		path);
	return -EINVAL;
}

int launch_prepare(char **command, bool follow_children, struct launch **out)
{
	struct launch *launch = calloc(1, sizeof(*launch));
	int error;

	if (launch == NULL)
		return -ENOMEM;
	launch->command = command;
	launch->follow_children = follow_children;
	launch->socket_fd = launch->pidfd = -1;
	error = carrier_find(command[0], launch->program, sizeof(launch->program));
	if (error == 0)
		error = carrier_check(launch->program);
	if (error == 0)
		error = find_library(launch->library, sizeof(launch->library));
	if (error == 0)
		error = check_library_path(launch->library);
	if (error != 0) {
		launch_close(launch);
		return error;
	}
	*out = launch;
	return 0;
}

/* ------------------------------------------------------------------ the child */

static void set_environment(const struct launch *launch, int fd)
{
	const char *others = getenv("LD_PRELOAD");
	struct stat status;
	char *list, *run;

	if (fstat(fd, &status) != 0 ||
	    asprintf(&list, "%s%s%s", launch->library, others ? ":" : "", others ? others : "") <
		    0 ||
	    asprintf(&run, "%d:%lu:%d:%s", fd, (unsigned long)status.st_ino,
		     launch->follow_children, launch->library) < 0)
		abort();
	setenv("LD_PRELOAD", list, 1);
	setenv("MMVIZ_RUN", run, 1);
}

/* As execvp does it for files that the kernel does not know. */
static void exec_by_shell(const struct launch *launch)
{
	size_t count = 0;
	char **arguments;

	while (launch->command[count] != NULL)
		count++;
	arguments = calloc(count + 2, sizeof(*arguments));
	if (arguments == NULL)
		return;
	arguments[0] = (char *)"/bin/sh";
	arguments[1] = (char *)launch->program;
	memcpy(arguments + 2, launch->command + 1, count * sizeof(*arguments));
	execv(arguments[0], arguments);
}

/* Our own end of the pair and everything else closes on exec. */
__attribute__((noreturn)) static void become_program(const struct launch *launch, int fd)
{
	int failure;

	signal(SIGPIPE, SIG_DFL); /* main ignores it, and that would be inherited */
	set_environment(launch, fd);
	execv(launch->program, launch->command);
	if (errno == ENOEXEC)
		exec_by_shell(launch);
	failure = -errno;
	if (send(fd, &failure, sizeof(failure), MSG_NOSIGNAL) < 0)
		_exit(126);
	_exit(127);
}

static int start_child(struct launch *launch)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	fflush(NULL);
	launch->child = fork();
	if (launch->child == 0) {
		int open_fd = dup(pair[1]); /* without close-on-exec */

		become_program(launch, open_fd);
	}
	close(pair[1]);
	launch->socket_fd = pair[0];
	if (launch->child < 0)
		return -errno;
	launch->pidfd = (int)syscall(SYS_pidfd_open, launch->child, 0);
	return launch->pidfd < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ its first word */

/* It runs without the library: until its end it is none of our business. */
static int tell_silent(const struct launch *launch)
{
	fprintf(stderr,
		"mmviz-bpf: '%s' has not loaded " LIBRARY ": it replaces its environment, or "
		"starts another program that is static or set-uid. It runs unobserved; start that "
		"program itself with mmviz-bpf run\n",
		launch->command[0]);
	return -ENODATA;
}

static int tell_ended(struct launch *launch)
{
	int status = 0;

	waitpid(launch->child, &status, 0);
	launch->child = 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "mmviz-bpf: '%s' was ended by signal %d (%s)", launch->command[0],
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "mmviz-bpf: '%s' ended with status %d", launch->command[0],
			WEXITSTATUS(status));
	fprintf(stderr, " before it had loaded " LIBRARY "\n");
	return -ENODATA;
}

/* 0, the errno of a failed exec, -EPIPE: every copy of its end is closed, or -EAGAIN. */
static int take_hello(struct launch *launch, pid_t *out)
{
	int hello = 0;
	ssize_t got = recv(launch->socket_fd, &hello, sizeof(hello), MSG_DONTWAIT);

	if (got == sizeof(hello) && hello > 0) {
		*out = hello;
		return 0;
	}
	if (got == sizeof(hello)) {
		fprintf(stderr, "mmviz-bpf: %s: %s\n", launch->program, strerror(-hello));
		return hello;
	}
	return got == 0 ? -EPIPE : -EAGAIN;
}

static int wait_for_hello(struct launch *launch, pid_t *out)
{
	struct pollfd ready[2] = {{.fd = launch->socket_fd, .events = POLLIN},
				  {.fd = launch->pidfd, .events = POLLIN}};
	struct timespec now;
	time_t end;
	int error;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (end = now.tv_sec + HELLO_SECONDS; now.tv_sec < end && !command_stop;) {
		if (poll(ready, 2, 100) > 0) {
			error = take_hello(launch, out);
			if (error != -EAGAIN && error != -EPIPE)
				return error;
			if (poll(&ready[1], 1, error == -EPIPE ? CLOSED_MS : 0) > 0)
				return tell_ended(launch);
			if (error == -EPIPE)
				return tell_silent(launch);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (command_stop)
		return -EINTR;
	return tell_silent(launch);
}

/* ------------------------------------------------------------------ start, release, close */

int launch_start(struct launch *launch, pid_t *out)
{
	int error = start_child(launch);

	if (error != 0) {
		fprintf(stderr, "mmviz-bpf: starting '%s' failed: %s\n", launch->command[0],
			strerror(-error));
		return error;
	}
	error = wait_for_hello(launch, out);
	if (error == -ENODATA && launch->child > 0) {
		launch_release(launch);
		while (waitpid(launch->child, NULL, 0) < 0 && errno == EINTR && !command_stop)
			;
	}
	return error;
}

void launch_release(struct launch *launch)
{
	char go = 1;

	if (launch->socket_fd >= 0 && send(launch->socket_fd, &go, 1, MSG_NOSIGNAL) < 0 &&
	    errno != EPIPE && errno != ECONNRESET)
		fprintf(stderr, "mmviz-bpf: warning: '%s' could not be told to go on: %m\n",
			launch->command[0]);
	if (launch->socket_fd >= 0)
		close(launch->socket_fd);
	launch->socket_fd = -1;
	launch->is_released = true;
}

void launch_close(struct launch *launch)
{
	if (launch == NULL)
		return;
	if (launch->child > 0 && !launch->is_released && kill(launch->child, SIGKILL) == 0)
		waitpid(launch->child, NULL, 0);
	if (launch->socket_fd >= 0)
		close(launch->socket_fd);
	if (launch->pidfd >= 0)
		close(launch->pidfd);
	free(launch);
}
