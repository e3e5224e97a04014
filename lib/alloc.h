/* SPDX-License-Identifier: MIT */
/*
 * alloc.h - every allocation that the fast path does not make: no heap yet, an empty magazine,
 * large, labelled, aligned or guarded blocks.
 */
#ifndef MMVIZ_LIB_ALLOC_H
#define MMVIZ_LIB_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mmviz_arena;

#define CONTEXT_MASK (MMVIZ_CONTEXTS_MAX - 1)

/* What is asked for. */
struct wish {
	size_t bytes, alignment;
	unsigned shape;
	uint32_t context;  /* 0: the call site */
	bool grows;	   /* a block that was too small: it may do so again, in units of its own */
	const char *label; /* 32 bytes, with shape LABELLED */
	const void *site;
};

/* The block, or NULL with errno ENOMEM. Writes the context that it found for the site into `wish`. */
void *alloc_wish(struct mmviz_arena *arena, struct wish *wish);
/* The same, for a plain block. */
void *alloc_general(struct mmviz_arena *arena, size_t bytes, uint32_t context, const void *site);
/* Tells that memory is out; returns NULL with errno ENOMEM. */
void *alloc_failed(struct mmviz_arena *arena);

#endif
