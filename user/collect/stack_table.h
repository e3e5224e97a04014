/* SPDX-License-Identifier: MIT */
/*
 * stack_table.h - call stacks by number, and what is estimated of each: bytes allocated, bytes live.
 *
 * Knows addresses and weights, neither processes nor threads; the caller locks. Bounded: what is
 * beyond goes to the stack STACK_OTHER, so that sums stay right.
 */
#ifndef MMVIZ_COLLECT_STACK_TABLE_H
#define MMVIZ_COLLECT_STACK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stack_table;

#define STACK_NONE  0 /* the id of samples whose stack is not known */
#define STACK_OTHER 1 /* and of those for which there was no room */

/*
 * An estimate: the sum of weights, and its variance. Samples come from a Poisson process over
 * bytes: variance = sum of weight * mean bytes between samples. A sampled block stands for weight /
 * its size blocks like it.
 */
struct stack_estimate {
	uint64_t samples;
	double bytes, variance;
	double blocks, blocks_variance;
};
struct stack_row {
	uint32_t depth;
	bool is_complete;
	const uint64_t *addrs; /* innermost first, as symbols_resolve wants them; valid until
				  destroy */
	struct stack_estimate allocated, live;
};

struct stack_table *stack_table_create(void); /* NULL: no memory */
void stack_table_destroy(struct stack_table *table);

/* The number of a stack, the same for the same addresses. Never fails. */
uint32_t stack_table_intern(struct stack_table *table, const uint64_t *addrs, uint32_t depth,
			    bool is_complete);

struct stack_sample {
	uint64_t addr, bytes; /* of the block */
	uint32_t arena_id;
	uint32_t stack_id;
	uint64_t weight_bytes; /* that it stands for */
	uint64_t mean_bytes;   /* between samples, when it was taken */
};
/* A block that is live already has been freed unnoticed: the new one takes its place. */
void stack_table_alloc(struct stack_table *table, const struct stack_sample *sample);
/* False: it is not known. */
bool stack_table_free(struct stack_table *table, uint64_t addr);
/* All blocks of the arena are gone. */
void stack_table_reset_arena(struct stack_table *table, uint32_t arena_id);

uint32_t stack_table_count(const struct stack_table *table); /* ids are below it */
const struct stack_row *stack_table_row(const struct stack_table *table, uint32_t id);
uint64_t stack_table_untracked(const struct stack_table *table); /* samples beyond the bounds */

void stack_estimate_add(struct stack_estimate *to, const struct stack_estimate *from);
/* The interval in which the true number of bytes lies with 95 % probability. */
void stack_estimate_interval(const struct stack_estimate *estimate, uint64_t mean_bytes,
			     double *low_bytes, double *high_bytes);
/* And of blocks. `allocated`: of the same stack; tells what a sample is worth when there is none. */
void stack_estimate_blocks_interval(const struct stack_estimate *estimate,
				    const struct stack_estimate *allocated, double *low_blocks,
				    double *high_blocks);

#endif
