/* SPDX-License-Identifier: MIT */
/*
 * options.c - one argp table for all sub-commands, filtered by what a command accepts.
 *
 * Owns the spelling, the meaning and the limits of every shared option. Must not know what a
 * command does with them. All of its state is on the caller's stack.
 */
#define _GNU_SOURCE
#include "commands/options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES_MIN 4096
#define RING_BYTES_MAX (1u << 31)

enum option_key {
	KEY_MODE = 0x100,
	KEY_SAMPLE,
	KEY_SAMPLE_BY,
	KEY_MIN_BYTES,
	KEY_MAX_BYTES,
	KEY_TAG,
	KEY_THREAD,
	KEY_STACKS,
	KEY_SAMPLE_BYTES,
	KEY_LISTEN,
	KEY_TOKEN_FILE,
	KEY_NO_TOKEN,
	KEY_JSON,
	KEY_FORMAT,
	KEY_ROUNDS,
	KEY_RING_BYTES,
	KEY_PERF,
	KEY_STOP,
	KEY_FOLLOW,
};

static const struct {
	enum option_set set;
	struct argp_option argp;
} table[] = {
	{OPTION_PID, {"pid", 'p', "PID", 0, "the process to look at", 1}},
	{OPTION_SECONDS, {"duration", 'd', "SECONDS", 0, "stop after this time", 1}},
	{OPTION_OUTPUT, {"output", 'o', "FILE", 0, "write to FILE, not to standard output", 1}},
	{OPTION_FORMAT, {"format", KEY_FORMAT, "NAME", 0, "format of the output", 1}},
	{OPTION_ROUNDS, {"rounds", KEY_ROUNDS, "N", 0, "repeat N times", 1}},
	{OPTION_COMMAND,
	 {"follow", KEY_FOLLOW, NULL, 0,
	  "its children use mmviz too, so that they can be listed and attached to", 1}},
	{OPTION_STOP,
	 {"stop", KEY_STOP, NULL, 0,
	  "stop the process meanwhile: consistent, but its waiting system calls may return EINTR",
	  1}},
	{OPTION_JSON, {"json", KEY_JSON, NULL, 0, "print JSON", 1}},
	{OPTION_MODE,
	 {"mode", KEY_MODE, "MODE", 0,
	  "exact (default): every event; sampled: stacks of byte-sampled allocations only; events: "
	  "a list of chosen allocations and their frees; every one traps, about a microsecond",
	  2}},
	{OPTION_MODE,
	 {"sample", KEY_SAMPLE, "N", 0,
	  "mode events: one of N allocations is told, with its free; chosen in the kernel (default "
	  "1: all)",
	  2}},
	{OPTION_MODE,
	 {"sample-by", KEY_SAMPLE_BY, "WHAT", 0,
	  "mode events: count (default), or bytes: N is the mean number of bytes between two", 2}},
	{OPTION_MODE,
	 {"min-bytes", KEY_MIN_BYTES, "N", 0, "mode events: only blocks of at least N bytes", 2}},
	{OPTION_MODE,
	 {"max-bytes", KEY_MAX_BYTES, "N", 0, "mode events: only blocks of at most N bytes", 2}},
	{OPTION_MODE, {"tag", KEY_TAG, "NAME", 0, "mode events: only blocks of this tag", 2}},
	{OPTION_MODE,
	 {"thread", KEY_THREAD, "TID", 0, "mode events: only what this thread allocates", 2}},
	{OPTION_STACKS,
	 {"stacks", KEY_STACKS, "WHICH", 0,
	  "call stacks: off, sampled (default) or all; all costs about 30 ns per allocation", 2}},
	{OPTION_STACKS,
	 {"sample-bytes", KEY_SAMPLE_BYTES, "N", 0,
	  "mean number of bytes between two sampled stacks (default 524288)", 2}},
	{OPTION_LISTEN,
	 {"listen", KEY_LISTEN, "ADDR:PORT", 0, "serve here (default 127.0.0.1:7070)", 3}},
	{OPTION_LISTEN,
	 {"token-file", KEY_TOKEN_FILE, "FILE", 0, "take the access token from FILE", 3}},
	{OPTION_LISTEN, {"no-token", KEY_NO_TOKEN, NULL, 0, "let every local user look", 3}},
	{OPTION_VERBOSITY, {"verbose", 'v', NULL, 0, "say more, also what libbpf says", 4}},
	{OPTION_VERBOSITY, {"quiet", 'q', NULL, 0, "say nothing but errors", 4}},
	{OPTION_ATTACH, {"ring-bytes", KEY_RING_BYTES, "N", OPTION_HIDDEN, NULL, 4}},
	{OPTION_ATTACH, {"perf", KEY_PERF, NULL, OPTION_HIDDEN, NULL, 4}},
};
#define TABLE_ROWS (sizeof(table) / sizeof(table[0]))

struct parse {
	const struct options_spec *spec;
	struct options options;
};

static uint64_t parse_number(struct argp_state *state, const char *name, const char *text,
			     uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
	    value > max)
		argp_error(state, "%s: '%s' is not a whole number from %llu to %llu", name, text,
			   (unsigned long long)min, (unsigned long long)max);
	return value;
}

static double parse_seconds(struct argp_state *state, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value <= 0)
		argp_error(state, "-d: '%s' is not a positive number of seconds", text);
	return value;
}

/* The index of `text` in the NULL-terminated list `names`. */
static int parse_choice(struct argp_state *state, const char *name, const char *text,
			const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	argp_failure(state, 0, 0, "%s: '%s' is not known; known are:", name, text);
	for (int i = 0; names[i] != NULL; i++)
		fprintf(state->err_stream, "  %s\n", names[i]);
	argp_state_help(state, state->err_stream, ARGP_HELP_STD_ERR);
	return 0;
}

static uint32_t parse_ring_bytes(struct argp_state *state, const char *text)
{
	uint64_t bytes = parse_number(state, "--ring-bytes", text, RING_BYTES_MIN, RING_BYTES_MAX);

	if ((bytes & (bytes - 1)) != 0)
		argp_error(state, "--ring-bytes: '%s' is not a power of two", text);
	return (uint32_t)bytes;
}

/* A tag's name, as it is shown. */
static void parse_tag(struct argp_state *state, const char *text, struct events_settings *events)
{
	if (text[0] == '\0' || strlen(text) >= sizeof(events->tag))
		argp_error(state, "--tag: a name has 1 to %zu bytes", sizeof(events->tag) - 1);
	strncpy(events->tag, text, sizeof(events->tag) - 1);
}

/* What mode events tells; these can be changed on its page, too. */
static error_t parse_events(int key, char *arg, struct argp_state *state,
			    struct events_settings *events)
{
	static const char *const by[] = {"count", "bytes", NULL};

	switch (key) {
	case KEY_SAMPLE:
		events->sample = parse_number(state, "--sample", arg, 1, EVENTS_SAMPLE_MAX);
		return 0;
	case KEY_SAMPLE_BY:
		events->is_by_bytes = (uint32_t)parse_choice(state, "--sample-by", arg, by);
		return 0;
	case KEY_MIN_BYTES:
		events->min_bytes = parse_number(state, "--min-bytes", arg, 0, EVENTS_BLOCK_MAX);
		return 0;
	case KEY_MAX_BYTES:
		events->max_bytes = parse_number(state, "--max-bytes", arg, 0, EVENTS_BLOCK_MAX);
		return 0;
	case KEY_TAG:
		parse_tag(state, arg, events);
		return 0;
	case KEY_THREAD:
		events->thread_id = (uint32_t)parse_number(state, "--thread", arg, 1, 1 << 22);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void check_events(struct argp_state *state, const struct options *options)
{
	const char *why = events_settings_check(&options->events);

	if (options->mode != ATTACH_EVENTS &&
	    memcmp(&options->events, &events_everything, sizeof(events_everything)) != 0)
		argp_error(state, "--sample, --sample-by, --min-bytes, --max-bytes, --tag and "
				  "--thread are for --mode events");
	if (options->mode == ATTACH_EVENTS && options->stacks == STACKS_ALL)
		argp_error(state, "--stacks all is not for --mode events, which chooses by tag: "
				  "leave one of them out");
	if (why != NULL)
		argp_error(state, "%s", why);
}

/* Options of attaching and of what is recorded. */
static error_t parse_attach(int key, char *arg, struct argp_state *state, struct options *options)
{
	static const char *const modes[] = {"exact", "sampled", "events", NULL};
	static const char *const stacks[] = {"off", "sampled", "all", NULL};

	switch (key) {
	case KEY_MODE:
		options->mode = (enum attach_mode)parse_choice(state, "--mode", arg, modes);
		return 0;
	case KEY_STACKS:
		options->stacks = (enum options_stacks)parse_choice(state, "--stacks", arg, stacks);
		return 0;
	case KEY_SAMPLE_BYTES:
		options->sample_bytes = parse_number(state, "--sample-bytes", arg, 1, 1ULL << 40);
		return 0;
	case KEY_RING_BYTES:
		options->ring_bytes = parse_ring_bytes(state, arg);
		return 0;
	case KEY_PERF:
		options->force_perf = true;
		return 0;
	default:
		return parse_events(key, arg, state, &options->events);
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;
	struct options *options = &parse->options;

	switch (key) {
	case 'p':
		options->pid = (pid_t)parse_number(state, "-p", arg, 1, 1 << 22);
		return 0;
	case 'd':
		options->seconds = parse_seconds(state, arg);
		return 0;
	case 'o':
		options->output = arg;
		return 0;
	case 'v':
		options->verbosity = 1;
		return 0;
	case 'q':
		options->verbosity = -1;
		return 0;
	case KEY_LISTEN:
		options->listen = arg;
		return 0;
	case KEY_TOKEN_FILE:
		options->token_file = arg;
		return 0;
	case KEY_NO_TOKEN:
		options->no_token = true;
		return 0;
	case KEY_STOP:
		options->stop = true;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case KEY_FORMAT:
		options->format = parse->spec->formats[parse_choice(state, "--format", arg,
								    parse->spec->formats)];
		return 0;
	case KEY_ROUNDS:
		options->rounds = (uint32_t)parse_number(state, "--rounds", arg, 1, UINT32_MAX);
		return 0;
	case KEY_FOLLOW:
		options->follow = true;
		return 0;
	case ARGP_KEY_ARG:
		if (parse->spec->accepts & OPTION_COMMAND) {
			options->command = &state->argv[state->next - 1];
			state->next = state->argc; /* all the rest is the command's */
			return 0;
		}
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	case ARGP_KEY_END:
		if ((parse->spec->accepts & OPTION_PID) && options->pid == 0)
			argp_error(state, "-p PID is missing; `mmviz-bpf list` shows what can be "
					  "looked at");
		if ((parse->spec->accepts & OPTION_COMMAND) && options->command == NULL)
			argp_error(state, "there is no program to start: mmviz-bpf run -- COMMAND");
		check_events(state, options);
		return 0;
	default:
		return parse_attach(key, arg, state, options);
	}
}

static char *help_text(const struct options_spec *spec)
{
	char *text;

	if (asprintf(&text, "%s\vEXAMPLES\n%s", spec->summary, spec->examples) < 0)
		abort();
	return text;
}

void options_parse(const struct options_spec *spec, int argc, char **argv, struct options *out)
{
	struct parse parse = {
		.spec = spec,
		.options = {.mode = ATTACH_EXACT,
			    .events = events_everything,
			    .stacks = STACKS_SAMPLED,
			    .sample_bytes = 512 << 10,
			    .listen = "127.0.0.1:7070",
			    .format = spec->formats != NULL ? spec->formats[0] : NULL},
	};
	struct argp_option accepted[TABLE_ROWS + 1];
	struct argp argp = {.options = accepted, .parser = parse_option};
	char *doc = help_text(spec);
	size_t count = 0;

	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (spec->accepts & table[i].set)
			accepted[count++] = table[i].argp;
	accepted[count] = (struct argp_option){0};
	argp.doc = doc;
	if (spec->accepts & OPTION_COMMAND)
		argp.args_doc = "[--] COMMAND [ARGUMENT...]";
	argp_parse(&argp, argc, argv, spec->accepts & OPTION_COMMAND ? ARGP_IN_ORDER : 0, NULL,
		   &parse);
	free(doc);
	*out = parse.options;
}

struct attach_options options_attach(const struct options *options)
{
	return (struct attach_options){
		.mode = options->mode,
		.ring_bytes = options->ring_bytes,
		.all_stacks = options->stacks == STACKS_ALL,
		.force_perf = options->force_perf,
		.is_verbose = options->verbosity > 0,
	};
}
