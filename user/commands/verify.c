/* SPDX-License-Identifier: MIT */
/*
 * verify.c - `mmviz-bpf verify`: is the followed picture what a fresh walk finds?
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h> /* JSON: its escaping is somebody else's well-tested work */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "session.h"

#define ROUNDS_DEFAULT 10u
#define BETWEEN_MS     100 /* rounds follow the target for a while before they compare */

static const struct options_spec spec = {
	.accepts = OPTION_PID | OPTION_ROUNDS | OPTION_STACKS | OPTION_JSON | OPTION_VERBOSITY |
		   OPTION_ATTACH,
	.summary = "Follow a process and compare the picture with a fresh walk of its heap, N "
		   "times (default 10). Exit status 0: equal every time, and no event was lost. 2: "
		   "not so.",
	.examples = "  sudo mmviz-bpf verify -p 4711\n"
		    "  sudo mmviz-bpf verify -p 4711 --rounds 100 --json\n",
};

static void print_text(uint32_t round, const struct session_verdict *verdict)
{
	printf("round %" PRIu32 ": %s, %" PRIu64 " blocks compared", round,
	       verdict->is_equal ? "equal" : "NOT EQUAL", verdict->compared_blocks);
	if (!verdict->is_equal)
		printf(" (%" PRIu64 " missing, %" PRIu64 " extra, %" PRIu64 " different)",
		       verdict->missing, verdict->extra, verdict->different);
	printf(", %" PRIu64 " events seen, %" PRIu64 " lost, %" PRIu64 " resyncs, %" PRIu32
	       " retries\n",
	       verdict->events_seen, verdict->lost_events, verdict->resyncs, verdict->retries);
}

static void print_json(uint32_t round, const struct session_verdict *verdict)
{
	json_t *line = json_pack(
		"{s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "round", (json_int_t)round,
		"equal", (int)verdict->is_equal, "compared_blocks",
		(json_int_t)verdict->compared_blocks, "missing", (json_int_t)verdict->missing,
		"extra", (json_int_t)verdict->extra, "different", (json_int_t)verdict->different,
		"events_seen", (json_int_t)verdict->events_seen, "events_lost",
		(json_int_t)verdict->lost_events, "resyncs", (json_int_t)verdict->resyncs,
		"retries", (json_int_t)verdict->retries);

	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

static int follow(struct session *session)
{
	int result = session_tick(session, BETWEEN_MS);

	return result == 1 ? -ESRCH : result;
}

static int print_round(const struct options *options, uint32_t round,
		       const struct session_verdict *verdict)
{
	int error;

	if (options->json)
		print_json(round, verdict);
	else if (options->verbosity >= 0)
		print_text(round, verdict);
	if (fflush(stdout) == 0)
		return 0;
	error = -errno;
	fprintf(stderr, "mmviz-bpf: writing to standard output failed: %s\n", strerror(-error));
	return error;
}

static int tell_end(int error)
{
	if (error == -ESRCH)
		fprintf(stderr, "mmviz-bpf: the target has ended; what was compared before is "
				"above\n");
	else
		fprintf(stderr, "mmviz-bpf: following the target failed: %s\n", strerror(-error));
	return error;
}

/* COMMAND_CHECK_FAILED if a round was not equal. */
static int run_rounds(struct session *session, const struct options *options)
{
	uint32_t rounds = options->rounds ? options->rounds : ROUNDS_DEFAULT;
	int result = 0;

	for (uint32_t round = 1; round <= rounds && !command_stop; round++) {
		struct session_verdict verdict;
		int error = follow(session);

		if (!error)
			error = session_verify(session, &verdict);
		if (error)
			return tell_end(error);
		if (!verdict.is_equal || verdict.lost_events)
			result = COMMAND_CHECK_FAILED;
		error = print_round(options, round, &verdict);
		if (error)
			return error;
	}
	return result;
}

/* Events that were lost between two rounds count too. */
static int check_losses(const struct session *session, int result)
{
	struct view_totals totals;

	view_totals(session_view(session), &totals);
	if (totals.events_lost == 0)
		return result;
	fprintf(stderr,
		"mmviz-bpf: %" PRIu64 " of %" PRIu64 " events were lost (%" PRIu64 " resyncs); "
		"give the collector more CPU, or more memory with --ring-bytes\n",
		totals.events_lost, totals.events_lost + totals.events_seen, totals.resyncs);
	return result < 0 ? result : COMMAND_CHECK_FAILED;
}

int command_verify(int argc, char **argv)
{
	struct options options;
	struct session_options session_options;
	struct session *session;
	int result;

	options_parse(&spec, argc, argv, &options);
	session_options =
		(struct session_options){.pid = options.pid, .attach = options_attach(&options)};
	result = session_open(&session_options, &session);
	if (result)
		return result;
	result = check_losses(session, run_rounds(session, &options));
	session_close(session);
	return result;
}
