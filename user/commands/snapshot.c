/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - `mmviz-bpf snapshot`: the heap as it is now, without probes.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "export/blocks.h"
#include "export/exact_stacks.h"
#include "export/json.h"
#include "picture.h"

static const char *const formats[] = {"json", "ndjson", "csv", NULL};

static const struct options_spec spec = {
	.accepts = OPTION_PID | OPTION_OUTPUT | OPTION_FORMAT | OPTION_STOP | OPTION_VERBOSITY,
	.summary = "Write down the heap of a process as it is now, by reading its memory: totals "
		   "(json), or every live block (ndjson, csv). The process runs on meanwhile; "
		   "blocks_in_motion says how many blocks lie in spans that never stood still.",
	.formats = formats,
	.examples = "  sudo mmviz-bpf snapshot -p 4711 | jq .arenas[0]\n"
		    "  sudo mmviz-bpf snapshot -p 4711 --format ndjson -o blocks.ndjson\n"
		    "  sudo mmviz-bpf snapshot -p 4711 --stop --format csv\n",
};

#define STACKS_MAX 10000

/* Of a target that has named stacks. What they are not told of is told as a sum. */
static int add_stacks(json_t *json, struct picture *picture)
{
	const struct exact_view *view;
	int error = picture_stacks(picture, STACKS_MAX, &view);

	if (error)
		return error == -ENOENT ? 0 : error;
	return json_object_set_new(json, "stacks", export_json_exact_rows(view)) ||
			       json_object_set_new(json, "stacks_left_out",
						   json_pack("{s:I, s:I}", "blocks",
							     (json_int_t)view->left_out.blocks,
							     "bytes",
							     (json_int_t)view->left_out.bytes))
		       ? -ENOMEM
		       : 0;
}

static int write_json(FILE *out, struct picture *picture, pid_t pid)
{
	json_t *json = export_json_snapshot(picture_view(picture), pid, picture_pause_ns(picture));
	int error = 0;

	errno = 0;
	if (!json ||
	    json_object_set_new(json, "blocks_in_motion",
				json_integer((json_int_t)picture_blocks_in_motion(picture))))
		error = -ENOMEM;
	if (!error)
		error = add_stacks(json, picture);
	if (!error && (json_dumpf(json, out, JSON_INDENT(2)) || fputc('\n', out) == EOF))
		error = errno ? -errno : -EIO;
	json_decref(json);
	return error;
}

static int write_format(FILE *out, struct picture *picture, const struct options *options)
{
	if (strcmp(options->format, "ndjson") == 0)
		return export_blocks_ndjson(out, picture_view(picture));
	if (strcmp(options->format, "csv") == 0)
		return export_blocks_csv(out, picture_view(picture));
	return write_json(out, picture, options->pid);
}

static int write_output(struct picture *picture, const struct options *options)
{
	const char *name = options->output ? options->output : "standard output";
	FILE *out = options->output ? fopen(options->output, "we") : stdout;
	int error;

	if (!out) {
		error = -errno;
		fprintf(stderr, "mmviz-bpf: cannot write %s: %s\n", name, strerror(-error));
		return error;
	}
	error = write_format(out, picture, options);
	if ((options->output ? fclose(out) : fflush(out)) && !error)
		error = -errno;
	if (error)
		fprintf(stderr, "mmviz-bpf: writing %s failed: %s\n", name, strerror(-error));
	return error;
}

int command_snapshot(int argc, char **argv)
{
	struct options options;
	struct picture *picture;
	int error;

	options_parse(&spec, argc, argv, &options);
	error = picture_take(options.pid, options.stop, &picture);
	if (error)
		return error;
	error = write_output(picture, &options);
	picture_free(picture);
	return error;
}
