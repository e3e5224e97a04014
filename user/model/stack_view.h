/* SPDX-License-Identifier: MIT */
/*
 * stack_view.h - what is known of call stacks at one instant: plain values, for whoever shows them.
 *
 * Estimates from byte-sampled allocations, each with the interval in which the truth lies with 95 %
 * probability. Text is safe text, and never NULL.
 */
#ifndef MMVIZ_MODEL_STACK_VIEW_H
#define MMVIZ_MODEL_STACK_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct stack_view_amount {
	uint64_t samples;
	double bytes, low_bytes, high_bytes;
	double blocks, low_blocks, high_blocks;
};
struct stack_view_frame {
	uint64_t addr;		/* in the target; of a return address the byte before it */
	uint64_t module_offset; /* in the module's file */
	const char *function;	/* "?": not found yet */
	const char *file, *module, *build_id; /* "": unknown */
	uint32_t line;			      /* 0: unknown */
	bool is_inlined;		      /* into the next frame's function */
};

#define STACK_VIEW_NONE	 0 /* the id of samples whose stack is not known */
#define STACK_VIEW_OTHER 1 /* and of those that are not listed one by one */
struct stack_view_row {
	uint32_t id;	  /* the same in every view of one session */
	bool is_complete; /* reaches the thread's first function */
	struct stack_view_amount allocated, live;
	uint32_t frames_count;
	const struct stack_view_frame *frames; /* innermost first, without the library's own */
};
struct stack_view {
	uint64_t at_ns, since_ns; /* CLOCK_REALTIME; since: sampling began */
	uint64_t sample_bytes;	  /* mean between samples, now */
	uint64_t wanted_bytes;	  /* and when the target does not allocate too fast for it */
	struct stack_view_amount allocated, live; /* since then, all stacks */
	uint64_t samples;			  /* that were taken */
	uint64_t without_stack;			  /* of them: without their stack */
	uint64_t untracked;			  /* of them: beyond the bounds, never live */
	uint64_t lost;				  /* no memory to take them */
	uint32_t unnamed;			  /* addresses that still wait for their names */
	uint32_t left_out;			  /* stacks that are in STACK_VIEW_OTHER */
	uint32_t rows_count;
	struct stack_view_row *rows;	 /* in order of id */
	struct stack_view_frame *frames; /* of all rows */
};

#endif
