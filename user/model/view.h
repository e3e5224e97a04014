/* SPDX-License-Identifier: MIT */
/*
 * view.h - what may be known of the replica outside the model: plain values, one instant, no
 * pointers into it.
 *
 * The only header of model/ that serve/, export/ and store/ include. A `struct view` is handed out
 * by the session; all calls between two ticks see the same instant, so all numbers agree. One
 * thread (the session's).
 */
#ifndef MMVIZ_MODEL_VIEW_H
#define MMVIZ_MODEL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view;

enum view_target_state { VIEW_TARGET_LIVE, VIEW_TARGET_EXITED, VIEW_TARGET_EXECED };

struct view_totals {
	uint64_t at_ns; /* CLOCK_REALTIME of this instant */
	uint64_t live_blocks, live_bytes, peak_live_bytes;
	uint64_t allocations, frees; /* since attach */
	uint64_t allocated_bytes, freed_bytes;
	uint64_t events_seen, events_lost, resyncs;
	double events_per_second, allocations_per_second;
	uint64_t resident_bytes;  /* of the target */
	uint64_t collector_bytes; /* our own resident memory */
	uint64_t ring_used_bytes, ring_bytes;
	uint64_t verified_at_ns; /* last time replica and walk were compared equal; 0 never */
	uint32_t threads, arenas, contexts;
	bool is_exact; /* false while a resync is under way, or in sampled modes */
	enum view_target_state target_state;
	int exit_code;		    /* wait status, when exited */
	uint64_t fallback_since_ns; /* CLOCK_REALTIME: exact mode has given way to walks; 0: no */
	const char *fallback_reason;
};

struct view_arena {
	uint32_t id;
	char name[64];
	uint64_t base_addr, capacity_bytes, committed_bytes, frontier_bytes;
	uint64_t live_blocks, live_bytes, header_bytes, padding_bytes;
	uint64_t cached_bytes, unused_bytes, meta_bytes;
	uint64_t free_bytes, largest_free_bytes; /* free: units in no span, up to the capacity */
	uint64_t committed_free_bytes;		 /* of them, those below the frontier */
	double fragmentation_ratio; /* 1 - largest / all of the free runs below the frontier; 0
				       without any */
	uint64_t split_blocks;	    /* payload crosses a 64-byte line though fewer lines would do */
	bool is_gone;
};

struct view_context {
	uint32_t id;
	uint32_t base;	  /* what it counts as: of a stack its tag or site; else id */
	uint32_t kind;	  /* enum mmviz_context_kind */
	const char *text; /* valid for the session */
	uint64_t live_blocks, live_bytes, peak_live_bytes;
	uint64_t allocations, frees, allocated_bytes; /* since attach */
	double allocations_per_second;
	double growth_bytes_per_second; /* smoothed over about a minute */
};

/* One cell of the map: `bytes_per_texel` of arena memory. Shares are 0..255 of those bytes. */
struct view_texel {
	uint32_t context; /* that has most live bytes here; 0xffffffff: none live */
	uint8_t live, header, cached, free; /* shares; what is left is padding, meta, unused */
	uint8_t kind;			    /* what dominates: enum view_texel_kind */
	uint8_t age_log2_ms; /* log2 of the age in ms of the youngest live block here; 255: older
				than attach */
	uint16_t blocks;     /* that begin here, saturated */
};
enum view_texel_kind { VIEW_FREE, VIEW_LIVE, VIEW_CACHED, VIEW_UNUSED, VIEW_META, VIEW_UNTOUCHED };

struct view_block {
	uint32_t arena_id;
	uint64_t addr; /* of the payload */
	uint64_t cell_addr,
		cell_bytes; /* all that the block takes: header, label, padding included */
	uint64_t bytes;
	uint32_t context; /* tag or site */
	uint32_t stack;	  /* the context with its stack; the same, if it has none */
	uint32_t owner_heap, thread_id, incarnation;
	uint8_t life; /* enum mmviz_life */
	bool is_large, is_older_than_attach;
	uint32_t age_ms; /* older than attach: time since attach */
	uint64_t
		born_at_ns; /* CLOCK_REALTIME, good to a batch (event_clock.h); 0: before the attach */
	char label[32];	    /* "" without one */
};

/* How long the blocks of a context lived, of those whose birth is known. */
#define VIEW_LIFETIME_BUCKETS 47u
struct view_lifetimes {
	uint32_t id, kind; /* as struct view_context */
	const char *text;
	uint64_t live_blocks;
	uint64_t
		older; /* deaths of blocks that are older than the attach: their age is not known */
	uint64_t deaths[VIEW_LIFETIME_BUCKETS]; /* [i]: age from 2^i to 2^(i+1) ns; [0] from 0 */
};

struct view_point {	/* of the timeline, one a step */
	uint64_t at_ns; /* CLOCK_REALTIME */
	uint64_t live_bytes, live_blocks, resident_bytes;
	double events_per_second;
	uint64_t events_lost;
};
struct view_mark {
	uint64_t at_ns;
	const char *text;
};

void view_totals(const struct view *view, struct view_totals *out);
/* Copies up to `max` rows, in order of id; returns how many there are. */
uint32_t view_arenas(const struct view *view, struct view_arena *out, uint32_t max);
/* The `max` tags and sites with most live bytes (arena_id 0: of all arenas), whatever stacks
 * their blocks are from; returns how many were copied. */
uint32_t view_contexts(const struct view *view, uint32_t arena_id, struct view_context *out,
		       uint32_t max);
/*
 * Of all arenas, as the blocks name them: each stack apart, and what has none. Sums since attach,
 * no peaks or rates. Returns how many were copied; *all: how many there are.
 */
uint32_t view_contexts_apart(const struct view *view, struct view_context *out, uint32_t max,
			     uint32_t *all);
/* The `max` contexts with most deaths (arena_id 0: of all arenas), and in *all their sum over every
 * context; returns how many were copied. */
uint32_t view_lifetimes(const struct view *view, uint32_t arena_id, struct view_lifetimes *all,
			struct view_lifetimes *out, uint32_t max);
/* Fill texels[0..count) for the memory from `offset` on. 0, -ENOENT no such arena. */
int view_map(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
	     uint64_t bytes_per_texel, struct view_texel *texels, uint32_t count);
/* Blocks (live, cached, returned) that touch [offset, offset + bytes), address order, up to max;
 * returns how many were copied. */
uint32_t view_blocks(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
		     uint64_t bytes, struct view_block *out, uint32_t max);
/* The block whose cell holds this offset. 0, -ENOENT. */
int view_block_at(const struct view *view, uint32_t arena_id, uint64_t offset_bytes,
		  struct view_block *out);
/* Every live block in address order, arena by arena; ends when `visit` returns non-zero. */
int view_each_live(const struct view *view,
		   int (*visit)(const struct view_block *block, void *context), void *context);
/* Points newer than `since_ns`, oldest first, at most max (the newest); returns how many were
 * copied. */
uint32_t view_timeline(const struct view *view, uint64_t since_ns, struct view_point *out,
		       uint32_t max);
uint32_t view_marks(const struct view *view, struct view_mark *out, uint32_t max);
const char *view_context_text(const struct view *view, uint32_t id);

#endif
