/* SPDX-License-Identifier: MIT */
/*
 * instructions.c - see instructions.h. One process for each count, as many at a time as there are
 * cores: counts do not disturb each other.
 */
#include "instructions.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/workloads.h"
#include "contender.h"
#include "report.h"

#define OPERATIONS_LEAST 200000u
#define COLUMN		 12

static const struct contender nothing = {.name = "none", .program = "bench/alloc_none"};

/* Instructions for a pair, the workload's own included, or a negative number. */
static double count_pair(const struct contender *contender, const char *build,
			 const struct workload *workload)
{
	char path[PATH_MAX], amount[32], line[256];
	struct job job = {build, workload->name, "--operations", amount, path};
	unsigned long long total = 0;
	struct sample sample;
	FILE *file;

	snprintf(path, sizeof(path), "%s/bench/callgrind.%s.%s", build, workload->name,
		 contender->name);
	snprintf(amount, sizeof(amount), "%u",
		 2 * workload->slots > OPERATIONS_LEAST ? 2 * workload->slots : OPERATIONS_LEAST);
	if (contender_run(contender, &job, &sample) < 0 || !(file = fopen(path, "re")))
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "totals: %llu", &total) == 1)
			break;
	fclose(file);
	return total ? 2 * (double)total / sample.operations : -1;
}

/* pairs[0] is for nothing, pairs[i + 1] for contender i. */
static void count_workload(const struct contender *contenders, unsigned count, const char *build,
			   const struct workload *workload, double *pairs)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN), running = 0;

	for (unsigned i = 0; i <= count; i++) {
		const struct contender *contender = i ? &contenders[i - 1] : &nothing;

		pairs[i] = -1;
		if (contender->mode)
			continue;
		if (running == cores && wait(NULL) > 0)
			running--;
		switch (fork()) {
		case 0:
			pairs[i] = count_pair(contender, build, workload);
			_exit(0);
		case -1:
			perror("compare: fork");
			break;
		default:
			running++;
		}
	}
	while (wait(NULL) > 0)
		continue;
}

static void print_row(const struct contender *contenders, unsigned count,
		      const struct workload *workload, const double *pairs, FILE *out)
{
	double best = -1;
	const char *best_name = "";

	fprintf(out, "%-15s%*.1f", workload->name, COLUMN, pairs[0]);
	for (unsigned i = 0; i < count; i++) {
		double own = pairs[i + 1] - pairs[0];

		if (contenders[i].mode)
			continue;
		if (pairs[i + 1] < 0 || pairs[0] < 0) {
			fprintf(out, "%*s", COLUMN, "-");
			continue;
		}
		fprintf(out, "%*.1f", COLUMN, own);
		if (!contenders[i].is_ours && (best < 0 || own < best)) {
			best = own;
			best_name = contenders[i].name;
		}
	}
	fprintf(out, "   %s\n", best_name);
	fflush(out);
}

int instructions_report(const struct contender *contenders, unsigned count, const char *build,
			const char *only, FILE *out)
{
	double *pairs = mmap(NULL, (CONTENDERS_MAX + 1) * sizeof(*pairs), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int result = 0;

	if (pairs == MAP_FAILED)
		return -1;
	fprintf(out, "instructions for an allocation and its free, without the workload's own\n\n");
	fprintf(out, "%-15s%*s", "", COLUMN, "(workload)");
	for (unsigned i = 0; i < count; i++)
		if (!contenders[i].mode)
			fprintf(out, "%*s", COLUMN, contenders[i].name);
	fprintf(out, "   fewest, of peers\n");
	for (unsigned w = 0; w < workloads_count; w++) {
		if (only && strcmp(only, workloads[w].name) != 0)
			continue;
		count_workload(contenders, count, build, &workloads[w], pairs);
		print_row(contenders, count, &workloads[w], pairs, out);
		for (unsigned i = 0; i <= count; i++)
			if (pairs[i] < 0 && (!i || !contenders[i - 1].mode))
				result = -1;
	}
	munmap(pairs, (CONTENDERS_MAX + 1) * sizeof(*pairs));
	return result;
}
