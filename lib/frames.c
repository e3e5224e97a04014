/* SPDX-License-Identifier: MIT */
/* frames.c - see frames.h. */
#include "frames.h"

#include <pthread.h>
#include <sys/auxv.h>

#include "likely.h"
#include "os.h"
#include "registry.h"

#define PAGE_BYTES	4096u
#define OWN_FRAMES_MAX	12u   /* of the library, between the walk and the site */
#define OTHER_PAGES_MAX 64u   /* that are asked for in one walk of another stack */
#define OWN_PAGES_MAX	2048u /* the usual 8 MiB; a thread that stands deeper is walked as another */
#define SKIPPED_MAX	65536u /* walks of other stacks until the own one is looked for again */
#define ADDRESSES_BEGIN 65536u /* nothing is mapped below */
#define ADDRESSES_END	(1ULL << 47)
#define RETURNS_KNOWN	4096u /* a power of two */
#define HASH_FACTOR	0x9e3779b97f4a7c15ULL
#define LONGEST_CALL	7u /* bytes of code that tell a call */

/* Sanitizers know the frames of instrumented code; a walk goes over everybody's. */
#if defined(__clang__)
#define WALKS_STACKS __attribute__((no_sanitize("address", "thread", "memory")))
#else
#define WALKS_STACKS __attribute__((no_sanitize("address", "thread")))
#endif

/* ------------------------------------------------------------------ what is readable */

/* The part of the thread's own stack that is known to be readable; 0, 0: not found yet. */
static __thread struct {
	uint64_t start, end;
	uint32_t skipped, skip; /* walks of other stacks since the last look, and until the next */
} own __attribute__((tls_model("initial-exec")));

/* What may be read in one walk. */
struct readable {
	uint64_t end;
	uint32_t pages; /* further ones that may be asked for */
};

static uint64_t page_of(uint64_t addr)
{
	return addr & ~(uint64_t)(PAGE_BYTES - 1);
}

/* Every page of [from, to), of which the first was just written to. */
static bool is_readable(uint64_t from, uint64_t to)
{
	if (to - from > (uint64_t)OWN_PAGES_MAX * PAGE_BYTES)
		return false;
	for (uint64_t page = from + PAGE_BYTES; page < to; page += PAGE_BYTES)
		if (!os_is_readable((const void *)page))
			return false;
	return true;
}

/*
 * What lies at the top of the thread's own stack: its thread control block, in every thread but the
 * first (which is what pthread_self() points to); and in the first the bytes that the kernel left
 * there. The nearer one, if any is near.
 */
static uint64_t own_top(uint64_t from)
{
	uint64_t control = (uint64_t)pthread_self(), kernels = getauxval(AT_RANDOM);

	if (control > from && (kernels < from || control < kernels))
		return control;
	return kernels > from ? kernels : 0;
}

/* The thread stands on a stack that is not known, or deeper than before. 0: it is not its own. */
__attribute__((noinline)) static uint64_t own_end_find(uint64_t frame)
{
	uint64_t from = page_of(frame), top;
	bool is_deeper;

	if (own.skipped < own.skip) {
		own.skipped++;
		return 0;
	}
	top = own_top(frame);
	is_deeper = own.end == top && own.start > from;
	if (top && is_readable(from, is_deeper ? own.start : top)) {
		own.start = from;
		own.end = top;
		own.skip = 0;
		return top;
	}
	own.skip = own.skip < SKIPPED_MAX ? own.skip * 2 + 1 : SKIPPED_MAX;
	own.skipped = 0;
	return 0;
}

hot_inline struct readable readable_from(uint64_t frame)
{
	uint64_t end = own.end;

	if (unlikely(frame - own.start >= end - own.start))
		end = own_end_find(frame);
	if (likely(end))
		return (struct readable){end, 0};
	return (struct readable){page_of(frame) + PAGE_BYTES, OTHER_PAGES_MAX};
}

/* The two words of a frame of another stack, beyond what is known. */
__attribute__((noinline)) static bool can_read_further(struct readable *readable, uint64_t frame)
{
	while (frame + 16 > readable->end) {
		if (frame + 16 - readable->end > (uint64_t)readable->pages * PAGE_BYTES ||
		    !os_is_readable((const void *)readable->end))
			return false;
		readable->end += PAGE_BYTES;
		readable->pages--;
	}
	return true;
}

/* Whether `next` can be the frame of whoever called the function of `frame`. */
hot_inline bool is_next(struct readable *readable, uint64_t frame, uint64_t next)
{
	if (unlikely(next <= frame || next & 7 || next >= ADDRESSES_END))
		return false;
	return likely(next + 16 <= readable->end) || can_read_further(readable, next);
}

/* ------------------------------------------------------------------ the walk */

/* Multiplicative (Knuth, TAOCP 6.4), turned so that every address reaches every bit. */
hot_inline uint64_t hash_add(uint64_t hash, uint64_t addr)
{
	return ((hash << 27 | hash >> 37) ^ addr) * HASH_FACTOR;
}

void frames_cut(struct frames *frames, uint32_t count)
{
	frames->count = count;
	frames->flags = 0;
	frames->hash = 0;
	for (uint32_t i = 0; i < count; i++)
		frames->hash = hash_add(frames->hash, frames->return_addr[i]);
}

/* The frame that the site's call made, or 0: the library's own frames do not lead there. */
WALKS_STACKS static uint64_t frame_of_site(struct readable *readable, uint64_t frame, uint64_t site)
{
	for (uint32_t own_frames = 0; own_frames < OWN_FRAMES_MAX; own_frames++) {
		const uint64_t *words = (const uint64_t *)frame;

		if (words[1] == site)
			return frame;
		if (!is_next(readable, frame, words[0]))
			return 0;
		frame = words[0];
	}
	return 0;
}

WALKS_STACKS void frames_walk(const void *innermost, const void *site, struct frames *out)
{
	struct readable readable = readable_from((uint64_t)innermost);
	uint64_t frame = frame_of_site(&readable, (uint64_t)innermost, (uint64_t)site);
	uint64_t hash = 0, next;
	uint32_t count = 0;

	out->flags = 0;
	if (unlikely(!frame)) {
		out->return_addr[0] = (uint64_t)site;
		frames_cut(out, 1);
		return;
	}
	for (;;) {
		const uint64_t *words = (const uint64_t *)frame;

		out->return_addr[count++] = words[1];
		hash = hash_add(hash, words[1]);
		next = words[0];
		if (!is_next(&readable, frame, next)) {
			out->flags = next ? 0 : MMVIZ_STACK_COMPLETE;
			break;
		}
		if (unlikely(count == MMVIZ_STACK_FRAMES_MAX)) {
			out->flags = MMVIZ_STACK_DEEP;
			break;
		}
		frame = next;
	}
	out->count = count;
	out->hash = hash;
}

/* ------------------------------------------------------------------ return addresses */

static uint64_t returns_known[RETURNS_KNOWN];

/* A call: near (e8), or through a register or memory (ff /2, of two to seven bytes). */
#if defined(__x86_64__)
static bool is_behind_call(const unsigned char *code)
{
	if (code[-5] == 0xe8)
		return true;
	for (int bytes = 2; bytes <= 7; bytes++)
		if (code[-bytes] == 0xff && (code[-bytes + 1] >> 3 & 7) == 2)
			return true;
	return false;
}
#else
static bool is_behind_call(const unsigned char *code)
{
	uint32_t word = *(const uint32_t *)(code - 4);

	return (word & 0xfc000000u) == 0x94000000u || (word & 0xfffffc1fu) == 0xd63f0000u;
}
#endif

WALKS_STACKS bool frames_is_return(uint64_t addr)
{
	uint64_t *known = &returns_known[addr * HASH_FACTOR >> 52];

	if (addr < ADDRESSES_BEGIN || addr >= ADDRESSES_END ||
	    addr - own.start < own.end - own.start)
		return false;
	if (__atomic_load_n(known, __ATOMIC_RELAXED) == addr)
		return true;
	if (registry_arena_of((const void *)addr) ||
	    !os_is_readable((const void *)(addr - LONGEST_CALL)) ||
	    !os_is_readable((const void *)(addr - 1)) ||
	    !is_behind_call((const unsigned char *)addr))
		return false;
	__atomic_store_n(known, addr, __ATOMIC_RELAXED);
	return true;
}
_Static_assert(RETURNS_KNOWN == 1u << (64 - 52), "the hash's upper bits are the index");
