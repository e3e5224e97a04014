/* SPDX-License-Identifier: MIT */
/*
 * memory.c - see memory.h. Reads /proc without stdio, which would call the malloc that is
 * measured.
 */
#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lanes.h"
#include "workloads.h"

/* The bytes of a "Name:   123 kB" line of a file in /proc. 0: there is none. */
static uint64_t proc_bytes(const char *path, const char *name)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *line;

	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	line = strstr(text, name);
	return line ? strtoull(line + strlen(name), NULL, 10) << 10 : 0;
}

static uint64_t rollup_bytes(const char *name)
{
	return proc_bytes("/proc/self/smaps_rollup", name);
}

uint64_t memory_peak_bytes(void)
{
	return proc_bytes("/proc/self/status", "\nVmHWM:");
}

static uint64_t over(uint64_t bytes, uint64_t base_bytes)
{
	return bytes > base_bytes ? bytes - base_bytes : 0;
}

void memory_run(const struct workload *workload, struct memory_outcome *out)
{
	static const struct timespec one_second = {.tv_sec = 1};
	static struct lane lane;
	uint64_t base_bytes;

	lane_init(&lane, workload, 0);
	lane.fills_blocks = true;
	base_bytes = rollup_bytes("\nRss:");
	fragmentation_fill(&lane);
	out->peak_blocks = workload->slots;
	fragmentation_punch(&lane);
	fragmentation_refill(&lane);
	out->refilled_bytes = over(rollup_bytes("\nRss:"), base_bytes);
	out->huge_bytes = rollup_bytes("\nAnonHugePages:");
	fragmentation_live(&lane, &out->live_blocks, &out->live_bytes);
	fragmentation_drop(&lane);
	out->freed_bytes = over(rollup_bytes("\nRss:"), base_bytes);
	nanosleep(&one_second, NULL);
	out->returned_bytes = over(rollup_bytes("\nRss:"), base_bytes);
	out->lazy_bytes = rollup_bytes("\nLazyFree:");
	out->peak_bytes = over(memory_peak_bytes(), base_bytes);
}
