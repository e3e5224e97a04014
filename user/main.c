/* SPDX-License-Identifier: MIT */
/*
 * main.c - mmviz-bpf: finds the sub-command, and turns its result into an exit code.
 *
 * The only place that knows exit codes and signals. A new command is a file in commands/, a line
 * in commands.h and a row in the table below.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"live", command_live, "attach and serve the dashboard; this is what -p alone does"},
	{"run", command_run, "start a program under mmviz's malloc and follow it"},
	{"snapshot", command_snapshot, "write down the heap as it is now; needs no BPF"},
	{"verify", command_verify, "check that the followed picture equals a fresh walk"},
	{"report", command_report, "call stacks of a while: for pprof, for flame graphs, as JSON"},
	{"list", command_list, "processes that can be attached"},
	{"doctor", command_doctor, "what this machine lacks, and the command that mends it"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

const char *argp_program_version = "mmviz-bpf 0.1.0";
volatile sig_atomic_t command_stop;

static void on_signal(int signal_number)
{
	(void)signal_number;
	command_stop = 1;
}

/* No SA_RESTART: a blocking call returns EINTR. SA_RESETHAND: the second signal kills. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void print_help(FILE *stream)
{
	fprintf(stream, "Usage: mmviz-bpf [COMMAND] [OPTION...]\n"
			"An exact live picture of a running process's heap.\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(stream,
		"\n`mmviz-bpf COMMAND --help` lists the options of a command.\n\n"
		"EXAMPLES\n"
		"  mmviz-bpf list                       what can be looked at\n"
		"  sudo mmviz-bpf -p 4711               the dashboard of process 4711\n"
		"  sudo mmviz-bpf run -- python3 x.py   start any program, and see all of it\n"
		"  sudo mmviz-bpf snapshot -p 4711      its heap as JSON\n"
		"  sudo mmviz-bpf doctor                when attaching fails\n\n"
		"EXIT STATUS\n"
		"  0 fine or Ctrl-C, 1 error, 2 a check failed, 64 usage, 69 target gone or\n"
		"  without probes, 77 not permitted\n");
}

static int exit_code(int result)
{
	switch (result) {
	case 0:
	case COMMAND_CHECK_FAILED:
		return result;
	case -ESRCH:
	case -ENODATA:
		return EX_UNAVAILABLE;
	case -EPERM:
	case -EACCES:
		return EX_NOPERM;
	default:
		return EXIT_FAILURE;
	}
}

/* `name` is how the user called it: the error messages begin with it. */
static int run(const struct command *command, char *name, int argc, char **argv)
{
	int result;

	argv[0] = name;
	catch_signals();
	result = command->run(argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && result == 0) {
		fprintf(stderr, "mmviz-bpf: writing to standard output failed: %m\n");
		return EXIT_FAILURE;
	}
	return exit_code(result);
}

int main(int argc, char **argv)
{
	char name[64] = "mmviz-bpf";

	argp_err_exit_status = EX_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (argv[1][0] == '-') /* also --version, answered by the command's own parser */
		return run(&commands[0], name, argc, argv);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		snprintf(name, sizeof(name), "mmviz-bpf %s", commands[i].name);
		return run(&commands[i], name, argc - 1, argv + 1);
	}
	fprintf(stderr, "mmviz-bpf: there is no command '%s'; `mmviz-bpf --help` lists them\n",
		argv[1]);
	return EX_USAGE;
}
