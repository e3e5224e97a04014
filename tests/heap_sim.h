/* SPDX-License-Identifier: MIT */
/*
 * heap_sim.h - an arena with several heaps, simulated store by store, that emits events as the
 * library does.
 *
 * Each heap is a thread that works on one operation at a time, in steps: headers (and map, and the
 * push of a return), semaphore, events and log.next, seq, order and unlock. Between any two steps
 * other heaps take theirs, or a collector looks: at seqs, at order, at the map, at one header after
 * another. What it can see is exactly what memory would hold then. The lock of the arena is
 * modelled: structural changes exclude each other from their first step to their last.
 *
 * Free cells are marked by their free, become idle in their span, and lose their page, as they
 * would. Heaps that are there before anybody listens may have come so far that 31 bits of their
 * numbers run over.
 *
 * Full logs go to a ring, which the collector drains when it likes.
 */
#ifndef MMVIZ_TESTS_HEAP_SIM_H
#define MMVIZ_TESTS_HEAP_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <mmviz/abi.h>

#include "random.h"

#define SIM_UNITS      256u
#define SIM_BOOKS      2u /* units of the arena's own */
#define SIM_HEAPS      4u
#define SIM_CELLS      512u
#define SIM_LOG_EVENTS 24u
#define SIM_CONTEXTS   7u

/* A header and its label. Zeroed: its page was let go. */
struct sim_cell {
	uint64_t bytes;
	uint32_t context, incarnation;
	unsigned life; /* enum mmviz_life, as the header's word has it */
	char label[MMVIZ_LABEL_BYTES];
};
/* What the header says of its block: LIVE, RETURNED or CACHED. */
unsigned sim_cell_life(const struct sim_cell *cell);

/* A span or large block, where the map says that one begins. */
struct sim_span {
	struct mmviz_span head;
	struct sim_cell cells[SIM_CELLS];
};

struct sim_batch {
	uint32_t heap_id;
	uint64_t first, next;
	struct mmviz_event events[MMVIZ_LOG_SLOTS];
	struct sim_batch *later;
};

struct sim_heap {
	bool exists;
	uint64_t seq;
	uint64_t log_first, log_next;
	struct mmviz_event log[MMVIZ_LOG_SLOTS];
	uint32_t returned[16384]; /* places, pushed by others */
	uint32_t returned_count;
	/* The operation under way. */
	unsigned phase; /* 0: none */
	bool is_structural, is_logged;
	struct mmviz_event events[MMVIZ_OPERATION_EVENTS_MAX];
	uint32_t events_count;
};

struct heap_sim {
	struct random random;
	uint8_t map[SIM_UNITS];
	struct sim_span *spans[SIM_UNITS];
	struct sim_heap heaps[SIM_HEAPS];
	uint32_t heaps_count;
	uint64_t first_seq; /* of a heap that is made while nobody listens */
	uint64_t order, committed_units;
	bool is_listening; /* the semaphore */
	int locked_by;	   /* index of a heap, or -1 */
	struct sim_batch *ring, *ring_end;
	uint64_t operations;
};

void heap_sim_init(struct heap_sim *sim, uint64_t seed);
void heap_sim_fini(struct heap_sim *sim);
/* The arena's head, as a reader sees it. */
void heap_sim_head(const struct heap_sim *sim, struct mmviz_arena_head *out);

/* One step of some heap. */
void heap_sim_step(struct heap_sim *sim);
/* Every operation is finished. */
void heap_sim_quiesce(struct heap_sim *sim);
/* Every block is freed in one operation; quiesces first, as the program must. */
void heap_sim_reset(struct heap_sim *sim);

/* The oldest batch of the ring, or NULL; the caller frees it. */
struct sim_batch *heap_sim_take_batch(struct heap_sim *sim);
/* What a reader finds where it takes a header to be: NULL if no cell's header lies there now. */
const struct sim_cell *heap_sim_header_at(const struct heap_sim *sim, uint32_t place);

#endif
