/* SPDX-License-Identifier: MIT */
/*
 * stacks.h - sampled blocks by the stacks that asked for them, found and named in a thread of its
 * own.
 *
 * Whoever drains the ring hands samples over with stacks_take, which copies and returns: unwinding
 * and reading debug information never hold it up. When samples come faster than they are unwound,
 * further ones lose their stack, not their weight. stacks_take belongs to one thread; the others
 * may be called from any.
 *
 * Opening wants privileges, the thread does not: it begins with stacks_start, and has those that
 * are left then.
 */
#ifndef MMVIZ_COLLECT_STACKS_H
#define MMVIZ_COLLECT_STACKS_H

#include "collect/attach.h"
#include "collect/stack_table.h"
#include "collect/symbols.h"

struct stacks;

/* 0, or what modules_open says; reports nothing. */
int stacks_open(pid_t pid, struct stacks **out);
/* From now on samples are unwound; those that were taken before have waited. 0 or -errno. */
int stacks_start(struct stacks *stacks);
bool stacks_is_started(const struct stacks *stacks);
void stacks_close(struct stacks *stacks); /* NULL is fine */

/* `mean_bytes`: between samples, at the time. */
void stacks_take(struct stacks *stacks, const struct attach_sample *sample, uint64_t mean_bytes);
/* Every block of the arena that was taken before is gone. */
void stacks_reset_arena(struct stacks *stacks, uint32_t arena_id);
/* Find the names of these addresses, too, as symbols_resolve wants them: of stacks that others know. */
void stacks_want_names(struct stacks *stacks, const uint64_t *addrs, uint32_t count);
/* Wait until all that was taken is in the table and has its names. */
void stacks_finish(struct stacks *stacks);

struct stacks_frame {
	uint64_t addr;
	const char *function, *file, *module, *build_id; /* as in symbols.h */
	uint64_t module_offset;
	uint32_t line;
	bool is_inlined;
	bool is_own; /* code of libmmviz */
};
struct stacks_row {
	uint32_t id;	  /* STACK_NONE, STACK_OTHER, or of a stack; stays the same */
	bool is_complete; /* reaches the thread's first function */
	struct stack_estimate allocated, live;
	uint32_t frames_count;
	const struct stacks_frame *frames; /* innermost first, inlined ones too */
};
struct stacks_snapshot {
	uint32_t rows_count;
	struct stacks_row *rows; /* in order of id */
	uint32_t left_out;	 /* stacks that were added to STACK_OTHER, for want of room here */
	uint64_t samples;	 /* that were taken */
	uint64_t without_stack;	 /* of them: the ring or the queue was full */
	uint64_t untracked;	 /* of them: beyond the bounds, never live */
	uint64_t lost;		 /* no memory to take them */
	uint32_t unnamed;	 /* addresses that still wait for their names */
	void *frames;		 /* of all rows */
};
/*
 * The stacks with the most bytes live or allocated, at most `max` beside STACK_NONE and STACK_OTHER
 * (0: all); what the others hold is added to STACK_OTHER. Without the library's own frames, and
 * stacks that differ in those alone are one; a name that is not found yet is "?". To be freed before stacks_close. 0 or -ENOMEM.
 */
int stacks_snapshot(struct stacks *stacks, uint32_t max, struct stacks_snapshot *out);
void stacks_snapshot_free(struct stacks_snapshot *snapshot);
/*
 * What lies at these addresses, as of now: of address i counts[i] frames, at least one, innermost
 * first; a name that is not found yet is "?". *out is malloc'ed, its text is valid until
 * stacks_close. 0 or -ENOMEM.
 */
int stacks_names(struct stacks *stacks, const uint64_t *addrs, uint32_t count, uint32_t *counts,
		 struct stacks_frame **out);
uint32_t stacks_unnamed(struct stacks *stacks); /* addresses that still wait for their names */

#endif
