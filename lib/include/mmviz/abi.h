/* SPDX-License-Identifier: MIT */
/*
 * abi.h - everything that the library and a reader in another process share.
 *
 * A reader (the collector, a BPF program, a test) finds one `mmviz_registry` in
 * the target, from there the arenas, from each arena its unit map and its heaps,
 * from each heap its log. Nothing here holds a pointer: `_addr` members are
 * addresses in the target. All integers are little-endian, 64-bit Linux only.
 *
 * An arena, seen by a walker (every unit is 4096 bytes):
 *
 *                             base                                             base + capacity
 *   | map | heads | idle bits | META | META: heap | SPAN ............ | FREE | LARGE .......... |
 *                               arena               cell | cell | ...          head 64 | header | payload
 *                                                        bump ^ never used
 *
 *   unit map: one byte per unit. A span (or a large block) starts where the map says so; its
 *   head tells shape, class and how many cells were ever used. A large block's head lies in its
 *   first 64 bytes; the heads of spans lie side by side in the arena's table of heads (not in the
 *   spans: at power-of-two distances they would all fall into the same few cache sets). No chain
 *   of block headers is ever followed: starts come from the map, cells from the head, and whether a
 *   cell is in use from its header. Those of idle cells need not be read, and their pages may be
 *   gone: idle bit p is set while the header at place p is one. The three tables lie where the
 *   arena's head says; an arena in its owner's memory has them inside, as META.
 *
 * A block is header + payload. The header lies in the 16 bytes before the payload:
 *
 *   plain      | header 16 | payload ...
 *   labelled   | label 32  | header 16 | payload ...
 *   aligned    | unused 48 | header 16 | payload, on a 64-byte line ...
 *
 * Memory order. For operation n of a heap a reader may rely on:
 *   headers, map, span heads  ->  the semaphores are read  ->  event  ->  log.next  ->  log.seq
 * in this order. `seq` counts events, logged or not. A walk begun after `seq` was read is
 * right for every place that no later event names.
 *
 * This file includes nothing but fixed-width types; a BPF program defines those itself.
 */
#ifndef MMVIZ_ABI_H
#define MMVIZ_ABI_H

#ifndef __VMLINUX_H__
#include <stdint.h>
#endif

#ifdef __cplusplus
#define MMVIZ_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define MMVIZ_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* Raised by a person whenever a layout or a meaning in this file changes. */
#define MMVIZ_ABI_VERSION 4u

#define MMVIZ_REGISTRY_MAGIC 0x315a49564d4d564dULL /* "MVMMVIZ1" in memory */
#define MMVIZ_ARENA_MAGIC    0x4152454eu	   /* "NERA" in memory */
#define MMVIZ_HEAP_MAGIC     0x50414548u	   /* "HEAP" in memory */

#define MMVIZ_UNIT_SHIFT	   12
#define MMVIZ_UNIT_BYTES	   (1u << MMVIZ_UNIT_SHIFT)
#define MMVIZ_PLACE_SHIFT	   4 /* a place is an offset from the arena's base in 16-byte steps */
#define MMVIZ_PLACE_BYTES	   (1u << MMVIZ_PLACE_SHIFT)
#define MMVIZ_HEADER_BYTES	   16u
#define MMVIZ_LABEL_BYTES	   32u /* 31 bytes of text and a NUL */
#define MMVIZ_SPAN_HEAD_BYTES	   64u
#define MMVIZ_CAPACITY_MAX_BYTES   (1ULL << 36) /* places have 32 bits */
#define MMVIZ_CONTEXTS_MAX	   (1u << 23)	/* context ids have 23 bits */
#define MMVIZ_ARENAS_MAX	   256u		/* at one time in one process */
#define MMVIZ_MARKS_MAX		   256u		/* the newest ones are kept */
#define MMVIZ_STACKS_MAX	   (1u << 18)	/* call stacks in one process */
#define MMVIZ_STACK_FRAMES_MAX	   64u		/* innermost ones of one call stack */
#define MMVIZ_NAME_BYTES	   64u
#define MMVIZ_OPERATION_EVENTS_MAX 8u	/* events of one operation, at most */
#define MMVIZ_LOG_EVENTS	   512u /* a log is handed over when it holds this many */
#define MMVIZ_LOG_SLOTS		   (MMVIZ_LOG_EVENTS + 2 * MMVIZ_OPERATION_EVENTS_MAX)

/* ------------------------------------------------------------------ block header */

/*
 * word         bits  0..1   enum mmviz_life
 *              bit   2      1: a large block
 *              bits  3..4   0
 *              bits  5..27  context id
 *              bits 28..63  requested bytes
 * check        mmviz_check_word(header address, word with life LIVE)
 * incarnation  even: mmviz_incarnation of the number of the block's ALLOC event, in the log of the
 *              heap where it was born. Odd: the block was freed, by the call whose return address
 *              has these other 31 bits as its lowest.
 *
 * A free writes `incarnation` and reads nothing: it does not wait for the header's cache line, and
 * what the line says of the block stays. mmviz_header_is_live says whether a block is in use.
 */
struct mmviz_header {
	uint64_t word;	      /*  0 */
	uint32_t check;	      /*  8 */
	uint32_t incarnation; /* 12 */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_header) == MMVIZ_HEADER_BYTES, "header is 16 bytes");

enum mmviz_life {
	MMVIZ_LIFE_NEVER = 0,	 /* memory that never was a block */
	MMVIZ_LIFE_LIVE = 1,	 /* the program holds it, if its incarnation is even */
	MMVIZ_LIFE_CACHED = 2,	 /* freed, and its span's again */
	MMVIZ_LIFE_RETURNED = 3, /* freed by another thread; its owner has not collected it yet */
};

/* Where a block lies; also the index into mmviz_arena_head.span_shift. */
enum mmviz_fit {
	MMVIZ_FIT_SMALL = 0, /* a cell of a span of 1 << span_shift[0] bytes, aligned to its size */
	MMVIZ_FIT_MEDIUM = 1, /* a cell of a longer span: whole small spans, and aligned to one */
	MMVIZ_FIT_LARGE = 2,  /* units of its own */
};

static inline uint64_t mmviz_word_make(uint64_t bytes, uint32_t context, unsigned is_large,
				       unsigned life)
{
	return bytes << 28 | (uint64_t)context << 5 | (uint64_t)is_large << 2 | life;
}
static inline unsigned mmviz_word_life(uint64_t word)
{
	return (unsigned)(word & 3);
}
static inline unsigned mmviz_word_is_large(uint64_t word)
{
	return (unsigned)(word >> 2 & 1);
}
static inline uint32_t mmviz_word_context(uint64_t word)
{
	return (uint32_t)(word >> 5) & 0x7fffffu;
}
static inline uint64_t mmviz_word_bytes(uint64_t word)
{
	return word >> 28;
}
/* Multiplicative hashing (Knuth, TAOCP 6.4); the high half depends on every bit of both inputs. */
#define MMVIZ_CHECK_FACTOR 0x9e3779b97f4a7c15ULL
static inline uint32_t mmviz_check_word(uint64_t header_addr, uint64_t word)
{
	return (uint32_t)(((header_addr ^ word) * MMVIZ_CHECK_FACTOR) >> 32);
}

/* Whether a header's check word fits what the header says. */
static inline int mmviz_header_is_whole(const struct mmviz_header *header, uint64_t header_addr)
{
	return mmviz_word_life(header->word) != MMVIZ_LIFE_NEVER &&
	       header->check ==
		       mmviz_check_word(header_addr, (header->word & ~3ULL) | MMVIZ_LIFE_LIVE);
}

static inline uint32_t mmviz_incarnation(uint64_t alloc_number)
{
	return (uint32_t)alloc_number << 1;
}
static inline uint32_t mmviz_freed_by(uint64_t return_addr)
{
	return (uint32_t)return_addr << 1 | 1;
}
/* Whether a block is in use, if its header is whole. */
static inline int mmviz_header_is_live(const struct mmviz_header *header)
{
	return mmviz_word_life(header->word) == MMVIZ_LIFE_LIVE && !(header->incarnation & 1);
}

/* ------------------------------------------------------------------ size classes */

/*
 * Classes are payload sizes: 16, 32, ... 128 in steps of 16 (classes 0..7), then eight
 * steps per doubling (144, 160, ... 256, 288, ...), so that a power of two fits exactly and
 * at most an eighth is padding. A cell adds what lies before the payload.
 */
#define MMVIZ_CLASSES 112u /* class 71 has 32768 bytes, class 111 has 1 MiB */

static inline uint32_t mmviz_class_payload_bytes(unsigned size_class)
{
	unsigned group = size_class >> 3, step = size_class & 7;

	return group == 0 ? (step + 1) * 16 : (8 + step + 1) << (group + 3);
}

enum mmviz_shape {
	MMVIZ_SHAPE_PLAIN = 0,	  /* 16 bytes before the payload */
	MMVIZ_SHAPE_LABELLED = 1, /* 48 bytes: label, header */
	MMVIZ_SHAPE_ALIGNED = 2,  /* 64 bytes; class payload is a multiple of 64 */
};
#define MMVIZ_SHAPES 3u

/* Bytes from the start of a cell to its payload. */
static inline uint32_t mmviz_shape_front_bytes(unsigned shape)
{
	return shape == MMVIZ_SHAPE_PLAIN ? 16u : shape == MMVIZ_SHAPE_LABELLED ? 48u : 64u;
}
static inline uint32_t mmviz_cell_bytes(unsigned size_class, unsigned shape)
{
	return mmviz_class_payload_bytes(size_class) + mmviz_shape_front_bytes(shape);
}

/* ------------------------------------------------------------------ units and spans */

/* A byte of the unit map. */
enum mmviz_unit {
	MMVIZ_UNIT_FREE = 0,
	MMVIZ_UNIT_META = 1,	     /* arena, unit map, heaps */
	MMVIZ_UNIT_CONTINUATION = 2, /* of the span or large block that starts before */
	MMVIZ_UNIT_LARGE = 3,	     /* a large block starts here */
	MMVIZ_UNIT_SPAN = 0x80,	     /* + size class: a span starts here */
};

/*
 * The head of a span, or of a large block (which is a span of one cell, with its head in its first
 * 64 bytes). The head of the span that starts at address A is number (A >> span_shift[0]) -
 * (base_addr >> span_shift[0]) of the table at mmviz_arena_head.heads_addr; the table has
 * mmviz_heads_count entries.
 */
struct mmviz_span {
	uint32_t owner_heap;	     /*  0 heap id; large: MMVIZ_HEAP_NONE */
	uint32_t units;		     /*  4 length */
	uint32_t first_header_bytes; /*  8 from the span's start to the first cell's header */
	uint32_t cell_bytes; /* 12 from one header to the next; large: all of it, or 32 ones */
	uint32_t bump_cells; /* 16 cells ever used; the rest is memory never used */
	uint32_t cells;	     /* 20 capacity */
	uint8_t size_class;  /* 24 large: 0xff */
	uint8_t shape;	     /* 25 enum mmviz_shape */
	uint8_t fit;	     /* 26 enum mmviz_fit */
	uint8_t flags;	     /* 27 the owner's */
	uint32_t idle_place; /* 28 the owner's: no cell below is idle */
	uint32_t used_cells; /* 32 the owner's: live, returned, or in its heap's magazine */
	uint32_t next_unit, prev_unit; /* 36 the owner's list of spans with room */
	uint32_t freed_tick;	       /* 44 the owner's: when a large block came into its bin */
	uint64_t start_addr;	       /* 48 of the span */
	uint64_t reserved;
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_span) == MMVIZ_SPAN_HEAD_BYTES, "span head is 64 bytes");

/* Spans: cells begin at the span's start, headers after what the shape puts before them. */
static inline uint32_t mmviz_span_first_header_bytes(unsigned shape)
{
	return mmviz_shape_front_bytes(shape) - MMVIZ_HEADER_BYTES;
}
static inline uint32_t mmviz_span_cells(uint32_t span_bytes, unsigned size_class, unsigned shape)
{
	return span_bytes / mmviz_cell_bytes(size_class, shape);
}
#define MMVIZ_HEAP_NONE 0xffffffffu

/* ------------------------------------------------------------------ events and logs */

/*
 * what  bits 0..7 kind, bits 8..31 context id, bits 32..63 place of the block's header
 * data  by kind:
 */
enum mmviz_event_kind {
	MMVIZ_EVENT_ALLOC = 1, /* data: bytes, and MMVIZ_ALLOC_LABELLED: then two slots of raw label
				  text follow */
	MMVIZ_EVENT_FREE = 2,  /* by the owner, or of a large block; data: 0 */
	MMVIZ_EVENT_RETURN = 3,	 /* by another thread; data: incarnation | owner heap << 32 */
	MMVIZ_EVENT_RECLAIM = 4, /* the owner collected a returned block; data: 0 */
	MMVIZ_EVENT_RESIZE = 5,	 /* in place; data: new bytes; context: new context */
	MMVIZ_EVENT_ORDER =
		6, /* data: k. What follows in this operation is structural change k of the arena */
	MMVIZ_EVENT_UNITS =
		7, /* place: of a unit's start; data: units | map code << 32 | shape << 40.
		      code FREE: these units are free now; SPAN+class: a new span owned by this
		      log's heap; LARGE: a large block (an ALLOC follows); META: a heap */
	MMVIZ_EVENT_COMMIT = 8, /* data: units committed in the arena, all told */
	MMVIZ_EVENT_RESET = 9,	/* every block and span of the arena is gone; META stays */
};
#define MMVIZ_ALLOC_LABELLED (1ULL << 63)

struct mmviz_event {
	uint64_t what; /* 0 */
	uint64_t data; /* 8 */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_event) == 16, "event is 16 bytes");

static inline uint64_t mmviz_event_what(unsigned kind, uint32_t context, uint32_t place)
{
	return (uint64_t)place << 32 | (uint64_t)context << 8 | kind;
}
static inline unsigned mmviz_event_kind(uint64_t what)
{
	return (unsigned)(what & 0xff);
}
static inline uint32_t mmviz_event_context(uint64_t what)
{
	return (uint32_t)(what >> 8) & 0xffffffu;
}
static inline uint32_t mmviz_event_place(uint64_t what)
{
	return (uint32_t)(what >> 32);
}
/* Slots that an event takes, itself included. */
static inline uint32_t mmviz_event_slots(const struct mmviz_event *event)
{
	return mmviz_event_kind(event->what) == MMVIZ_EVENT_ALLOC &&
			       (event->data & MMVIZ_ALLOC_LABELLED)
		       ? 3u
		       : 1u;
}

/*
 * events[i] is the event with number first + i, for first + i < next. Numbers are in seq units:
 * every slot counts one, label text too. The owner alone writes; anybody may read: header, events,
 * header again, and take them if `first` is the same, up to the first header's `next`. After a
 * hand-over first = next.
 */
struct mmviz_log {
	uint64_t seq;	    /*  0 events of this heap so far, logged or not; stored last */
	uint64_t first;	    /*  8 */
	uint64_t next;	    /* 16 */
	uint64_t first_ns;  /* 24 CLOCK_MONOTONIC of events[0] */
	uint32_t arena_id;  /* 32 */
	uint32_t heap_id;   /* 36 from 1, in order of creation within the arena */
	uint32_t thread_id; /* 40 of the owner now; 0: none (its thread has ended) */
	uint32_t reserved[5];
	struct mmviz_event events[MMVIZ_LOG_SLOTS]; /* 64 */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_log) == 64 + 16 * MMVIZ_LOG_SLOTS, "log has no holes");
#define MMVIZ_LOG_HEAD_BYTES 64u

/* ------------------------------------------------------------------ heap, arena, registry */

/* The first bytes of a heap; the owner's own fields follow. */
struct mmviz_heap_head {
	uint32_t magic;	    /*  0 MMVIZ_HEAP_MAGIC */
	uint32_t id;	    /*  4 */
	uint64_t next_addr; /*  8 the next younger heap of this arena; 0: none. Stored after that
			       heap is whole */
	uint64_t log_addr;  /* 16 of its struct mmviz_log */
	uint64_t reserved;
};

/* The first bytes of an arena, at its base. */
struct mmviz_arena_head {
	uint32_t magic;		  /*   0 MMVIZ_ARENA_MAGIC */
	uint32_t id;		  /*   4 from 1, never used twice in a process */
	uint64_t base_addr;	  /*   8 address of place 0; this object's own address */
	uint64_t capacity_bytes;  /*  16 whole units */
	uint64_t map_addr;	  /*  24 unit map, capacity_bytes >> MMVIZ_UNIT_SHIFT bytes */
	uint64_t first_heap_addr; /* 32 oldest heap; 0: none yet */
	uint64_t order; /*  40 number of structural changes; stored after the change's events and
			   seq */
	uint64_t committed_units;    /* 48 units with memory behind them */
	uint64_t frontier_units;     /*  56 units at and after this were never used and may be
					unreadable */
	uint32_t flags;		     /*  64 enum mmviz_arena_flag */
	uint8_t span_shift[2];	     /*  68 log2 of the bytes of a small and of most medium spans */
	uint16_t reserved0;	     /*  70 */
	uint64_t created_ns;	     /*  72 CLOCK_MONOTONIC */
	uint64_t heads_addr;	     /* 80 struct mmviz_span[mmviz_heads_count()] */
	uint64_t idle_addr;	     /* 88 a bit for each place, in words of 64 */
	uint64_t reserved1[4];	     /* 96 */
	char name[MMVIZ_NAME_BYTES]; /* 128 NUL-terminated */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_arena_head) == 192, "arena head is 192 bytes");

/* Number of the head of the span that starts at (or, for small spans, holds) this address. */
static inline uint64_t mmviz_head_index(const struct mmviz_arena_head *arena, uint64_t addr)
{
	return (addr >> arena->span_shift[0]) - (arena->base_addr >> arena->span_shift[0]);
}
static inline uint64_t mmviz_heads_count(const struct mmviz_arena_head *arena)
{
	return mmviz_head_index(arena, arena->base_addr + arena->capacity_bytes - 1) + 1;
}

/* What a context id means. Entry 0 is "untagged". */
enum mmviz_context_kind {
	MMVIZ_CONTEXT_NONE = 0,
	MMVIZ_CONTEXT_TAG = 1,	 /* value: address of the name (length bytes, then NUL) */
	MMVIZ_CONTEXT_SITE = 2,	 /* value: return address of an untagged call */
	MMVIZ_CONTEXT_STACK = 3, /* value: address of a struct mmviz_stack, of which `length` bytes
				    are there */
};
struct mmviz_context {
	uint64_t value;	 /*  0 */
	uint32_t length; /*  8 */
	uint32_t kind;	 /* 12 */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_context) == 16, "context is 16 bytes");

/*
 * A call stack and what the block's context would be without it, a TAG or a SITE: so blocks add up
 * by tag as if there were no stacks. Frames are return addresses, innermost first; the first is the
 * program's call of the allocator.
 */
struct mmviz_stack {
	uint32_t context;      /* 0 */
	uint16_t frames_count; /* 4 */
	uint16_t flags;	       /* 6 enum mmviz_stack_flag */
	uint64_t return_addr[MMVIZ_STACK_FRAMES_MAX];
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_stack) == 8 + 8 * MMVIZ_STACK_FRAMES_MAX,
		    "stack has no holes");
#define MMVIZ_STACK_HEAD_BYTES 8u

enum mmviz_stack_flag {				  /* as of the first block that had it */
			MMVIZ_STACK_COMPLETE = 1, /* its last frame says that nobody called it */
			MMVIZ_STACK_DEEP = 2,	  /* it has more frames than are kept */
};

struct mmviz_mark_entry {
	uint64_t at_ns;	  /* 0 CLOCK_MONOTONIC */
	uint32_t context; /* 8 a TAG context: the text */
	uint32_t thread_id;
};

/*
 * Counters that the kernel raises while somebody listens; one per probe. The order matters: each
 * operation tests those that concern it with one 64-bit load, alloc from offset 0, free from
 * offset 4. That of `error` lies elsewhere: no operation that goes well asks for it.
 *
 * `stack`: while it is raised, every new block's context is its call stack. The probe itself fires
 * once for each stack that was never seen before.
 */
struct mmviz_semaphores {
	volatile uint16_t alloc;       /*  0 | alloc */
	volatile uint16_t sample;      /*  2 | */
	volatile uint16_t batch;       /*  4 | | */
	volatile uint16_t stack;       /*  6 | | */
	volatile uint16_t free;	       /*  8   | free */
	volatile uint16_t sample_free; /* 10   | */
	volatile uint16_t arena;       /* 12 */
	volatile uint16_t mark;	       /* 14 */
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_semaphores) == 16, "eight semaphores");

/*
 * The one object that a reader looks for. Its semaphores are those named in the stapsdt notes of
 * the probes, so the registry's address follows from any note, in stripped and static programs too.
 */
struct mmviz_registry {
	struct mmviz_semaphores semaphores; /*  0 */
	uint64_t magic;			    /* 16 MMVIZ_REGISTRY_MAGIC */
	uint32_t abi_version;		    /* 24 */
	uint32_t registry_bytes;	    /* 28 sizeof(struct mmviz_registry) */
	uint64_t contexts_addr;	 /* 32 struct mmviz_context[contexts_count]; 0: not used yet */
	uint32_t contexts_count; /* 40 entries that are whole; stored after the entry */
	uint32_t arenas_created; /* 44 */
	uint64_t marks_count;	 /* 48 ever made; mark i is marks[i % MMVIZ_MARKS_MAX] */
	/* Control words: written by a collector, read by the target. 0: the default. */
	uint32_t control_log_events; /* 56 hand a log over at this many events, 1..MMVIZ_LOG_EVENTS
				      */
	uint32_t control_flags;	     /* 60 */
	uint64_t control_sample_bytes; /* 64 mean bytes between samples; default 512 KiB */
	uint32_t control_stacks_max;   /* 72 1..MMVIZ_STACKS_MAX; default: that */
	uint32_t stacks_count;	       /* 76 contexts that are stacks */
	uint64_t stacks_refused; /* 80 blocks that kept their tag or site: no room for the stack */
	volatile uint16_t error_semaphore;     /* 88 */
	uint16_t reserved0[3];		       /* 90 */
	uint64_t reserved[4];		       /* 96 */
	uint64_t arena_addr[MMVIZ_ARENAS_MAX]; /* 128 0: empty slot. Stored after the arena is
						  whole, cleared before it is unmapped */
	struct mmviz_mark_entry marks[MMVIZ_MARKS_MAX];
};
MMVIZ_STATIC_ASSERT(sizeof(struct mmviz_registry) ==
			    128 + 8 * MMVIZ_ARENAS_MAX + 16 * MMVIZ_MARKS_MAX,
		    "registry has no holes");

/* ------------------------------------------------------------------ probe arguments */

enum mmviz_arena_change { /* second argument of the `arena` probe */
			  MMVIZ_ARENA_CREATE = 1,
			  MMVIZ_ARENA_GROW = 2,
			  MMVIZ_ARENA_RESET = 3,
			  MMVIZ_ARENA_DESTROY = 4,
};

enum mmviz_error_kind { /* first argument of the `error` probe */
			MMVIZ_ERROR_DOUBLE_FREE = 1,
			MMVIZ_ERROR_FOREIGN_POINTER = 2, /* not a block of this arena */
			MMVIZ_ERROR_CORRUPT_HEADER =
				3, /* check word does not fit: overrun, or not a block's start */
			MMVIZ_ERROR_OVERRUN = 4, /* guard bytes behind the payload were changed */
			MMVIZ_ERROR_OUT_OF_MEMORY =
				5, /* capacity exhausted; the call returns NULL with ENOMEM */
};

enum mmviz_arena_flag {
	MMVIZ_ARENA_SINGLE_THREADED =
		1,		     /* one thread at a time, by promise: no lock, no return list */
	MMVIZ_ARENA_HUGE_PAGES = 2,  /* ask for transparent huge pages */
	MMVIZ_ARENA_GUARD_BYTES = 4, /* 16 bytes behind each payload, checked at free */
	MMVIZ_ARENA_OWN_MEMORY = 8,  /* the caller's memory: never mapped or unmapped */
	MMVIZ_ARENA_CHECKED_FREES = 16, /* a free reads its block's header in large heaps too */
};

#endif /* MMVIZ_ABI_H */
