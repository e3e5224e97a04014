/* SPDX-License-Identifier: MIT */
/*
 * contender.c - child processes: the workload, and the collector beside it. Both are ended by their
 * own ids, and waited for, whatever happens.
 */
#include "contender.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COLLECTOR_LOG "bench/collector.log"

/* ------------------------------------------------------------------ preparing */

static bool find_library(struct contender *contender)
{
	static const char *const folders[] = {
		"",
		"/usr/lib/x86_64-linux-gnu/",
		"/usr/lib/aarch64-linux-gnu/",
		"/usr/lib64/",
		"/usr/lib/",
		"/usr/local/lib/",
	};

	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(contender->library_path, sizeof(contender->library_path), "%s%s",
			 folders[i], contender->library);
		if (strchr(contender->library_path, '/') &&
		    access(contender->library_path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool is_executable(const char *build, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", build, name);
	return access(path, X_OK) == 0;
}

bool contender_prepare(struct contender *contender, const char *build, char reason[128])
{
	if (!is_executable(build, contender->program)) {
		snprintf(reason, 128, "%s/%s is not built", build, contender->program);
		return false;
	}
	if (contender->library && !find_library(contender)) {
		snprintf(reason, 128, "%.64s is not installed; `make deps` installs it",
			 contender->library);
		return false;
	}
	if (contender->mode && !is_executable(build, "mmviz-bpf")) {
		snprintf(reason, 128, "%s/mmviz-bpf is not built", build);
		return false;
	}
	if (contender->mode && geteuid() != 0) {
		snprintf(reason, 128, "attaching needs root: sudo make bench");
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------ running */

/* Start a program with its output in out_fd and, unless it is negative, its errors in error_fd.
 * Returns after its exec: whoever looks at the process then sees that program. -1: it did not
 * start.
 */
static pid_t start(char *const arguments[], int out_fd, int error_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	if (error_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);
	error = posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (!error)
		return pid;
	fprintf(stderr, "compare: cannot start %s: %s\n", arguments[0], strerror(error));
	return -1;
}

static pid_t start_workload(const struct contender *contender, const char *build,
			    const char *workload, double seconds, int out_fd)
{
	char program[PATH_MAX], seconds_text[32];
	char *arguments[] = {program, (char *)workload, seconds_text, (char *)contender->probe,
			     NULL};
	pid_t pid;

	snprintf(program, sizeof(program), "%s/%s", build, contender->program);
	snprintf(seconds_text, sizeof(seconds_text), "%g", seconds);
	if (contender->library)
		setenv("LD_PRELOAD", contender->library_path, 1);
	pid = start(arguments, out_fd, -1);
	unsetenv("LD_PRELOAD");
	return pid;
}

static pid_t start_collector(const struct contender *contender, const char *build, pid_t target)
{
	char program[PATH_MAX], log[PATH_MAX], target_text[16];
	char *arguments[] = {
		program, "-p",	     target_text,   "--mode",	  (char *)contender->mode,
		"-q",	 "--listen", "127.0.0.1:0", "--no-token", NULL};
	pid_t pid;
	int log_fd;

	snprintf(program, sizeof(program), "%s/mmviz-bpf", build);
	snprintf(log, sizeof(log), "%s/" COLLECTOR_LOG, build);
	snprintf(target_text, sizeof(target_text), "%d", (int)target);
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0) {
		fprintf(stderr, "compare: cannot write %s: %s\n", log, strerror(errno));
		return -1;
	}
	pid = start(arguments, log_fd, log_fd);
	close(log_fd);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static bool read_sample(int fd, struct sample *out)
{
	FILE *file = fdopen(fd, "r");
	unsigned long long operations;
	bool is_whole = file && fscanf(file, "%llu %lf %lf %lf", &operations, &out->cpu_ns,
				       &out->wall_ns, &out->peak_rss_bytes) == 4;

	if (file)
		fclose(file);
	return is_whole;
}

int contender_run(const struct contender *contender, const char *build, const char *workload,
		  double seconds, struct sample *out)
{
	pid_t target, collector = 0;
	bool is_whole;
	int pipe_fds[2], status;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		fprintf(stderr, "compare: cannot make a pipe: %s\n", strerror(errno));
		return -1;
	}
	target = start_workload(contender, build, workload, seconds, pipe_fds[1]);
	close(pipe_fds[1]);
	if (target > 0 && contender->mode)
		collector = start_collector(contender, build, target);
	is_whole = read_sample(pipe_fds[0], out);
	status = target > 0 ? wait_for(target) : -1;
	if (collector > 0) {
		kill(collector, SIGINT);
		wait_for(collector);
	}
	if (is_whole && status == 0)
		return 0;
	fprintf(stderr, "compare: %s did not finish %s%s%s%s\n", contender->name, workload,
		contender->mode ? "; see " : "", contender->mode ? build : "",
		contender->mode ? "/" COLLECTOR_LOG : "");
	return -1;
}
