/* SPDX-License-Identifier: MIT */
/*
 * report.c - `mmviz-bpf report`: sample call stacks for a while, write them down, detach.
 *
 * The file is opened first and privileges are given up after the attach, as in live.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "export/folded.h"
#include "export/pprof.h"
#include "export/stacks.h"
#include "serve/sandbox.h"
#include "session.h"

#define SECONDS_DEFAULT 10
#define TICK_MS		50

static const char *const formats[] = {"pprof", "folded", "folded-allocated", "json", NULL};

static const struct options_spec spec = {
	.accepts = OPTION_PID | OPTION_SECONDS | OPTION_OUTPUT | OPTION_FORMAT | OPTION_STACKS |
		   OPTION_VERBOSITY | OPTION_ATTACH,
	.summary = "Sample who allocates, by call stack, for -d seconds (10 by default) or until "
		   "the process ends, and write estimates of what was allocated and what of it is "
		   "live: pprof (compressed), folded (live bytes) and folded-allocated for flame "
		   "graphs, json with intervals.",
	.formats = formats,
	.examples =
		"  sudo mmviz-bpf report -p 4711 -o heap.pb.gz && pprof -http=: heap.pb.gz\n"
		"  sudo mmviz-bpf report -p 4711 -d 60 --format folded | flamegraph.pl > x.svg\n"
		"  sudo mmviz-bpf report -p 4711 --sample-bytes 65536 --format json\n",
};

static int follow(struct session *session, double seconds)
{
	struct timespec now, end;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	end.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	do {
		result = session_tick(session, TICK_MS);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (result == 0 && !command_stop &&
		 (double)(end.tv_sec - now.tv_sec) + (double)(end.tv_nsec - now.tv_nsec) / 1e9 > 0);
	return result < 0 ? result : 0;
}

static int write_json(FILE *out, const struct stack_view *view, pid_t pid)
{
	json_t *json = export_json_stacks(view, pid);
	int error = json == NULL ? -ENOMEM : 0;

	if (error == 0 && (json_dumpf(json, out, JSON_INDENT(2)) != 0 || fputc('\n', out) == EOF))
		error = -EIO;
	json_decref(json);
	return error;
}

static int write_pprof(FILE *out, const struct stack_view *view)
{
	char *bytes = NULL;
	size_t count = 0;
	int error = export_pprof(view, PPROF_LIVE, &bytes, &count);

	if (error == 0 && fwrite(bytes, 1, count, out) != count)
		error = -EIO;
	free(bytes);
	return error;
}

static int write_format(FILE *out, const struct stack_view *view, const struct options *options)
{
	if (strcmp(options->format, "json") == 0)
		return write_json(out, view, options->pid);
	if (strcmp(options->format, "pprof") == 0)
		return write_pprof(out, view);
	export_folded(out, view, strcmp(options->format, "folded-allocated") == 0);
	return ferror(out) ? -EIO : 0;
}

static int sample(struct session *session, FILE *out, const struct options *options)
{
	struct stack_view view;
	int error = follow(session, options->seconds > 0 ? options->seconds : SECONDS_DEFAULT);

	if (error == 0) {
		session_stacks_finish(session);
		error = session_stacks(session, 0, &view);
	}
	if (error != 0) {
		fprintf(stderr, "mmviz-bpf: following the target failed: %s\n", strerror(-error));
		return error;
	}
	error = write_format(out, &view, options);
	if (error == 0 && options->verbosity >= 0)
		fprintf(stderr, "mmviz-bpf: %lu samples on %u stacks, one for about %lu bytes\n",
			view.samples, view.rows_count > 2 ? view.rows_count - 2 : 0,
			view.sample_bytes);
	session_stacks_free(&view);
	return error;
}

static int report_to(FILE *out, const struct options *options)
{
	const struct session_options wanted = {
		.pid = options->pid,
		.attach = options_attach(options),
		.sample_bytes = options->sample_bytes,
	};
	struct session *session;
	int error = session_open(&wanted, &session);

	if (error != 0)
		return error;
	error = sandbox_drop_privileges();
	if (error == 0)
		error = sample(session, out, options);
	session_close(session);
	return error;
}

int command_report(int argc, char **argv)
{
	struct options options;
	FILE *out = stdout;
	int error;

	options_parse(&spec, argc, argv, &options);
	options.mode = ATTACH_SAMPLED;
	if (options.stacks != STACKS_SAMPLED) {
		fprintf(stderr, "mmviz-bpf: report samples stacks: --stacks is sampled here\n");
		return -EINVAL;
	}
	if (options.output != NULL)
		out = fopen(options.output, "we");
	if (out == NULL) {
		error = -errno;
		fprintf(stderr, "mmviz-bpf: cannot write %s: %s\n", options.output,
			strerror(-error));
		return error;
	}
	error = report_to(out, &options);
	if ((out == stdout ? fflush(out) : fclose(out)) != 0 && error == 0) {
		error = -errno;
		fprintf(stderr, "mmviz-bpf: writing failed: %s\n", strerror(-error));
	}
	return error;
}
