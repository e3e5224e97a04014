/* SPDX-License-Identifier: MIT */
/*
 * attach.h - BPF programs on a target's probes, and what comes out of their ring buffer.
 *
 * Owns the BPF object, its links and its ring. Knows nothing of replicas. One thread. Attaching
 * changes nothing of the target but the probes' semaphores; detaching, or the death of this
 * process, sets them back.
 */
#ifndef MMVIZ_COLLECT_ATTACH_H
#define MMVIZ_COLLECT_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <mmviz/abi.h>

#include "collect/target.h"

struct attach;

enum attach_mode { ATTACH_EXACT, ATTACH_SAMPLED, ATTACH_EVENTS };

/* A piece of a log, out of the ring: handed over full by the target, or copied when the target
 * ended. */
struct attach_batch {
	uint32_t arena_id, heap_id, thread_id;
	uint64_t first, next;	 /* numbers of events[0] and of the one after the last */
	uint64_t first_ns;	 /* CLOCK_MONOTONIC of events[0] */
	uint64_t handed_over_ns; /* CLOCK_MONOTONIC in the kernel */
	uint64_t final_seq;	 /* of a tail copied at the target's end: the heap's seq; else 0 */
	bool is_final_tail;
	const struct mmviz_event *events; /* valid during the call */
};
/* One hit of a per-event probe (events mode), after in-kernel sampling. */
struct attach_event {
	uint64_t at_ns, addr, bytes;
	uint32_t arena_id, context, thread_id, weight; /* weight: events that this one stands for */
	bool is_free;
};
/* One byte-sampled allocation with a copy of the stack (sampled mode), or its end without. */
struct attach_sample {
	uint64_t at_ns, addr, bytes, weight_bytes;
	uint32_t arena_id, context, thread_id;
	bool is_free;
	/* For unwind.h; valid during the call. NULL at the end of a block, and when the ring had no
	 * room for a stack. */
	const uint64_t *registers; /* UNWIND_REGISTERS of them */
	uint64_t stack_addr;
	const void *stack;
	uint64_t stack_bytes;
};
enum attach_end { ATTACH_END_EXIT = 1, ATTACH_END_EXEC = 2 };

struct attach_callbacks {
	void *context;
	void (*batch)(void *context, const struct attach_batch *batch);
	void (*event)(void *context, const struct attach_event *event);
	void (*sample)(void *context, const struct attach_sample *sample);
	/* With `sample`: the arena was reset or destroyed; the blocks of earlier samples are gone. */
	void (*arena_empty)(void *context, uint32_t arena_id);
	void (*end)(void *context, enum attach_end how,
		    int exit_code); /* the target exits or execs; tails came before */
};
struct attach_options {
	enum attach_mode mode;
	uint32_t ring_bytes;	/* power of two; 0: 64 MiB */
	uint32_t sample_events; /* events mode: 1 in N */
	bool may_unfollow;	/* exact mode: attach_follow will be asked for */
	bool force_perf;	/* tests: use the perf-event path */
	bool is_verbose;	/* show what libbpf and the verifier say */
};
struct attach_counters {
	uint64_t batches;	  /* taken from the ring */
	uint64_t dropped_batches; /* the ring was full */
	uint64_t
		copy_failures; /* the log could not be read; counted as lost by the gap it leaves */
	uint64_t ring_used_bytes, ring_bytes;
};

/*
 * Load, attach, arm. After success every later operation of the target is logged, but for those
 * that had read their semaphore before. Reports its own errors; -EPERM/-EACCES not permitted,
 * -ESRCH the target ended meanwhile, -EOPNOTSUPP the kernel lacks what is needed (`mmviz-bpf
 * doctor` says what).
 */
int attach_open(struct target *target, const struct attach_options *options,
		const struct attach_callbacks *callbacks, struct attach **out);
void attach_close(struct attach *attach); /* detaches; NULL is fine */
/* The target has ended: its probes are let go of, for its children and the program that it has
 * become keep them armed. What lies in the ring stays. */
void attach_disarm(struct attach *attach);

int attach_poll_fd(
	const struct attach *attach); /* epoll-able: readable when the ring is a quarter full */
/* Deliver what lies in the ring now, through the callbacks; returns records delivered or -errno.
 * Never blocks. */
int attach_drain(struct attach *attach);
void attach_counters_read(const struct attach *attach, struct attach_counters *out);
/*
 * Exact mode, opened with may_unfollow. Off: logs are not handed over any more, and where this kernel
 * lets us, the target writes none (its semaphore drops). On: as after attach_open. 0 or -errno;
 * -ESRCH the target has ended.
 */
int attach_follow(struct attach *attach, bool is_on);
/* The collector is woken when so many bytes lie in the ring; at most a quarter of it, as at first. */
void attach_set_wakeup(struct attach *attach, uint64_t bytes);
/* Events mode: change the in-kernel sampling of a running session. */
int attach_set_sampling(struct attach *attach, uint32_t sample_events);

#endif
