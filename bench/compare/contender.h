/* SPDX-License-Identifier: MIT */
/*
 * contender.h - one thing that is measured: an allocator, and who watches it: our collector, or
 * somebody else's tracer. Running it means a process of its own for every figure. Owns nothing
 * between runs.
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
	const char *stacks;  /* its --stacks; NULL: as it likes */
	const char *tracer; /* script that runs the program traced, and preloads the library itself:
				tracers/common.sh; NULL: none */
	bool is_sampling;   /* the tracer is not to see every call */
	bool is_ours;
	bool is_built;	      /* its library is in the build directory */
	unsigned rounds_most; /* enough for it; 0: all */
	char library_path[PATH_MAX];
};

/* What is to be done, as arguments of bench_alloc. */
struct job {
	const char *build;
	const char *workload;
	const char *how;    /* "--seconds", "--operations", "--memory" */
	const char *amount; /* NULL: `how` has none */
	/* Count instructions, and keep callgrind's file here; NULL: run without. */
	const char *callgrind_path;
	unsigned frames; /* of the stack, besides bench_alloc's own */
};

/* What bench_alloc printed; what it did not print is 0. Times are for an allocation or a free. */
struct sample {
	bool is_valid;
	double operations;
	double instructions; /* all that callgrind counted */
	double cpu_ns;	     /* of CPU time */
	double wall_ns;	     /* of each thread's time, waiting for a CPU included */
	double cold_ns;	     /* of CPU time, on fresh memory: page faults inside */
	double peak_blocks, live_blocks, live_bytes;
	double refilled_bytes, huge_bytes, freed_bytes, returned_bytes, lazy_bytes; /* resident */
	double peak_bytes;							    /* resident */
	double traced, dropped; /* calls that the collector or the tracer has seen, or not */
};

/* Can it run here? Finds its library. False: `reason` says what is missing. */
bool contender_prepare(struct contender *contender, const char *build, char reason[128]);

/* Run it once. 0, or -1 after a message. */
int contender_run(const struct contender *contender, const struct job *job, struct sample *out);

#endif
