/* SPDX-License-Identifier: MIT */
/*
 * tell.h - a block is born or ends: its header, then who listens, then the event, then seq: the
 * order that the replica's exactness stands on.
 *
 * Nobody listens most of the time; whoever does is served out of line. Owner's thread.
 */
#ifndef MMVIZ_LIB_TELL_H
#define MMVIZ_LIB_TELL_H

#include "heap.h"
#include "log.h"
#include "pair.h"
#include "probes.h"

static inline char *label_of(struct mmviz_header *header)
{
	return (char *)header - MMVIZ_LABEL_BYTES;
}

/* What a per-event probe says of a block: its label, or its tag's name. */
const char *tell_text(struct mmviz_header *header, uint32_t context, bool is_labelled);
/*
 * Somebody listens: name the call stack, sample, log the ALLOC, fire the per-event probe. `site`:
 * where the program called the allocator. Returns the block.
 */
void *tell_alloc(struct heap *heap, struct mmviz_header *header, bool is_labelled,
		 listeners_alloc listeners, const void *site);
/*
 * The same of a plain block. Nearly always the log is all there is to it; then nothing is called and
 * no register saved: where blocks miss the cache, a thread gets as far ahead as there is room for
 * stores that wait.
 */
void *tell_alloc_plain(struct heap *heap, struct mmviz_header *header, listeners_alloc listeners,
		       const void *site);
/* Somebody listens to a block's end, whose header is still as it was. `heap`: any of the arena. */
void tell_freed(const struct heap *heap, struct mmviz_header *header, bool is_labelled,
		listeners_free listeners);
/* Somebody listens to a free of the heap's own block: log it and tell it. */
void tell_free(struct heap *heap, struct mmviz_header *header, bool is_labelled,
	       listeners_free listeners);

/* For those who follow single events, a block that changes in place ends and is born again. `old`: its
 * word before. */
void tell_resized_for_events(const struct heap *heap, struct mmviz_header *header, uint64_t old,
			     bool is_labelled);
/* Somebody may listen to a block in a cell that has changed its size: log it and tell it. */
void tell_resized(struct heap *heap, struct mmviz_header *header, uint64_t old,
		  listeners_free listeners);

/* Of those who listen only the log is to be told: nobody wants every block or its stack, and no sample
 * point falls into these bytes. */
hot_inline bool tell_is_for_log(struct heap *heap, uint64_t bytes, listeners_alloc listeners)
{
	if (!LISTENS_BATCH_ALLOC(listeners) || LISTENS_ALLOC(listeners) || LISTENS_STACK(listeners))
		return false;
	if (!LISTENS_SAMPLE(listeners))
		return true;
	if (heap->sample_countdown_bytes <= (int64_t)bytes)
		return false;
	heap->sample_countdown_bytes -= (int64_t)bytes;
	return true;
}
/* The same of an end, in this head's part of the span. */
hot_inline bool tell_is_for_log_free(const struct mmviz_span *head, listeners_free listeners)
{
	return LISTENS_BATCH_FREE(listeners) && !LISTENS_FREE(listeners) &&
	       !(LISTENS_SAMPLE_FREE(listeners) && head->flags & SPAN_SAMPLED);
}

/* Only a sampler listens, and no sample point falls into these bytes: nothing is to be told. */
static inline bool tell_is_unsampled(struct heap *heap, uint64_t bytes, listeners_alloc listeners)
{
	if (LISTENS_ALLOC(listeners) || LISTENS_BATCH_ALLOC(listeners) ||
	    LISTENS_STACK(listeners) || heap->sample_countdown_bytes <= (int64_t)bytes)
		return false;
	heap->sample_countdown_bytes -= (int64_t)bytes;
	return true;
}
/* Only a sampler listens, and no sampled block lies in this head's part of the span. */
static inline bool tell_is_unsampled_free(const struct mmviz_span *head, listeners_free listeners)
{
	return !LISTENS_FREE(listeners) && !LISTENS_BATCH_FREE(listeners) &&
	       !(head->flags & SPAN_SAMPLED);
}

static inline void write_header(struct mmviz_header *header, uint64_t word, uint64_t seq)
{
	pair_store(header, word,
		   span_check_word(header, word) | (uint64_t)mmviz_incarnation(seq) << 32);
	STEP();
}

/* `word`: the new header's; `site`: as in tell_alloc. Returns the block. */
static inline void *block_born(struct heap *heap, struct mmviz_header *header, uint64_t word,
			       bool is_labelled, const void *site)
{
	uint64_t seq = heap->log.seq;
	listeners_alloc listeners;

#ifdef MMVIZ_CHAOS
	listeners = listeners_of_alloc();
	if (rule_off(RULE_SEQ_LAST)) {
		header->word = word;
		tell_alloc(heap, header, is_labelled, listeners, site);
		header->word = 0;
		STEP();
		write_header(header, word, seq);
		return header + 1;
	}
	STEP();
	write_header(header, word, seq);
	STEP();
	if (!rule_off(RULE_SEMAPHORE_LATE))
		listeners = listeners_of_alloc();
#else
	write_header(header, word, seq);
	listeners = listeners_of_alloc();
#endif
	if (unlikely(listeners != 0) && !tell_is_unsampled(heap, mmviz_word_bytes(word), listeners))
		return is_labelled ? tell_alloc(heap, header, true, listeners, site)
				   : tell_alloc_plain(heap, header, listeners, site);
	log_count_from(heap, seq, is_labelled ? 3 : 1);
	return header + 1;
}

/* An own block, in a cell, changes its size and its context where it is. */
hot_inline void block_resized(struct heap *heap, struct mmviz_header *header, uint64_t bytes,
			      uint32_t context)
{
	uint64_t old = header->word, word = mmviz_word_make(bytes, context, 0, MMVIZ_LIFE_LIVE);
	listeners_free listeners;

	span_set_word(header, word);
	STEP();
	header->check = mmviz_check_word((uint64_t)header, word);
	listeners = listeners_of_free();
	if (unlikely(listeners != 0 || registry_here.semaphores.alloc)) {
		tell_resized(heap, header, old, listeners);
		return;
	}
	log_count(heap, 1);
}

#endif
