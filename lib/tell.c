/* SPDX-License-Identifier: MIT */
/* tell.c - see tell.h. */
#include "tell.h"

#include <string.h>

#include "sample.h"
#include "stack.h"

const char *tell_text(struct mmviz_header *header, uint32_t context, bool is_labelled)
{
	return is_labelled ? label_of(header) : registry_context_name(context);
}

/*
 * The block's context becomes its call stack. That changes the header after the listeners were read,
 * so they are read once more: whoever has come since then finds the header as it stays.
 */
static listeners_alloc name_stack(struct mmviz_header *header, const void *site)
{
	uint64_t word = header->word;
	uint32_t context = mmviz_word_context(word), stack = stack_context(context, site);

	if (stack != context) {
		word = mmviz_word_make(mmviz_word_bytes(word), stack, 0, MMVIZ_LIFE_LIVE);
		span_set_word(header, word);
		STEP();
		header->check = mmviz_check_word((uint64_t)header, word);
		STEP();
	}
	return listeners_of_alloc();
}

void *tell_alloc(struct heap *heap, struct mmviz_header *header, bool is_labelled,
		 listeners_alloc listeners, const void *site)
{
	uint64_t word, bytes, what, arena_id = heap->log.arena_id;
	uint32_t context;

	if (unlikely(LISTENS_STACK(listeners)))
		listeners = name_stack(header, site);
	word = header->word;
	bytes = mmviz_word_bytes(word);
	context = mmviz_word_context(word);
	what = mmviz_event_what(MMVIZ_EVENT_ALLOC, context, heap_place(heap, header));
	if (LISTENS_SAMPLE(listeners))
		sample_alloc(heap, header);
	if (is_labelled) {
		struct operation operation = {.events = {{what, bytes | MMVIZ_ALLOC_LABELLED}},
					      .count = 3};

		memcpy(&operation.events[1], label_of(header), MMVIZ_LABEL_BYTES);
		log_store(heap, &operation, LISTENS_BATCH_ALLOC(listeners));
		log_flush(heap);
	} else if (LISTENS_BATCH_ALLOC(listeners)) {
		log_one(heap, what, bytes);
	} else {
		log_count(heap, 1);
	}
	if (LISTENS_ALLOC(listeners))
		mmviz_probe_alloc(arena_id, (uint64_t)(header + 1), bytes, context,
				  tell_text(header, context, is_labelled));
	return header + 1;
}

/* Nothing was done for the listeners that were read before: they are read anew. */
static __attribute__((noinline)) void *
tell_alloc_plain_all(struct heap *heap, struct mmviz_header *header, const void *site)
{
	return tell_alloc(heap, header, false, listeners_of_alloc(), site);
}

void *tell_alloc_plain(struct heap *heap, struct mmviz_header *header, listeners_alloc listeners,
		       const void *site)
{
	uint64_t word = header->word, bytes = mmviz_word_bytes(word);

	if (unlikely(!log_has_room(heap) || !tell_is_for_log(heap, bytes, listeners)))
		return tell_alloc_plain_all(heap, header, site);
	log_append_here(heap,
			mmviz_event_what(MMVIZ_EVENT_ALLOC, mmviz_word_context(word),
					 heap_place(heap, header)),
			bytes);
	return header + 1;
}

static void tell_end(const struct heap *heap, struct mmviz_header *header, bool is_labelled,
		     listeners_free listeners, bool is_sampled)
{
	uint64_t word = LISTENS_FREE(listeners) || is_sampled ? header->word : 0;
	uint32_t context = mmviz_word_context(word);

	if (LISTENS_FREE(listeners))
		mmviz_probe_free(heap->log.arena_id, (uint64_t)(header + 1), mmviz_word_bytes(word),
				 context, tell_text(header, context, is_labelled));
	if (is_sampled)
		mmviz_probe_sample_free(heap->log.arena_id, (uint64_t)(header + 1),
					mmviz_word_bytes(word), context, sample_period_bytes());
}

void tell_freed(const struct heap *heap, struct mmviz_header *header, bool is_labelled,
		listeners_free listeners)
{
	tell_end(heap, header, is_labelled, listeners,
		 LISTENS_SAMPLE_FREE(listeners) &&
			 heap_take_sampled(heap, heap_place(heap, header)));
}

void tell_free(struct heap *heap, struct mmviz_header *header, bool is_labelled,
	       listeners_free listeners)
{
	bool is_sampled;

	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap, mmviz_event_what(MMVIZ_EVENT_FREE, 0, heap_place(heap, header)), 0);
	else
		log_count(heap, 1);
	is_sampled = LISTENS_SAMPLE_FREE(listeners) && sample_ended(heap, header);
	if (LISTENS_FREE(listeners) || is_sampled)
		tell_end(heap, header, is_labelled, listeners, is_sampled);
}

void tell_resized_for_events(const struct heap *heap, struct mmviz_header *header, uint64_t old,
			     bool is_labelled)
{
	uint32_t context = mmviz_word_context(header->word);

	if (registry_here.semaphores.free)
		mmviz_probe_free(heap->log.arena_id, (uint64_t)(header + 1), mmviz_word_bytes(old),
				 mmviz_word_context(old),
				 tell_text(header, mmviz_word_context(old), is_labelled));
	if (registry_here.semaphores.alloc)
		mmviz_probe_alloc(heap->log.arena_id, (uint64_t)(header + 1),
				  mmviz_word_bytes(header->word), context,
				  tell_text(header, context, is_labelled));
}

void tell_resized(struct heap *heap, struct mmviz_header *header, uint64_t old,
		  listeners_free listeners)
{
	uint64_t word = header->word;

	if (LISTENS_BATCH_FREE(listeners))
		log_one(heap,
			mmviz_event_what(MMVIZ_EVENT_RESIZE, mmviz_word_context(word),
					 heap_place(heap, header)),
			mmviz_word_bytes(word));
	else
		log_count(heap, 1);
	tell_resized_for_events(heap, header, old,
				heap_head(heap, header)->shape == MMVIZ_SHAPE_LABELLED);
}
