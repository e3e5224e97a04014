/* SPDX-License-Identifier: MIT */
/*
 * traffic.h - what the workers of server_sim do with their arenas.
 *
 * Owns the arenas, the workers' tables of live blocks and the rules by which a request makes, keeps
 * and frees them. Knows nothing of rates and phases in time: it is told. A worker belongs to one
 * thread; only its mailbox is written by another one.
 */
#ifndef MMVIZ_BENCH_SIM_TRAFFIC_H
#define MMVIZ_BENCH_SIM_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct totals_cell;
struct traffic;
struct worker;

struct traffic_options {
	unsigned threads;
	unsigned arenas;
	size_t capacity_bytes; /* of each arena */
	uint64_t live_blocks;  /* made before the first request, exchanged one by one afterwards */
	bool is_mixed;	       /* every kind of operation, not only the request's own */
	struct totals_cell *totals; /* threads x arenas cells, or NULL */
};

struct traffic_counters {
	uint64_t requests;
	uint64_t operations; /* allocations, frees and reallocations */
	uint64_t refused;    /* allocations that found the arena full */
};

/* 0 or -errno. Everything lives until the process ends. */
int traffic_create(const struct traffic_options *options, struct traffic **out);
struct worker *traffic_worker(struct traffic *traffic, unsigned index);
/* Sums over all workers; may be called at any time. */
struct traffic_counters traffic_count(const struct traffic *traffic);
/* Events of all arenas' heaps so far, as their own counters have them. No worker may be at work. */
uint64_t traffic_events(const struct traffic *traffic);
/* Name of a phase of the mixed traffic, for a mark on the time axis. */
const char *traffic_phase_name(unsigned phase);

/* In the worker's own thread: make its share of the live blocks, and serve requests. */
void worker_prefill(struct worker *worker);
void worker_serve(struct worker *worker, unsigned requests, unsigned phase);

#endif
