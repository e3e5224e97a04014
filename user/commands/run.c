/* SPDX-License-Identifier: MIT */
/*
 * run.c - `mmviz-bpf run -- CMD`: start an unmodified program under the preload library and follow
 * it from its first allocation.
 *
 * The live command with a target of our own making: launch.c starts and holds it, live.c attaches,
 * then it may go. Standard input and output are the program's; ours goes to standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/launch.h"
#include "commands/live.h"
#include "commands/options.h"

struct run {
	struct launch *launch;
	int output_fd; /* -1: standard output */
};

static const struct options_spec spec = {
	.accepts = OPTION_COMMAND | OPTION_SECONDS | OPTION_OUTPUT | OPTION_MODE | OPTION_STACKS |
		   OPTION_LISTEN | OPTION_JSON | OPTION_VERBOSITY | OPTION_ATTACH,
	.summary =
		"Start a program that knows nothing of mmviz with mmviz in the place of malloc, "
		"follow it from its first allocation, and serve the picture as a web page, which "
		"stays when the program has ended. How it ended is told; the exit status is 0 all "
		"the same. --json prints the summary as one line at the end, -o writes it to a "
		"file.",
	.examples = "  sudo mmviz-bpf run -- python3 script.py\n"
		    "  sudo mmviz-bpf run -d 10 -q -o summary.json -- sqlite3 file.db 'select 1'\n"
		    "  sudo mmviz-bpf run --follow -- make -j4     # children carry mmviz too:\n"
		    "  sudo mmviz-bpf list                         # here they are\n",
};

static int start(void *context, pid_t *out)
{
	struct run *run = context;
	int error = launch_start(run->launch, out);

	/* From here on standard output is for the summary alone. */
	if (error == 0 && run->output_fd >= 0 && dup2(run->output_fd, STDOUT_FILENO) < 0)
		error = -errno;
	return error;
}

static void on_attached(void *context)
{
	const struct run *run = context;

	launch_release(run->launch);
}

static int open_output(struct run *run, const char *path)
{
	int error;

	run->output_fd = -1;
	if (path == NULL)
		return 0;
	run->output_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (run->output_fd >= 0)
		return 0;
	error = -errno;
	fprintf(stderr, "mmviz-bpf: %s: %s\n", path, strerror(-error));
	return error;
}

int command_run(int argc, char **argv)
{
	struct run run = {0};
	struct live_hooks hooks = {.context = &run, .start = start, .attached = on_attached};
	struct options options;
	int error;

	options_parse(&spec, argc, argv, &options);
	error = open_output(&run, options.output);
	if (error == 0)
		error = launch_prepare(options.command, options.follow, &run.launch);
	options.json = options.json || options.output != NULL;
	if (error == 0)
		error = live_serve(&options, &hooks);
	launch_close(run.launch);
	if (run.output_fd >= 0)
		close(run.output_fd);
	return error;
}
