/* SPDX-License-Identifier: MIT */
/* log.c - see log.h. */
#include "log.h"

#include "os.h"

void log_begin(struct heap *heap)
{
	heap->log.first_ns = os_now_ns();
}

void log_store(struct heap *heap, const struct operation *operation, bool is_logged)
{
	struct mmviz_log *log = &heap->log;
	uint64_t seq = log->seq, next = log->next;

	if (!is_logged) {
		log_count(heap, operation->count);
		return;
	}
	if (next != seq && !rule_off(RULE_LOG_RESTART)) {
		__atomic_store_n(&log->first, seq, __ATOMIC_RELEASE);
		next = seq;
	}
	if (next == log->first)
		log_begin(heap);
	if (rule_off(RULE_EVENT_BEFORE_SEQ))
		log_count(heap, operation->count);
	for (uint32_t i = 0; i < operation->count; i++) {
		log->events[next - log->first + i] = operation->events[i];
		STEP();
	}
	__atomic_store_n(&log->next, next + operation->count, __ATOMIC_RELEASE);
	STEP();
	__atomic_store_n(&log->seq, seq + operation->count, __ATOMIC_RELEASE);
}

void log_flush_all(struct heap *heap)
{
	struct mmviz_log *log = &heap->log;

	if (log->next == log->first)
		return;
	mmviz_probe_batch(log,
			  MMVIZ_LOG_HEAD_BYTES + (log->next - log->first) * sizeof(log->events[0]));
	STEP();
	__atomic_store_n(&log->first, log->next, __ATOMIC_RELEASE);
}

void log_flush(struct heap *heap)
{
	uint32_t wanted = registry_here.control_log_events;

	heap->log_events = wanted && wanted < MMVIZ_LOG_EVENTS ? wanted : MMVIZ_LOG_EVENTS;
	if (heap->log.next - heap->log.first >= heap->log_events)
		log_flush_all(heap);
}
