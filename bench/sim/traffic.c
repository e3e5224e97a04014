/* SPDX-License-Identifier: MIT */
/*
 * traffic.c - the life of a pretended server's memory.
 *
 *   in flight     request + response of the last 64 requests of each worker   (arena "requests")
 *   sessions      a table that log-ins fill and time empties                  (arena "sessions")
 *   cache         log-uniform bodies, replaced at random                      (arena "cache")
 *   audit trail   small records that are only ever added, up to a bound: the slow growth
 *   live blocks   what --live-blocks asked for
 *
 * Mixed traffic adds the other kinds of operation: log lines that grow by realloc, aligned TLS
 * buffers, large upload bodies, and responses that the neighbour thread frees.
 *
 * A request alone is two allocations and two frees; everything else happens once in many requests,
 * picked by bits of one random number, so that the bookkeeping costs less than the allocator.
 */
#include "traffic.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/mmviz.h>

#include "totals.h"

#define IN_FLIGHT	64u
#define SESSIONS	8192u
#define CACHE_ENTRIES	4096u
#define TLS_BUFFERS	32u
#define UPLOADS		8u
#define MAILBOX_SLOTS	1024u
#define AUDIT_MAX	262144u
#define LOG_LINES_BYTES (64u << 10)
#define ROUTES		8u
#define LABELLED_EVERY	16u

enum role { ROLE_REQUESTS, ROLE_SESSIONS, ROLE_CACHE, ROLES };

/* A live block of ours. */
struct held {
	void *block; /* NULL: none */
	uint32_t bytes;
	uint32_t arena_index;
};

struct audit_record {
	struct audit_record *next;
	uint32_t bytes;
	uint32_t arena_index;
};

/* One producer, the neighbour before; one consumer, the worker. */
struct mailbox {
	_Alignas(64) _Atomic uint32_t sent;
	_Alignas(64) _Atomic uint32_t taken;
	struct held slots[MAILBOX_SLOTS];
};

struct worker {
	_Alignas(64) uint64_t random;
	struct traffic *traffic;
	struct worker *neighbour; /* gets the blocks that we hand over; itself with one thread */
	struct totals_cell *totals;
	uint32_t arena_of[ROLES];
	uint32_t index;
	struct traffic_counters counters; /* read by main at any time */

	struct {
		struct held request, response;
	} in_flight[IN_FLIGHT];
	struct held sessions[SESSIONS];
	struct held cache[CACHE_ENTRIES];
	struct held tls_buffers[TLS_BUFFERS];
	struct held uploads[UPLOADS];
	struct held log_lines;
	struct audit_record *audit_oldest, **audit_end;
	uint32_t audit_records;
	struct held *prefilled;
	uint64_t prefilled_count;
	struct mailbox mailbox;
};

struct traffic {
	struct traffic_options options;
	struct mmviz_arena **arenas;
	struct worker *workers;
	mmviz_tag routes[ROUTES];
};

/* How often the parts of mixed traffic happen: once in `every` requests, powers of two. */
static const struct phase {
	const char *name;
	unsigned session_every, cache_every, upload_every;
	bool is_purging;
} phases[] = {
	{"browsing", 64, 128, 4096, false},
	{"uploads", 64, 256, 64, false},
	{"log-ins", 8, 128, 4096, false},
	{"cache purge", 64, 16, 4096, true},
};
static const struct phase plain_phase = {"traffic", 64, 128, 0, false};

static const char *const route_names[ROUTES] = {
	"GET /",
	"GET /api/data",
	"GET /api/users",
	"POST /api/orders",
	"GET /static/*.js",
	"GET /api/search?",
	"PUT /api/cart",
	"POST /login",
};

const char *traffic_phase_name(unsigned phase)
{
	return phases[phase].name;
}

/* xorshift64* (Vigna 2016). */
static inline uint64_t draw(struct worker *worker)
{
	uint64_t x = worker->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	worker->random = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* Between low and high, each doubling equally likely. `high` is `low` doubled `doublings` times. */
static inline uint32_t log_uniform(uint64_t random, uint32_t low, unsigned doublings)
{
	uint32_t base = low << ((random & 0xffff) * doublings >> 16);

	return base + (uint32_t)((random >> 32) * base >> 32);
}

/* ------------------------------------------------------------------ operations */

static inline struct totals_cell *cell_of(const struct worker *worker, uint32_t arena_index)
{
	return worker->totals ? &worker->totals[arena_index] : NULL;
}

/* The counters have one writer; main reads them while it writes. */
static inline void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static inline struct held acquired(struct worker *worker, uint32_t arena_index, uint32_t bytes,
				   void *block)
{
	if (__builtin_expect(!block, 0)) {
		count(&worker->counters.refused);
		return (struct held){0};
	}
	totals_done(cell_of(worker, arena_index));
	count(&worker->counters.operations);
	*(uint64_t *)block = worker->random;
	return (struct held){.block = block, .bytes = bytes, .arena_index = arena_index};
}

static inline struct held acquire(struct worker *worker, enum role role, uint32_t bytes,
				  mmviz_tag tag)
{
	uint32_t index = worker->arena_of[role];

	totals_intend(cell_of(worker, index), 1, bytes, 0, 0);
	return acquired(worker, index, bytes,
			mmviz_alloc(worker->traffic->arenas[index], bytes, tag));
}

static struct held acquire_labeled(struct worker *worker, enum role role, uint32_t bytes,
				   const char *label)
{
	uint32_t index = worker->arena_of[role];

	totals_intend(cell_of(worker, index), 1, bytes, 0, 0);
	return acquired(worker, index, bytes,
			mmviz_alloc_labeled(worker->traffic->arenas[index], bytes, label));
}

static struct held acquire_zeroed(struct worker *worker, enum role role, uint32_t bytes,
				  mmviz_tag tag)
{
	uint32_t index = worker->arena_of[role];

	totals_intend(cell_of(worker, index), 1, bytes, 0, 0);
	return acquired(worker, index, bytes,
			mmviz_calloc(worker->traffic->arenas[index], 1, bytes, tag));
}

static struct held acquire_aligned(struct worker *worker, enum role role, uint32_t alignment,
				   uint32_t bytes, mmviz_tag tag)
{
	uint32_t index = worker->arena_of[role];

	totals_intend(cell_of(worker, index), 1, bytes, 0, 0);
	return acquired(worker, index, bytes,
			mmviz_alloc_aligned(worker->traffic->arenas[index], alignment, bytes, tag));
}

static inline void release(struct worker *worker, struct held *held)
{
	struct totals_cell *cell = cell_of(worker, held->arena_index);

	if (!held->block)
		return;
	totals_intend(cell, 0, 0, 1, held->bytes);
	mmviz_free(worker->traffic->arenas[held->arena_index], held->block);
	totals_done(cell);
	count(&worker->counters.operations);
	held->block = NULL;
}

static void resize(struct worker *worker, struct held *held, uint32_t bytes)
{
	struct totals_cell *cell = cell_of(worker, held->arena_index);
	void *moved;

	totals_intend(cell, 1, bytes, 1, held->bytes);
	moved = mmviz_realloc(worker->traffic->arenas[held->arena_index], held->block, bytes, 0);
	if (!moved) {
		count(&worker->counters.refused);
		return;
	}
	totals_done(cell);
	count(&worker->counters.operations);
	held->block = moved;
	held->bytes = bytes;
}

/* ------------------------------------------------------------------ between threads */

/* Hand a block to the neighbour, who will free it; free it here if the neighbour is behind. */
static void hand_over(struct worker *worker, struct held *held)
{
	struct mailbox *box = &worker->neighbour->mailbox;
	uint32_t sent = atomic_load_explicit(&box->sent, memory_order_relaxed);

	/* acquire: pairs with the release in collect_mail; the slot has been read */
	if (sent - atomic_load_explicit(&box->taken, memory_order_acquire) == MAILBOX_SLOTS) {
		release(worker, held);
		return;
	}
	box->slots[sent % MAILBOX_SLOTS] = *held;
	/* release: pairs with the acquire in collect_mail; the slot is whole */
	atomic_store_explicit(&box->sent, sent + 1, memory_order_release);
	held->block = NULL;
}

static void collect_mail(struct worker *worker)
{
	struct mailbox *box = &worker->mailbox;
	uint32_t taken = atomic_load_explicit(&box->taken, memory_order_relaxed);
	uint32_t sent = atomic_load_explicit(&box->sent, memory_order_acquire);

	for (; taken != sent; taken++)
		release(worker, &box->slots[taken % MAILBOX_SLOTS]);
	atomic_store_explicit(&box->taken, taken, memory_order_release);
}

/* ------------------------------------------------------------------ what requests do */

/* "GET /api/users/4711": fewer than 32 bytes, without the cost of a formatted print. */
static void format_user_label(char label[32], unsigned user)
{
	static const char prefix[] = "GET /api/users/";
	char digits[10];
	unsigned count_digits = 0;
	char *end = label + sizeof(prefix) - 1;

	memcpy(label, prefix, sizeof(prefix) - 1);
	do {
		digits[count_digits++] = (char)('0' + user % 10);
	} while (user /= 10);
	while (count_digits)
		*end++ = digits[--count_digits];
	*end = '\0';
}

static inline bool one_in(uint64_t random, unsigned every)
{
	return every && (random & (every - 1)) == 0;
}

static inline void replace(struct worker *worker, struct held *slot, struct held by)
{
	release(worker, slot);
	*slot = by;
}

static struct held open_request(struct worker *worker, uint64_t random)
{
	uint32_t bytes = 64 + (uint32_t)(random >> 8 & 0x1ff);
	char label[32];

	if (!one_in(random >> 17, LABELLED_EVERY))
		return acquire(worker, ROLE_REQUESTS, bytes,
			       worker->traffic->routes[random >> 24 & (ROUTES - 1)]);
	format_user_label(label, (unsigned)(random >> 32) % 5000);
	return acquire_labeled(worker, ROLE_REQUESTS, bytes, label);
}

static void touch_session(struct worker *worker, uint64_t random)
{
	struct held *slot = &worker->sessions[random % SESSIONS];

	/* half of the touched sessions that exist end and are not replaced */
	release(worker, slot);
	if (random & 1ULL << 63)
		*slot = acquire_zeroed(worker, ROLE_SESSIONS, log_uniform(random >> 16, 128, 4),
				       MMVIZ_TAG("session"));
}

static void touch_cache(struct worker *worker, uint64_t random, bool is_purging)
{
	struct held *slot = &worker->cache[random % CACHE_ENTRIES];

	release(worker, slot);
	if (!is_purging)
		*slot = acquire(worker, ROLE_CACHE, log_uniform(random >> 16, 256, 7),
				MMVIZ_TAG("cache entry"));
}

static void append_audit(struct worker *worker, uint64_t random)
{
	struct held held = acquire(worker, ROLE_SESSIONS,
				   (uint32_t)sizeof(struct audit_record) + (random & 63),
				   MMVIZ_TAG("audit trail"));
	struct audit_record *record = held.block;

	if (record) {
		*record = (struct audit_record){NULL, held.bytes, held.arena_index};
		*worker->audit_end = record;
		worker->audit_end = &record->next;
		worker->audit_records++;
	}
	if (worker->audit_records > AUDIT_MAX) {
		record = worker->audit_oldest;
		worker->audit_oldest = record->next;
		worker->audit_records--;
		held = (struct held){record, record->bytes, record->arena_index};
		release(worker, &held);
	}
}

static void append_log_line(struct worker *worker, uint64_t random)
{
	struct held *lines = &worker->log_lines;

	if (lines->block && lines->bytes < LOG_LINES_BYTES)
		resize(worker, lines, lines->bytes + 80 + (uint32_t)(random & 127));
	else
		replace(worker, lines, acquire(worker, ROLE_REQUESTS, 256, MMVIZ_TAG("log lines")));
}

static void serve_mixed(struct worker *worker, uint64_t random, const struct phase *phase)
{
	if (one_in(random, 16))
		append_log_line(worker, random >> 32);
	if (one_in(random >> 4, 64))
		replace(worker, &worker->tls_buffers[random >> 32 & (TLS_BUFFERS - 1)],
			acquire_aligned(worker, ROLE_REQUESTS, random & 1 ? 64 : 4096,
					log_uniform(random >> 16, 1024, 4),
					MMVIZ_TAG("tls buffers")));
	if (one_in(random >> 10, phase->upload_every))
		replace(worker, &worker->uploads[random >> 32 & (UPLOADS - 1)],
			acquire(worker, ROLE_CACHE, log_uniform(random >> 24, 64 << 10, 5),
				MMVIZ_TAG("upload body")));
	if (one_in(random >> 22, 32))
		collect_mail(worker);
}

/* What comes with some requests only. */
static inline void serve_aside(struct worker *worker, uint64_t random, const struct phase *phase)
{
	if (one_in(random >> 32, phase->session_every))
		touch_session(worker, draw(worker));
	if (one_in(random >> 38, phase->cache_every))
		touch_cache(worker, draw(worker), phase->is_purging);
	if (one_in(random >> 46, 4096))
		append_audit(worker, draw(worker));
	if (worker->prefilled_count && one_in(random >> 60, 8)) {
		struct held *slot = &worker->prefilled[(random >> 16) % worker->prefilled_count];

		replace(worker, slot,
			acquire(worker, ROLE_SESSIONS, log_uniform(random, 16, 5),
				MMVIZ_TAG("session cache")));
	}
}

void worker_serve(struct worker *worker, unsigned requests, unsigned phase_index)
{
	bool is_mixed = worker->traffic->options.is_mixed;
	const struct phase *phase = is_mixed ? &phases[phase_index] : &plain_phase;

	while (requests--) {
		unsigned slot = worker->counters.requests % IN_FLIGHT;
		uint64_t random = draw(worker);

		release(worker, &worker->in_flight[slot].request);
		if (is_mixed && worker->in_flight[slot].response.block && random >> 62 == 0)
			hand_over(worker, &worker->in_flight[slot].response);
		else
			release(worker, &worker->in_flight[slot].response);
		worker->in_flight[slot].request = open_request(worker, random);
		worker->in_flight[slot].response =
			acquire(worker, ROLE_REQUESTS, 128 + (uint32_t)(random >> 40 & 0x3ff),
				MMVIZ_TAG("response"));
		serve_aside(worker, random, phase);
		if (is_mixed)
			serve_mixed(worker, draw(worker), phase);
		count(&worker->counters.requests);
	}
}

void worker_prefill(struct worker *worker)
{
	for (uint64_t i = 0; i < worker->prefilled_count; i++)
		worker->prefilled[i] =
			acquire(worker, ROLE_SESSIONS, log_uniform(draw(worker), 16, 5),
				MMVIZ_TAG("session cache"));
}

/* ------------------------------------------------------------------ set-up */

static int worker_init(struct traffic *traffic, unsigned index)
{
	const struct traffic_options *options = &traffic->options;
	struct worker *worker = &traffic->workers[index];
	uint64_t before = options->live_blocks * index / options->threads;
	uint64_t after = options->live_blocks * (index + 1) / options->threads;

	worker->random = 0x9e3779b97f4a7c15ULL * (index + 1);
	worker->traffic = traffic;
	worker->index = index;
	worker->neighbour = &traffic->workers[(index + 1) % options->threads];
	worker->audit_end = &worker->audit_oldest;
	worker->prefilled_count = after - before;
	if (options->totals)
		worker->totals = &options->totals[(size_t)index * options->arenas];
	for (unsigned role = 0; role < ROLES; role++)
		worker->arena_of[role] = (role + ROLES * index) % options->arenas;
	worker->prefilled = calloc(worker->prefilled_count + 1, sizeof(*worker->prefilled));
	return worker->prefilled ? 0 : -ENOMEM;
}

static int create_arena(struct traffic *traffic, unsigned index)
{
	static const char *const role_names[ROLES] = {"requests", "sessions", "cache"};
	char name[64];

	if (index < ROLES)
		snprintf(name, sizeof(name), "%s", role_names[index]);
	else
		snprintf(name, sizeof(name), "%s %u", role_names[index % ROLES], index / ROLES + 1);
	traffic->arenas[index] = mmviz_arena_create(name, traffic->options.capacity_bytes);
	return traffic->arenas[index] ? 0 : -errno;
}

int traffic_create(const struct traffic_options *options, struct traffic **out)
{
	struct traffic *traffic = calloc(1, sizeof(*traffic));
	int error = 0;

	if (!traffic)
		return -ENOMEM;
	traffic->options = *options;
	traffic->arenas = calloc(options->arenas, sizeof(struct mmviz_arena *));
	traffic->workers = aligned_alloc(64, options->threads * sizeof(struct worker));
	if (!traffic->arenas || !traffic->workers)
		return -ENOMEM;
	memset(traffic->workers, 0, options->threads * sizeof(struct worker));
	for (unsigned i = 0; i < ROUTES; i++)
		traffic->routes[i] = mmviz_tag_intern(route_names[i]);
	for (unsigned i = 0; i < options->arenas && !error; i++)
		error = create_arena(traffic, i);
	for (unsigned i = 0; i < options->threads && !error; i++)
		error = worker_init(traffic, i);
	*out = traffic;
	return error;
}

struct worker *traffic_worker(struct traffic *traffic, unsigned index)
{
	return &traffic->workers[index];
}

struct traffic_counters traffic_count(const struct traffic *traffic)
{
	struct traffic_counters sum = {0};

	for (unsigned i = 0; i < traffic->options.threads; i++) {
		const struct traffic_counters *one = &traffic->workers[i].counters;

		sum.requests += __atomic_load_n(&one->requests, __ATOMIC_RELAXED);
		sum.operations += __atomic_load_n(&one->operations, __ATOMIC_RELAXED);
		sum.refused += __atomic_load_n(&one->refused, __ATOMIC_RELAXED);
	}
	return sum;
}

uint64_t traffic_events(const struct traffic *traffic)
{
	uint64_t events = 0;

	for (unsigned i = 0; i < traffic->options.arenas; i++) {
		struct mmviz_stats stats;

		if (mmviz_arena_stats(traffic->arenas[i], &stats) == 0)
			events += stats.events;
	}
	return events;
}
