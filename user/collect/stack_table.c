/* SPDX-License-Identifier: MIT */
/*
 * stack_table.c - two hash tables, open addressing, at most half full: stacks by their addresses,
 * live sampled blocks by theirs.
 *
 * For every row: live is the sum over the blocks in `blocks` that name it; allocated only grows.
 */
#include "collect/stack_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STACKS_MAX 65536u
#define BLOCKS_MAX (4u << 20)
#define SLOTS_MIN  1024u

struct block {
	uint64_t addr; /* 0: empty */
	uint64_t bytes, weight_bytes, mean_bytes;
	uint32_t arena_id, stack_id;
};
struct stack_table {
	struct stack_row *rows;
	uint64_t *hashes; /* of each row */
	uint32_t count, rows_room;
	uint32_t *slots; /* ids; 0: empty, since STACK_NONE is never looked for */
	uint32_t slots_count;
	struct block *blocks;
	uint32_t blocks_count, blocks_room;
	uint64_t untracked;
};

static uint64_t mix(uint64_t word)
{
	word *= 0x9e3779b97f4a7c15;
	return word ^ word >> 32;
}

/* ------------------------------------------------------------------ stacks */

static uint64_t hash_stack(const uint64_t *addrs, uint32_t depth, bool is_complete)
{
	uint64_t hash = is_complete;

	for (uint32_t i = 0; i < depth; i++)
		hash = mix(hash ^ addrs[i]);
	return hash;
}

static bool add_row(struct stack_table *table, uint64_t hash, const struct stack_row *row)
{
	if (table->count == table->rows_room) {
		uint32_t room = table->rows_room * 2 + 64;
		struct stack_row *rows = realloc(table->rows, room * sizeof(*rows));
		uint64_t *hashes = rows ? realloc(table->hashes, room * sizeof(*hashes)) : NULL;

		table->rows = rows ? rows : table->rows;
		table->hashes = hashes ? hashes : table->hashes;
		if (!rows || !hashes)
			return false;
		table->rows_room = room;
	}
	table->hashes[table->count] = hash;
	table->rows[table->count++] = *row;
	return true;
}

static bool grow_slots(struct stack_table *table)
{
	uint32_t room = table->slots_count ? table->slots_count * 2 : SLOTS_MIN;
	uint32_t *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return false;
	for (uint32_t id = STACK_OTHER + 1; id < table->count; id++) {
		uint32_t at = (uint32_t)table->hashes[id] & (room - 1);

		while (slots[at])
			at = (at + 1) & (room - 1);
		slots[at] = id;
	}
	free(table->slots);
	table->slots = slots;
	table->slots_count = room;
	return true;
}

struct stack_table *stack_table_create(void)
{
	struct stack_table *table = calloc(1, sizeof(*table));
	const struct stack_row none = {0};

	if (!table)
		return NULL;
	if (add_row(table, 0, &none) && add_row(table, 0, &none) && grow_slots(table))
		return table;
	stack_table_destroy(table);
	return NULL;
}

void stack_table_destroy(struct stack_table *table)
{
	if (!table)
		return;
	for (uint32_t id = 0; id < table->count; id++)
		free((void *)table->rows[id].addrs);
	free(table->rows);
	free(table->hashes);
	free(table->slots);
	free(table->blocks);
	free(table);
}

static bool is_same(const struct stack_row *row, const uint64_t *addrs, uint32_t depth,
		    bool is_complete)
{
	return row->depth == depth && row->is_complete == is_complete &&
	       memcmp(row->addrs, addrs, depth * sizeof(*addrs)) == 0;
}

uint32_t stack_table_intern(struct stack_table *table, const uint64_t *addrs, uint32_t depth,
			    bool is_complete)
{
	uint64_t hash = hash_stack(addrs, depth, is_complete);
	struct stack_row row = {.depth = depth, .is_complete = is_complete};
	uint64_t *copy;
	uint32_t at;

	if (depth == 0)
		return STACK_NONE;
	if (2 * (table->count + 1) > table->slots_count && !grow_slots(table))
		return STACK_OTHER;
	at = (uint32_t)hash & (table->slots_count - 1);
	for (; table->slots[at]; at = (at + 1) & (table->slots_count - 1)) {
		uint32_t id = table->slots[at];

		if (table->hashes[id] == hash &&
		    is_same(&table->rows[id], addrs, depth, is_complete))
			return id;
	}
	copy = table->count < STACKS_MAX ? malloc(depth * sizeof(*copy)) : NULL;
	row.addrs = copy;
	if (!copy || !add_row(table, hash, &row)) {
		free(copy);
		return STACK_OTHER;
	}
	memcpy(copy, addrs, depth * sizeof(*copy));
	table->slots[at] = table->count - 1;
	return table->count - 1;
}

/* ------------------------------------------------------------------ blocks */

static uint32_t home_of(uint64_t addr, uint32_t room)
{
	return (uint32_t)mix(addr >> 4) & (room - 1);
}

static bool grow_blocks(struct stack_table *table)
{
	uint32_t room = table->blocks_room ? table->blocks_room * 2 : SLOTS_MIN;
	struct block *blocks = room <= 2 * BLOCKS_MAX ? calloc(room, sizeof(*blocks)) : NULL;

	if (!blocks)
		return false;
	for (uint32_t i = 0; i < table->blocks_room; i++) {
		uint32_t at = home_of(table->blocks[i].addr, room);

		if (!table->blocks[i].addr)
			continue;
		while (blocks[at].addr)
			at = (at + 1) & (room - 1);
		blocks[at] = table->blocks[i];
	}
	free(table->blocks);
	table->blocks = blocks;
	table->blocks_room = room;
	return true;
}

static struct block *find_block(const struct stack_table *table, uint64_t addr)
{
	uint32_t at;

	if (!table->blocks_room || !addr)
		return NULL;
	at = home_of(addr, table->blocks_room);
	while (table->blocks[at].addr && table->blocks[at].addr != addr)
		at = (at + 1) & (table->blocks_room - 1);
	return &table->blocks[at];
}

/* Nothing that was pushed on by the block may be lost: move it back. */
static void remove_block(struct stack_table *table, struct block *block)
{
	uint32_t mask = table->blocks_room - 1, hole = (uint32_t)(block - table->blocks);

	for (uint32_t at = (hole + 1) & mask; table->blocks[at].addr; at = (at + 1) & mask) {
		uint32_t home = home_of(table->blocks[at].addr, table->blocks_room);

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		table->blocks[hole] = table->blocks[at];
		hole = at;
	}
	table->blocks[hole].addr = 0;
	table->blocks_count--;
}

static void add_to(struct stack_estimate *estimate, const struct block *block, int sign)
{
	const double weight = (double)block->weight_bytes, mean = (double)block->mean_bytes;
	const double bytes = block->bytes > 0 ? (double)block->bytes : 1;

	estimate->samples += (uint64_t)sign;
	estimate->bytes += sign * weight;
	estimate->variance += sign * weight * mean;
	estimate->blocks += sign * weight / bytes;
	estimate->blocks_variance += sign * (weight / bytes) * (mean / bytes);
	if (estimate->samples == 0) /* no residue of rounding */
		*estimate = (struct stack_estimate){0};
}

bool stack_table_free(struct stack_table *table, uint64_t addr)
{
	struct block *block = find_block(table, addr);

	if (!block || !block->addr)
		return false;
	add_to(&table->rows[block->stack_id].live, block, -1);
	remove_block(table, block);
	return true;
}

void stack_table_alloc(struct stack_table *table, const struct stack_sample *sample)
{
	struct stack_row *row = &table->rows[sample->stack_id];
	const struct block block = {
		.addr = sample->addr,
		.bytes = sample->bytes,
		.weight_bytes = sample->weight_bytes,
		.mean_bytes = sample->mean_bytes,
		.arena_id = sample->arena_id,
		.stack_id = sample->stack_id,
	};

	stack_table_free(table, sample->addr);
	add_to(&row->allocated, &block, 1);
	if (!sample->addr ||
	    (2 * (table->blocks_count + 1) > table->blocks_room && !grow_blocks(table))) {
		table->untracked++;
		return;
	}
	*find_block(table, sample->addr) = block;
	table->blocks_count++;
	add_to(&row->live, &block, 1);
}

void stack_table_reset_arena(struct stack_table *table, uint32_t arena_id)
{
	uint32_t i = 0;

	/* What is moved into the hole is looked at next. A block that was moved from the end of the
	 * array to its start has been looked at or comes again: none is passed over. */
	while (i < table->blocks_room) {
		const struct block *block = &table->blocks[i];

		if (block->addr && block->arena_id == arena_id)
			stack_table_free(table, block->addr);
		else
			i++;
	}
}

/* ------------------------------------------------------------------ questions */

uint32_t stack_table_count(const struct stack_table *table)
{
	return table->count;
}

const struct stack_row *stack_table_row(const struct stack_table *table, uint32_t id)
{
	return &table->rows[id];
}

uint64_t stack_table_untracked(const struct stack_table *table)
{
	return table->untracked;
}

void stack_estimate_add(struct stack_estimate *to, const struct stack_estimate *from)
{
	to->samples += from->samples;
	to->bytes += from->bytes;
	to->variance += from->variance;
	to->blocks += from->blocks;
	to->blocks_variance += from->blocks_variance;
}

/*
 * The number of sample points is a Poisson variable; points = sum^2 / variance, each worth
 * variance / sum. Its interval by Byar's approximation (Breslow and Day 1987), which holds for few
 * points, too. z is that of 98 %: the sampler has approximations of its own, and a change of the
 * mean goes by the distance from before, so that 95 % hold all the same. `worth`: of a point, when
 * there is none.
 */
static void interval(double sum, double variance, double worth, double *low_out, double *high_out)
{
	const double z = 2.33;
	bool is_empty = sum <= 0 || variance <= 0;
	double points = is_empty ? 0 : sum * sum / variance;
	double more = points + 1;
	double low = is_empty ? 0 : 1 - 1 / (9 * points) - z / (3 * sqrt(points));
	double high = 1 - 1 / (9 * more) + z / (3 * sqrt(more));

	if (!is_empty)
		worth = variance / sum;
	*low_out = low > 0 ? worth * points * low * low * low : 0;
	*high_out = worth * more * high * high * high;
}

void stack_estimate_interval(const struct stack_estimate *estimate, uint64_t mean_bytes,
			     double *low_bytes, double *high_bytes)
{
	interval(estimate->bytes, estimate->variance, (double)mean_bytes, low_bytes, high_bytes);
}

void stack_estimate_blocks_interval(const struct stack_estimate *estimate,
				    const struct stack_estimate *allocated, double *low_blocks,
				    double *high_blocks)
{
	double worth = allocated->blocks > 0 ? allocated->blocks_variance / allocated->blocks : 1;

	interval(estimate->blocks, estimate->blocks_variance, worth, low_blocks, high_blocks);
}
