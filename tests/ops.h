/* SPDX-License-Identifier: MIT */
/*
 * ops.h - streams of operations on an arena, judged by a naive oracle.
 *
 * Bytes are decoded to operations: allocations of every kind and size, reallocations, frees,
 * resets. Any bytes are a stream, so unit tests feed random ones, fuzzers theirs. The oracle is a
 * table of what the program holds: where each block is, how long, its name, and the pattern written
 * into it. Blocks must not overlap, patterns must survive, walk and totals must say what the table
 * says. Uses the public API alone.
 *
 * One thread. A fault is a text (what, with both numbers), NULL is none; the first fault ends a
 * stream.
 */
#ifndef MMVIZ_TESTS_OPS_H
#define MMVIZ_TESTS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmviz/mmviz.h>

#define OPS_BYTES_MAX 8u   /* an operation is 1 to 8 bytes of a stream */
#define OPS_SLOTS     256u /* blocks held at one time */
#define OPS_TAGS      12u

enum op_kind {
	OP_ALLOC,
	OP_CALLOC,
	OP_ALIGNED,
	OP_LABELLED,
	OP_REALLOC,
	OP_FREE,
	OP_FREE_MANY, /* slot, slot + stride, ...: whole spans empty at once, or thin out */
	OP_RESET,
	OP_MISTAKE, /* a free or realloc of what is no block: must be told, must change nothing */
};

enum op_wrong {
	OP_WRONG_INSIDE, /* `offset` bytes into the slot's block */
	OP_WRONG_AGAIN,	 /* what lay in the slot before */
	OP_WRONG_PLACE,	 /* `offset` bytes into the arena */
	OP_WRONG_STACK,
};

/* One operation. An allocation into a full slot frees the old block first. */
struct op {
	enum op_kind kind;
	uint32_t slot;	 /* below OPS_SLOTS */
	uint32_t stride; /* FREE_MANY */
	uint32_t tag;	 /* below OPS_TAGS; 0: untagged */
	uint32_t label_bytes;
	size_t count; /* CALLOC: of `bytes` each */
	size_t bytes;
	size_t alignment;    /* ALIGNED */
	enum op_wrong wrong; /* MISTAKE */
	size_t offset;
	bool is_realloc;
};

/* What happened so far: a test that wants to have seen something can tell. */
struct ops_counts {
	uint64_t operations;
	uint64_t given, refused;  /* allocations, by any way */
	uint64_t in_place, moved; /* reallocations of a block */
	uint64_t zeroed_again;	  /* callocs in memory that was a block before */
	uint64_t frees, resets, mistakes;
};

struct ops;

/* `check_every`: how many operations lie between two full checks (1: every one). NULL: no memory.
 */
struct ops *ops_create(struct mmviz_arena *arena, uint32_t check_every);
/* Whether operations may be mistakes (at first they may): then each is to be told at once. */
void ops_let_err(struct ops *ops, bool makes_mistakes);
void ops_destroy(struct ops *ops);

/* Carry out one operation, and check everything if it is time. */
const char *ops_do(struct ops *ops, const struct op *op);
/* Decode and carry out the whole stream; bytes that it lacks at the end are 0. */
const char *ops_run(struct ops *ops, const uint8_t *stream, size_t bytes);
/* Free what is left, in a scattered order, and check that the arena holds nothing. */
const char *ops_finish(struct ops *ops);
/* Everything at once: arena check, every pattern, the walk, the totals. */
const char *ops_check(struct ops *ops);

uint64_t ops_count(const struct ops *ops); /* operations carried out */
struct ops_counts ops_counts(const struct ops *ops);

#endif
