/* SPDX-License-Identifier: MIT */
/*
 * crowd.h - run contenders at the same time, as many as there are cores: for what does not depend
 * on time.
 */
#ifndef MMVIZ_BENCH_CROWD_H
#define MMVIZ_BENCH_CROWD_H

struct contender;
struct job;
struct sample;

/* Those that nobody watches; samples[i] is of contender i. job->callgrind_path, if any, is a
 * prefix. 0, or -1 if one failed. */
int crowd_run(const struct contender *contenders, unsigned count, const struct job *job,
	      struct sample *samples);

#endif
