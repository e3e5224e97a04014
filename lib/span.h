/* SPDX-License-Identifier: MIT */
/*
 * span.h - extents cut into cells of one size class.
 *
 *	start                        bump
 *	| cell 0 | cell 1 | ... | cell n-1 | never used ... |        the head lies in the arena's
 *table of heads
 *
 * A span belongs to one heap; only that heap's thread takes and gives cells. A freed cell's header
 * stays as it was, but for the mark of the call that freed it, so that its check word finds a stray
 * write before the cell is used again. It lies in its heap's magazine, or is idle in its span: a bit
 * for each place of the arena says so, and the header's life is CACHED. A page all of whose cells
 * are idle may be let go (purge.h), headers and all, which then read as 0.
 *
 *	bump_cells == used_cells + idle cells
 *	used_cells == live + returned + those in the heap's magazine
 */
#ifndef MMVIZ_LIB_SPAN_H
#define MMVIZ_LIB_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mmviz/abi.h>

#include "chaos.h"

enum span_flag {		   /* mmviz_span.flags */
		 SPAN_ACTIVE = 1,  /* its heap takes cells from it now */
		 SPAN_LISTED = 2,  /* in its heap's list of spans with room */
		 SPAN_SAMPLED = 4, /* a sampled block lies, or lay, in this head's part */
};

struct span_kind {
	unsigned size_class, shape, fit;
	uint32_t bytes; /* of the whole span */
};

/* Write the head of a new, empty span that begins at `start`. */
void span_init(struct mmviz_span *span, const struct span_kind *kind, void *start,
	       uint32_t owner_heap);

static inline struct mmviz_header *span_header(const struct mmviz_span *span, uint32_t cell)
{
	return (struct mmviz_header *)(span->start_addr + span->first_header_bytes +
				       (uint64_t)cell * span->cell_bytes);
}
/* A large block's head lies at the start of the unit of the byte before the payload. */
static inline struct mmviz_span *span_of_large(const void *block)
{
	return (struct mmviz_span *)(((uintptr_t)block - 1) & ~(uintptr_t)(MMVIZ_UNIT_BYTES - 1));
}
/* A place's bit in the arena's tables of bits. */
static inline uint64_t span_bit_word(uint32_t place)
{
	return place >> 6;
}
static inline uint64_t span_bit(uint32_t place)
{
	return 1ULL << (place & 63);
}
static inline size_t span_usable_bytes(const struct mmviz_span *span)
{
	if (span->fit != MMVIZ_FIT_LARGE)
		return mmviz_class_payload_bytes(span->size_class);
	return (size_t)span->units * MMVIZ_UNIT_BYTES - span->first_header_bytes -
	       MMVIZ_HEADER_BYTES;
}

/* mmviz_check_word. The factor lies in memory, where the instruction takes it from: in a register it
 * would make an allocation save one. */
extern const uint64_t span_check_factor __attribute__((visibility("hidden")));
static inline uint32_t span_check_word(const struct mmviz_header *header, uint64_t word)
{
	uint64_t product = (uint64_t)header ^ word;

#ifdef __x86_64__
	__asm__("imulq %1, %0" : "+r"(product) : "m"(span_check_factor) : "cc");
#else
	product *= span_check_factor;
#endif
	return (uint32_t)(product >> 32);
}

/* Whether a header is as it was when its block was born, but for the mark of a free: that of a block
 * returned or of an idle cell is not. (The hash is injective in the lowest bits.) */
static inline bool span_header_is_whole(const struct mmviz_header *header)
{
	return header->check == span_check_word(header, header->word);
}

/* Whether an idle cell's page was let go since it was freed. */
static inline bool span_header_is_gone(const struct mmviz_header *header)
{
	return !header->word && !header->check;
}

/* The keeper looks at headers of other threads' cells (purge.c): word and mark are stored whole. */
static inline void span_set_word(struct mmviz_header *header, uint64_t word)
{
	__atomic_store_n(&header->word, word, __ATOMIC_RELAXED);
}

/* A block ends. Nothing is read: the header's line may be far away. Release: whoever sees the mark
 * sees that the program has done with the block. */
static inline void span_mark_freed(struct mmviz_header *header, const void *site)
{
	__atomic_store_n(&header->incarnation, mmviz_freed_by((uint64_t)site), __ATOMIC_RELEASE);
}
static inline bool span_is_marked_freed(const struct mmviz_header *header)
{
	return header->incarnation & 1;
}

/* A free cell goes to its span, or comes from there: its header says so, and nothing else of it. */
static inline void span_header_flip_idle(struct mmviz_header *header)
{
	span_set_word(header, header->word ^ MMVIZ_LIFE_LIVE ^ MMVIZ_LIFE_CACHED);
}

/* Make the header of a free cell whole: it tells of a block of no bytes. */
static inline void span_header_repair(struct mmviz_header *header)
{
	span_set_word(header, mmviz_word_make(0, 0, 0, MMVIZ_LIFE_LIVE));
	header->check = span_check_word(header, header->word);
	span_mark_freed(header, NULL);
}

/* What a returned block tells in its payload, which is nobody's: every payload has room. */
struct span_returned {
	const void *site; /* that freed it */
	uint32_t next;	  /* place of the next older one; 0: none */
	uint32_t unused;  /* a wrong free of what lies behind would mark this */
};
static inline struct span_returned *span_returned(const struct mmviz_header *header)
{
	return (struct span_returned *)(header + 1);
}

/* By (bytes - 1) / 16: a load is quicker than the logarithm, and has no branch to miss. */
extern const uint8_t span_classes[2048] __attribute__((visibility("hidden")));

#define SPAN_TABLE_CLASSES 72u /* those of the table; the others are big */
#define SPAN_TABLE_BYTES   32768u

/* Smallest class whose payload holds `bytes` (1 .. 32768). */
static inline unsigned span_class_of(size_t bytes)
{
	return span_classes[(bytes - 1) >> 4];
}

/*
 * Big cells: plain ones of 36 KiB to 1 MiB, in spans of a few MiB at most. They are not worth a
 * table, and where a cell's bits or ages are looked for, it is done cell by cell.
 */
static inline bool span_is_big_class(unsigned size_class)
{
	return size_class >= SPAN_TABLE_CLASSES;
}
/*
 * A heap has a magazine for each shape and class of the table, shape by shape, and after them one
 * for each big class.
 */
#define SPAN_MAGAZINES		(MMVIZ_SHAPES * SPAN_TABLE_CLASSES + (MMVIZ_CLASSES - SPAN_TABLE_CLASSES))
#define SPAN_FIRST_BIG_MAGAZINE (MMVIZ_SHAPES * SPAN_TABLE_CLASSES)

/* Payload bytes of a magazine's cells. */
extern const uint32_t span_magazine_payloads[SPAN_MAGAZINES] __attribute__((visibility("hidden")));

static inline unsigned span_magazine_of(unsigned size_class, unsigned shape)
{
	return span_is_big_class(size_class)
		       ? SPAN_FIRST_BIG_MAGAZINE + size_class - SPAN_TABLE_CLASSES
		       : shape * SPAN_TABLE_CLASSES + size_class;
}
static inline unsigned span_magazine_shape(unsigned number)
{
	return number < SPAN_FIRST_BIG_MAGAZINE ? number / SPAN_TABLE_CLASSES : MMVIZ_SHAPE_PLAIN;
}
static inline unsigned span_magazine_class(unsigned number)
{
	return number < SPAN_FIRST_BIG_MAGAZINE
		       ? number % SPAN_TABLE_CLASSES
		       : number - SPAN_FIRST_BIG_MAGAZINE + SPAN_TABLE_CLASSES;
}

static inline unsigned span_magazine(const struct mmviz_span *span)
{
	return span_magazine_of(span->size_class, span->shape);
}

/* Smallest class whose payload holds `bytes` (129 .. 1 MiB). */
static inline unsigned span_big_class_of(size_t bytes)
{
	unsigned log2 = 63u - (unsigned)__builtin_clzll(bytes - 1);

	return (log2 - 7) * 8 + (unsigned)((bytes - 1) >> (log2 - 3));
}

#endif
