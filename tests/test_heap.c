/* SPDX-License-Identifier: MIT */
/*
 * test_heap.c - threads: heaps that are born, handed on and left behind; blocks that change hands;
 * forks.
 *
 * Every block carries its own length and a pattern, written by the thread that got it and checked
 * by the one that frees it. Totals and invariants are looked at while the threads rest.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arenas.h"
#include "worker.h"

#define CAPACITY_BYTES (256u << 20)

static struct mmviz_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = mmviz_arena_create("heaps", CAPACITY_BYTES);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	mmviz_arena_destroy(arena);
	return 0;
}

static struct mmviz_stats stats(void)
{
	struct mmviz_stats now;

	must(mmviz_arena_stats(arena, &now) == 0);
	return now;
}

/* ------------------------------------------------------------------ blocks that know themselves */

struct parcel {
	size_t bytes;
	uint64_t stamp;
	unsigned char rest[];
};

static struct parcel *parcel_new(size_t bytes, uint64_t stamp)
{
	struct parcel *parcel = mmviz_alloc(arena, bytes, MMVIZ_TAG("parcel"));

	must(bytes >= sizeof(*parcel));
	must(parcel);
	parcel->bytes = bytes;
	parcel->stamp = stamp;
	memset(parcel->rest, (int)(stamp & 0xff), bytes - sizeof(*parcel));
	return parcel;
}

static void parcel_open(struct parcel *parcel)
{
	size_t rest = parcel->bytes - sizeof(*parcel);

	for (size_t i = 0; i < rest; i += i < 64 || i + 64 > rest ? 1 : 61)
		must(parcel->rest[i] == (unsigned char)parcel->stamp);
	mmviz_free(arena, parcel);
}

/* Mostly small, some medium, few large. */
static size_t parcel_size(struct random *random)
{
	uint32_t kind = random_below(random, 100);

	return sizeof(struct parcel) + (kind < 85   ? random_below(random, 500)
					: kind < 98 ? random_below(random, 20000)
						    : random_below(random, 300000));
}

/* ------------------------------------------------------------------ an exchange: threads swap
 * blocks */

#define SHELVES 512u

struct exchange {
	_Atomic(struct parcel *) shelves[SHELVES];
	uint64_t seed;
	uint32_t swaps;
	atomic_uint next_thread;
};

/* Puts a new parcel onto a random shelf, and opens the one that lay there: most are of another
 * thread. */
static void *exchange_thread(void *argument)
{
	struct exchange *exchange = argument;
	uint64_t number = atomic_fetch_add(&exchange->next_thread, 1);
	struct random random = {exchange->seed + number};

	for (uint32_t i = 0; i < exchange->swaps; i++) {
		struct parcel *mine = parcel_new(parcel_size(&random), random_next(&random)),
			      *theirs;

		theirs = atomic_exchange(&exchange->shelves[random_below(&random, SHELVES)], mine);
		if (theirs)
			parcel_open(theirs);
	}
	return NULL;
}

static void exchange_clear(struct exchange *exchange)
{
	for (uint32_t i = 0; i < SHELVES; i++) {
		struct parcel *parcel = atomic_exchange(&exchange->shelves[i], NULL);

		if (parcel)
			parcel_open(parcel);
	}
}

static void run_threads(pthread_t *threads, int count, void *(*main)(void *), void *argument)
{
	for (int i = 0; i < count; i++)
		must(pthread_create(&threads[i], NULL, main, argument) == 0);
	for (int i = 0; i < count; i++)
		must(pthread_join(threads[i], NULL) == 0);
}

static void test_threads_swap_blocks(void **state)
{
	static struct exchange exchange;
	pthread_t threads[4];

	(void)state;
	exchange.seed = random_seed();
	exchange.swaps = 150000 / LESS;
	run_threads(threads, 4, exchange_thread, &exchange);
	assert_whole(arena);
	exchange_clear(&exchange);
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 0);
	assert_true(stats().heaps <= 6); /* four, this one, the spare */
}

/* Generations of threads die and are replaced while their blocks live on. */
static void test_threads_that_die_are_followed_by_others(void **state)
{
	static struct exchange exchange;
	pthread_t threads[5];

	(void)state;
	exchange.seed = random_seed();
	exchange.swaps = 500 / LESS;
	for (int generation = 0; generation < 60; generation++) {
		run_threads(threads, 5, exchange_thread, &exchange);
		assert_whole(arena);
	}
	exchange_clear(&exchange);
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 0);
	assert_true(stats().heaps <= 7); /* heaps are adopted, not made anew */
}

/* ------------------------------------------------------------------ producers and consumers */

#define BELT 256u

/* Parcels go around on a belt: producers lay them down, consumers take them. */
static struct belt {
	_Atomic(struct parcel *) places[BELT];
	atomic_uint laid, taken;
	uint64_t seed;
	atomic_uint next_thread;
} belt;

/* Lays down some parcels and dies; those that find no room on the belt are freed here. */
static void *producer(void *argument)
{
	struct random random = {belt.seed + atomic_fetch_add(&belt.next_thread, 1)};

	(void)argument;
	for (int i = 0; i < 3000; i++) {
		struct parcel *parcel = parcel_new(parcel_size(&random), random_next(&random)),
			      *lost = atomic_exchange(&belt.places[random_below(&random, BELT)],
						      parcel);

		if (lost)
			parcel_open(lost);
		atomic_fetch_add(&belt.laid, 1);
	}
	return NULL;
}

/* Takes parcels, keeps a few, lays those down again when it dies. */
static void *consumer(void *argument)
{
	struct random random = {belt.seed + atomic_fetch_add(&belt.next_thread, 1)};
	struct parcel *kept[32] = {0};

	(void)argument;
	for (int i = 0; i < 6000; i++) {
		struct parcel **slot = &kept[random_below(&random, 32)];

		if (*slot)
			parcel_open(*slot);
		*slot = atomic_exchange(&belt.places[random_below(&random, BELT)], NULL);
		atomic_fetch_add(&belt.taken, *slot != NULL);
	}
	for (int i = 0; i < 32; i++) {
		struct parcel *lost = kept[i];

		if (lost)
			lost = atomic_exchange(&belt.places[random_below(&random, BELT)], lost);
		if (lost)
			parcel_open(lost);
	}
	return NULL;
}

static void test_producers_and_consumers_die_and_are_replaced(void **state)
{
	uint32_t wanted = 200000 / LESS;
	void *(*const mains[])(void *) = {producer, consumer, producer, consumer, producer};
	pthread_t threads[5];

	(void)state;
	belt.seed = random_seed();
	for (int i = 0; i < 5; i++)
		must(pthread_create(&threads[i], NULL, mains[i], NULL) == 0);
	for (int i = 0; atomic_load(&belt.laid) < wanted || atomic_load(&belt.taken) < wanted / 20;
	     i = (i + 1) % 5) {
		pthread_join(threads[i], NULL);
		must(pthread_create(&threads[i], NULL, mains[i], NULL) == 0);
	}
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	assert_whole(arena);
	for (uint32_t i = 0; i < BELT; i++)
		if (belt.places[i])
			parcel_open(atomic_exchange(&belt.places[i], NULL));
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 0);
	assert_true(stats().heaps <= 7);
}

/* ------------------------------------------------------------------ adoption */

static void *leave_blocks(void *argument)
{
	struct parcel **parcels = argument;

	for (int i = 0; i < 1000; i++)
		parcels[i] = parcel_new(100, (uint64_t)i);
	return NULL;
}

static void *open_and_refill(void *argument)
{
	struct parcel **parcels = argument;

	for (int i = 0; i < 1000; i++)
		parcel_open(parcels[i]);
	return leave_blocks(argument);
}

/* The next thread owns what the last one left: it frees without a return, into the same spans. */
static void test_a_heap_is_adopted_with_everything_in_it(void **state)
{
	static struct parcel *parcels[1000];
	struct mmviz_stats first, last;
	pthread_t thread;

	(void)state;
	run_threads(&thread, 1, leave_blocks, parcels);
	first = stats();
	for (int i = 0; i < 20; i++)
		run_threads(&thread, 1, open_and_refill, parcels);
	last = stats();
	assert_int_equal(last.heaps, first.heaps);
	assert_int_equal(last.committed_bytes, first.committed_bytes);
	assert_int_equal(last.spans, first.spans);
	assert_int_equal(last.live_blocks, 1000);
	assert_whole(arena);
}

struct turns {
	struct worker worker;
	struct parcel *parcels[2000];
};

static void task_fill(void *argument)
{
	struct turns *turns = argument;

	for (int i = 0; i < 2000; i++)
		turns->parcels[i] = parcel_new(200, (uint64_t)i);
}

/* A producer whose blocks are all freed by somebody else gets them back. */
static void test_returned_blocks_are_reclaimed(void **state)
{
	static struct turns turns;
	uint64_t committed = 0;

	(void)state;
	worker_start(&turns.worker);
	for (int round = 0; round < 50; round++) {
		worker_do(&turns.worker, task_fill, &turns);
		for (int i = 0; i < 2000; i++)
			parcel_open(turns.parcels[i]);
		if (round == 2)
			committed = stats().committed_bytes;
	}
	assert_int_equal(stats().committed_bytes, committed);
	assert_int_equal(stats().live_blocks, 0);
	worker_stop(&turns.worker);
	assert_whole(arena);
}

/* A thread that never allocated frees blocks of others. */
static void *only_free(void *argument)
{
	struct parcel **parcels = argument;

	for (int i = 0; i < 1000; i++)
		parcel_open(parcels[i]);
	return NULL;
}

static void test_a_thread_may_only_free(void **state)
{
	static struct parcel *parcels[1000];
	pthread_t thread;

	(void)state;
	leave_blocks(parcels);
	run_threads(&thread, 1, only_free, parcels);
	assert_int_equal(stats().live_blocks, 0);
	assert_whole(arena);
}

/* ------------------------------------------------------------------ a full arena */

static struct mmviz_arena *tight;

static void *free_all_of_tight(void *argument)
{
	void **blocks = argument;

	while (*blocks)
		mmviz_free(tight, *blocks++);
	return NULL;
}

/* No room for a heap of its own: a thread can free nevertheless, by way of the spare one. */
static void test_a_thread_without_a_heap_can_free(void **state)
{
	static void *blocks[100000];
	struct mmviz_stats now;
	pthread_t thread;
	size_t count = 0;

	(void)state;
	tight = mmviz_arena_create("tight", 1u << 20);
	for (size_t bytes = 65536; bytes >= 16; bytes /= 2)
		while (count < 99999 && (blocks[count] = mmviz_alloc(tight, bytes, 0)))
			count++;
	mmviz_arena_stats(tight, &now);
	assert_int_equal(now.live_blocks, count);
	assert_true(now.largest_free_bytes < 8192);
	run_threads(&thread, 1, free_all_of_tight, blocks);
	assert_int_equal(mmviz_arena_check(tight), 0);
	mmviz_arena_stats(tight, &now);
	assert_int_equal(now.live_blocks, 0);
	/* What was returned is there again. */
	for (size_t i = 0; i < count / 4; i++)
		assert_non_null(mmviz_alloc(tight, 16, 0));
	mmviz_arena_destroy(tight);
}

/* Large blocks of few classes, in an arena that is always nearly full. */
static void *compete_for_tight(void *argument)
{
	struct random random = {(uint64_t)argument};
	unsigned char *blocks[16] = {0};

	for (uint32_t i = 0; i < 20000 / LESS; i++) {
		unsigned char **slot = &blocks[random_below(&random, 16)];
		size_t bytes = 65536 + random_below(&random, 65536);

		mmviz_free(tight, *slot);
		*slot = mmviz_alloc(tight, bytes, 0);
		if (*slot)
			(*slot)[0] = (*slot)[bytes - 1] = 1;
	}
	for (int i = 0; i < 16; i++)
		mmviz_free(tight, blocks[i]);
	return NULL;
}

static void test_threads_compete_for_the_last_memory(void **state)
{
	pthread_t threads[4];
	struct mmviz_stats now;

	(void)state;
	tight = mmviz_arena_create("tight", 4u << 20);
	for (uintptr_t i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, compete_for_tight, (void *)(i + 1)) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	if (mmviz_arena_check(tight))
		fail_msg("%s", mmviz_check_message());
	mmviz_arena_stats(tight, &now);
	assert_int_equal(now.live_blocks, 0);
	assert_non_null(mmviz_alloc(tight, 1u << 20, 0));
	mmviz_arena_destroy(tight);
}

/* ------------------------------------------------------------------ filled by many threads */

#define FILLERS 6

/* Fills the arena together with others, to the last byte. */
struct filler {
	pthread_t thread;
	size_t bytes;
	struct filler *next; /* whose blocks it frees */
	size_t count;
	void *blocks[60000];
};
static struct filler fillers[FILLERS];
static pthread_barrier_t step;

static void *filler_main(void *argument)
{
	struct filler *filler = argument, *next = filler->next;

	mmviz_free(tight, mmviz_alloc(tight, filler->bytes, 0));
	pthread_barrier_wait(&step); /* all heaps are there */
	pthread_barrier_wait(&step); /* and measured */
	for (int round = 0; round < 3; round++) {
		errno = 0;
		filler->count = 0;
		while (filler->count < 60000 &&
		       (filler->blocks[filler->count] = mmviz_alloc(tight, filler->bytes, 0)))
			*(char *)filler->blocks[filler->count++] = 1;
		must(filler->count == 60000 || errno == ENOMEM);
		pthread_barrier_wait(&step); /* full, checked */
		pthread_barrier_wait(&step);
		while (next->count)
			mmviz_free(tight, next->blocks[--next->count]);
		pthread_barrier_wait(&step); /* empty, checked */
		pthread_barrier_wait(&step);
	}
	return NULL;
}

/* All threads rest at a barrier meanwhile. `held`: whether the fillers hold blocks. */
static void look_at_tight(bool held)
{
	pthread_barrier_wait(&step);
	if (mmviz_arena_check(tight))
		fail_msg("%s", mmviz_check_message());
	if (held)
		assert_true(arena_stats(tight).live_blocks > FILLERS);
	else
		assert_int_equal(arena_stats(tight).live_blocks, 0);
	pthread_barrier_wait(&step);
}

static void fill_together(size_t capacity_bytes, size_t first_bytes, size_t more_bytes)
{
	size_t largest;

	tight = mmviz_arena_create("tight", capacity_bytes);
	pthread_barrier_init(&step, NULL, FILLERS + 1);
	for (uint32_t i = 0; i < FILLERS; i++) {
		fillers[i].bytes = first_bytes + i * more_bytes;
		fillers[i].next = &fillers[(i + 1) % FILLERS];
		must(pthread_create(&fillers[i].thread, NULL, filler_main, &fillers[i]) == 0);
	}
	pthread_barrier_wait(&step);
	mmviz_arena_reset(tight);
	largest = arena_largest_block(tight);
	pthread_barrier_wait(&step);
	for (int round = 0; round < 3; round++) {
		look_at_tight(true);
		look_at_tight(false);
	}
	for (int i = 0; i < FILLERS; i++)
		pthread_join(fillers[i].thread, NULL);
	assert_int_equal(arena_largest_block(tight), largest);
	if (mmviz_arena_check(tight))
		fail_msg("%s", mmviz_check_message());
	mmviz_arena_destroy(tight);
}

static void test_many_threads_exhaust_an_arena_with_small_blocks(void **state)
{
	(void)state;
	fill_together(2u << 20, 16, 40);
	fill_together(16u << 20, 100, 200);
}

static void test_many_threads_exhaust_an_arena_with_medium_blocks(void **state)
{
	(void)state;
	fill_together(8u << 20, 2000, 3000);
	fill_together(80u << 20, 5000, 5000);
}

static void test_many_threads_exhaust_an_arena_with_large_blocks(void **state)
{
	(void)state;
	fill_together(8u << 20, 40000, 30000);
	fill_together(64u << 20, 70000, 300000);
}

static void test_many_threads_exhaust_an_arena_with_blocks_of_all_sizes(void **state)
{
	(void)state;
	fill_together(4u << 20, 16, 13000);
	fill_together(128u << 20, 60, 20000);
}

/* ------------------------------------------------------------------ many threads, many arenas */

static pthread_barrier_t all_there;

static void *one_of_many(void *argument)
{
	struct parcel *parcel = parcel_new(64, (uint64_t)argument);

	pthread_barrier_wait(&all_there);
	parcel_open(parcel);
	return NULL;
}

static void test_hundreds_of_threads(void **state)
{
	enum { THREADS = 400 };
	static pthread_t threads[THREADS];
	pthread_attr_t small_stacks;

	(void)state;
	pthread_attr_init(&small_stacks);
	pthread_attr_setstacksize(&small_stacks, 128u << 10);
	for (int round = 0; round < 3; round++) {
		pthread_barrier_init(&all_there, NULL, THREADS);
		for (uintptr_t i = 0; i < THREADS; i++)
			must(pthread_create(&threads[i], &small_stacks, one_of_many, (void *)i) ==
			     0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&all_there);
		assert_true(stats().heaps <= THREADS + 2);
		assert_int_equal(stats().live_blocks, 0);
		assert_whole(arena);
	}
}

static void test_256_arenas_and_not_one_more(void **state)
{
	struct mmviz_arena *arenas[MMVIZ_ARENAS_MAX] = {arena};
	struct mmviz_arena *again;
	uint32_t id = 0;

	(void)state;
	for (unsigned i = 1; i < MMVIZ_ARENAS_MAX; i++) {
		arenas[i] = mmviz_arena_create("one of many", 1u << 20);
		assert_non_null(arenas[i]);
		assert_non_null(mmviz_alloc(arenas[i], 100, 0));
	}
	errno = 0;
	assert_null(mmviz_arena_create("one too many", 1u << 20));
	assert_int_equal(errno, ENFILE);
	id = ((struct mmviz_arena_head *)arenas[MMVIZ_ARENAS_MAX - 1])->id;
	mmviz_arena_destroy(arenas[100]);
	again = mmviz_arena_create("room again", 1u << 20);
	assert_non_null(again);
	assert_true(((struct mmviz_arena_head *)again)->id > id); /* never used twice */
	assert_non_null(mmviz_alloc(again, 100, 0));
	mmviz_arena_destroy(again);
	for (unsigned i = 1; i < MMVIZ_ARENAS_MAX; i++)
		if (i != 100)
			mmviz_arena_destroy(arenas[i]);
	assert_whole(arena);
}

/* ------------------------------------------------------------------ arenas that end before their
 * threads */

static struct mmviz_arena *short_lived;

static void task_use_short_lived(void *argument)
{
	(void)argument;
	must(mmviz_alloc(short_lived, 100, 0));
	must(mmviz_alloc(arena, 100, 0));
}

/* Threads hold tables with heaps of arenas that are gone, and go on, into the same slot, and end.
 */
static void test_arenas_are_destroyed_under_living_threads(void **state)
{
	struct worker workers[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		worker_start(&workers[i]);
	for (int round = 0; round < 30; round++) {
		short_lived = mmviz_arena_create("short", 1u << 20);
		for (int i = 0; i < 4; i++)
			worker_do(&workers[i], task_use_short_lived, NULL);
		task_use_short_lived(NULL);
		assert_int_equal(mmviz_arena_check(short_lived), 0);
		mmviz_arena_destroy(short_lived);
	}
	for (int i = 0; i < 4; i++)
		worker_stop(&workers[i]);
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 30 * 5);
}

/* ------------------------------------------------------------------ destructors of thread-specific
 * data */

static pthread_key_t late_key;

static void late_destructor(void *argument)
{
	parcel_open(argument);
	parcel_open(parcel_new(50, 5));
}

static void *dies_with_a_block(void *argument)
{
	pthread_setspecific(late_key, parcel_new(100, (uint64_t)argument));
	return NULL;
}

/* Destructors may run after ours: the thread takes a heap again, and leaves it again. */
static void test_blocks_are_freed_by_late_destructors(void **state)
{
	pthread_t thread;

	(void)state;
	mmviz_free(arena, mmviz_alloc(arena, 1, 0)); /* the library's key is older */
	pthread_key_create(&late_key, late_destructor);
	for (int i = 0; i < 20; i++)
		run_threads(&thread, 1, dies_with_a_block, NULL);
	pthread_key_delete(late_key);
	assert_int_equal(stats().live_blocks, 0);
	assert_true(stats().heaps <= 3);
	assert_whole(arena);
}

/* ------------------------------------------------------------------ fork */

static atomic_bool stop;

/* Takes the arena's lock as often as can be. */
static void *lock_until_stopped(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop))
		mmviz_free(arena, mmviz_alloc(arena, 100000, 0));
	return NULL;
}

static void *churn_until_stopped(void *argument)
{
	struct exchange *exchange = argument;
	struct random random = {exchange->seed + atomic_fetch_add(&exchange->next_thread, 1)};

	while (!atomic_load(&stop)) {
		struct parcel *mine = parcel_new(parcel_size(&random), random_next(&random)),
			      *theirs;

		theirs = atomic_exchange(&exchange->shelves[random_below(&random, SHELVES)], mine);
		if (theirs)
			parcel_open(theirs);
	}
	return NULL;
}

/* The child: one thread, everything that others held still there; it can free it and go on. */
static void forked_child(struct exchange *exchange, struct parcel **mine)
{
	struct random random = {7};

	alarm(30); /* a deadlock ends as a failure */
	for (int i = 0; i < 100; i++)
		parcel_open(mine[i]);
	for (int i = 0; i < 2000; i++)
		parcel_open(parcel_new(parcel_size(&random), (uint64_t)i));
	/* A shelf's parcel may have been half-written when the world was copied: free, do not look.
	 */
	for (uint32_t i = 0; i < SHELVES; i += 2)
		mmviz_free(arena, atomic_exchange(&exchange->shelves[i], NULL));
	exchange->swaps = 300;
	must(mmviz_tag_intern("born in the child") != 0);
#ifndef __SANITIZE_THREAD__ /* which cannot follow threads that begin after a fork */
	pthread_t thread;

	run_threads(&thread, 1, exchange_thread, exchange);
#endif
	_exit(0);
}

static void test_fork_in_a_threaded_program(void **state)
{
	static struct exchange exchange;
	static struct parcel *mine[100];
	pthread_t threads[3];
	int status;

	(void)state;
	exchange.seed = random_seed();
	atomic_store(&stop, false);
	for (int i = 0; i < 100; i++)
		mine[i] = parcel_new(100, (uint64_t)i);
	for (int i = 0; i < 3; i++)
		must(pthread_create(&threads[i], NULL, i ? churn_until_stopped : lock_until_stopped,
				    &exchange) == 0);
	for (int round = 0; round < 40; round++) {
		pid_t child = fork();

		if (child == 0)
			forked_child(&exchange, mine);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	exchange_clear(&exchange);
	for (int i = 0; i < 100; i++)
		parcel_open(mine[i]);
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 0);
}

/* The forked child's own child, and what its checker says. */
static void test_a_child_of_a_quiet_program_is_whole(void **state)
{
	int status;
	pid_t child;

	(void)state;
	parcel_open(parcel_new(100, 1));
	child = fork();
	if (child == 0) {
		struct parcel *parcel = parcel_new(1000, 2);

		child = fork();
		if (child == 0) {
			parcel_open(parcel);
			_exit(mmviz_arena_check(arena) ? 1 : 0);
		}
		must(waitpid(child, &status, 0) == child);
		parcel_open(parcel);
		_exit(status || mmviz_arena_check(arena) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Threads that rest while the world is copied: everything of theirs is whole in the child. */
static struct resting {
	pthread_t thread;
	struct parcel *parcels[600];
} resting[4];
static pthread_barrier_t copied;

/* Holds a third, has freed a third, has freed a third of its neighbour's. */
static void *rest(void *argument)
{
	struct resting *mine = argument, *other = &resting[(size_t)(mine - resting + 1) % 4];
	struct random random = {belt.seed + (uint64_t)(mine - resting)};

	for (int i = 0; i < 600; i++)
		mine->parcels[i] = parcel_new(parcel_size(&random), random_next(&random));
	pthread_barrier_wait(&copied);
	for (int i = 0; i < 600; i += 3) {
		parcel_open(mine->parcels[i]);
		parcel_open(other->parcels[i + 1]);
	}
	pthread_barrier_wait(&copied);
	pthread_barrier_wait(&copied); /* the world is copied here, and the child at work */
	for (int i = 2; i < 600; i += 3)
		parcel_open(mine->parcels[i]);
	return NULL;
}

/* In the child: frees what the threads held that are not here, and uses the arena. */
static void child_of_resting_threads(void)
{
	struct random random = {belt.seed};

	alarm(60);
	must(mmviz_arena_check(arena) == 0);
	must(stats().live_blocks == 800);
	for (int thread = 0; thread < 4; thread++)
		for (int i = 2; i < 600; i += 3)
			parcel_open(resting[thread].parcels[i]);
	must(mmviz_arena_check(arena) == 0);
	must(stats().live_blocks == 0);
	for (int i = 0; i < 20000 / LESS; i++)
		parcel_open(parcel_new(parcel_size(&random), random_next(&random)));
	must(mmviz_arena_check(arena) == 0);
	_exit(0);
}

static void test_a_child_is_whole_where_threads_rested(void **state)
{
	int status[3];
	pid_t children[3];

	(void)state;
	belt.seed = random_seed();
	pthread_barrier_init(&copied, NULL, 5);
	for (int i = 0; i < 4; i++)
		must(pthread_create(&resting[i].thread, NULL, rest, &resting[i]) == 0);
	pthread_barrier_wait(&copied);
	pthread_barrier_wait(&copied);
	assert_whole(arena);
	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0)
			child_of_resting_threads();
	}
	pthread_barrier_wait(&copied);
	for (int i = 0; i < 4; i++)
		pthread_join(resting[i].thread, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(waitpid(children[i], &status[i], 0), children[i]);
		assert_int_equal(status[i], 0);
	}
	assert_whole(arena);
	assert_int_equal(stats().live_blocks, 0);
}

#define heap_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		heap_test(test_threads_swap_blocks),
		heap_test(test_threads_that_die_are_followed_by_others),
		heap_test(test_producers_and_consumers_die_and_are_replaced),
		heap_test(test_a_heap_is_adopted_with_everything_in_it),
		heap_test(test_returned_blocks_are_reclaimed),
		heap_test(test_a_thread_may_only_free),
		heap_test(test_a_thread_without_a_heap_can_free),
		heap_test(test_threads_compete_for_the_last_memory),
		heap_test(test_many_threads_exhaust_an_arena_with_small_blocks),
		heap_test(test_many_threads_exhaust_an_arena_with_medium_blocks),
		heap_test(test_many_threads_exhaust_an_arena_with_large_blocks),
		heap_test(test_many_threads_exhaust_an_arena_with_blocks_of_all_sizes),
		heap_test(test_hundreds_of_threads),
		heap_test(test_256_arenas_and_not_one_more),
		heap_test(test_arenas_are_destroyed_under_living_threads),
		heap_test(test_blocks_are_freed_by_late_destructors),
		heap_test(test_fork_in_a_threaded_program),
		heap_test(test_a_child_of_a_quiet_program_is_whole),
		heap_test(test_a_child_is_whole_where_threads_rested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
