/* SPDX-License-Identifier: MIT */
/*
 * list.c - `mmviz-bpf list`: the processes that can be attached.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/registry_reader.h"
#include "collect/target.h"
#include "commands/commands.h"
#include "commands/options.h"

static const struct options_spec spec = {
	.accepts = OPTION_JSON | OPTION_VERBOSITY,
	.summary = "List the processes that are linked with libmmviz and that you may look at.",
	.examples = "  sudo mmviz-bpf list\n"
		    "  sudo mmviz-bpf list --json | jq '.processes[].pid'\n",
};

struct list {
	json_t *rows; /* NULL: print a table */
	unsigned found;
};

struct row {
	pid_t pid;
	const char *comm, *path;
	uint32_t arenas;
	uint64_t committed_bytes;
	bool is_watched;
};

static bool is_watched(const struct target *target)
{
	static const struct mmviz_semaphores none;
	uint64_t registry_addr = target_registry_addr(target);
	struct mmviz_semaphores now;
	uint16_t error;

	return target_read(target, registry_addr, &now, sizeof(now)) == 0 &&
	       target_read(target, registry_addr + offsetof(struct mmviz_registry, error_semaphore),
			   &error, sizeof(error)) == 0 &&
	       (memcmp(&now, &none, sizeof(now)) != 0 || error != 0);
}

/* Count what is alive. A process that cannot be read (it says why itself) is not listed. */
static int row_read(struct row *row)
{
	struct target *target;
	struct registry_reader *reader;
	const struct registry_arena **arenas;
	int error = target_open(row->pid, &target);

	if (error != 0)
		return error;
	error = registry_reader_open(target, &reader);
	if (error == 0) {
		uint32_t count = registry_reader_arenas(reader, &arenas);

		for (uint32_t i = 0; i < count; i++)
			row->committed_bytes += arenas[i]->head.committed_units * MMVIZ_UNIT_BYTES;
		row->arenas = count;
		row->is_watched = is_watched(target);
		registry_reader_close(reader);
	}
	target_close(target);
	return error;
}

static void row_print(const struct row *row, bool is_first)
{
	if (is_first)
		printf("%7s  %-15s  %6s  %10s  %-7s  %s\n", "PID", "COMMAND", "ARENAS", "COMMITTED",
		       "WATCHED", "PROBES IN");
	printf("%7d  %-15s  %6" PRIu32 "  %6" PRIu64 " MiB  %-7s  %s\n", (int)row->pid, row->comm,
	       row->arenas, row->committed_bytes >> 20, row->is_watched ? "yes" : "no", row->path);
}

static json_t *row_json(const struct row *row)
{
	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:b}", "pid", (int)row->pid, "comm", row->comm,
			 "path", row->path, "arenas", (json_int_t)row->arenas, "committed_bytes",
			 (json_int_t)row->committed_bytes, "watched", row->is_watched);
}

static int visit(pid_t pid, const char *comm, const char *path, void *context)
{
	struct list *list = context;
	struct row row = {.pid = pid, .comm = comm, .path = path};

	if (row_read(&row) != 0)
		return 0;
	if (list->rows != NULL)
		json_array_append_new(list->rows, row_json(&row));
	else
		row_print(&row, list->found == 0);
	list->found++;
	return 0;
}

int command_list(int argc, char **argv)
{
	struct options options;
	struct list list = {0};
	int error;

	options_parse(&spec, argc, argv, &options);
	if (options.json)
		list.rows = json_array();
	error = target_each(visit, &list);
	if (options.json) {
		json_t *all = json_pack("{s:i, s:o}", "version", 1, "processes", list.rows);

		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(all);
	} else if (list.found == 0 && error == 0 && options.verbosity >= 0) {
		fprintf(stderr, "mmviz-bpf: no process that is linked with libmmviz was found\n");
	}
	if (geteuid() != 0 && options.verbosity >= 0)
		fprintf(stderr, "mmviz-bpf: only your own processes were searched; all of them: "
				"sudo mmviz-bpf list\n");
	return error;
}
