/* SPDX-License-Identifier: MIT */
/*
 * workloads.c - see workloads.h. Each block is written at its first and its last word, as a program
 * would do at least. A failed allocation ends the process: figures of a starved run mean nothing.
 */
#include "workloads.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocator.h"

#define STEP_BLOCKS	1000u
#define REQUEST_BLOCKS	20u
#define SURVIVORS_SHIFT 2 /* one block in four survives */
/* What is asked for then fits no hole of one block, and is as many bytes again as survived. */
#define REFILL_LOW_BYTES  4096u
#define REFILL_HIGH_BYTES 16384u
#define REFILL_SHARE	  20u

/* xorshift64* (Vigna 2016). */
static inline uint64_t draw(struct lane *lane)
{
	uint64_t x = lane->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	lane->random = x;
	return x * 0x2545f4914f6cdd1dULL;
}

static inline uint32_t below(uint64_t random, uint32_t bound)
{
	return (uint32_t)((random >> 32) * bound >> 32);
}

static inline size_t draw_size(struct lane *lane, const struct sizes *sizes)
{
	uint64_t random = draw(lane);
	uint32_t base;

	if (!sizes->doublings)
		return sizes->low + below(random, sizes->high - sizes->low + 1);
	base = sizes->low << ((random & 0xffff) * sizes->doublings >> 16);
	return base + below(random, base);
}

static inline void *alloc_written(size_t bytes)
{
	char *block = allocator_alloc(bytes);

	if (__builtin_expect(!block, 0)) {
		fprintf(stderr, "bench_alloc: out of memory\n");
		exit(EXIT_FAILURE);
	}
	*(uint64_t *)block = bytes;
	memcpy(block + bytes - sizeof(uint64_t), &bytes, sizeof(uint64_t));
	return block;
}

/* Its first word says how many bytes it has. */
static inline void fill_block(const struct lane *lane, void *block)
{
	uint64_t bytes = *(uint64_t *)block;

	if (lane->fills_blocks)
		memset((uint64_t *)block + 1, 1, bytes - sizeof(uint64_t));
}

/* ------------------------------------------------------------------ churn: random replacement */

static void fill_slots(struct lane *lane)
{
	for (uint32_t i = 0; i < lane->workload->slots; i++) {
		lane->slots[i] = alloc_written(draw_size(lane, &lane->workload->sizes));
		fill_block(lane, lane->slots[i]);
	}
}

static uint64_t churn(struct lane *lane)
{
	for (unsigned i = 0; i < STEP_BLOCKS; i++) {
		void **slot = &lane->slots[below(draw(lane), lane->workload->slots)];

		allocator_free(*slot);
		*slot = alloc_written(draw_size(lane, &lane->workload->sizes));
	}
	return 2 * STEP_BLOCKS;
}

/* ------------------------------------------------------------------ stacks and bursts */

/* A request builds up its blocks and drops them in reverse order. */
static uint64_t requests(struct lane *lane)
{
	void *blocks[REQUEST_BLOCKS];
	unsigned rounds = STEP_BLOCKS / REQUEST_BLOCKS;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < REQUEST_BLOCKS; i++)
			blocks[i] = alloc_written(draw_size(lane, &lane->workload->sizes));
		for (unsigned i = REQUEST_BLOCKS; i-- > 0;)
			allocator_free(blocks[i]);
	}
	return 2 * STEP_BLOCKS;
}

static uint64_t bursts(struct lane *lane)
{
	for (unsigned i = 0; i < STEP_BLOCKS; i++)
		lane->slots[i] = alloc_written(lane->workload->sizes.low);
	for (unsigned i = 0; i < STEP_BLOCKS; i++)
		allocator_free(lane->slots[i]);
	return 2 * STEP_BLOCKS;
}

/* ------------------------------------------------------------------ fragmentation */

void fragmentation_fill(struct lane *lane)
{
	fill_slots(lane);
}

/* Three of four, at random. */
uint64_t fragmentation_punch(struct lane *lane)
{
	uint64_t freed = 0;

	for (uint32_t i = 0; i < lane->workload->slots; i++) {
		if (draw(lane) >> (64 - SURVIVORS_SHIFT) == 0)
			continue;
		allocator_free(lane->slots[i]);
		lane->slots[i] = NULL;
		freed++;
	}
	return freed;
}

uint64_t fragmentation_refill(struct lane *lane)
{
	static const struct sizes larger = {REFILL_LOW_BYTES, REFILL_HIGH_BYTES, 0};
	uint32_t wanted = lane->workload->slots / REFILL_SHARE;
	uint64_t refilled = 0;

	for (uint32_t i = 0; i < lane->workload->slots && refilled < wanted; i++) {
		if (lane->slots[i])
			continue;
		lane->slots[i] = alloc_written(draw_size(lane, &larger));
		fill_block(lane, lane->slots[i]);
		refilled++;
	}
	return refilled;
}

void fragmentation_live(const struct lane *lane, uint64_t *blocks, uint64_t *bytes)
{
	*blocks = *bytes = 0;
	for (uint32_t i = 0; i < lane->workload->slots; i++) {
		if (!lane->slots[i])
			continue;
		*blocks += 1;
		*bytes += *(const uint64_t *)lane->slots[i]; /* alloc_written put it there */
	}
}

void fragmentation_drop(struct lane *lane)
{
	for (uint32_t i = 0; i < lane->workload->slots; i++)
		if (lane->slots[i])
			allocator_free(lane->slots[i]);
}

static uint64_t fragmentation(struct lane *lane)
{
	uint64_t refilled;

	fragmentation_fill(lane);
	fragmentation_punch(lane);
	refilled = fragmentation_refill(lane);
	fragmentation_drop(lane);
	return 2 * (lane->workload->slots + refilled);
}

/* ------------------------------------------------------------------ one allocates, the other frees
 */

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The queue is full, or empty. */
static void give_way(struct lane *lane)
{
	uint64_t began_ns = cpu_now_ns();

	sched_yield();
	lane->idle_ns += cpu_now_ns() - began_ns;
}

static uint64_t produce(struct lane *lane)
{
	struct queue *queue = lane->queue;
	uint32_t sent = atomic_load_explicit(&queue->sent, memory_order_relaxed);
	/* acquire: pairs with the release in consume; the slots up to here have been read */
	uint32_t room =
		QUEUE_SLOTS - (sent - atomic_load_explicit(&queue->taken, memory_order_acquire));
	uint32_t count = room < STEP_BLOCKS ? room : STEP_BLOCKS;

	for (uint32_t i = 0; i < count; i++) {
		queue->slots[sent++ % QUEUE_SLOTS] =
			alloc_written(draw_size(lane, &lane->workload->sizes));
		/* release: pairs with the acquire in consume; the slot is whole */
		atomic_store_explicit(&queue->sent, sent, memory_order_release);
	}
	if (!count)
		give_way(lane);
	return count;
}

static uint64_t consume(struct lane *lane)
{
	struct queue *queue = lane->queue;
	uint32_t taken = atomic_load_explicit(&queue->taken, memory_order_relaxed);
	uint32_t count = atomic_load_explicit(&queue->sent, memory_order_acquire) - taken;

	for (uint32_t i = 0; i < count; i++)
		allocator_free(queue->slots[taken++ % QUEUE_SLOTS]);
	atomic_store_explicit(&queue->taken, taken, memory_order_release);
	if (!count)
		give_way(lane);
	return count;
}

static uint64_t produce_or_consume(struct lane *lane)
{
	return lane->index == 0 ? produce(lane) : consume(lane);
}

/* ------------------------------------------------------------------ the table */

const struct workload workloads[] = {
	{"small-churn",
	 "200 k live, 16-512 B, random replacement",
	 1,
	 200000,
	 {16, 512, 0},
	 fill_slots,
	 churn},
	{"requests",
	 "20 blocks of 64 B-2 KiB, freed in reverse order",
	 1,
	 0,
	 {64, 2048, 0},
	 NULL,
	 requests},
	{"mixed-churn",
	 "50 k live, 16 B-32 KiB log-uniform",
	 1,
	 50000,
	 {16, 32768, 11},
	 fill_slots,
	 churn},
	{"large-churn",
	 "5 k live, 1 KiB-1 MiB log-uniform",
	 1,
	 5000,
	 {1024, 1 << 20, 10},
	 fill_slots,
	 churn},
	{"bursts",
	 "1000 times 64 B, then free all, oldest first",
	 1,
	 STEP_BLOCKS,
	 {64, 64, 0},
	 NULL,
	 bursts},
	{"fragmentation",
	 "400 k of 16 B-4 KiB, 3 of 4 freed at random, then 4-16 KiB",
	 1,
	 400000,
	 {16, 4096, 0},
	 NULL,
	 fragmentation},
	{"hand-over",
	 "one thread allocates 16-512 B, another frees",
	 2,
	 0,
	 {16, 512, 0},
	 NULL,
	 produce_or_consume},
	{"two-threads",
	 "two threads, each 100 k live, 16-512 B",
	 2,
	 100000,
	 {16, 512, 0},
	 fill_slots,
	 churn},
};
const unsigned workloads_count = sizeof(workloads) / sizeof(workloads[0]);

const struct workload *workload_find(const char *name)
{
	for (unsigned i = 0; i < workloads_count; i++)
		if (strcmp(workloads[i].name, name) == 0)
			return &workloads[i];
	return NULL;
}
