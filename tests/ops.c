/* SPDX-License-Identifier: MIT */
/*
 * ops.c - see ops.h.
 *
 * Order of this file: faults, patterns, the oracle's table, checks, decoding, operations.
 */
#include "ops.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/abi.h>

#define SLOTS	   OPS_SLOTS
#define HUGE_BYTES (48ULL << 20)

struct slot {
	unsigned char *block; /* NULL: empty */
	size_t bytes;
	uint64_t pattern;
	size_t alignment; /* at least this is promised */
	mmviz_tag tag;	  /* 0: untagged */
	bool is_labelled;
	char label[MMVIZ_LABEL_BYTES];
};

struct ops {
	struct mmviz_arena *arena;
	struct slot slots[SLOTS];
	unsigned char *before[SLOTS]; /* what lay in each slot before */
	mmviz_tag tags[OPS_TAGS];
	uint32_t check_every;
	bool never_errs;
	struct ops_counts counts;
	size_t capacity_bytes;
	const unsigned char *highest; /* end of the highest block there ever was */
	char fault[256];
};

struct stream {
	const uint8_t *at, *end;
};

__attribute__((format(printf, 2, 3))) static const char *fault(struct ops *ops, const char *format,
							       ...)
{
	va_list arguments;
	int length = snprintf(ops->fault, sizeof(ops->fault),
			      "operation %llu: ", (unsigned long long)ops->counts.operations);

	va_start(arguments, format);
	vsnprintf(ops->fault + length, sizeof(ops->fault) - (size_t)length, format, arguments);
	va_end(arguments);
	return ops->fault;
}

/* ------------------------------------------------------------------ patterns */

/* The bytes of a block that carry a pattern: all of a short one; edges and some between of a long
 * one. */
static size_t next_marked(size_t at, size_t bytes)
{
	const size_t edge = 1024;
	size_t stride = bytes < (4u << 20) ? 4093 : bytes / 1024 | 1;

	at++;
	if (at < edge || at + edge >= bytes)
		return at;
	return at + stride < bytes - edge ? at + stride : bytes - edge;
}

static unsigned char pattern_byte(uint64_t pattern, size_t at)
{
	return (unsigned char)((pattern + at) * 0x9e3779b97f4a7c15ULL >> 56);
}

static void pattern_write(struct slot *slot)
{
	for (size_t at = 0; at < slot->bytes; at = next_marked(at, slot->bytes))
		slot->block[at] = pattern_byte(slot->pattern, at);
}

/* The first `bytes` of the block, which had `marked_bytes` when the pattern was written. */
static const char *pattern_check(struct ops *ops, const struct slot *slot, size_t bytes,
				 size_t marked_bytes)
{
	for (size_t at = 0; at < bytes && at < marked_bytes; at = next_marked(at, marked_bytes))
		if (slot->block[at] != pattern_byte(slot->pattern, at))
			return fault(ops, "block %p of %zu bytes: byte %zu is %#x, was written %#x",
				     (void *)slot->block, slot->bytes, at, slot->block[at],
				     pattern_byte(slot->pattern, at));
	return NULL;
}

static const char *zero_check(struct ops *ops, const struct slot *slot)
{
	for (size_t at = 0; at < slot->bytes; at++)
		if (slot->block[at])
			return fault(ops, "calloc's block %p of %zu bytes: byte %zu is %#x",
				     (void *)slot->block, slot->bytes, at, slot->block[at]);
	return NULL;
}

/* ------------------------------------------------------------------ the table */

static size_t front_bytes(const struct slot *slot)
{
	return MMVIZ_HEADER_BYTES + (slot->is_labelled ? MMVIZ_LABEL_BYTES : 0);
}

static const char *overlap_check(struct ops *ops, const struct slot *fresh)
{
	const unsigned char *start = fresh->block - front_bytes(fresh);
	const unsigned char *end = fresh->block + fresh->bytes;

	for (const struct slot *slot = ops->slots; slot < ops->slots + SLOTS; slot++)
		if (slot->block && slot != fresh && slot->block - front_bytes(slot) < end &&
		    start < slot->block + slot->bytes)
			return fault(ops, "block %p of %zu bytes overlaps block %p of %zu bytes",
				     (void *)fresh->block, fresh->bytes, (void *)slot->block,
				     slot->bytes);
	return NULL;
}

/* A block has just come from the arena: whether it may be where it is; then its pattern. */
static const char *block_came(struct ops *ops, struct slot *slot)
{
	uint64_t base = (uint64_t)ops->arena;
	const struct mmviz_arena_head *head = (const struct mmviz_arena_head *)ops->arena;
	const char *error;

	if ((uint64_t)slot->block % slot->alignment)
		return fault(ops, "block %p is not aligned to %zu", (void *)slot->block,
			     slot->alignment);
	if ((uint64_t)slot->block < base ||
	    (uint64_t)slot->block + slot->bytes > base + head->capacity_bytes)
		return fault(ops, "block %p of %zu bytes lies outside its arena",
			     (void *)slot->block, slot->bytes);
	if (mmviz_usable_bytes(slot->block) < slot->bytes)
		return fault(ops, "block %p: %zu bytes asked, %zu usable", (void *)slot->block,
			     slot->bytes, mmviz_usable_bytes(slot->block));
	error = overlap_check(ops, slot);
	if (error)
		return error;
	if (slot->block + slot->bytes > ops->highest)
		ops->highest = slot->block + slot->bytes;
	ops->counts.given++;
	slot->pattern = ops->counts.operations * 0x10001;
	pattern_write(slot);
	return NULL;
}

/* NULL came from the arena: whether there really was no room. */
static const char *none_came(struct ops *ops, size_t bytes, size_t alignment)
{
	int error = errno;
	struct mmviz_stats stats;

	ops->counts.refused++;
	if (error != ENOMEM)
		return fault(ops, "no block of %zu bytes, and errno is %d", bytes, error);
	mmviz_arena_stats(ops->arena, &stats);
	/* With so much in one piece any block fits, and a span of its class, too. */
	if (stats.largest_free_bytes >= bytes + 2 * alignment + (1u << 20) + 3 * MMVIZ_UNIT_BYTES)
		return fault(ops, "no block of %zu bytes with %llu in one piece", bytes,
			     (unsigned long long)stats.largest_free_bytes);
	return NULL;
}

/* ------------------------------------------------------------------ checks */

struct walk {
	struct ops *ops;
	const char *fault;
	const unsigned char *last;
	uint64_t blocks, bytes, header_bytes;
};

static struct slot *slot_of(struct ops *ops, const void *block)
{
	for (struct slot *slot = ops->slots; slot < ops->slots + SLOTS; slot++)
		if (slot->block == block)
			return slot;
	return NULL;
}

static int visit(const struct mmviz_block *block, void *context)
{
	struct walk *walk = context;
	const struct slot *slot = slot_of(walk->ops, block->address);
	const char *tag;

	if (!slot) {
		walk->fault = fault(walk->ops, "the walk finds block %p, nobody holds it",
				    block->address);
		return 1;
	}
	tag = slot->tag ? mmviz_tag_name(slot->tag) : "";
	if (block->bytes != slot->bytes || strcmp(block->tag, tag) != 0 ||
	    strcmp(block->label, slot->label) != 0)
		walk->fault = fault(walk->ops,
				    "block %p is %zu bytes '%s' '%s', the walk says %zu '%s' '%s'",
				    block->address, slot->bytes, tag, slot->label, block->bytes,
				    block->tag, block->label);
	else if (slot->block <= walk->last)
		walk->fault = fault(walk->ops, "the walk goes from %p back to %p",
				    (const void *)walk->last, block->address);
	walk->last = slot->block;
	walk->blocks++;
	walk->bytes += slot->bytes;
	walk->header_bytes += front_bytes(slot);
	return walk->fault != NULL;
}

static const char *totals_check(struct ops *ops, const struct walk *walk)
{
	struct mmviz_stats s;
	uint64_t held = 0, sum;

	for (const struct slot *slot = ops->slots; slot < ops->slots + SLOTS; slot++)
		held += slot->block != NULL;
	if (walk->blocks != held)
		return fault(ops, "%llu blocks held, the walk finds %llu", (unsigned long long)held,
			     (unsigned long long)walk->blocks);
	if (mmviz_arena_stats(ops->arena, &s))
		return fault(ops, "no totals");
	if (s.live_blocks != held || s.live_bytes != walk->bytes ||
	    s.header_bytes != walk->header_bytes)
		return fault(
			ops,
			"%llu blocks, %llu bytes, %llu of headers; totals say %llu, %llu, %llu",
			(unsigned long long)held, (unsigned long long)walk->bytes,
			(unsigned long long)walk->header_bytes, (unsigned long long)s.live_blocks,
			(unsigned long long)s.live_bytes, (unsigned long long)s.header_bytes);
	sum = s.live_bytes + s.header_bytes + s.padding_bytes + s.cached_bytes + s.unused_bytes +
	      s.meta_bytes + s.free_bytes;
	if (sum != s.capacity_bytes)
		return fault(ops, "totals sum up to %llu, the capacity is %llu",
			     (unsigned long long)sum, (unsigned long long)s.capacity_bytes);
	if (s.largest_free_bytes > s.free_bytes || s.committed_bytes > s.capacity_bytes)
		return fault(ops, "largest free %llu of %llu, committed %llu of %llu",
			     (unsigned long long)s.largest_free_bytes,
			     (unsigned long long)s.free_bytes,
			     (unsigned long long)s.committed_bytes,
			     (unsigned long long)s.capacity_bytes);
	return NULL;
}

const char *ops_check(struct ops *ops)
{
	struct walk walk = {.ops = ops};
	const char *error;

	if (mmviz_arena_check(ops->arena))
		return fault(ops, "%s", mmviz_check_message());
	for (const struct slot *slot = ops->slots; slot < ops->slots + SLOTS; slot++) {
		error = slot->block ? pattern_check(ops, slot, slot->bytes, slot->bytes) : NULL;
		if (error)
			return error;
	}
	mmviz_arena_walk(ops->arena, visit, &walk);
	return walk.fault ? walk.fault : totals_check(ops, &walk);
}

/* ------------------------------------------------------------------ decoding */

static uint8_t take_byte(struct stream *stream)
{
	return stream->at < stream->end ? *stream->at++ : 0;
}

static size_t take_16(struct stream *stream)
{
	size_t low = take_byte(stream);

	return low | (size_t)take_byte(stream) << 8;
}

/* Mostly small; every class, both sides of every border, now and then huge or near the capacity. */
static size_t take_size(const struct ops *ops, struct stream *stream)
{
	uint8_t kind = take_byte(stream);

	switch (kind & 15) {
	case 0:
		return 0;
	case 1:
	case 2:
		return (size_t)mmviz_class_payload_bytes(take_byte(stream) % MMVIZ_CLASSES) +
		       (size_t)(kind >> 4) % 3 - 1;
	case 3:
	case 4:
		return take_16(stream);
	case 5:
		return kind >> 4 ? take_16(stream) * 32
				 : ops->capacity_bytes / 256 * take_byte(stream);
	case 6:
		return kind >> 4 ? take_16(stream) : take_16(stream) * 1024 % HUGE_BYTES;
	default:
		return take_byte(stream) * (kind & 16 ? 1u : 4u);
	}
}

/* Up to a fifth more or less than now, or some bytes. */
static size_t take_near(size_t bytes, struct stream *stream)
{
	uint8_t change = take_byte(stream);
	size_t step = (change & 64 ? bytes / 300 + 1 : 1) * (change & 63);

	return change & 128 ? bytes + step : bytes - (step < bytes ? step : bytes);
}

static void take_allocation(const struct ops *ops, struct stream *stream, uint8_t kind,
			    struct op *op)
{
	if (kind < 10) {
		op->kind = OP_ALLOC;
		op->tag = take_byte(stream) % OPS_TAGS;
		op->bytes = take_size(ops, stream);
	} else if (kind < 13) {
		op->kind = OP_CALLOC;
		op->tag = take_byte(stream) % OPS_TAGS;
		op->count = take_byte(stream) % 40u;
		op->bytes = take_size(ops, stream) % 65536;
	} else if (kind < 16) {
		op->kind = OP_ALIGNED;
		op->tag = take_byte(stream) % OPS_TAGS;
		op->alignment = (size_t)1 << take_byte(stream) % 22;
		op->bytes = take_size(ops, stream);
	} else {
		op->kind = OP_LABELLED;
		op->label_bytes = take_byte(stream) % 40;
		op->bytes = take_size(ops, stream);
	}
}

static void take_mistake(struct stream *stream, struct op *op)
{
	uint8_t choice = take_byte(stream);

	op->kind = OP_MISTAKE;
	op->wrong = choice & 3;
	op->is_realloc = choice & 4;
	op->bytes = choice >> 3;
	op->offset = take_16(stream);
	if (op->wrong == OP_WRONG_PLACE)
		op->offset *= choice & 8 ? 16 : 4096;
}

static struct op take_op(const struct ops *ops, struct stream *stream)
{
	uint8_t kind = take_byte(stream) % 32;
	struct op op = {.kind = OP_FREE, .slot = take_byte(stream) % SLOTS};

	if (kind < 19) {
		take_allocation(ops, stream, kind, &op);
	} else if (kind >= 26 && kind < 30) {
		op.kind = OP_REALLOC;
		op.tag = take_byte(stream) % OPS_TAGS;
		op.bytes = kind == 26 ? take_near(ops->slots[op.slot].bytes, stream)
				      : take_size(ops, stream);
	} else if (kind == 30) {
		op.kind = OP_FREE_MANY;
		op.stride = 1 + take_byte(stream) % 7u;
	} else if (kind == 31) {
		op.kind = OP_RESET;
		if (take_byte(stream) >= 16) /* rarely */
			take_mistake(stream, &op);
	}
	return op;
}

/* ------------------------------------------------------------------ operations */

static const char *slot_free(struct ops *ops, struct slot *slot)
{
	const char *error;

	if (!slot->block)
		return NULL;
	error = pattern_check(ops, slot, slot->bytes, slot->bytes);
	mmviz_free(ops->arena, slot->block);
	ops->before[slot - ops->slots] = slot->block;
	*slot = (struct slot){0};
	ops->counts.frees++;
	return error;
}

/* `fresh` says what was asked for and got. */
static const char *slot_fill(struct ops *ops, struct slot *slot, const struct slot *fresh)
{
	if (!fresh->block)
		return none_came(ops, fresh->bytes, fresh->alignment);
	*slot = *fresh;
	return block_came(ops, slot);
}

static const char *op_alloc(struct ops *ops, struct slot *slot, const struct op *op)
{
	struct slot fresh = {.alignment = 16, .tag = ops->tags[op->tag], .bytes = op->bytes};

	fresh.block = mmviz_alloc(ops->arena, op->bytes, fresh.tag);
	return slot_fill(ops, slot, &fresh);
}

static const char *op_calloc(struct ops *ops, struct slot *slot, const struct op *op)
{
	struct slot fresh = {.alignment = 16, .tag = ops->tags[op->tag]};
	const char *error;

	fresh.bytes = op->count * op->bytes;
	fresh.block = mmviz_calloc(ops->arena, op->count, op->bytes, fresh.tag);
	error = fresh.block ? zero_check(ops, &fresh) : NULL;
	ops->counts.zeroed_again += fresh.block && fresh.block < ops->highest;
	return error ? error : slot_fill(ops, slot, &fresh);
}

static const char *op_aligned(struct ops *ops, struct slot *slot, const struct op *op)
{
	struct slot fresh = {.tag = ops->tags[op->tag], .bytes = op->bytes};

	fresh.alignment = op->alignment < 16 ? 16 : op->alignment;
	fresh.block = mmviz_alloc_aligned(ops->arena, op->alignment, op->bytes, fresh.tag);
	return slot_fill(ops, slot, &fresh);
}

static const char *op_labelled(struct ops *ops, struct slot *slot, const struct op *op)
{
	struct slot fresh = {.alignment = 16, .is_labelled = true, .bytes = op->bytes};
	char label[48];

	snprintf(label, sizeof(label), "label-%0*u", (int)op->label_bytes,
		 (unsigned)ops->counts.operations);
	memcpy(fresh.label, label, strnlen(label, sizeof(fresh.label) - 1));
	fresh.block = mmviz_alloc_labeled(ops->arena, op->bytes, label);
	return slot_fill(ops, slot, &fresh);
}

static const char *op_realloc(struct ops *ops, struct slot *slot, const struct op *op)
{
	struct slot old = *slot, fresh = *slot;
	const char *error;

	fresh.bytes = op->bytes;
	fresh.tag = op->tag ? ops->tags[op->tag] : old.tag;
	if (!old.block)
		fresh.alignment = 16;
	fresh.block = mmviz_realloc(ops->arena, old.block, op->bytes, ops->tags[op->tag]);
	if (!fresh.block) /* the old block is as it was: its pattern will be checked */
		return none_came(ops, fresh.bytes, 16);
	if (fresh.block != old.block && fresh.alignment > 64)
		fresh.alignment = 64; /* as promised */
	ops->counts.in_place += fresh.block == old.block;
	ops->counts.moved += old.block && fresh.block != old.block;
	fresh.pattern = old.pattern;
	error = pattern_check(ops, &fresh, fresh.bytes, old.bytes);
	return error ? error : slot_fill(ops, slot, &fresh);
}

static const char *op_free_many(struct ops *ops, const struct op *op)
{
	const char *error = NULL;

	for (uint32_t i = op->slot % op->stride; i < SLOTS && !error; i += op->stride)
		error = slot_free(ops, &ops->slots[i]);
	return error;
}

static void op_reset(struct ops *ops)
{
	mmviz_arena_reset(ops->arena);
	memset(ops->slots, 0, sizeof(ops->slots));
	ops->counts.resets++;
}

static __thread uint32_t errors_heard;

static void hear(const struct mmviz_error *error)
{
	(void)error;
	errors_heard++;
}

/* A pointer that is no block; NULL: there is none of this kind now. */
static void *wrong_pointer(struct ops *ops, const struct op *op, unsigned char *stack)
{
	const struct slot *slot = &ops->slots[op->slot];
	void *wrong = NULL;

	switch (op->wrong) {
	case OP_WRONG_INSIDE: /* one behind the end is inside its cell, too */
		wrong = slot->block ? slot->block + 1 + op->offset % (slot->bytes + 1) : NULL;
		break;
	case OP_WRONG_AGAIN:
		wrong = ops->before[op->slot];
		break;
	case OP_WRONG_PLACE:
		wrong = (unsigned char *)ops->arena + op->offset % (ops->capacity_bytes + 64);
		break;
	case OP_WRONG_STACK:
		wrong = stack + op->offset % 64;
		break;
	}
	return slot_of(ops, wrong) ? NULL : wrong;
}

static const char *op_mistake(struct ops *ops, const struct op *op)
{
	unsigned char stack[64];
	void *wrong = wrong_pointer(ops, op, stack), *got = NULL;
	mmviz_error_handler old;

	__asm__ volatile("" : "+r"(wrong)::"memory"); /* the compiler knows of malloc's rules */
	if (!wrong)
		return NULL;
	old = mmviz_set_error_handler(hear);
	errors_heard = 0;
	errno = 0;
	if (op->is_realloc)
		got = mmviz_realloc(ops->arena, wrong, op->bytes, 0);
	else
		mmviz_free(ops->arena, wrong);
	mmviz_set_error_handler(old);
	ops->counts.mistakes++;
	if (errors_heard != 1)
		return fault(ops, "%s of %p, which is no block: told %u times",
			     op->is_realloc ? "realloc" : "free", wrong, errors_heard);
	if (got || (op->is_realloc && errno != EINVAL))
		return fault(ops, "realloc of %p, which is no block: %p, errno %d", wrong, got,
			     errno);
	return NULL;
}

static const char *op_one(struct ops *ops, const struct op *op)
{
	struct slot *slot = &ops->slots[op->slot];
	const char *error = NULL;

	switch (op->kind) {
	case OP_REALLOC:
		return op_realloc(ops, slot, op);
	case OP_FREE:
		return slot_free(ops, slot);
	case OP_FREE_MANY:
		return op_free_many(ops, op);
	case OP_RESET:
		op_reset(ops);
		return NULL;
	case OP_MISTAKE:
		return ops->never_errs ? NULL : op_mistake(ops, op);
	default:
		error = slot_free(ops, slot);
	}
	if (error)
		return error;
	return op->kind == OP_ALLOC	? op_alloc(ops, slot, op)
	       : op->kind == OP_CALLOC	? op_calloc(ops, slot, op)
	       : op->kind == OP_ALIGNED ? op_aligned(ops, slot, op)
					: op_labelled(ops, slot, op);
}

/* ------------------------------------------------------------------ public */

void ops_let_err(struct ops *ops, bool makes_mistakes)
{
	ops->never_errs = !makes_mistakes;
}

struct ops *ops_create(struct mmviz_arena *arena, uint32_t check_every)
{
	struct ops *ops = calloc(1, sizeof(*ops));
	char name[16];

	if (!ops)
		return NULL;
	ops->arena = arena;
	ops->check_every = check_every;
	ops->capacity_bytes = ((const struct mmviz_arena_head *)arena)->capacity_bytes;
	for (uint32_t i = 1; i < OPS_TAGS; i++) { /* the first is "untagged" */
		snprintf(name, sizeof(name), "tag %u", i);
		ops->tags[i] = mmviz_tag_intern(name);
	}
	return ops;
}

void ops_destroy(struct ops *ops)
{
	free(ops);
}

const char *ops_do(struct ops *ops, const struct op *op)
{
	const char *error = op_one(ops, op);

	ops->counts.operations++;
	if (!error && ops->counts.operations % ops->check_every == 0)
		error = ops_check(ops);
	return error;
}

const char *ops_run(struct ops *ops, const uint8_t *stream_bytes, size_t bytes)
{
	struct stream stream = {stream_bytes, stream_bytes + bytes};
	const char *error = NULL;

	while (stream.at < stream.end && !error) {
		struct op op = take_op(ops, &stream);

		error = ops_do(ops, &op);
	}
	return error ? error : ops_check(ops);
}

const char *ops_finish(struct ops *ops)
{
	const char *error = NULL;
	struct mmviz_stats stats;

	for (uint32_t i = 0; i < SLOTS && !error; i++)
		error = slot_free(ops, &ops->slots[i * 97 % SLOTS]);
	if (!error)
		error = ops_check(ops);
	mmviz_arena_stats(ops->arena, &stats);
	if (!error && stats.live_blocks)
		error = fault(ops, "all is freed, yet %llu blocks live",
			      (unsigned long long)stats.live_blocks);
	return error;
}

uint64_t ops_count(const struct ops *ops)
{
	return ops->counts.operations;
}

struct ops_counts ops_counts(const struct ops *ops)
{
	return ops->counts;
}
