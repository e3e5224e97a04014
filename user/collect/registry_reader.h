/* SPDX-License-Identifier: MIT */
/*
 * registry_reader.h - what the target publishes about itself: arenas, heaps, contexts, marks.
 *
 * Reads through target_read only; every number from the target is checked before use (counts
 * bounded, heaps and logs inside their arena, lists cut at a bound). One thread.
 */
#ifndef MMVIZ_COLLECT_REGISTRY_READER_H
#define MMVIZ_COLLECT_REGISTRY_READER_H

#include <mmviz/abi.h>
#include "collect/target.h"

struct registry_reader;

struct registry_heap {
	uint32_t id;
	uint64_t log_addr;
};
struct registry_arena {
	uint32_t id;
	uint64_t head_addr;
	struct mmviz_arena_head head; /* as of the last refresh */
	struct registry_heap *heaps;  /* by id: heaps[id - 1] */
	uint32_t heaps_count;
	bool is_gone; /* destroyed since the refresh before; the next one forgets it */
};

int registry_reader_open(struct target *target, struct registry_reader **out);
void registry_reader_close(struct registry_reader *reader);

/* Find arenas and heaps that are new, note those that are gone. Cheap when nothing changed. 0 or
 * -errno. */
int registry_reader_refresh(struct registry_reader *reader);
/* Arenas known, those that the last refresh found gone too, in order of id. Valid until the next
 * refresh. */
uint32_t registry_reader_arenas(const struct registry_reader *reader,
				const struct registry_arena ***out);

/*
 * What context `id` means. Text is UTF-8-safe (hostile bytes escaped), for sites and unknown ids a
 * placeholder such as "site 0x55d0c0de1234". Owned by the reader, valid until it is closed. Reads
 * new entries of the target when needed.
 */
struct registry_context {
	enum mmviz_context_kind kind;
	uint64_t value;
	const char *text; /* of a stack: its base's */
	uint32_t base;	  /* of a stack the id of its tag or site, else its own */
	/* Of a stack: */
	uint32_t frames_count;
	uint16_t flags; /* enum mmviz_stack_flag */
	const uint64_t *return_addr;
};
const struct registry_context *registry_reader_context(struct registry_reader *reader, uint32_t id);
/* What blocks of context `id` count as: of a stack its tag or site, else the same. */
uint32_t registry_reader_base(struct registry_reader *reader, uint32_t id);
uint32_t registry_reader_contexts_count(const struct registry_reader *reader);
/* Ids below it were read, and cost nothing to ask for. */
uint32_t registry_reader_contexts_known(const struct registry_reader *reader);

/* What the target says of its stacks. */
struct registry_stacks {
	uint32_t count;	  /* known to it */
	uint64_t refused; /* blocks that kept their tag or site: there was no room */
};
int registry_reader_stacks(struct registry_reader *reader, struct registry_stacks *out);

/* Call `visit` for marks not reported before, oldest first. */
int registry_reader_marks(struct registry_reader *reader,
			  void (*visit)(uint64_t at_ns, const char *text, void *context),
			  void *context);

#endif
