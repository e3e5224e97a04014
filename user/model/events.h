/* SPDX-License-Identifier: MIT */
/*
 * events.h - events mode: the newest events that were told, and what they say of those that were
 * not.
 *
 * Owns a bounded list and tables of sums by tag, thread and size. An event was chosen with a chance
 * that its weight names (1 / chance), so sums of weights are unbiased estimates of the truth, and
 * the sum of weight * (weight - 1) is an unbiased estimate of their variance (Horvitz and Thompson,
 * 1952). Rates are taken over the last seconds, whole ones. Pure; one thread.
 *
 * Also a header for serve/ and export/, as view.h is: plain values.
 */
#ifndef MMVIZ_MODEL_EVENTS_H
#define MMVIZ_MODEL_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#define EVENTS_KEPT	   4096u /* the newest ones */
#define EVENTS_ROWS_MAX	   1024u /* of a table; what has no row counts in the last one */
#define EVENTS_TAG_BYTES   128u
#define EVENTS_COMM_BYTES  16u
#define EVENTS_LABEL_BYTES 32u
#define EVENTS_ANY_TAG	   UINT32_MAX
#define EVENTS_OTHERS	   UINT64_MAX	/* the key of that row */
#define EVENTS_SAMPLE_MAX  (1ull << 30) /* 1 in so many, or mean bytes in between */
#define EVENTS_BLOCK_MAX   (1ull << 36)

/* What is told: by whoever asks, unchecked until events_settings_check() said NULL. */
struct events_settings {
	uint64_t sample; /* 1 in so many allocations; or the mean number of bytes in between */
	uint64_t min_bytes, max_bytes; /* both pass */
	uint32_t thread_id;	       /* 0: any */
	uint32_t tag_id;	       /* EVENTS_ANY_TAG: any, or the one with this name */
	uint32_t is_by_bytes;	       /* 0, 1 */
	uint32_t unused;	       /* 0 */
	char tag[EVENTS_TAG_BYTES];    /* "" any */
};
extern const struct events_settings events_everything;
/* NULL, or what is wrong with them: a constant text for whoever asked. */
const char *events_settings_check(const struct events_settings *settings);

struct event {
	uint64_t number; /* from 1 on */
	uint64_t at_ns;	 /* CLOCK_REALTIME */
	uint64_t addr, bytes;
	uint64_t lifetime_ns; /* of a free */
	double weight;	      /* events that this one stands for */
	uint32_t arena_id, context;
	uint32_t thread_id, birth_thread_id; /* that did it; that allocated */
	bool is_free;
	char comm[EVENTS_COMM_BYTES];
	char label[EVENTS_LABEL_BYTES]; /* "" without */
};

/* Counted in the kernel, exact, since attach; unlike the estimates. */
struct events_counted {
	uint64_t hits;			       /* allocations and frees, all of them */
	uint64_t allocations, allocated_bytes; /* that pass the filter, chosen or not */
	uint64_t told, dropped;		       /* dropped: the ring was full */
	uint64_t remembered, remembered_max;   /* chosen blocks whose end will be told */
};

/* Estimates, a second; errors are one sigma. */
struct events_rate {
	uint64_t key; /* context id, thread id, or log2 of the size rounded up to a power of two */
	double allocations, allocations_error;
	double bytes, bytes_error;
	double frees;
	char comm[EVENTS_COMM_BYTES]; /* by thread */
};
enum events_by { EVENTS_BY_TAG, EVENTS_BY_THREAD, EVENTS_BY_SIZE, EVENTS_TABLES };

struct events_totals {
	uint64_t newest; /* number of the newest event; 0: none yet */
	struct events_counted counted;
	struct events_counted a_second; /* what was counted, by the second; not `remembered` */
	struct events_rate all;		/* estimates */
	double window_s;		/* seconds that the rates are of; 0: none yet */
};

struct events;
int events_open(struct events **out);	  /* 0, -ENOMEM */
void events_close(struct events *events); /* NULL is fine */

/* `event`'s number is given here. */
void events_add(struct events *events, const struct event *event);
/* At least once a second, with the clock of the rates and what the kernel counted until now. */
void events_tick(struct events *events, uint64_t monotonic_ns,
		 const struct events_counted *counted);
/* Other settings: list and rates begin anew, numbers go on. */
void events_restart(struct events *events);

/* Newest first; returns how many were copied. */
uint32_t events_newest(const struct events *events, struct event *out, uint32_t max);
/* Most allocations a second first; returns how many were copied. */
uint32_t events_rates(const struct events *events, enum events_by by, struct events_rate *out,
		      uint32_t max);
void events_totals(const struct events *events, struct events_totals *out);

#endif
