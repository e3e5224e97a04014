/* SPDX-License-Identifier: MIT */
/*
 * ring.bpf.h - the records that the BPF programs pass through the ring to the collector.
 *
 * Shared by bpf/mmviz.bpf.c and user/collect/attach.c, built and shipped together: no version. The
 * heads are written by the BPF programs and can be trusted; what was copied from the target cannot.
 */
#ifndef MMVIZ_RING_BPF_H
#define MMVIZ_RING_BPF_H

#include <mmviz/abi.h>

enum ring_kind {
	RING_BATCH = 1, /* struct ring_log: handed over full */
	RING_TAIL = 2,	/* struct ring_log, or its head without events: at the target's end */
	RING_EVENT = 3,
	RING_SAMPLE = 4,
	RING_END = 5,
	RING_SAMPLE_BARE = 6, /* the first RING_SAMPLE_HEAD_BYTES of struct ring_sample: no room */
	RING_SAMPLE_FREE = 7, /* as many: the end of a sampled block */
	RING_ARENA_EMPTY = 8, /* struct ring_arena: all its blocks are gone */
};

struct ring_head {
	uint32_t kind;	    /*  0 enum ring_kind */
	uint32_t thread_id; /*  4 in the initial pid namespace */
	uint64_t at_ns;	    /*  8 CLOCK_MONOTONIC */
};

struct ring_log {
	struct ring_head head;
	uint64_t log_bytes;   /* 16 of `log` that were copied */
	struct mmviz_log log; /* 24 hostile */
};
#define RING_LOG_HEAD_BYTES                                                                        \
	(sizeof(struct ring_log) - sizeof(struct mmviz_log) + MMVIZ_LOG_HEAD_BYTES)

struct ring_event {
	struct ring_head head;
	uint64_t addr, bytes;	    /* 16 */
	uint32_t arena_id, context; /* 32 */
	uint32_t weight;	    /* 40 events that this one stands for */
	uint32_t is_free;	    /* 44 */
};

/*
 * A sampled block, and for RING_SAMPLE the stack of who asked for it: registers, and whole pages
 * from the one that the stack pointer is in towards the bottom, as far as they can be read.
 *
 *	stack_addr              rsp                              stack_addr + stack_bytes
 *	| dead, red zone        | frames, innermost first ...    |
 */
#define RING_REGISTERS	 17 /* by their DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */
#define RING_PAGE_BYTES	 4096
#define RING_STACK_PAGES 3
struct ring_sample {
	struct ring_head head;
	uint64_t addr, bytes, weight_bytes; /*  16 */
	uint32_t arena_id, context;	    /*  40 */
	uint64_t stack_addr;		    /*  48 */
	uint64_t stack_bytes;		    /*  56 of `stack` that were copied; 0 without */
	uint64_t registers[RING_REGISTERS]; /*  64 from here on for RING_SAMPLE only */
	uint8_t stack[RING_STACK_PAGES * RING_PAGE_BYTES]; /* 200 hostile */
};
#define RING_SAMPLE_HEAD_BYTES 64

/* In the ring's order with samples: those before it are of blocks that are gone. */
struct ring_arena {
	struct ring_head head;
	uint64_t arena_id; /* 16 */
};

enum ring_end_kind { RING_END_EXIT = 1, RING_END_EXEC = 2 };
struct ring_end {
	struct ring_head head;
	uint32_t how;	   /* 16 enum ring_end_kind */
	int32_t exit_code; /* 20 wait status */
};

MMVIZ_STATIC_ASSERT(sizeof(struct ring_head) == 16, "ring head has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_log) == 24 + sizeof(struct mmviz_log), "log has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_event) == 48, "event has no holes");
MMVIZ_STATIC_ASSERT(__builtin_offsetof(struct ring_sample, registers) == RING_SAMPLE_HEAD_BYTES,
		    "its head");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_sample) == 200 + RING_STACK_PAGES * RING_PAGE_BYTES,
		    "sample has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_arena) == 24, "arena has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_end) == 24, "end has no holes");

#endif
