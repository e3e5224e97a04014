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
/* Events mode: a chosen allocation, or its end. Estimates that count each `weight` times are
 * unbiased. */
struct attach_event {
	uint64_t at_ns, addr, bytes;
	uint64_t lifetime_ns; /* of a free: since the allocation */
	double weight;	      /* 1 / the chance with which the allocation was chosen */
	uint32_t arena_id, context;
	uint32_t thread_id, birth_thread_id; /* now; that allocated */
	bool is_free;
	bool is_outdated; /* chosen before the last attach_choose(), and told after it */
	char comm[16];
	char label[MMVIZ_LABEL_BYTES]; /* "" without; hostile, NUL-terminated */
};
/* Events mode: which allocations pass, and how those that are told are chosen from them. */
#define ATTACH_ANY_CONTEXT UINT32_MAX
struct attach_choice {
	bool is_by_bytes;
	uint64_t sample; /* 1 in so many; or the mean number of bytes from one to the next */
	uint64_t min_bytes, max_bytes; /* both pass */
	uint32_t context;	       /* ATTACH_ANY_CONTEXT: any */
	uint32_t thread_id;	       /* in the initial pid namespace; 0: any */
};
#define ATTACH_EVERYTHING                                                                          \
	{                                                                                          \
		.sample = 1, .max_bytes = UINT64_MAX, .context = ATTACH_ANY_CONTEXT                \
	}
struct attach_event_counters {		       /* exact, since attach */
	uint64_t hits;			       /* of both probes */
	uint64_t allocations, allocated_bytes; /* that passed, chosen or not */
	uint64_t told;			       /* records */
	uint64_t dropped;		       /* records for which the ring had no room */
	uint64_t remembered;		       /* chosen blocks whose end will be told, at most */
	uint64_t remembered_max;	       /* more than so many: the oldest were forgotten */
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
	uint32_t ring_bytes;	     /* power of two; 0: 64 MiB */
	struct attach_choice choice; /* events mode; sample 0: everything */
	bool all_stacks;	     /* but in events mode: new blocks name their call stack */
	bool may_unfollow;	     /* exact mode: attach_follow will be asked for */
	bool force_perf;	     /* tests: use the perf-event path */
	bool is_verbose;	     /* show what libbpf and the verifier say */
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
/* Events mode, also while it runs and without privileges: from now on this is told. 0, -EINVAL. */
int attach_choose(struct attach *attach, const struct attach_choice *choice);
void attach_event_counters_read(const struct attach *attach, struct attach_event_counters *out);
/*
 * Exact mode, opened with may_unfollow. Off: logs are not handed over any more, and where this kernel
 * lets us, the target writes none (its semaphore drops). On: as after attach_open. 0 or -errno;
 * -ESRCH the target has ended.
 */
int attach_follow(struct attach *attach, bool is_on);
/* The collector is woken when so many bytes lie in the ring; at most a quarter of it, as at first. */
void attach_set_wakeup(struct attach *attach, uint64_t bytes);

#endif
