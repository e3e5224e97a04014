/* SPDX-License-Identifier: MIT */
/*
 * unwind_memo.c - a set-associative cache: SETS x WAYS stacks, the oldest of a set gives way.
 *
 * A word counts if it is one of the return addresses, or points into the stack. Others (saved
 * registers with data in them) differ from sample to sample and decide nothing: whatever a frame
 * was found from did point into the stack, or it would not have been found. The same holds for the
 * registers at the start.
 */
#include "collect/unwind_memo.h"

#include <stdlib.h>
#include <string.h>

#define SETS	       256u
#define WAYS	       8u
#define FAR_BYTES      (64u << 20) /* above the stack pointer: other stacks, or none */
#define RED_ZONE_BYTES 128

struct entry {
	uint64_t registers[UNWIND_REGISTERS]; /* 0: does not count */
	uint64_t stack_addr;
	size_t stack_bytes;
	uint32_t words_count, frames_count; /* frames_count 0: empty */
	struct unwind_word *words;	    /* and behind them the frames */
	struct unwind_frame *frames;
};
struct unwind_memo {
	struct entry entries[SETS][WAYS];
	uint8_t next[SETS];
};

struct unwind_memo *unwind_memo_create(void)
{
	return calloc(1, sizeof(struct unwind_memo));
}

void unwind_memo_clear(struct unwind_memo *memo)
{
	for (uint32_t set = 0; set < SETS; set++)
		for (uint32_t way = 0; way < WAYS; way++) {
			free(memo->entries[set][way].words);
			memo->entries[set][way] = (struct entry){0};
		}
}

void unwind_memo_destroy(struct unwind_memo *memo)
{
	if (memo == NULL)
		return;
	unwind_memo_clear(memo);
	free(memo);
}

static uint32_t set_of(const struct unwind_input *input)
{
	uint64_t hash = input->registers[UNWIND_RSP] * 0x9e3779b97f4a7c15;

	hash = (hash ^ input->registers[UNWIND_RIP]) * 0x9e3779b97f4a7c15;
	return (uint32_t)(hash >> 56);
}

/* Can a frame be found from this value? */
static bool points_into_stack(const struct unwind_input *input, uint64_t value)
{
	return value - (input->registers[UNWIND_RSP] - RED_ZONE_BYTES) < FAR_BYTES;
}

static uint64_t deciding_register(const struct unwind_input *input, int which)
{
	uint64_t value = input->registers[which];

	return which == UNWIND_RIP || points_into_stack(input, value) ? value : 0;
}

/* ------------------------------------------------------------------ find */

/* What did not count then may be anything now. */
static bool has_registers(const struct entry *entry, const struct unwind_input *input)
{
	for (int i = 0; i < UNWIND_REGISTERS; i++)
		if (entry->registers[i] != 0 && entry->registers[i] != input->registers[i])
			return false;
	return true;
}

static bool has_words(const struct entry *entry, const struct unwind_input *input)
{
	uint64_t value;

	for (uint32_t i = 0; i < entry->words_count; i++)
		if (!unwind_input_read(input, entry->words[i].addr, &value) ||
		    value != entry->words[i].value)
			return false;
	return true;
}

uint32_t unwind_memo_find(const struct unwind_memo *memo, const struct unwind_input *input,
			  struct unwind_frame *frames, uint32_t max)
{
	const struct entry *entries = memo->entries[set_of(input)];

	for (uint32_t way = 0; way < WAYS; way++) {
		const struct entry *entry = &entries[way];

		if (entry->frames_count == 0 || entry->frames_count > max ||
		    entry->stack_addr != input->stack_addr ||
		    entry->stack_bytes != input->stack_bytes || !has_registers(entry, input) ||
		    !has_words(entry, input))
			continue;
		memcpy(frames, entry->frames, entry->frames_count * sizeof(*frames));
		return entry->frames_count;
	}
	return 0;
}

/* ------------------------------------------------------------------ keep */

static bool is_return_address(uint64_t value, const struct unwind_frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (frames[i].pc == value)
			return true;
	return false;
}

void unwind_memo_keep(struct unwind_memo *memo, const struct unwind_input *input,
		      const struct unwind_word *words, uint32_t words_count,
		      const struct unwind_frame *frames, uint32_t count)
{
	const uint32_t set = set_of(input);
	struct entry *entry = &memo->entries[set][memo->next[set]];
	struct unwind_word *kept = malloc(words_count * sizeof(*kept) + count * sizeof(*frames));

	if (kept == NULL || count == 0) {
		free(kept);
		return;
	}
	memo->next[set] = (uint8_t)((memo->next[set] + 1) % WAYS);
	free(entry->words);
	*entry = (struct entry){
		.stack_addr = input->stack_addr,
		.stack_bytes = input->stack_bytes,
		.frames_count = count,
		.words = kept,
		.frames = (struct unwind_frame *)(kept + words_count),
	};
	for (int i = 0; i < UNWIND_REGISTERS; i++)
		entry->registers[i] = deciding_register(input, i);
	for (uint32_t i = 0; i < words_count; i++)
		if (points_into_stack(input, words[i].value) ||
		    is_return_address(words[i].value, frames, count))
			kept[entry->words_count++] = words[i];
	memcpy(entry->frames, frames, count * sizeof(*frames));
}
