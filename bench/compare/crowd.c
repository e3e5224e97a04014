/* SPDX-License-Identifier: MIT */
/*
 * crowd.c - see crowd.h. A child for each contender; they write into shared memory.
 */
#include "crowd.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contender.h"

static void run_one(const struct contender *contender, const struct job *job, struct sample *sample)
{
	char path[PATH_MAX];
	struct job own = *job;

	if (job->callgrind_path) {
		snprintf(path, sizeof(path), "%s.%s", job->callgrind_path, contender->name);
		own.callgrind_path = path;
	}
	contender_run(contender, &own, sample);
}

static void run_all(const struct contender *contenders, unsigned count, const struct job *job,
		    struct sample *samples)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN), running = 0;

	for (unsigned i = 0; i < count; i++) {
		pid_t child;

		if (contenders[i].mode)
			continue;
		if (running >= cores && wait(NULL) > 0)
			running--;
		child = fork();
		if (child == 0) {
			run_one(&contenders[i], job, &samples[i]);
			_exit(0);
		}
		if (child < 0)
			perror("compare: fork");
		else
			running++;
	}
	while (wait(NULL) > 0)
		continue;
}

int crowd_run(const struct contender *contenders, unsigned count, const struct job *job,
	      struct sample *samples)
{
	size_t bytes = count * sizeof(*samples);
	struct sample *shared =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int result = 0;

	if (shared == MAP_FAILED) {
		perror("compare: mmap");
		return -1;
	}
	fflush(NULL);
	run_all(contenders, count, job, shared);
	memcpy(samples, shared, bytes);
	munmap(shared, bytes);
	for (unsigned i = 0; i < count; i++)
		if (!contenders[i].mode && !samples[i].is_valid)
			result = -1;
	return result;
}
