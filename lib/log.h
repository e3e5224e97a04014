/* SPDX-License-Identifier: MIT */
/*
 * log.h - one heap's log of events: how an operation is told.
 *
 * The rules (1, 2 and 4 of the replica protocol; a collector relies on every word):
 *   - headers, map and span heads are stored before; then the semaphore is read, once; then the
 * event, log.next, seq.
 *   - seq counts every slot, logged or not. If next != seq, what lies in the log is of an earlier
 * listener: restart.
 *   - an operation's events are stored whole, then next, then seq; the log is handed over between
 * operations only. Stores to the log are release stores; their partner is the collector's remote
 * read of seq before the log's body.
 */
#ifndef MMVIZ_LIB_LOG_H
#define MMVIZ_LIB_LOG_H

#include <mmviz/abi.h>

#include "chaos.h"
#include "heap.h"
#include "pair.h"
#include "probes.h"

struct operation {
	struct mmviz_event events[MMVIZ_OPERATION_EVENTS_MAX];
	uint32_t count;
};

static inline void operation_add(struct operation *operation, uint64_t what, uint64_t data)
{
	operation->events[operation->count++] = (struct mmviz_event){what, data};
}

/* Store a whole operation, if a collector listens (`is_logged`), and count it. Does not hand over.
 */
void log_store(struct heap *heap, const struct operation *operation, bool is_logged);
/* Hand the log over if it is full enough. Between operations, without locks. */
void log_flush(struct heap *heap);
void log_flush_all(struct heap *heap); /* whatever is in it */
/* A new batch begins: note the time. */
void log_begin(struct heap *heap);

/* The same when seq is at hand: only its owner changes it. */
static inline void log_count_from(struct heap *heap, uint64_t seq, uint32_t slots)
{
	STEP();
	__atomic_store_n(&heap->log.seq, seq + slots, __ATOMIC_RELEASE);
}
static inline void log_count(struct heap *heap, uint32_t slots)
{
#ifdef __x86_64__
	STEP();
	/* a store is a release there, and one instruction counts, where compilers make three of it */
	__asm__ volatile("addq %1, %0"
			 : "+m"(heap->log.seq)
			 : "er"((uint64_t)slots)
			 : "memory", "cc");
#else
	log_count_from(heap, heap->log.seq, slots);
#endif
}

/* log_store for the commonest operation, of one event. `next`: log.next, or `seq` where a log begins anew. */
hot_inline void log_append(struct heap *heap, uint64_t next, uint64_t seq, uint64_t what,
			   uint64_t data)
{
	struct mmviz_log *log = &heap->log;
	struct mmviz_event *event = &log->events[next - log->first];

	if (rule_off(RULE_EVENT_BEFORE_SEQ))
		log_count(heap, 1);
	pair_store(event, what, data);
	STEP();
	__atomic_store_n(&log->next, next + 1, __ATOMIC_RELEASE);
	STEP();
	__atomic_store_n(&log->seq, seq + 1, __ATOMIC_RELEASE);
}

/* One event more neither begins a batch nor fills it. */
hot_inline bool log_has_room(const struct heap *heap)
{
	const struct mmviz_log *log = &heap->log;
	uint64_t events = log->next - log->first;

	return log->next == log->seq && events > 0 && events + 1 < heap->log_events;
}
/* One event, into such a log. */
hot_inline void log_append_here(struct heap *heap, uint64_t what, uint64_t data)
{
	log_append(heap, heap->log.next, heap->log.next, what, data);
}

/* One event into any log; hands it over when it is full enough. */
static inline void log_one(struct heap *heap, uint64_t what, uint64_t data)
{
	struct mmviz_log *log = &heap->log;
	uint64_t next = log->next, seq = log->seq;

	if (next != seq && !rule_off(RULE_LOG_RESTART)) {
		next = seq;
		__atomic_store_n(&log->first, next, __ATOMIC_RELEASE);
	}
	if (next == log->first)
		log_begin(heap);
	log_append(heap, next, seq, what, data);
	if (log->next - log->first >= heap->log_events)
		log_flush(heap);
}

#endif
