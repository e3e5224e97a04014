/* SPDX-License-Identifier: MIT */
/* work.c - see work.h. */
#include "work.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

#include <mmviz/mmviz.h>

#include "random.h"

#define ARENAS_MAX   256 /* of a process; one more is an error that the program is told of */
#define SLOTS	     4096
#define THREADS_MAX  64 /* that live on */
#define BALLAST	     2000
#define PACE_EVERY   256 /* operations */
#define SHORT_LIFE   500 /* operations of a short-lived thread */
#define BRIEF_BLOCKS 20	 /* in an arena that is soon destroyed */
#define SETTLE_US    20000
#define MARK	     0x6d6d76697a210000ULL

struct slot {
	_Atomic(uintptr_t) block;
};

static struct mmviz_arena *arena;
static struct mmviz_arena *others[ARENAS_MAX];
static long others_count;
static struct slot shared[SLOTS];
static atomic_long pace_us = 200, short_lived, swarm_most;

/* ------------------------------------------------------------------ rests */

static pthread_mutex_t rest_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rest_changes = PTHREAD_COND_INITIALIZER;
static atomic_bool is_resting, is_quitting;
static long working, resting; /* threads; by the lock */

static void join_work(void)
{
	pthread_mutex_lock(&rest_lock);
	working++;
	pthread_mutex_unlock(&rest_lock);
}

static void leave_work(void)
{
	pthread_mutex_lock(&rest_lock);
	working--;
	pthread_cond_broadcast(&rest_changes);
	pthread_mutex_unlock(&rest_lock);
}

static void rest_if_asked(void)
{
	if (!atomic_load_explicit(&is_resting, memory_order_relaxed))
		return;
	pthread_mutex_lock(&rest_lock);
	resting++;
	pthread_cond_broadcast(&rest_changes);
	while (atomic_load(&is_resting))
		pthread_cond_wait(&rest_changes, &rest_lock);
	resting--;
	pthread_mutex_unlock(&rest_lock);
}

/* Comes back when every thread rests. */
static void rest(void)
{
	pthread_mutex_lock(&rest_lock);
	atomic_store(&is_resting, true);
	while (resting < working)
		pthread_cond_wait(&rest_changes, &rest_lock);
	pthread_mutex_unlock(&rest_lock);
	usleep(SETTLE_US); /* threads that have just left give their heaps away */
}

static bool must_quit(void)
{
	return atomic_load_explicit(&is_quitting, memory_order_relaxed);
}

static void go_on(void)
{
	pthread_mutex_lock(&rest_lock);
	atomic_store(&is_resting, false);
	pthread_cond_broadcast(&rest_changes);
	pthread_mutex_unlock(&rest_lock);
}

/* ------------------------------------------------------------------ blocks */

static uint64_t *last_word(void *block)
{
	return (uint64_t *)block + mmviz_usable_bytes(block) / sizeof(uint64_t) - 1;
}

static void *new_block(struct mmviz_arena *from, struct random *random)
{
	uint32_t kind = random_below(random, 100);
	size_t bytes = kind < 85   ? 16 + random_below(random, 600)
		       : kind < 98 ? 16 + random_below(random, 20000)
				   : 16 + random_below(random, 200000);
	uint64_t *block = mmviz_alloc(from, bytes, kind & 1 ? MMVIZ_TAG("odd") : MMVIZ_TAG("even"));

	if (block) {
		*last_word(block) = MARK ^ (uint64_t)block;
		*block = MARK ^ (uint64_t)block;
	}
	return block;
}

static void free_block(struct mmviz_arena *from, uint64_t *block)
{
	if (!block)
		return;
	if (*block != (MARK ^ (uint64_t)block)) {
		fprintf(stderr, "work: the block at %p is damaged\n", (void *)block);
		abort();
	}
	mmviz_free(from, block);
}

/* One operation on a slot that any thread may use: take what is there, or put something. */
static void one_operation(struct random *random)
{
	struct slot *slot = &shared[random_below(random, SLOTS)];
	uint64_t *block = (uint64_t *)atomic_exchange(&slot->block, 0);

	if (!block)
		block = (uint64_t *)atomic_exchange(&slot->block,
						    (uintptr_t)new_block(arena, random));
	free_block(arena, block);
}

/* ------------------------------------------------------------------ threads */

static atomic_long threads_started;

static void *worker_main(void *argument)
{
	struct random random = {(uint64_t)argument};

	for (uint64_t i = 1; !must_quit(); i++) {
		one_operation(&random);
		rest_if_asked();
		if (i % PACE_EVERY == 0 && atomic_load(&pace_us))
			usleep((useconds_t)atomic_load(&pace_us));
	}
	leave_work();
	return NULL;
}

static void *short_main(void *argument)
{
	struct random random = {(uint64_t)argument};

	for (int i = 0; i < SHORT_LIFE; i++) {
		one_operation(&random);
		rest_if_asked();
	}
	usleep((useconds_t)random_below(&random, 20000));
	leave_work();
	atomic_fetch_sub(&short_lived, 1);
	return NULL;
}

static pthread_t joinable[THREADS_MAX];
static long joinable_count;

static pthread_t start(void *(*body)(void *))
{
	uintptr_t number = (uintptr_t)atomic_fetch_add(&threads_started, 1) + 1;
	pthread_attr_t small;
	pthread_t thread;
	int error;

	join_work(); /* who has been started will rest, too */
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 << 10);
	while ((error = pthread_create(&thread, &small, body, (void *)number)) == EAGAIN)
		usleep(1000); /* while another thread execs, the kernel starts none */
	if (error) {
		fprintf(stderr, "work: cannot start a thread: %s\n", strerror(error));
		abort();
	}
	pthread_attr_destroy(&small);
	return thread;
}

/* Comes back when no thread is left. */
static void quit(void)
{
	atomic_store(&is_quitting, true);
	while (joinable_count)
		pthread_join(joinable[--joinable_count], NULL);
	atomic_store(&is_quitting, false);
}

static void *swarm_main(void *argument)
{
	while (!must_quit()) {
		rest_if_asked();
		for (; atomic_load(&short_lived) < atomic_load(&swarm_most) &&
		       !atomic_load(&is_resting);
		     atomic_fetch_add(&short_lived, 1))
			pthread_detach(start(short_main));
		usleep(1000);
	}
	leave_work();
	return argument;
}

/* An arena that lives for a moment, made and destroyed by the same thread. */
static void brief_arena(struct random *random)
{
	struct mmviz_arena *brief = mmviz_arena_create("brief", 4 << 20);

	if (!brief)
		return; /* 256 are there */
	for (int i = 0; i < BRIEF_BLOCKS; i++)
		new_block(brief, random);
	mmviz_arena_destroy(brief);
}

static void *creator_main(void *argument)
{
	struct random random = {(uint64_t)argument};

	for (uint64_t i = 0; !must_quit(); i++) {
		brief_arena(&random);
		rest_if_asked();
		if (i % 8 == 0)
			usleep((useconds_t)atomic_load(&pace_us));
	}
	leave_work();
	return NULL;
}

/* A child has one thread, none of the parent's rests, and blocks of its own. */
static long fork_child(void)
{
	struct random random = {77};
	pid_t child = fork();

	if (child != 0)
		return child;

	for (;;)
		free_block(arena, new_block(arena, &random));
}

/* ------------------------------------------------------------------ arenas */

static long make_arenas(long wanted)
{
	struct random random = {5};

	for (; others_count + 1 < wanted && others_count < ARENAS_MAX; others_count++) {
		others[others_count] = mmviz_arena_create("one of many", 1 << 20);
		if (!others[others_count])
			break;
		new_block(others[others_count], &random);
	}
	return others_count + 1;
}

static long destroy_arenas(long wanted)
{
	while (others_count + 1 > wanted && others_count > 0)
		mmviz_arena_destroy(others[--others_count]);
	return others_count + 1;
}

static long check_all(void)
{
	long bad = mmviz_arena_check(arena) != 0;

	for (long i = 0; i < others_count; i++)
		bad += mmviz_arena_check(others[i]) != 0;
	if (bad)
		fprintf(stderr, "work: %s\n", mmviz_check_message());
	return bad ? -1 : 0;
}

/* ------------------------------------------------------------------ mistakes */

static void go_on_after(const struct mmviz_error *error)
{
	(void)error;
}

/* One of each kind that does no harm: a double free, a pointer to no block, no memory. */
static long make_mistakes(void)
{
	mmviz_error_handler before = mmviz_set_error_handler(go_on_after);
	struct mmviz_arena *small = mmviz_arena_create("small", 1 << 16);
	char *block = mmviz_alloc(small, 100, MMVIZ_TAG("mistaken"));

	mmviz_free(small, block + 16);
	mmviz_free(small, block);
	mmviz_free(small, block);
	block = mmviz_alloc(small, 1 << 20, 0);
	mmviz_arena_destroy(small);
	mmviz_set_error_handler(before);
	return block ? -1 : 0;
}

/* ------------------------------------------------------------------ commands */

static long start_many(void *(*body)(void *), long count)
{
	while (count-- > 0 && joinable_count < THREADS_MAX)
		joinable[joinable_count++] = start(body);
	return 0;
}

static long start_swarm(long most)
{
	atomic_store(&swarm_most, most);
	return start_many(swarm_main, 1);
}

static long make_blocks(long count)
{
	struct random random = {3};

	for (long i = 0; i < count; i++)
		new_block(arena, &random);
	return 0;
}

/* With blocks that stay: what a comparison amid the churn can compare. */
static void open_arena(void)
{
	arena = mmviz_arena_create("work", 1ULL << 30);
	if (!arena)
		abort();
	make_blocks(BALLAST);
}

long work_command(char letter, long number)
{
	if (!arena)
		open_arena();
	switch (letter) {
	case 'w':
		return start_many(worker_main, number);
	case 'p':
		atomic_store(&pace_us, number);
		return 0;
	case 's':
		return start_swarm(number);
	case 'o':
		return start_many(creator_main, number);
	case 'a':
		return make_arenas(number);
	case 'd':
		return destroy_arenas(number);
	case 'r':
		rest();
		return 0;
	case 'g':
		go_on();
		return 0;
	case 'q':
		quit();
		return 0;
	case 'b':
		return make_blocks(number);
	case 'c':
		return check_all();
	case 'f':
		return fork_child();
	case 'm':
		return make_mistakes();
	default:
		return -1;
	}
}
