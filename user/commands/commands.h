/* SPDX-License-Identifier: MIT */
/*
 * commands.h - the sub-commands of mmviz-bpf, one file each.
 *
 * A command gets its own argv (argv[0] is "mmviz-bpf NAME"), parses it with options_parse and
 * returns 0, a negative errno whose error it has already reported, or COMMAND_CHECK_FAILED. The
 * exit code that follows from it is chosen by main alone: -ESRCH and -ENODATA 69, -EPERM and
 * -EACCES 77, others 1. Usage errors end the program with 64 inside options_parse.
 */
#ifndef MMVIZ_COMMANDS_H
#define MMVIZ_COMMANDS_H

#include <signal.h>

#define COMMAND_CHECK_FAILED 2 /* everything ran, and what was checked does not hold */

int command_live(int argc, char **argv);
int command_run(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_report(int argc, char **argv);
int command_list(int argc, char **argv);
int command_doctor(int argc, char **argv);

/*
 * Set by SIGINT and SIGTERM, which also make a blocking call return EINTR: leave the loop, detach,
 * return 0. A second signal kills.
 */
extern volatile sig_atomic_t command_stop;

#endif
