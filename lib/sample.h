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
/* Bytes that a new block of `bytes` stands for, if a sample point falls into it; else 0. */
uint64_t sample_weight(struct heap *heap, uint64_t bytes);
/*
 * A block's header is written, its event not yet (a walker relies on the header once the event is
 * counted): mark the header and fire the probe if a sample point falls into the block.
 */
void sample_alloc(struct heap *heap, struct mmviz_header *header);
/* Whether this block, of a span of the heap, was sampled; forgets it. */
bool sample_ended(struct heap *heap, const struct mmviz_header *header);

#endif
