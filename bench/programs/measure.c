/* SPDX-License-Identifier: MIT */
/*
 * measure - run a program under a preloaded library, see with one's own eyes that the library is
 * there, and write down what the program took.
 *
 *	measure --preload LIBRARY --expect NAME --output FILE -- COMMAND [ARGUMENT...]
 *
 * FILE gets one line: seconds, seconds of CPU time, peak resident bytes of the largest process, and
 * the library, or "-" if no process whose executable is called NAME had it mapped. NAME may be a
 * descendant of the command. Ends with the command's status.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 5
#define DEPTH_MAX     6

struct options {
	const char *preload, *expect, *output;
	char **command;
	char library[PATH_MAX]; /* what preload is in the end, behind links */
};

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------ looking */

static bool has_name(pid_t pid, const char *name)
{
	char link[64], path[PATH_MAX];
	const char *base;
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return false;
	path[length] = '\0';
	base = strrchr(path, '/');
	return base && strcmp(base + 1, name) == 0;
}

static bool has_mapped(pid_t pid, const char *library)
{
	char path[64], line[PATH_MAX + 128];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		line[strcspn(line, "\n")] = '\0';
		found = strchr(line, '/') && strcmp(strchr(line, '/'), library) == 0;
	}
	if (maps)
		fclose(maps);
	return found;
}

static bool look(pid_t pid, const struct options *options, unsigned depth)
{
	char path[64];
	bool found = false;
	FILE *children;
	int child;

	if (has_name(pid, options->expect) && has_mapped(pid, options->library))
		return true;
	if (depth == DEPTH_MAX)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	children = fopen(path, "re");
	while (children && !found && fscanf(children, "%d", &child) == 1)
		found = look(child, options, depth + 1);
	if (children)
		fclose(children);
	return found;
}

/* ------------------------------------------------------------------ running */

static pid_t start(const struct options *options)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setenv("LD_PRELOAD", options->library, 1);
	execvp(options->command[0], options->command);
	fprintf(stderr, "measure: cannot start %s: %s\n", options->command[0], strerror(errno));
	_exit(EX_UNAVAILABLE);
}

/* Looks until it has seen the library, then only waits. Returns the status. */
static int watch(pid_t pid, const struct options *options, bool *was_seen, struct rusage *usage)
{
	const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
	int status;

	*was_seen = false;
	while (!*was_seen) {
		if (wait4(pid, &status, WNOHANG, usage) == pid)
			return status;
		*was_seen = look(pid, options, 0);
		nanosleep(&pause, NULL);
	}
	while (wait4(pid, &status, 0, usage) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static int write_down(const struct options *options, double seconds, const struct rusage *usage,
		      bool was_seen)
{
	FILE *file = fopen(options->output, "we");

	if (!file) {
		fprintf(stderr, "measure: cannot write %s: %s\n", options->output, strerror(errno));
		return -1;
	}
	fprintf(file, "%.4f %.4f %llu %s\n", seconds,
		(double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
			(double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6,
		(unsigned long long)usage->ru_maxrss << 10, was_seen ? options->library : "-");
	return fclose(file);
}

static bool parse_options(struct options *options, int argc, char **argv)
{
	static const struct option list[] = {{"preload", required_argument, NULL, 'p'},
					     {"expect", required_argument, NULL, 'e'},
					     {"output", required_argument, NULL, 'o'},
					     {0}};
	int key;

	while ((key = getopt_long(argc, argv, "+", list, NULL)) >= 0) {
		if (key == 'p')
			options->preload = optarg;
		else if (key == 'e')
			options->expect = optarg;
		else if (key == 'o')
			options->output = optarg;
		else
			return false;
	}
	options->command = argv + optind;
	return options->preload && options->expect && options->output && optind < argc;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct rusage usage = {0};
	double began;
	bool was_seen;
	pid_t pid;
	int status;

	if (!parse_options(&options, argc, argv)) {
		fprintf(stderr, "usage: measure --preload LIBRARY --expect NAME --output FILE -- "
				"COMMAND [ARGUMENT...]\n");
		return EX_USAGE;
	}
	if (!realpath(options.preload, options.library)) {
		fprintf(stderr, "measure: no %s\n", options.preload);
		return EX_NOINPUT;
	}
	began = now_seconds();
	pid = start(&options);
	if (pid < 0)
		return EX_OSERR;
	status = watch(pid, &options, &was_seen, &usage);
	if (write_down(&options, now_seconds() - began, &usage, was_seen) != 0)
		return EX_CANTCREAT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
