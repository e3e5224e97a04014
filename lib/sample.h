/* SPDX-License-Identifier: MIT */
/*
 * sample.h - a Poisson process over allocated bytes: which allocations the `sample` probe tells of.
 *
 * Each heap counts bytes down to its next sample; distances are exponential with the mean that the
 * registry's control word says, so every byte has the same chance and estimates are unbiased (as in
 * tcmalloc's and heapprofd's samplers). Runs only while the probe's semaphore is raised. Owner's
 * thread.
 */
#ifndef MMVIZ_LIB_SAMPLE_H
#define MMVIZ_LIB_SAMPLE_H

#include "heap.h"

uint64_t sample_period_bytes(void);
/* A block was born: fire the probe and mark the header if a sample point fell into it. */
void sample_alloc(struct heap *heap, struct mmviz_header *header);

#endif
