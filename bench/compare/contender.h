/* SPDX-License-Identifier: MIT */
/*
 * contender.h - one thing that is measured: an allocator, and who watches it. Running it means a
 * process of its own for every figure. Owns nothing between runs.
 */
#ifndef MMVIZ_BENCH_CONTENDER_H
#define MMVIZ_BENCH_CONTENDER_H

#include <limits.h>
#include <stdbool.h>

struct contender {
	const char *name;
	const char *program; /* in the build directory */
	const char *library; /* to preload: a name that is searched for, or a path; or NULL */
	const char *mode;    /* of the collector that is attached; NULL: nobody looks */
	const char *probe;   /* that this mode listens to */
	bool is_ours;
	char library_path[PATH_MAX];
};

struct sample {
	double cpu_ns;	/* of CPU time per allocation or free */
	double wall_ns; /* of each thread's time, waiting for a CPU included */
	double peak_rss_bytes;
};

/* Can it run here? Finds its library. False: `reason` says what is missing. */
bool contender_prepare(struct contender *contender, const char *build, char reason[128]);

/* Run it once. 0, or -1 after a message. */
int contender_run(const struct contender *contender, const char *build, const char *workload,
		  double seconds, struct sample *out);

#endif
