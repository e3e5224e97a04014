/* SPDX-License-Identifier: MIT */
/*
 * machine.c - see machine.h. What cannot be found out is called "unknown".
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void describe_processor(char *out, size_t bytes)
{
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "re");

	snprintf(out, bytes, "unknown processor");
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(out, bytes, "%s", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

void machine_describe(struct machine *out)
{
	struct utsname name;
	time_t now = time(NULL);

	describe_processor(out->processor, sizeof(out->processor));
	snprintf(out->kernel, sizeof(out->kernel), "unknown kernel");
	if (uname(&name) == 0)
		snprintf(out->kernel, sizeof(out->kernel), "%.12s %.64s %.16s", name.sysname,
			 name.release, name.machine);
	strftime(out->date, sizeof(out->date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	out->cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

void machine_print(const char *command, FILE *out)
{
	struct machine machine;

	machine_describe(&machine);
	fprintf(out, "machine   %s, %u cores\nkernel    %s\ndate      %s\ncommand   %s\n",
		machine.processor, machine.cores, machine.kernel, machine.date, command);
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(double), compare_doubles);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double quantile(const double *values, unsigned count, double share)
{
	double place = share * (count - 1);
	unsigned below = (unsigned)place;

	if (below + 1 >= count)
		return values[count - 1];
	return values[below] + (place - below) * (values[below + 1] - values[below]);
}
