/* SPDX-License-Identifier: MIT */
/*
 * walk.c - see walk.h.
 *
 * The map is read first, as a whole, then the span heads. Then a window of memory moves over the
 * arena: one read fills it with the used cells of as many neighbouring spans of small cells as it
 * holds, and they are taken apart in place. Of spans of large cells and of large blocks only the
 * headers are read, and not those of idle cells. Bytes of the target are hostile: a head must fit
 * the map's run of units, and its cells must fit the span.
 */
#include "collect/walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES	  (1u << 20)
#define SPARSE_CELL_BYTES 2048u /* from here on reading header by header is cheaper */
#define PLACES_PER_UNIT	  (MMVIZ_UNIT_BYTES / MMVIZ_PLACE_BYTES)
#define IDLE_WORDS	  1024u /* of idle bits, read at once: those of a MiB */

struct walk {
	const struct target *target;
	const struct mmviz_arena_head *head;
	const struct walk_callbacks *callbacks;
	uint64_t bytes_read;
	uint32_t first, end; /* units that are walked */
	uint8_t *map;	     /* of them: map[0] is of unit `first` */
	struct mmviz_span *heads;
	uint64_t heads_first, heads_count; /* that were read */
	char *window;
	uint64_t window_addr, window_bytes; /* what it holds */
	uint64_t idle_first, idle_end;	    /* words of idle bits that these are */
	uint64_t idle[IDLE_WORDS];
};

static uint64_t unit_addr(const struct walk *walk, uint32_t unit)
{
	return walk->head->base_addr + ((uint64_t)unit << MMVIZ_UNIT_SHIFT);
}

static uint32_t place_of(const struct walk *walk, uint64_t addr)
{
	return (uint32_t)((addr - walk->head->base_addr) >> MMVIZ_PLACE_SHIFT);
}

static int read_bytes(struct walk *walk, uint64_t addr, void *out, size_t bytes)
{
	walk->bytes_read += bytes;
	return target_read(walk->target, addr, out, bytes);
}

/* ------------------------------------------------------------------ map and heads */

/* Only units with memory behind them are walked. */
static void clip_units(struct walk *walk, uint64_t first, uint64_t units)
{
	uint64_t limit = walk->head->capacity_bytes >> MMVIZ_UNIT_SHIFT;

	if (walk->head->frontier_units < limit)
		limit = walk->head->frontier_units;
	walk->first = (uint32_t)(first < limit ? first : limit);
	walk->end = (uint32_t)(units < limit - walk->first ? first + units : limit);
}

static uint8_t code_of(const struct walk *walk, uint32_t unit)
{
	return walk->map[unit - walk->first];
}

static int read_map(struct walk *walk)
{
	uint32_t units = walk->end - walk->first;

	walk->map = malloc(units + 1);
	if (!walk->map)
		return -ENOMEM;
	return read_bytes(walk, walk->head->map_addr + walk->first, walk->map, units);
}

static uint64_t head_index(const struct walk *walk, uint32_t unit)
{
	return mmviz_head_index(walk->head, unit_addr(walk, unit));
}

static int read_heads(struct walk *walk)
{
	uint64_t addr = walk->head->heads_addr;

	if (walk->first == walk->end || walk->head->span_shift[0] < MMVIZ_UNIT_SHIFT ||
	    walk->head->span_shift[0] > 31)
		return 0;
	walk->heads_first = head_index(walk, walk->first);
	walk->heads_count = head_index(walk, walk->end - 1) + 1 - walk->heads_first;
	walk->heads = malloc(walk->heads_count * sizeof(*walk->heads));
	if (!walk->heads)
		return -ENOMEM;
	return read_bytes(walk, addr + walk->heads_first * sizeof(*walk->heads), walk->heads,
			  walk->heads_count * sizeof(*walk->heads));
}

static bool is_start(uint8_t code)
{
	return code >= MMVIZ_UNIT_SPAN || code == MMVIZ_UNIT_LARGE;
}

/* Units of the run that begins here: a start and its continuation, or equal codes. */
static uint32_t run_units(const struct walk *walk, uint32_t first)
{
	uint8_t code = code_of(walk, first);
	uint8_t rest = is_start(code) ? (uint8_t)MMVIZ_UNIT_CONTINUATION : code;
	uint32_t end = first + 1;

	while (end < walk->end && code_of(walk, end) == rest)
		end++;
	return end - first;
}

static uint32_t label_bytes(const struct mmviz_span *span)
{
	return span->shape == MMVIZ_SHAPE_LABELLED ? MMVIZ_LABEL_BYTES : 0;
}

/* Does this head describe a span of that many units? Then every cell lies inside it. */
static bool is_span(const struct mmviz_span *span, uint8_t code, uint32_t units)
{
	unsigned size_class = span->size_class;

	return span->units == units && span->shape < MMVIZ_SHAPES && span->fit < MMVIZ_FIT_LARGE &&
	       size_class < MMVIZ_CLASSES && size_class + MMVIZ_UNIT_SPAN == code &&
	       span->cell_bytes == mmviz_cell_bytes(size_class, span->shape) &&
	       span->first_header_bytes == mmviz_span_first_header_bytes(span->shape) &&
	       span->bump_cells <= span->cells && units <= UINT32_MAX >> MMVIZ_UNIT_SHIFT &&
	       span->cells <= (units << MMVIZ_UNIT_SHIFT) / span->cell_bytes;
}

/* Its length is the map's: the head's changes when the block is resized in place. */
static bool is_large(const struct mmviz_span *span)
{
	return span->shape < MMVIZ_SHAPES && span->fit == MMVIZ_FIT_LARGE &&
	       span->size_class == 0xff && span->bump_cells == 1 &&
	       span->first_header_bytes % MMVIZ_PLACE_BYTES == 0 &&
	       span->first_header_bytes >= MMVIZ_SPAN_HEAD_BYTES + label_bytes(span) &&
	       span->first_header_bytes <= MMVIZ_UNIT_BYTES - MMVIZ_HEADER_BYTES;
}

/* ------------------------------------------------------------------ one block */

static unsigned life_of(const struct mmviz_header *header, uint64_t addr)
{
	if (!mmviz_header_is_whole(header, addr))
		return MMVIZ_LIFE_CACHED;
	if (mmviz_header_is_live(header))
		return MMVIZ_LIFE_LIVE;
	return mmviz_word_life(header->word) == MMVIZ_LIFE_RETURNED ? MMVIZ_LIFE_RETURNED
								    : MMVIZ_LIFE_CACHED;
}

/* `bytes` points at the header; its label lies before it. */
static void visit_header(struct walk *walk, const struct mmviz_span *span, uint64_t addr,
			 const char *bytes)
{
	struct mmviz_header header;
	struct walk_block block;

	memcpy(&header, bytes, sizeof(header));
	block = (struct walk_block){
		.place = place_of(walk, addr),
		.life = life_of(&header, addr),
		.word = header.word,
		.incarnation = header.incarnation,
		.label = label_bytes(span) ? bytes - MMVIZ_LABEL_BYTES : NULL,
	};
	walk->callbacks->block(walk->callbacks->context, &block);
}

static void visit_dead(struct walk *walk, uint32_t place)
{
	struct walk_block block = {.place = place, .life = MMVIZ_LIFE_CACHED};

	walk->callbacks->block(walk->callbacks->context, &block);
}

/*
 * An idle cell need not be read, and is better not: its page may have been let go of, and reading
 * would give the target page tables for it. Where the bits cannot be read nothing is idle.
 */
static bool is_idle(struct walk *walk, const struct mmviz_span *span, uint32_t place)
{
	uint64_t word = place / 64, end = (uint64_t)walk->end * PLACES_PER_UNIT / 64;

	if (span->fit == MMVIZ_FIT_LARGE || !walk->head->idle_addr)
		return false;
	if (word < walk->idle_first || word >= walk->idle_end) {
		if (end > word + IDLE_WORDS)
			end = word + IDLE_WORDS;
		walk->idle_first = word;
		walk->idle_end = end;
		if (read_bytes(walk, walk->head->idle_addr + word * sizeof(walk->idle[0]),
			       walk->idle, (end - word) * sizeof(walk->idle[0])))
			memset(walk->idle, 0, sizeof(walk->idle));
	}
	return walk->idle[word - walk->idle_first] >> place % 64 & 1;
}

static int visit_sparse(struct walk *walk, const struct mmviz_span *span, uint64_t addr)
{
	char bytes[MMVIZ_LABEL_BYTES + MMVIZ_HEADER_BYTES];
	uint32_t label = label_bytes(span);
	int error = 0;

	addr += span->first_header_bytes;
	for (uint32_t i = 0; i < span->bump_cells; i++, addr += span->cell_bytes) {
		uint32_t place = place_of(walk, addr);

		if (is_idle(walk, span, place)) {
			visit_dead(walk, place);
			continue;
		}
		error = read_bytes(walk, addr - label, bytes, label + MMVIZ_HEADER_BYTES);
		if (error)
			return error;
		visit_header(walk, span, addr, bytes + label);
	}
	return 0;
}

/* ------------------------------------------------------------------ the window */

/* The head of the span that begins at `unit`; NULL: there is none, or it is in the making. */
static const struct mmviz_span *find_span(const struct walk *walk, uint32_t unit, uint32_t units)
{
	uint64_t index = head_index(walk, unit) - walk->heads_first;
	const struct mmviz_span *span = &walk->heads[index];

	if (code_of(walk, unit) < MMVIZ_UNIT_SPAN || index >= walk->heads_count ||
	    !is_span(span, code_of(walk, unit), units))
		return NULL;
	return span;
}

static bool is_dense(const struct mmviz_span *span)
{
	return span->cell_bytes < SPARSE_CELL_BYTES;
}

/* Make the window hold the used cells of this span, and of the neighbours behind it what fits. */
static int fill_window(struct walk *walk, uint32_t first, uint64_t bytes)
{
	uint64_t addr = unit_addr(walk, first), window_bytes = bytes;
	uint32_t unit = first;
	int error;

	if (addr >= walk->window_addr && addr + bytes <= walk->window_addr + walk->window_bytes)
		return 0;
	while (unit < walk->end) {
		uint32_t units = run_units(walk, unit);
		const struct mmviz_span *span = find_span(walk, unit, units);
		uint64_t end;

		if (!span || !is_dense(span))
			break;
		end = unit_addr(walk, unit) - addr + (uint64_t)span->bump_cells * span->cell_bytes;
		if (end > WINDOW_BYTES)
			break;
		window_bytes = end;
		unit += units;
	}
	walk->window_bytes = 0;
	walk->window_addr = addr;
	error = read_bytes(walk, addr, walk->window, window_bytes);
	if (!error)
		walk->window_bytes = window_bytes;
	return error;
}

static int visit_dense(struct walk *walk, const struct mmviz_span *span, uint32_t first)
{
	uint64_t addr = unit_addr(walk, first);
	uint64_t bytes = (uint64_t)span->bump_cells * span->cell_bytes;
	uint64_t offset = span->first_header_bytes;
	const char *cells;
	int error;

	if (bytes > WINDOW_BYTES)
		return visit_sparse(walk, span, addr);
	error = fill_window(walk, first, bytes);
	if (error)
		return error;
	cells = walk->window + (addr - walk->window_addr);
	for (uint32_t i = 0; i < span->bump_cells; i++, offset += span->cell_bytes)
		visit_header(walk, span, addr + offset, cells + offset);
	return 0;
}

/* ------------------------------------------------------------------ one run */

/* In the making: nothing can be said about these units. */
static void visit_torn(struct walk *walk, uint32_t first, uint32_t units)
{
	if (walk->callbacks->units)
		walk->callbacks->units(walk->callbacks->context, first, units, MMVIZ_UNIT_FREE);
}

static void visit_head(struct walk *walk, uint32_t first, const struct mmviz_span *span)
{
	if (walk->callbacks->span)
		walk->callbacks->span(walk->callbacks->context, first, span);
}

static int visit_span(struct walk *walk, uint32_t first, uint32_t units)
{
	const struct mmviz_span *span = find_span(walk, first, units);

	if (!span) {
		visit_torn(walk, first, units);
		return 0;
	}
	visit_head(walk, first, span);
	if (is_dense(span))
		return visit_dense(walk, span, first);
	return visit_sparse(walk, span, unit_addr(walk, first));
}

static int visit_large(struct walk *walk, uint32_t first, uint32_t units)
{
	struct mmviz_span span;
	int error = read_bytes(walk, unit_addr(walk, first), &span, sizeof(span));

	if (error)
		return error;
	if (!is_large(&span)) {
		visit_torn(walk, first, units);
		return 0;
	}
	span.units = units;
	visit_head(walk, first, &span);
	return visit_sparse(walk, &span, unit_addr(walk, first));
}

static int visit_run(struct walk *walk, uint32_t first, uint32_t units)
{
	uint8_t code = code_of(walk, first);

	if (code >= MMVIZ_UNIT_SPAN)
		return visit_span(walk, first, units);
	if (code == MMVIZ_UNIT_LARGE)
		return visit_large(walk, first, units);
	if (walk->callbacks->units)
		walk->callbacks->units(walk->callbacks->context, first, units,
				       code == MMVIZ_UNIT_META ? MMVIZ_UNIT_META : MMVIZ_UNIT_FREE);
	return 0;
}

/* A run that cannot be read was given back to the system under the walk; an arena that cannot be
 * read is gone. */
static int visit_all(struct walk *walk)
{
	uint64_t broken_at = 0;
	int result = 0;

	for (uint32_t unit = walk->first; unit < walk->end && !result;) {
		uint32_t units = run_units(walk, unit);

		result = visit_run(walk, unit, units);
		if (result == -EFAULT) {
			visit_torn(walk, unit, units);
			result = 0;
		}
		unit += units;
		if (!result && walk->callbacks->pause &&
		    walk->bytes_read - broken_at > WINDOW_BYTES) {
			broken_at = walk->bytes_read;
			result = walk->callbacks->pause(walk->callbacks->context);
		}
	}
	return result;
}

int walk_units(const struct target *target, const struct mmviz_arena_head *head, uint64_t first,
	       uint64_t units, const struct walk_callbacks *callbacks)
{
	struct walk walk = {.target = target, .head = head, .callbacks = callbacks};
	int result = -ENOMEM;

	clip_units(&walk, first, units);
	walk.window = malloc(WINDOW_BYTES);
	if (walk.window)
		result = read_map(&walk);
	if (!result)
		result = read_heads(&walk);
	if (!result)
		result = visit_all(&walk);
	free(walk.window);
	free(walk.heads);
	free(walk.map);
	return result;
}

int walk_arena(const struct target *target, const struct mmviz_arena_head *head,
	       const struct walk_callbacks *callbacks)
{
	return walk_units(target, head, 0, UINT64_MAX, callbacks);
}
