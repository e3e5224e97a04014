/* SPDX-License-Identifier: MIT */
/*
 * stress.c - threads that allocate, resize, pass on and free blocks of all sizes through the malloc
 * family; every block's contents are checked when it leaves.
 *
 *	stress [THREADS [ROUNDS [SEED]]]
 *
 * Under libmmviz-preload.so the arena's own check is called at the end (found by its name).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include <mmviz/abi.h>

#include "check.h"

#define SLOTS 4096 /* shared: who puts a block there may not be who takes it */

struct block {
	unsigned char *bytes;
	size_t length;
};

static struct block *slots[SLOTS];
static long rounds = 200000;
static uint64_t seed;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Log-uniform: as many of 16 to 32 bytes as of 16 to 32 KiB; rarely much more. */
static size_t random_bytes(uint64_t *state)
{
	unsigned power = (unsigned)(next(state) % 14);

	if (next(state) % 2000 == 0)
		power = 20;
	return (next(state) & (((size_t)2 << power) - 1)) + (next(state) % 50 != 0);
}

/* First and last bytes, so that large ones cost no more. */
static void stamp(const struct block *block)
{
	size_t edge = block->length < 64 ? block->length : 64;

	fill(block->bytes, edge, (unsigned)block->length);
	fill(block->bytes + block->length - edge, edge, (unsigned)block->length);
}

static void judge(const struct block *block)
{
	size_t edge = block->length < 64 ? block->length : 64;

	CHECK(is_filled(block->bytes + block->length - edge, edge, (unsigned)block->length));
	if (block->length >= 128)
		CHECK(is_filled(block->bytes, edge, (unsigned)block->length));
}

static struct block *make(uint64_t *state)
{
	struct block *block = malloc(sizeof(*block));

	block->length = random_bytes(state);
	switch (next(state) % 8) {
	case 0:
		block->bytes = calloc(1, block->length);
		CHECK(block->bytes &&
		      is_zero(block->bytes, block->length < 4096 ? block->length : 4096));
		break;
	case 1:
		block->bytes = aligned_alloc((size_t)16 << next(state) % 9, block->length);
		break;
	default:
		block->bytes = malloc(block->length);
	}
	CHECK(block->bytes && malloc_usable_size(block->bytes) >= block->length);
	stamp(block);
	return block;
}

static void change(struct block *block, uint64_t *state)
{
	size_t before = block->length, edge = before < 64 ? before : 64;
	size_t wanted = random_bytes(state) + 1;

	judge(block);
	if (before >= 128 && wanted >= edge) {
		block->bytes = realloc(block->bytes, wanted);
		CHECK(block->bytes && is_filled(block->bytes, edge, (unsigned)before));
	} else {
		block->bytes = realloc(block->bytes, wanted);
		CHECK(block->bytes);
	}
	block->length = wanted;
	stamp(block);
}

static void end(struct block *block)
{
	judge(block);
	free(block->bytes);
	free(block);
}

static void *run(void *argument)
{
	uint64_t state = seed + (uintptr_t)argument * 0x9e3779b97f4a7c15ull;

	for (long i = 0; i < rounds; i++) {
		struct block **slot = &slots[next(&state) % SLOTS];
		struct block *mine = make(&state), *old;

		if (next(&state) % 4 == 0)
			change(mine, &state);
		old = __atomic_exchange_n(slot, mine, __ATOMIC_ACQ_REL);
		if (old && next(&state) % 3 == 0)
			change(old, &state);
		if (old)
			end(old);
	}
	return NULL;
}

static void check_arenas(void)
{
	const struct mmviz_registry *registry = dlsym(RTLD_DEFAULT, "mmviz_registry");
	int (*check)(void *) = (int (*)(void *))dlsym(RTLD_DEFAULT, "mmviz_arena_check");
	const char *(*message)(void) =
		(const char *(*)(void))dlsym(RTLD_DEFAULT, "mmviz_check_message");

	for (unsigned slot = 0; registry && check && slot < MMVIZ_ARENAS_MAX; slot++) {
		void *arena = (void *)registry->arena_addr[slot];

		if (!arena)
			continue;
		if (check(arena)) {
			fprintf(stderr, "%s\n", message());
			_Exit(1);
		}
		printf("arena %u is whole\n", slot);
	}
}

int main(int count, char **arguments)
{
	long threads = count > 1 ? atol(arguments[1]) : 8;
	pthread_t started[64];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	rounds = count > 2 ? atol(arguments[2]) : rounds;
	seed = count > 3 ? strtoull(arguments[3], NULL, 0) : (uint64_t)now.tv_nsec * 2 + 1;
	printf("seed %#llx\n", (unsigned long long)seed);
	fflush(stdout);
	for (long i = 0; i < threads; i++)
		CHECK(pthread_create(&started[i], NULL, run, (void *)i) == 0);
	for (long i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i])
			end(slots[i]);
	check_arenas();
	printf("ok %ld threads, %ld rounds each\n", threads, rounds);
	return 0;
}
