/* SPDX-License-Identifier: MIT */
/*
 * mmviz.h - arenas whose blocks can be watched from outside.
 *
 *	struct mmviz_arena *arena = mmviz_arena_create("requests", 1ULL << 30);
 *	char *text = mmviz_alloc(arena, 100, MMVIZ_TAG("GET /"));
 *	mmviz_free(arena, text);
 *
 * and `sudo mmviz-bpf -p PID` shows every block of the running program.
 *
 * Sizes are in bytes. Every payload is aligned to 16 bytes. All functions may be called by any
 * thread at any time unless they say otherwise; none is safe in a signal handler. Nothing here
 * prints, exits or calls malloc, but for the default error handler (mmviz_set_error_handler).
 *
 * Failures: functions that return a pointer return NULL and set errno; functions that return int
 * return 0 or a negative errno.
 */
#ifndef MMVIZ_MMVIZ_H
#define MMVIZ_MMVIZ_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MMVIZ_API __attribute__((visibility("default")))

struct mmviz_arena;
/* An interned name; 0 is "untagged": such a block is attributed to its call site. */
typedef uint32_t mmviz_tag;

/* ------------------------------------------------------------------ arenas */

/* Values of mmviz_arena_options.flags; the same as enum mmviz_arena_flag in abi.h. */
#define MMVIZ_SINGLE_THREADED 1u  /* one thread at a time, by promise of the caller */
#define MMVIZ_HUGE_PAGES      2u  /* ask the kernel for transparent huge pages */
#define MMVIZ_GUARD_BYTES     4u  /* 16 bytes behind each payload, checked when it is freed */
#define MMVIZ_CHECKED_FREES   16u /* each free looks at its block's header, however many there are */

struct mmviz_arena_options {
	size_t options_bytes;  /* sizeof(struct mmviz_arena_options): lets the struct grow */
	const char *name;      /* copied, truncated to 63 bytes; must not be NULL or empty */
	size_t capacity_bytes; /* address space to reserve; memory is committed on demand */
	void *memory; /* NULL, or the caller's own memory of capacity_bytes; the arena's books are
			 kept in it */
	unsigned flags;
};

/*
 * Create an arena that can hold blocks of up to about `capacity_bytes` in total: headers, and 120
 * KiB for each thread that uses it (16 to 30 KiB in arenas under 64 MiB), come out of it. Its books
 * (3 % of what is used) lie beside it, or in the caller's own memory. Memory is committed when it is
 * first needed, and what was freed goes back to the system within a second: by a thread of the
 * library's own, "mmviz-keeper", that exists while there is some. NULL: EINVAL (no name; capacity
 * under 64 KiB or over 64 GiB), ENOMEM, ENFILE (256 arenas exist).
 */
MMVIZ_API struct mmviz_arena *mmviz_arena_create(const char *name, size_t capacity_bytes);
MMVIZ_API struct mmviz_arena *mmviz_arena_create_with(const struct mmviz_arena_options *options);

/* Give everything back. NULL is fine. No other thread may be using the arena. */
MMVIZ_API void mmviz_arena_destroy(struct mmviz_arena *arena);

/* Free every block at once, in time proportional to the arena's spans. No other thread may be using
 * the arena. */
MMVIZ_API void mmviz_arena_reset(struct mmviz_arena *arena);

/* ------------------------------------------------------------------ blocks */

/* A block of at least `bytes` (0 gives a block of its own too). NULL: ENOMEM, capacity exhausted.
 */
MMVIZ_API void *mmviz_alloc(struct mmviz_arena *arena, size_t bytes, mmviz_tag tag)
	__attribute__((malloc, alloc_size(2)));

/* A zeroed block of count * bytes. NULL: ENOMEM, also when the product overflows. */
MMVIZ_API void *mmviz_calloc(struct mmviz_arena *arena, size_t count, size_t bytes, mmviz_tag tag)
	__attribute__((malloc, alloc_size(2, 3)));

/* `alignment` is a power of two up to 2 MiB, of any relation to `bytes`. NULL: EINVAL, ENOMEM. */
MMVIZ_API void *mmviz_alloc_aligned(struct mmviz_arena *arena, size_t alignment, size_t bytes,
				    mmviz_tag tag)
	__attribute__((malloc, alloc_align(2), alloc_size(3)));

/* As mmviz_alloc; up to 31 bytes of `label` (NULL: none) are copied into the block's header. */
MMVIZ_API void *mmviz_alloc_labeled(struct mmviz_arena *arena, size_t bytes, const char *label)
	__attribute__((malloc, alloc_size(2)));

/*
 * As realloc: block NULL allocates, bytes 0 gives a minimal block. In place where the cell has
 * room. A moved block keeps its label and, for one from mmviz_alloc_aligned with up to 64 bytes,
 * its alignment; a tag of 0 keeps the old context. NULL: ENOMEM; then the block is unchanged.
 */
MMVIZ_API void *mmviz_realloc(struct mmviz_arena *arena, void *block, size_t bytes, mmviz_tag tag)
	__attribute__((alloc_size(3)));

/*
 * Free a block of this arena. NULL is fine. Any thread. A second free, a pointer that is no block
 * and a header that was overwritten go to the error handler at once while the thread's heap has 8
 * MiB of spans or less, and in arenas with MMVIZ_CHECKED_FREES. In larger heaps they do so before
 * the memory is given out again or let go, and at the next walk or check: no block is ever given out
 * twice. Pointers to other arenas, stacks and the like are always found at once.
 */
MMVIZ_API void mmviz_free(struct mmviz_arena *arena, void *block);

/* Bytes that may be used, at least the bytes asked for. */
MMVIZ_API size_t mmviz_usable_bytes(const void *block);

/* ------------------------------------------------------------------ names */

/*
 * The id of a name; the same name always has the same id. `name` is copied. 0 if it is NULL or
 * empty, or if 8 M names exist. Takes a lock: intern once, use often, or use MMVIZ_TAG.
 */
MMVIZ_API mmviz_tag mmviz_tag_intern(const char *name);
/* The name of a tag, or NULL. Valid for ever. */
MMVIZ_API const char *mmviz_tag_name(mmviz_tag tag);

/* Interns its literal once per call site. */
#define MMVIZ_TAG(literal)                                                                         \
	(__extension__({                                                                           \
		static mmviz_tag mmviz_tag_here;                                                   \
		mmviz_tag mmviz_tag_now = __atomic_load_n(&mmviz_tag_here, __ATOMIC_RELAXED);      \
		if (__builtin_expect(mmviz_tag_now == 0, 0)) {                                     \
			mmviz_tag_now = mmviz_tag_intern("" literal);                              \
			__atomic_store_n(&mmviz_tag_here, mmviz_tag_now, __ATOMIC_RELAXED);        \
		}                                                                                  \
		mmviz_tag_now;                                                                     \
	}))

/* Draw a line on the time axis of whoever watches. The newest 256 marks are kept. */
MMVIZ_API void mmviz_mark(const char *phase);

/* ------------------------------------------------------------------ looking inside */

struct mmviz_stats {
	uint64_t capacity_bytes;
	uint64_t committed_bytes;
	uint64_t live_blocks;
	uint64_t live_bytes;	     /* as requested */
	uint64_t header_bytes;	     /* 16 or 48 for each live block */
	uint64_t padding_bytes;	     /* the rest of live blocks' cells and units */
	uint64_t cached_bytes;	     /* cells in free lists, or returned and not collected */
	uint64_t unused_bytes;	     /* cells never used, span heads and tails */
	uint64_t meta_bytes;	     /* the arena's own books and heaps */
	uint64_t free_bytes;	     /* units in no span and no block, up to the capacity */
	uint64_t largest_free_bytes; /* the longest run of them */
	uint64_t spans;
	uint64_t heaps;
	uint64_t events; /* sum of all heaps' seq */
			 /* live + header + padding + cached + unused + meta + free == capacity */
};

/*
 * Totals, by a walk: O(cells). Exact if no other thread changes the arena meanwhile, else each
 * block is counted as it was when the walk passed it.
 */
MMVIZ_API int mmviz_arena_stats(struct mmviz_arena *arena, struct mmviz_stats *out);

struct mmviz_block {
	const void *address; /* of the payload */
	size_t bytes;	     /* as requested */
	size_t usable_bytes;
	const char *tag;   /* the tag's name; "" for untagged blocks */
	const char *label; /* "" without one */
	uint32_t context;
	uint32_t owner_heap; /* MMVIZ_HEAP_NONE for large blocks */
	uint32_t incarnation;
};
/* Return non-zero to end the walk. The block's strings are valid until it returns. */
typedef int (*mmviz_block_visitor)(const struct mmviz_block *block, void *context);

/*
 * Visit every live block in address order. Returns what the visitor returned, or -EINVAL. The
 * visitor must not allocate here. Blocks whose header was overwritten are left out; the first of
 * the calling thread's, or of the large ones, goes to the error handler afterwards.
 */
MMVIZ_API int mmviz_arena_walk(struct mmviz_arena *arena, mmviz_block_visitor visit, void *context);

/* Check every invariant. 0, or -EUCLEAN and the first mismatch in mmviz_check_message(). No other
 * thread may be using the arena. */
MMVIZ_API int mmviz_arena_check(struct mmviz_arena *arena);
MMVIZ_API const char *mmviz_check_message(void);

/* ------------------------------------------------------------------ errors */

struct mmviz_error {
	int kind;	      /* enum mmviz_error_kind in abi.h */
	const char *what;     /* "double free", ... */
	const void *address;  /* the pointer that was passed */
	size_t bytes;	      /* of the block, as far as its header can be trusted */
	const char *arena;    /* name */
	const char *tag;      /* name, label or "" */
	const void *born_at;  /* call site of an untagged block, or NULL */
	const void *now_at;   /* call site of the wrong call, or NULL */
	const void *freed_at; /* call site of the first free, unless it was overwritten; or NULL */
	/* An overwritten header: the block in front of it. A pointer that is no block of this
	 * arena: the block that it points into, here or in another arena. NULL: none. */
	const void *near_block;
	size_t near_bytes;
	const char *near_tag, *near_arena;
};
/*
 * Called before anything is changed, sometimes in the midst of an operation: it must not allocate
 * from the arena, nor free. The error and its texts are valid until it returns.
 * The default prints one message to standard error and aborts; a handler that returns makes the
 * wrong call do nothing; a cell whose header was overwritten is not used again. Returns the old handler; NULL restores the default.
 */
typedef void (*mmviz_error_handler)(const struct mmviz_error *error);
MMVIZ_API mmviz_error_handler mmviz_set_error_handler(mmviz_error_handler handler);

#ifdef __cplusplus
}
#endif
#endif /* MMVIZ_MMVIZ_H */
