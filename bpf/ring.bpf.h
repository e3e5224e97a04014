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
	RING_EVENT_LABELLED =
		9, /* a whole struct ring_event; RING_EVENT is one without its label */
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

/*
 * Events mode: what is told. Allocations that do not pass are not told, nor are their ends; of those
 * that pass each is chosen by a draw of its own, with a chance that its record names: an estimate
 * that counts each record 1/chance times is unbiased, however the chances came about.
 *
 *	by count	chance = 1/N
 *	by bytes	chance = 1 - exp(-bytes/mean), that of a Poisson process over bytes to fall
 *			into them; exp(-bytes/mean) is the product of spared[i] over the bits of bytes
 *
 * Chances are in units of 2^-32. The collector writes another slot, then says which one counts.
 */
#define RING_CERTAIN	    (1ull << 32)
#define RING_ANY_CONTEXT    0xffffffffu
#define RING_SIZE_BITS	    36 /* of a block's bytes: a header has no more */
#define RING_SETTINGS_SLOTS 16
#define RING_CPUS	    256 /* with counters of their own; others share them */
struct ring_settings {
	uint64_t min_bytes, max_bytes;	 /*   0 both pass */
	uint64_t chance;		 /*  16 of every allocation; 0: by bytes */
	uint64_t spared[RING_SIZE_BITS]; /*  24 below 2^32 */
	uint32_t context;		 /* 312 RING_ANY_CONTEXT: any */
	uint32_t thread_id;		 /* 316 0: any */
};
/* Of one CPU; only ever growing. */
struct ring_counters {
	uint64_t hits;		  /*  0 of both probes */
	uint64_t allocations;	  /*  8 that passed, chosen or not */
	uint64_t allocated_bytes; /* 16 by them */
	uint64_t told;		  /* 24 records, allocations and frees */
	uint64_t dropped;	  /* 32 records for which the ring had no room */
	uint64_t remembered;	  /* 40 chosen allocations whose end will be told */
	uint64_t ended;		  /* 48 of those: freed, or found to be others by now */
	uint64_t unused;	  /* 56 */
};
struct ring_event {
	struct ring_head head;
	uint64_t addr, bytes;		  /* 16 */
	uint64_t chance;		  /* 32 with which the allocation was chosen */
	uint64_t birth_ns;		  /* 40 of a free: when it was allocated */
	uint32_t arena_id, context;	  /* 48 */
	uint16_t is_free;		  /* 56 */
	uint16_t slot;			  /* 58 of the settings that let it pass */
	uint32_t birth_thread_id;	  /* 60 that allocated it */
	uint8_t comm[16];		  /* 64 NUL-terminated */
	uint8_t label[MMVIZ_LABEL_BYTES]; /* 80 hostile; RING_EVENT_LABELLED only */
};
#define RING_EVENT_BYTES 80

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
MMVIZ_STATIC_ASSERT(sizeof(struct ring_settings) == 32 + 8 * RING_SIZE_BITS,
		    "settings have no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_counters) == 64, "a line of cache for each CPU");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_event) == 80 + MMVIZ_LABEL_BYTES, "event has no holes");
MMVIZ_STATIC_ASSERT(__builtin_offsetof(struct ring_event, label) == RING_EVENT_BYTES, "its end");
MMVIZ_STATIC_ASSERT(__builtin_offsetof(struct ring_sample, registers) == RING_SAMPLE_HEAD_BYTES,
		    "its head");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_sample) == 200 + RING_STACK_PAGES * RING_PAGE_BYTES,
		    "sample has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_arena) == 24, "arena has no holes");
MMVIZ_STATIC_ASSERT(sizeof(struct ring_end) == 24, "end has no holes");

#endif
