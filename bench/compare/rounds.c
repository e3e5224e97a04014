/* SPDX-License-Identifier: MIT */
/* rounds.c - see rounds.h. */
#include "rounds.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "contender.h"

static int run_round(const struct comparison *comparison, unsigned subject, unsigned round,
		     rounds_measure measure, void *context)
{
	unsigned count = comparison->contenders_count;
	int result = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned turn = (i + round) % count;
		unsigned most = comparison->contenders[turn].rounds_most;

		if (!most || round < most)
			result |= measure(context, subject, turn, round);
	}
	return result;
}

int rounds_run(const struct comparison *comparison, unsigned subjects, rounds_measure measure,
	       void *context)
{
	int result = 0;

	for (unsigned round = 0; round < comparison->runs; round++)
		for (unsigned subject = 0; subject < subjects; subject++)
			result |= run_round(comparison, subject, round, measure, context);
	return result;
}

/* ------------------------------------------------------------------ who */

void rounds_add_peer(struct comparison *comparison, const char *program, char *argument,
		     struct argp_state *state)
{
	char *equals = strchr(argument, '=');

	if (!equals || equals == argument || !strchr(equals, '/'))
		argp_error(state, "peer '%s' is not NAME=/path/to/library.so", argument);
	else if (comparison->contenders_count == CONTENDERS_MAX)
		argp_error(state, "more than %u contenders", CONTENDERS_MAX);
	else {
		*equals = '\0';
		comparison->contenders[comparison->contenders_count++] = (struct contender){
			.name = argument, .program = program, .library = equals + 1};
	}
}

/* Is `name` in a list with commas? */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

void rounds_choose(struct comparison *comparison, const char *build, const char *only,
		   const char *left_out, const char *who)
{
	struct contender *all = comparison->contenders;
	unsigned kept = 0;
	char reason[128];

	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		if ((only && !is_listed(only, all[i].name)) ||
		    (left_out && is_listed(left_out, all[i].name)))
			continue;
		if (contender_prepare(&all[i], build, reason))
			all[kept++] = all[i];
		else
			fprintf(stderr, "%s: without %s: %s\n", who, all[i].name, reason);
	}
	comparison->contenders_count = kept;
}

unsigned rounds_parse_runs(const char *argument, unsigned least, struct argp_state *state)
{
	int runs = atoi(argument);

	if (runs < (int)least || runs > (int)RUNS_MAX)
		argp_error(state, "runs '%s' is not from %u to %u", argument, least, RUNS_MAX);
	return (unsigned)runs;
}

/* ------------------------------------------------------------------ the report's head */

const char *rounds_command_line(int argc, char **argv)
{
	static char line[512];
	size_t used = 0;

	for (int i = 0; i < argc && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", i ? " " : "",
					 argv[i]);
	return line;
}

void rounds_print_runs(const struct comparison *comparison, FILE *out)
{
	fprintf(out, "runs      %u of %g s for each figure, interleaved", comparison->runs,
		comparison->seconds);
	for (unsigned i = 0; i < comparison->contenders_count; i++) {
		const struct contender *contender = &comparison->contenders[i];

		if (contender->rounds_most && contender->rounds_most < comparison->runs)
			fprintf(out, "; %s %u", contender->name, contender->rounds_most);
	}
}
