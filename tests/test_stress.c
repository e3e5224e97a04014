/* SPDX-License-Identifier: MIT */
/*
 * test_stress.c - eight threads, millions of operations of mixed sizes, a tenth of the frees made
 * by another thread: every block keeps what was written into it, the arena is whole at the end, and
 * the memory goes back to the system by itself.
 *
 * LONG=1 (make soak): ten times as long. Under the sanitizers: a tenth.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#include "arenas.h"

#if defined(__SANITIZE_ADDRESS__)
#define GIVES_BACK false /* under memory checkers the library makes no thread of its own */
#else
#define GIVES_BACK true
#endif

#define THREADS	       8u
#define OPERATIONS     24000000u
#define CAPACITY_BYTES (1u << 30)
#define HELD	       3000u
#define POST_BOX       64u
/* Resident: 128 KiB in each of 72 classes, and books; when the threads have ended. */
#define MAGAZINES_BYTES	 (12u << 20)
#define AFTERWARDS_BYTES (8u << 20)

struct parcel {
	uint32_t bytes;
	uint32_t stamp;
};

struct clerk {
	pthread_t thread;
	struct random random;
	uint64_t operations, wanted, posted, refused;
	struct parcel *held[HELD];
	_Atomic(struct parcel *) box[POST_BOX]; /* others put blocks here, this thread frees them */
};

static struct {
	struct mmviz_arena *arena;
	struct clerk clerks[THREADS];
	pthread_barrier_t done, go_home;
} office;

/* Log-uniform from 16 bytes to 32 KiB, one in a thousand up to 1 MiB. */
static uint32_t draw_bytes(struct random *random)
{
	uint32_t power = 4 + random_below(random, 11);

	if (random_below(random, 1000) == 0)
		power = 15 + random_below(random, 5);
	return (1u << power) + random_below(random, 1u << power);
}

static unsigned char *last_byte(struct parcel *parcel)
{
	return (unsigned char *)parcel + parcel->bytes - 1;
}

static struct parcel *make(struct clerk *clerk)
{
	uint32_t bytes = draw_bytes(&clerk->random), way = random_below(&clerk->random, 64);
	struct parcel *parcel;

	if (way == 0)
		parcel = mmviz_calloc(office.arena, 1, bytes, MMVIZ_TAG("calloc"));
	else if (way == 1)
		parcel = mmviz_alloc_aligned(office.arena, 64, bytes, 0);
	else if (way == 2)
		parcel = mmviz_alloc_labeled(office.arena, bytes, "stress");
	else
		parcel = mmviz_alloc(office.arena, bytes, way & 1 ? MMVIZ_TAG("stress") : 0);
	clerk->operations++;
	clerk->refused += !parcel;
	if (!parcel)
		return NULL;
	parcel->bytes = bytes;
	parcel->stamp = (uint32_t)(uintptr_t)parcel ^ bytes;
	*last_byte(parcel) = (unsigned char)parcel->stamp;
	return parcel;
}

static void look_at(struct parcel *parcel)
{
	must(parcel->stamp == ((uint32_t)(uintptr_t)parcel ^ parcel->bytes));
	must(parcel->bytes > 16 ? *last_byte(parcel) == (unsigned char)parcel->stamp : 1);
}

static void unmake(struct clerk *clerk, struct parcel *parcel)
{
	if (!parcel)
		return;
	look_at(parcel);
	mmviz_free(office.arena, parcel);
	clerk->operations++;
}

static struct parcel *resize(struct clerk *clerk, struct parcel *parcel)
{
	uint32_t bytes = draw_bytes(&clerk->random);
	struct parcel *again;

	look_at(parcel);
	again = mmviz_realloc(office.arena, parcel, bytes, 0);
	clerk->operations++;
	if (!again)
		return parcel;
	again->bytes = bytes;
	again->stamp = (uint32_t)(uintptr_t)again ^ bytes;
	*last_byte(again) = (unsigned char)again->stamp;
	return again;
}

/* Into a random box of a random clerk; what lay there before is ours to free, whose ever it was. */
static void post(struct clerk *clerk, struct parcel *parcel)
{
	struct clerk *other = &office.clerks[random_below(&clerk->random, THREADS)];

	unmake(clerk, atomic_exchange(&other->box[random_below(&clerk->random, POST_BOX)], parcel));
	clerk->posted++;
}

static void *clerk_main(void *argument)
{
	struct clerk *clerk = argument;

	mmviz_free(office.arena, mmviz_alloc(office.arena, 1, 0)); /* its heap lies at the start */
	pthread_barrier_wait(&office.done);
	while (clerk->operations < clerk->wanted) {
		struct parcel **slot = &clerk->held[random_below(&clerk->random, HELD)];
		uint32_t what = random_below(&clerk->random, 20);

		if (what < 2 && *slot)
			post(clerk, *slot);
		else if (what == 2 && *slot) {
			*slot = resize(clerk, *slot);
			continue;
		} else
			unmake(clerk, *slot);
		*slot = make(clerk);
	}
	for (uint32_t i = 0; i < HELD; i++)
		unmake(clerk, clerk->held[i]);
	pthread_barrier_wait(&office.done);
	pthread_barrier_wait(&office.done); /* it was looked at meanwhile */
	for (uint32_t i = 0; i < POST_BOX; i++)
		unmake(clerk, atomic_exchange(&clerk->box[i], NULL));
	pthread_barrier_wait(&office.done);
	pthread_barrier_wait(&office.go_home); /* idle */
	return NULL;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Nobody calls anything: how long until less than this is resident; -1: not within 1.5 s. */
static int ms_until_resident_below(size_t bytes)
{
	for (int ms = 0; ms <= 1500; ms += 50) {
		if (arena_resident_bytes(office.arena) <= bytes)
			return ms;
		pause_ms(50);
	}
	return -1;
}

static void test_eight_threads_mixed_sizes(void **state)
{
	uint64_t wanted = OPERATIONS / LESS * (getenv("LONG") ? 10 : 1), operations = 0, posted = 0,
		 refused = 0, seed = random_seed();
	size_t peak;
	int ms;

	(void)state;
	office.arena = mmviz_arena_create("stress", CAPACITY_BYTES);
	pthread_barrier_init(&office.done, NULL, THREADS + 1);
	pthread_barrier_init(&office.go_home, NULL, THREADS + 1);
	for (uint32_t i = 0; i < THREADS; i++) {
		office.clerks[i].random.state = seed + i;
		office.clerks[i].wanted = wanted / THREADS;
		must(pthread_create(&office.clerks[i].thread, NULL, clerk_main,
				    &office.clerks[i]) == 0);
	}
	pthread_barrier_wait(&office.done); /* all have begun */
	pthread_barrier_wait(&office.done);
	assert_whole(office.arena);
	peak = arena_stats(office.arena).committed_bytes;
	pthread_barrier_wait(&office.done);
	pthread_barrier_wait(&office.done);
	assert_whole(office.arena);
	assert_int_equal(arena_stats(office.arena).live_blocks, 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		operations += office.clerks[i].operations;
		posted += office.clerks[i].posted;
		refused += office.clerks[i].refused;
	}
	assert_true(operations >= wanted);
	assert_true(posted > operations / 30); /* a tenth of the frees is a twentieth of all */
	assert_int_equal(refused, 0);
	/* All that stays is what the threads' magazines hold ready. */
	ms = ms_until_resident_below(THREADS * MAGAZINES_BYTES);
	printf("%llu operations, %llu blocks freed by others; committed %zu MiB, resident %zu MiB "
	       "after %d ms\n",
	       (unsigned long long)operations, (unsigned long long)posted, peak >> 20,
	       arena_resident_bytes(office.arena) >> 20, ms);
	pthread_barrier_wait(&office.go_home);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(office.clerks[i].thread, NULL);
	assert_whole(office.arena);
	assert_true(ms >= 0 || !GIVES_BACK);
	ms = ms_until_resident_below(AFTERWARDS_BYTES);
	printf("the threads have ended: resident %zu KiB after %d ms\n",
	       arena_resident_bytes(office.arena) >> 10, ms);
	assert_true(ms >= 0 || !GIVES_BACK);
	assert_whole(office.arena);
	/* In one piece, but for the heaps: where nobody expires them, bins hold large blocks yet. */
	assert_true(arena_largest_block(office.arena) > CAPACITY_BYTES / 8 * 7 || !GIVES_BACK);
	mmviz_arena_destroy(office.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eight_threads_mixed_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
