/* SPDX-License-Identifier: MIT */
/*
 * perf_map.h - names of code that a just-in-time compiler made: /tmp/perf-PID.map.
 */
#ifndef MMVIZ_COLLECT_PERF_MAP_H
#define MMVIZ_COLLECT_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_map;

/* For the process whose root directory is `root_fd`, with its pid and owner there. NULL: no memory.
 * The file is looked for when it is first needed. */
struct perf_map *perf_map_open(int root_fd, pid_t inner_pid, uid_t owner);
void perf_map_close(struct perf_map *map); /* NULL is fine */

/*
 * The name of the code at `addr`, hostile, NULL without one; *start is where the code begins. Reads
 * what was appended to the file meanwhile, at most ten times a second. Valid until the next call.
 */
const char *perf_map_find(struct perf_map *map, uint64_t addr, uint64_t *start);
/* Changes when names may have: memory of code is used again. Reads as perf_map_find does. */
uint64_t perf_map_version(struct perf_map *map);

#endif
