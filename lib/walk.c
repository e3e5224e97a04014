/* SPDX-License-Identifier: MIT */
/*
 * walk.c - reading an arena by its unit map, span heads and headers, in our own process: walk and
 * stats.
 *
 * Holds the arena's lock, so that spans stay where they are; cells may change under the walk.
 */
#include <errno.h>
#include <string.h>

#include "arena.h"
#include "error.h"

/* Visits span after span, large blocks too, in address order, until non-zero. Caller locks. */
static int each_span(const struct mmviz_arena *arena,
		     int (*visit)(const struct mmviz_span *span, void *context), void *context)
{
	uint32_t unit = 0, end = (uint32_t)arena->head.frontier_units;
	int result = 0;

	while (unit < end && !result) {
		const struct mmviz_span *span = arena_head_at(arena, unit);

		if (arena->map[unit] >= MMVIZ_UNIT_LARGE) {
			result = visit(span, context);
			unit += span->units;
		} else {
			unit++;
		}
	}
	return result;
}

/* ------------------------------------------------------------------ walk */

struct walk {
	mmviz_block_visitor visit;
	void *context;
	uint32_t my_heap;   /* id of the calling thread's heap; 0: none */
	const void *broken; /* the first block whose header was written over; or NULL */
};

/*
 * A header that is not whole, of a live block or a free one. One of another thread's may be about to change, and is passed
 * over; nobody changes those of our own heap, nor large ones, whose lock we hold.
 */
static void note_broken(struct walk *walk, const struct mmviz_span *span,
			const struct mmviz_header *header)
{
	bool is_still = span->fit == MMVIZ_FIT_LARGE ||
			(walk->my_heap && span->owner_heap == walk->my_heap);

	if (is_still && !walk->broken)
		walk->broken = header + 1;
}

static int visit_cells(const struct mmviz_span *span, void *context)
{
	struct walk *walk = context;
	int result = 0;

	for (uint32_t cell = 0; cell < span->bump_cells && !result; cell++) {
		const struct mmviz_header *header = span_header(span, cell);
		char label[MMVIZ_LABEL_BYTES] =
			""; /* a copy: what lies there is not the visitor's */
		struct mmviz_block block = {
			.address = header + 1,
			.bytes = mmviz_word_bytes(header->word),
			.usable_bytes = span_usable_bytes(span),
			.tag = registry_context_name(mmviz_word_context(header->word)),
			.label = label,
			.context = mmviz_word_context(header->word),
			.owner_heap = span->owner_heap,
			.incarnation = header->incarnation,
		};

		if (!mmviz_header_is_whole(header, (uint64_t)header)) {
			if (!span_header_is_gone(header))
				note_broken(walk, span, header);
			continue;
		}
		if (!mmviz_header_is_live(header))
			continue;
		if (span->shape == MMVIZ_SHAPE_LABELLED)
			memcpy(label, (const char *)header - MMVIZ_LABEL_BYTES, sizeof(label) - 1);
		result = walk->visit(&block, walk->context);
	}
	return result;
}

int mmviz_arena_walk(struct mmviz_arena *arena, mmviz_block_visitor visit, void *context)
{
	struct walk walk = {.visit = visit, .context = context};
	const struct heap *mine;
	int result;

	if (!arena || !visit)
		return -EINVAL;
	mine = heap_mine(arena->slot);
	walk.my_heap = mine ? mine->head.id : 0;
	arena_lock(arena);
	result = each_span(arena, visit_cells, &walk);
	arena_unlock(arena);
	if (walk.broken)
		error_report(arena, MMVIZ_ERROR_CORRUPT_HEADER, walk.broken,
			     __builtin_return_address(0));
	return result;
}

/* ------------------------------------------------------------------ stats */

static int count_span(const struct mmviz_span *span, void *context)
{
	struct mmviz_stats *stats = context;
	uint64_t all = (uint64_t)span->units << MMVIZ_UNIT_SHIFT;
	uint64_t header = span->shape == MMVIZ_SHAPE_LABELLED
				  ? MMVIZ_HEADER_BYTES + MMVIZ_LABEL_BYTES
				  : MMVIZ_HEADER_BYTES;

	stats->spans += span->fit != MMVIZ_FIT_LARGE;
	for (uint32_t cell = 0; cell < span->bump_cells; cell++) {
		const struct mmviz_header *at = span_header(span, cell);
		uint64_t bytes = mmviz_word_bytes(at->word);
		/* A large block is all its units; a cell is a cell. */
		uint64_t whole = span->fit == MMVIZ_FIT_LARGE ? all : span->cell_bytes;

		if (heap_is_own_live(at)) {
			stats->live_blocks++;
			stats->live_bytes += bytes;
			stats->header_bytes += header;
			stats->padding_bytes += whole - header - bytes;
		} else {
			stats->cached_bytes += whole;
		}
		all -= whole;
	}
	stats->unused_bytes += all;
	return 0;
}

int mmviz_arena_stats(struct mmviz_arena *arena, struct mmviz_stats *out)
{
	struct mmviz_stats stats = {0};

	if (!arena || !out)
		return -EINVAL;
	arena_lock(arena);
	stats.capacity_bytes = arena->head.capacity_bytes;
	stats.committed_bytes = arena->head.committed_units << MMVIZ_UNIT_SHIFT;
	stats.free_bytes = arena->extents.free_units << MMVIZ_UNIT_SHIFT;
	stats.largest_free_bytes = (uint64_t)extent_tree_largest(&arena->extents)
				   << MMVIZ_UNIT_SHIFT;
	for (uint32_t unit = 0; unit < arena->head.frontier_units; unit++)
		stats.meta_bytes += arena->map[unit] == MMVIZ_UNIT_META ? MMVIZ_UNIT_BYTES : 0;
	for (const struct heap *heap = arena_heap_first(arena); heap; heap = heap_next(heap)) {
		stats.heaps++;
		stats.events += __atomic_load_n(&heap->log.seq, __ATOMIC_ACQUIRE);
	}
	each_span(arena, count_span, &stats);
	arena_unlock(arena);
	*out = stats;
	return 0;
}
