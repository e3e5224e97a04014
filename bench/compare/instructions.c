/* SPDX-License-Identifier: MIT */
/*
 * instructions.c - see instructions.h.
 */
#include "instructions.h"

#include <string.h>

#include "alloc/workloads.h"
#include "crowd.h"
#include "figures.h"

#define OPERATIONS_LEAST 200000u
#define COLUMN		 12

/* Workload by workload: [0] is nothing at all, the others are the contenders. */
struct crew {
	struct contender members[CONTENDERS_MAX + 1];
	unsigned count;
};

static double pair(const struct sample *sample)
{
	return 2 * sample->instructions / sample->operations;
}

static void print_row(const struct crew *crew, const struct workload *workload,
		      const struct sample *samples, FILE *out)
{
	double best = -1;
	const char *best_name = "";

	fprintf(out, "%-15s%*.1f", workload->name, COLUMN, pair(&samples[0]));
	for (unsigned i = 1; i < crew->count; i++) {
		double own = pair(&samples[i]) - pair(&samples[0]);

		if (crew->members[i].mode)
			continue;
		if (!samples[i].is_valid || !samples[0].is_valid) {
			fprintf(out, "%*s", COLUMN, "-");
			continue;
		}
		fprintf(out, "%*.1f", COLUMN, own);
		if (!crew->members[i].is_ours && (best < 0 || own < best)) {
			best = own;
			best_name = crew->members[i].name;
		}
	}
	fprintf(out, "   %s\n", best_name);
	fflush(out);
}

static int count_workload(const struct crew *crew, const char *build,
			  const struct workload *workload, FILE *out)
{
	char prefix[PATH_MAX], amount[32];
	struct job job = {.build = build,
			  .workload = workload->name,
			  .how = "--operations",
			  .amount = amount,
			  .callgrind_path = prefix};
	struct sample samples[CONTENDERS_MAX + 1] = {0};
	int result;

	snprintf(prefix, sizeof(prefix), "%s/bench/callgrind.%s", build, workload->name);
	snprintf(amount, sizeof(amount), "%u",
		 2 * workload->slots > OPERATIONS_LEAST ? 2 * workload->slots : OPERATIONS_LEAST);
	result = crowd_run(crew->members, crew->count, &job, samples);
	print_row(crew, workload, samples, out);
	return result;
}

int instructions_report(const struct contender *contenders, unsigned count, const char *build,
			const char *only, FILE *out)
{
	struct crew crew = {.members = {{.name = "none", .program = "bench/alloc_none"}},
			    .count = count + 1};
	int result = 0;

	memcpy(crew.members + 1, contenders, count * sizeof(*contenders));
	fprintf(out, "instructions for an allocation and its free, without the workload's own\n\n");
	fprintf(out, "%-15s%*s", "", COLUMN, "(workload)");
	for (unsigned i = 0; i < count; i++)
		if (!contenders[i].mode)
			fprintf(out, "%*s", COLUMN, contenders[i].name);
	fprintf(out, "   fewest, of peers\n");
	for (unsigned w = 0; w < workloads_count; w++)
		if (!only || strcmp(only, workloads[w].name) == 0)
			result |= count_workload(&crew, build, &workloads[w], out);
	return result;
}
