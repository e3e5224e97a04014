/* SPDX-License-Identifier: MIT */
/*
 * options.h - the options that the sub-commands share: one meaning, one spelling, one parser.
 *
 * A command says which of them it accepts; the others are usage errors there and are not in its
 * --help.
 */
#ifndef MMVIZ_OPTIONS_H
#define MMVIZ_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collect/attach.h"
#include "model/events.h"

enum option_set {
	OPTION_PID = 1 << 0,	 /* -p PID; required where it is accepted */
	OPTION_SECONDS = 1 << 1, /* -d SECONDS */
	OPTION_OUTPUT = 1 << 2,	 /* -o FILE */
	OPTION_MODE =
		1 << 3, /* --mode exact|sampled|events; --sample N and other settings of events */
	OPTION_STACKS = 1 << 4,	   /* --stacks off|sampled|all, --sample-bytes N */
	OPTION_LISTEN = 1 << 5,	   /* --listen ADDR:PORT, --token-file FILE, --no-token */
	OPTION_JSON = 1 << 6,	   /* --json */
	OPTION_FORMAT = 1 << 7,	   /* --format NAME */
	OPTION_ROUNDS = 1 << 8,	   /* --rounds N */
	OPTION_VERBOSITY = 1 << 9, /* -v, -q */
	OPTION_ATTACH = 1 << 10,   /* hidden, for tests: --ring-bytes N, --perf */
	OPTION_STOP = 1 << 11,	   /* --stop */
	OPTION_COMMAND = 1 << 12,  /* -- COMMAND ARGUMENT..., required; --follow */
};

enum options_stacks { STACKS_OFF, STACKS_SAMPLED, STACKS_ALL };

/* What was asked for; a member whose option is not accepted holds its default. */
struct options {
	pid_t pid;
	double seconds;		       /* 0: until Ctrl-C or the target's end */
	const char *output;	       /* NULL: standard output */
	enum attach_mode mode;	       /* ATTACH_EXACT */
	struct events_settings events; /* mode events; events_everything */
	enum options_stacks stacks;    /* STACKS_SAMPLED */
	uint64_t sample_bytes;	       /* 512 KiB */
	const char *listen;	       /* "127.0.0.1:7070" */
	const char *token_file;	       /* NULL: a random token */
	bool no_token;
	bool stop;
	bool json;
	const char *format;  /* one of options_spec.formats; the first by default */
	uint32_t rounds;     /* 0: not given */
	int verbosity;	     /* -1 quiet, 0, 1 verbose */
	char **command;	     /* NULL-terminated */
	bool follow;	     /* children of the command, too */
	uint32_t ring_bytes; /* 0: the default */
	bool force_perf;
};

struct options_spec {
	unsigned accepts;	    /* enum option_set */
	const char *summary;	    /* one paragraph for --help */
	const char *const *formats; /* with OPTION_FORMAT: names, NULL-terminated */
	const char *examples;	    /* lines for --help, each "  mmviz-bpf ...\n" */
};

/*
 * Parse argv. Ends the program for --help and --version (0) and for usage errors (64, reported).
 * Strings point into argv.
 */
void options_parse(const struct options_spec *spec, int argc, char **argv, struct options *out);
/* The part of the options that attach_open wants. */
struct attach_options options_attach(const struct options *options);

#endif
