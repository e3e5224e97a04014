/* SPDX-License-Identifier: MIT */
/*
 * span.h - extents cut into cells of one size class.
 *
 *	span            + 64                                bump
 *	| head 64 bytes | cell 0 | cell 1 | ... | cell n-1 | never used ... |
 *
 * A span belongs to one heap; only that heap's thread takes and gives cells. A freed cell is CACHED: its header's word
 * links the span's free list (place within the span, 0 ends) and its check word is kept true, so that a stray write is
 * found before the link is followed. A small or medium span is aligned to its size: masking a block's address finds it.
 *
 *	cells == bump_cells + never used;   bump_cells == used_cells + length of the free list
 */
#ifndef MMVIZ_LIB_SPAN_H
#define MMVIZ_LIB_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mmviz/abi.h>

enum span_flag { /* mmviz_span.flags */
	SPAN_ACTIVE = 1,  /* its heap takes cells from it now */
	SPAN_LISTED = 2,  /* in its heap's list of spans with room */
	SPAN_GUARDED = 4, /* of an arena with guard bytes */
};

struct span_kind {
	unsigned size_class, shape, fit;
	uint32_t bytes; /* of the whole span */
};

/* Write the head of a new, empty span. */
void span_init(struct mmviz_span *span, const struct span_kind *kind, uint32_t owner_heap);

static inline struct mmviz_header *span_header(const struct mmviz_span *span, uint32_t cell)
{
	return (struct mmviz_header *)((char *)span + span->first_header_bytes + (size_t)cell * span->cell_bytes);
}
static inline struct mmviz_span *span_of(const void *block, unsigned span_shift)
{
	return (struct mmviz_span *)((uintptr_t)block >> span_shift << span_shift);
}
/* A large block's head lies at the start of the unit of the byte before the payload. */
static inline struct mmviz_span *span_of_large(const void *block)
{
	return (struct mmviz_span *)(((uintptr_t)block - 1) & ~(uintptr_t)(MMVIZ_UNIT_BYTES - 1));
}
static inline bool span_has_room(const struct mmviz_span *span)
{
	return span->free_place || span->bump_cells < span->cells;
}
static inline size_t span_usable_bytes(const struct mmviz_span *span)
{
	if (span->fit != MMVIZ_FIT_LARGE)
		return mmviz_class_payload_bytes(span->size_class);
	return (size_t)span->units * MMVIZ_UNIT_BYTES - span->first_header_bytes - MMVIZ_HEADER_BYTES;
}

/* Give a cell back: CACHED, and the head of the free list. The caller looks after used_cells. */
static inline void span_push(struct mmviz_span *span, struct mmviz_header *header, uint64_t word)
{
	uint64_t kept = word & ((1ULL << 28) - 4) & ~MMVIZ_WORD_SAMPLED;

	word = (uint64_t)span->free_place << 28 | kept | MMVIZ_LIFE_CACHED;
	header->word = word;
	header->check = mmviz_check_word((uint64_t)header, word);
	span->free_place = (uint32_t)((char *)header - (char *)span) >> MMVIZ_PLACE_SHIFT;
}

/* Smallest class whose payload holds `bytes` (1 .. 32768). */
static inline unsigned span_class_of(size_t bytes)
{
	size_t last = bytes - 1;
	unsigned power;

	if (bytes <= 128)
		return (unsigned)(last >> 4) & 7;
	power = 63u - (unsigned)__builtin_clzl(last);
	return (power - 6) * 8 + (unsigned)(last >> (power - 3) & 7);
}

#endif
