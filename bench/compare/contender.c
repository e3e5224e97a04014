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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COLLECTOR_LOG "bench/collector.log"

/* ------------------------------------------------------------------ preparing */

static bool find_library(struct contender *contender, const char *build)
{
	static const char *const folders[] = {
		"",
		"/usr/lib/x86_64-linux-gnu/",
		"/usr/lib/aarch64-linux-gnu/",
		"/usr/lib64/",
		"/usr/lib/",
		"/usr/local/lib/",
	};

	if (contender->is_built) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", build, contender->library);
		return realpath(path, contender->library_path);
	}
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
	if (contender->library && !find_library(contender, build)) {
		snprintf(reason, 128, "%.64s is not %s", contender->library,
			 contender->is_built ? "built" : "installed; `make deps` installs it");
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
	error = posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (!error)
		return pid;
	fprintf(stderr, "compare: cannot start %s: %s\n", arguments[0], strerror(error));
	return -1;
}

/* [valgrind ...] PROGRAM HOW [AMOUNT] [--probe NAME] WORKLOAD */
static pid_t start_workload(const struct contender *contender, const struct job *job, int out_fd)
{
	char program[PATH_MAX], callgrind_file[PATH_MAX + 32];
	char *arguments[12];
	unsigned count = 0;
	pid_t pid;

	snprintf(program, sizeof(program), "%s/%s", job->build, contender->program);
	if (job->callgrind_path) {
		snprintf(callgrind_file, sizeof(callgrind_file), "--callgrind-out-file=%s",
			 job->callgrind_path);
		arguments[count++] = "valgrind";
		arguments[count++] = "-q";
		arguments[count++] = "--tool=callgrind";
		arguments[count++] = "--toggle-collect=lane_steps_counted";
		arguments[count++] = callgrind_file;
	}
	arguments[count++] = program;
	arguments[count++] = (char *)job->how;
	if (job->amount)
		arguments[count++] = (char *)job->amount;
	if (contender->probe) {
		arguments[count++] = "--probe";
		arguments[count++] = (char *)contender->probe;
	}
	arguments[count++] = (char *)job->workload;
	arguments[count] = NULL;
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

/* True: the process had the malloc that it was to have. */
static bool is_allocator(const struct contender *contender, const char *path)
{
	char wanted[PATH_MAX], found[PATH_MAX];

	if (!contender->library)
		return true;
	return realpath(contender->library_path, wanted) && realpath(path, found) &&
	       strcmp(wanted, found) == 0;
}

static void store_value(struct sample *sample, const char *name, double value)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
#define FIELD(name) {#name, offsetof(struct sample, name)}
		FIELD(operations),  FIELD(cpu_ns),	   FIELD(wall_ns),
		FIELD(cold_ns),	    FIELD(peak_blocks),	   FIELD(live_blocks),
		FIELD(live_bytes),  FIELD(refilled_bytes), FIELD(huge_bytes),
		FIELD(freed_bytes), FIELD(returned_bytes), FIELD(lazy_bytes),
		FIELD(peak_bytes),
#undef FIELD
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			*(double *)((char *)sample + fields[i].offset) = value;
}

/* Lines of a name and a number; the last names the allocator that did the work. */
static bool read_sample(int fd, const struct contender *contender, struct sample *out)
{
	char name[32], value[PATH_MAX];
	bool is_right = false;
	FILE *file = fdopen(fd, "r");

	memset(out, 0, sizeof(*out));
	while (file && fscanf(file, "%31s %4095s", name, value) == 2) {
		if (strcmp(name, "allocator") != 0) {
			store_value(out, name, atof(value));
			continue;
		}
		is_right = is_allocator(contender, value);
		if (!is_right)
			fprintf(stderr, "compare: %s: malloc came from %s\n", contender->name,
				value);
	}
	if (file)
		fclose(file);
	return is_right;
}

/* What callgrind wrote at the end of its file. */
static double read_instructions(const char *path)
{
	unsigned long long total = 0;
	char line[256];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "totals: %llu", &total) == 1)
			break;
	if (file)
		fclose(file);
	return (double)total;
}

static void tell_failure(const struct contender *contender, const struct job *job)
{
	fprintf(stderr, "compare: %s did not finish %s", contender->name, job->workload);
	if (contender->mode)
		fprintf(stderr, "; see %s/" COLLECTOR_LOG, job->build);
	fputc('\n', stderr);
}

int contender_run(const struct contender *contender, const struct job *job, struct sample *out)
{
	pid_t target, collector = 0;
	bool is_whole;
	int pipe_fds[2], status;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		fprintf(stderr, "compare: cannot make a pipe: %s\n", strerror(errno));
		return -1;
	}
	target = start_workload(contender, job, pipe_fds[1]);
	close(pipe_fds[1]);
	if (target > 0 && contender->mode)
		collector = start_collector(contender, job->build, target);
	is_whole = read_sample(pipe_fds[0], contender, out);
	status = target > 0 ? wait_for(target) : -1;
	if (collector > 0) {
		kill(collector, SIGINT);
		wait_for(collector);
	}
	if (job->callgrind_path)
		out->instructions = read_instructions(job->callgrind_path);
	out->is_valid = is_whole && status == 0 && (!job->callgrind_path || out->instructions > 0);
	if (out->is_valid)
		return 0;
	tell_failure(contender, job);
	return -1;
}
