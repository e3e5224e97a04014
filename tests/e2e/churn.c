/* SPDX-License-Identifier: MIT */
/*
 * churn.c - a target that does everything at once, until SIGTERM: the subject of chaos.sh.
 *
 * Seats are taken by threads that live for some thousand operations; the successor on a seat
 * inherits what lay there. Each seat has a table of blocks of its own, and all share one: what a
 * thread takes from there is mostly another's. Blocks of every size and kind live in two arenas;
 * one more thread resets a third and makes and destroys a fourth, again and again. SIGUSR1 lets all
 * rest and SIGUSR2 work again: only at rest does a comparison see every block.
 *
 * The environment chooses the chaos (lib/chaos.h). Errors of the library abort, as by default.
 */
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmviz/mmviz.h>

#include "random.h"

#define SEATS_MAX 64u
#define LIFE_MOST 5000u /* operations of one thread, at most */

struct settings {
	unsigned threads, slots, shared_percent;
	bool forks;
	uint64_t seed;
};

static struct settings settings = {.threads = 4, .slots = 2000, .shared_percent = 40, .seed = 1};

struct slot { /* a block tells its arena by its lowest bit: blocks are aligned to 16 bytes */
	_Atomic(uintptr_t) block;
};

struct seat {
	struct random random;
	struct slot *slots;
};

static struct mmviz_arena *arenas[2];
static struct seat seats[SEATS_MAX];
static struct slot *shared;

/* ------------------------------------------------------------------ rests */

static pthread_mutex_t rest_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rest_ends = PTHREAD_COND_INITIALIZER;
static atomic_bool is_resting;

static void rest_if_asked(void)
{
	if (!atomic_load_explicit(&is_resting, memory_order_relaxed))
		return;
	pthread_mutex_lock(&rest_lock);
	while (atomic_load(&is_resting))
		pthread_cond_wait(&rest_ends, &rest_lock);
	pthread_mutex_unlock(&rest_lock);
}

static void set_resting(bool value)
{
	pthread_mutex_lock(&rest_lock);
	atomic_store(&is_resting, value);
	pthread_cond_broadcast(&rest_ends);
	pthread_mutex_unlock(&rest_lock);
}

/* ------------------------------------------------------------------ blocks */

/* Mostly small; some medium; few large. */
static size_t choose_size(struct random *random)
{
	uint32_t kind = random_below(random, 200);

	return kind < 170   ? random_below(random, 700)
	       : kind < 195 ? random_below(random, 30000)
			    : random_below(random, 400000);
}

static mmviz_tag choose_tag(struct random *random)
{
	switch (random_below(random, 4)) {
	case 0:
		return MMVIZ_TAG("GET /");
	case 1:
		return MMVIZ_TAG("POST /orders");
	case 2:
		return MMVIZ_TAG("session");
	default:
		return 0;
	}
}

static uintptr_t new_block(struct random *random)
{
	unsigned which = random_below(random, 2), kind = random_below(random, 16);
	size_t bytes = choose_size(random);
	void *block;

	if (kind < 11)
		block = mmviz_alloc(arenas[which], bytes, choose_tag(random));
	else if (kind < 13)
		block = mmviz_calloc(arenas[which], 1, bytes, choose_tag(random));
	else if (kind < 14)
		block = mmviz_alloc_aligned(arenas[which], 32u << random_below(random, 10), bytes,
					    choose_tag(random));
	else
		block = mmviz_alloc_labeled(arenas[which], bytes,
					    kind == 14 ? "a label" : "another one");
	return block ? (uintptr_t)block | which : 0;
}

static void free_block(uintptr_t block)
{
	mmviz_free(arenas[block & 1], (void *)(block & ~(uintptr_t)15));
}

static uintptr_t realloc_block(struct random *random, uintptr_t block)
{
	void *moved = mmviz_realloc(arenas[block & 1], (void *)(block & ~(uintptr_t)15),
				    choose_size(random), choose_tag(random));

	return moved ? (uintptr_t)moved | (block & 1) : block;
}

static void one_operation(struct seat *seat)
{
	struct random *random = &seat->random;
	struct slot *table =
		random_below(random, 100) < settings.shared_percent ? shared : seat->slots;
	struct slot *slot = &table[random_below(random, settings.slots)];
	unsigned kind = random_below(random, 10);
	uintptr_t block = atomic_exchange(&slot->block, 0);

	if (block && kind < 2)
		block = realloc_block(random, block);
	else if (block && kind < 6) {
		free_block(block);
		block = 0;
	} else if (!block)
		block = new_block(random);
	block = block ? atomic_exchange(&slot->block, block) : 0;
	if (block) /* somebody was faster, in the shared table */
		free_block(block);
}

/* ------------------------------------------------------------------ threads */

static void take_seat(struct seat *seat);

static void *thread_main(void *argument)
{
	struct seat *seat = argument;
	uint32_t life = 50 + random_below(&seat->random, LIFE_MOST);

	for (uint32_t i = 0; i < life; i++) {
		one_operation(seat);
		rest_if_asked();
	}
	take_seat(seat);
	return NULL;
}

static void take_seat(struct seat *seat)
{
	pthread_attr_t detached;
	pthread_t thread;
	int error;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &detached, thread_main, seat);
	pthread_attr_destroy(&detached);
	if (error) {
		fprintf(stderr, "churn: cannot start a thread: %s\n", strerror(error));
		abort();
	}
}

static struct slot *slots_new(void)
{
	struct slot *slots = calloc(settings.slots, sizeof(*slots));

	if (!slots)
		abort();
	return slots;
}

/* ------------------------------------------------------------------ arenas that come and go */

/* One arena is reset over and over, one lives for a moment. */
static void disturb(struct mmviz_arena *scratch, struct random *random)
{
	struct mmviz_arena *brief = mmviz_arena_create("brief", 1u << 20);

	mmviz_arena_reset(scratch);
	for (int i = 0; i < 200; i++) {
		mmviz_alloc(scratch, choose_size(random), choose_tag(random));
		mmviz_free(brief, mmviz_alloc(brief, random_below(random, 5000), 0));
		rest_if_asked();
	}
	mmviz_arena_destroy(brief);
	mmviz_mark("disturbed");
}

static void *disturber_main(void *argument)
{
	struct random random = {settings.seed};
	struct mmviz_arena *scratch = argument;

	for (;;) {
		disturb(scratch, &random);
		usleep(20000);
	}
	return NULL;
}

/* ------------------------------------------------------------------ the main thread */

/* A child that allocates and ends: it has our logs and our probes. */
static void fork_once(void)
{
	pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 1000; i++)
			mmviz_free(arenas[0], mmviz_alloc(arenas[0], 100, 0));
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 't':
		settings.threads = (unsigned)atoi(text);
		return settings.threads && settings.threads <= SEATS_MAX ? 0 : EINVAL;
	case 's':
		settings.slots = (unsigned)atoi(text);
		return settings.slots ? 0 : EINVAL;
	case 'c':
		settings.shared_percent = (unsigned)atoi(text);
		return settings.shared_percent <= 100 ? 0 : EINVAL;
	case 'f':
		settings.forks = true;
		return 0;
	case 'S':
		settings.seed = strtoull(text, NULL, 0);
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{"threads", 't', "N", 0, "seats (default 4)", 0},
	{"slots", 's', "N", 0, "blocks of each seat, and shared ones (default 2000)", 0},
	{"shared", 'c', "PERCENT", 0, "operations on shared blocks (default 40)", 0},
	{"forks", 'f', NULL, 0, "fork a child at each SIGUSR1", 0},
	{"seed", 'S', "N", 0, "of the traffic (default 1)", 0},
	{0},
};

/* Signals are the main thread's alone; it does what they say. */
static int obey(const sigset_t *signals)
{
	int number;

	for (;;) {
		sigwait(signals, &number);
		if (number == SIGTERM)
			return 0;
		set_resting(number == SIGUSR1);
		if (number == SIGUSR1 && settings.forks)
			fork_once();
	}
}

static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGUSR1);
	sigaddset(signals, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
}

int main(int argc, char **argv)
{
	const struct argp argp = {
		.options = options, .parser = parse_option, .doc = "Churn until SIGTERM."};
	struct mmviz_arena *scratch;
	pthread_t disturber;
	sigset_t signals;

	if (argp_parse(&argp, argc, argv, 0, NULL, NULL))
		return 64;
	block_signals(&signals);
	arenas[0] = mmviz_arena_create("churn", 1u << 30); /* with big cells; the other without */
	arenas[1] = mmviz_arena_create("churn too", 512u << 20);
	scratch = mmviz_arena_create("scratch", 64u << 20);
	if (!arenas[0] || !arenas[1] || !scratch) {
		perror("churn: cannot make its arenas");
		return 1;
	}
	shared = slots_new();
	for (unsigned i = 0; i < settings.threads; i++) {
		seats[i] =
			(struct seat){.random = {settings.seed * 1000 + i}, .slots = slots_new()};
		take_seat(&seats[i]);
	}
	pthread_create(&disturber, NULL, disturber_main, scratch);
	fprintf(stderr, "churn: pid %d\n", getpid());
	return obey(&signals);
}
