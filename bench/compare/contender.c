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

#define COLLECTOR_LOG  "bench/collector.log"
#define COLLECTOR_SAID "bench/collector.json"
#define SCRATCH	       "bench/tracers"

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
		"/usr/lib/heaptrack/",
		"/usr/lib64/heaptrack/",
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

/* `tracer check` says in a line what is missing. */
static bool can_trace(const char *tracer, char reason[128])
{
	char command[PATH_MAX + 8];
	FILE *script;

	snprintf(command, sizeof(command), "%s check", tracer);
	script = popen(command, "re");
	snprintf(reason, 128, "%s does not run", tracer);
	if (!script)
		return false;
	if (fgets(reason, 128, script))
		reason[strcspn(reason, "\n")] = '\0';
	return pclose(script) == 0;
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
	return !contender->tracer || can_trace(contender->tracer, reason);
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

/* [valgrind ... | TRACER run SCRATCH] PROGRAM HOW [AMOUNT] [--frames N] [--probe NAME] WORKLOAD */
static pid_t start_workload(const struct contender *contender, const struct job *job, int out_fd)
{
	char program[PATH_MAX], callgrind_file[PATH_MAX + 32];
	char scratch[PATH_MAX], frames[16];
	const char *preload = contender->tracer ? "PRELOAD" : "LD_PRELOAD";
	char *arguments[16];
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
	if (contender->tracer) {
		snprintf(scratch, sizeof(scratch), "%s/" SCRATCH, job->build);
		arguments[count++] = (char *)contender->tracer;
		arguments[count++] = "run";
		arguments[count++] = scratch;
	}
	arguments[count++] = program;
	arguments[count++] = (char *)job->how;
	if (job->amount)
		arguments[count++] = (char *)job->amount;
	if (job->frames) {
		snprintf(frames, sizeof(frames), "%u", job->frames);
		arguments[count++] = "--frames";
		arguments[count++] = frames;
	}
	if (contender->probe) {
		arguments[count++] = "--probe";
		arguments[count++] = (char *)contender->probe;
	}
	arguments[count++] = (char *)job->workload;
	arguments[count] = NULL;
	if (contender->library)
		setenv(preload, contender->library_path, 1);
	pid = start(arguments, out_fd, -1);
	unsetenv(preload);
	return pid;
}

static int open_file(const char *build, const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", build, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	if (fd < 0)
		fprintf(stderr, "compare: cannot write %s: %s\n", path, strerror(errno));
	return fd;
}

static pid_t start_collector(const struct contender *contender, const char *build, pid_t target)
{
	char program[PATH_MAX], target_text[16];
	char *arguments[] = {program,
			     "-p",
			     target_text,
			     "--mode",
			     (char *)contender->mode,
			     "-q",
			     "--json",
			     "--listen",
			     "127.0.0.1:0",
			     "--no-token",
			     contender->stacks ? "--stacks" : NULL,
			     (char *)contender->stacks,
			     NULL};
	pid_t pid = -1;
	int said_fd, log_fd;

	snprintf(program, sizeof(program), "%s/mmviz-bpf", build);
	snprintf(target_text, sizeof(target_text), "%d", (int)target);
	said_fd = open_file(build, COLLECTOR_SAID, O_TRUNC);
	log_fd = open_file(build, COLLECTOR_LOG, O_APPEND);
	if (said_fd >= 0 && log_fd >= 0)
		pid = start(arguments, said_fd, log_fd);
	close(said_fd);
	close(log_fd);
	return pid;
}

/* The workload's first line: it has started, and its libraries are there. */
static void await_ready(int fd)
{
	char letter;

	while (read(fd, &letter, 1) == 1 && letter != '\n')
		continue;
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
		FIELD(peak_bytes),  FIELD(traced),	   FIELD(dropped),
#undef FIELD
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			*(double *)((char *)sample + fields[i].offset) = value;
}

/* Lines of a name and a number, and one that names the allocator that did the work. Tracers say
 * other things in between. */
static bool read_sample(int fd, const struct contender *contender, struct sample *out)
{
	char line[PATH_MAX + 64], name[32], value[PATH_MAX];
	bool is_right = false;
	FILE *file = fdopen(fd, "r");

	memset(out, 0, sizeof(*out));
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%31s %4095s", name, value) != 2)
			continue;
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

/* What the collector has seen and lost: from its summary. */
static void read_collector(const char *build, struct sample *out)
{
	char path[PATH_MAX], text[1024];
	const char *seen, *lost;
	FILE *file;

	snprintf(path, sizeof(path), "%s/" COLLECTOR_SAID, build);
	file = fopen(path, "re");
	if (!file)
		return;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	seen = strstr(text, "\"events_seen\":");
	lost = strstr(text, "\"events_lost\":");
	out->traced = seen ? strtod(strchr(seen, ':') + 1, NULL) : 0;
	out->dropped = lost ? strtod(strchr(lost, ':') + 1, NULL) : 0;
}

/* Nothing is known of what samples leave out, nor of trapped events. On a busy machine our picture
 * may begin a little after the clock; then the probe was armed, and its price is paid. */
static bool has_seen_enough(const struct contender *contender, const struct sample *sample)
{
	bool is_to_see = contender->mode ? strcmp(contender->mode, "exact") == 0
					 : contender->tracer && !contender->is_sampling;
	double least = contender->mode ? sample->operations / 2 : sample->operations;

	if (!is_to_see || sample->traced + sample->dropped >= least)
		return true;
	fprintf(stderr, "compare: %s has seen %.0f of %.0f calls\n", contender->name,
		sample->traced + sample->dropped, sample->operations);
	return false;
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
	if (target > 0 && contender->mode) {
		await_ready(pipe_fds[0]);
		collector = start_collector(contender, job->build, target);
	}
	is_whole = read_sample(pipe_fds[0], contender, out);
	status = target > 0 ? wait_for(target) : -1;
	if (collector > 0) {
		kill(collector, SIGINT);
		wait_for(collector);
		read_collector(job->build, out);
	}
	if (job->callgrind_path)
		out->instructions = read_instructions(job->callgrind_path);
	out->is_valid = is_whole && status == 0 && has_seen_enough(contender, out) &&
			(!job->callgrind_path || out->instructions > 0);
	if (out->is_valid)
		return 0;
	tell_failure(contender, job);
	return -1;
}
