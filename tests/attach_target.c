/* SPDX-License-Identifier: MIT */
/*
 * attach_target.c - the program that the attach tests look at: does what it is told on stdin.
 *
 * Each command is a line, a letter and a number; each is answered by one line when it is done, so
 * that a test knows exactly which operations lie behind it. Built in every way of linking.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#define BLOCKS_MAX  (1 << 20)
#define BLOCK_BYTES 64

extern struct mmviz_registry mmviz_registry;

static struct mmviz_arena *arena, *second;
static void *blocks[BLOCKS_MAX];
static long count;
static size_t block_bytes = BLOCK_BYTES;
static mmviz_tag block_tag; /* 0: "attach test" */

static void allocate(long more)
{
	mmviz_tag tag = block_tag != 0 ? block_tag : MMVIZ_TAG("attach test");

	while (more-- > 0 && count < BLOCKS_MAX)
		blocks[count++] = mmviz_alloc(arena, block_bytes, tag);
}

static void allocate_labelled(long more)
{
	while (more-- > 0 && count < BLOCKS_MAX)
		blocks[count++] = mmviz_alloc_labeled(arena, block_bytes, "a label");
}

static void choose_tag(long number)
{
	char name[32];

	snprintf(name, sizeof(name), "tag %ld", number);
	block_tag = mmviz_tag_intern(name);
}

/* A second thread that lives on: it allocates what it is told. */
static int work[2], done[2];

static void *assist(void *argument)
{
	long more;

	while (read(work[0], &more, sizeof(more)) == (ssize_t)sizeof(more)) {
		allocate(more);
		if (write(done[1], &more, sizeof(more)) < 0)
			break;
	}
	return argument;
}

static void let_assistant_allocate(long more)
{
	static pthread_t assistant;

	if (assistant == 0 && (pipe(work) != 0 || pipe(done) != 0 ||
			       pthread_create(&assistant, NULL, assist, NULL) != 0))
		abort();
	if (write(work[1], &more, sizeof(more)) < 0 || read(done[0], &more, sizeof(more)) < 0)
		abort();
}

static void release(long less)
{
	while (less-- > 0 && count > 0)
		mmviz_free(arena, blocks[--count]);
}

static void *churn(void *argument)
{
	for (;;)
		mmviz_free(arena, mmviz_alloc(arena, BLOCK_BYTES, MMVIZ_TAG("churn")));
	return argument;
}

static void start_churning(long threads)
{
	pthread_t thread;

	while (threads-- > 0)
		if (pthread_create(&thread, NULL, churn, NULL) != 0)
			abort();
}

/* A child allocates and ends: nothing of it belongs to us. */
static void fork_child(long allocations)
{
	pid_t child = fork();

	if (child == 0) {
		allocate(allocations);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void name_badly(void)
{
	char longer[1000];

	mmviz_tag_intern("\x1b[31mred\x07");
	mmviz_tag_intern("bad \xff utf-8 \xc3\xa9");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	mmviz_tag_intern(longer);
}

static void toggle_second_arena(void)
{
	if (second == NULL) {
		second = mmviz_arena_create("second\n\xff", 1 << 20);
		mmviz_alloc(second, 1, 0);
	} else {
		mmviz_arena_destroy(second);
		second = NULL;
	}
}

/* Internal to the library; a program that is linked with the shared one does not see it. */
__attribute__((weak)) void mmviz_probe_batch(const struct mmviz_log *log, uint64_t bytes);

/* Hand over logs whose numbers cannot be true. */
static void lie(long which)
{
	static struct mmviz_log log;

	log = (struct mmviz_log){.arena_id = 77, .heap_id = UINT32_MAX, .first = 5};
	switch (which) {
	case 1: /* more events than a log has */
		log.next = log.first + (1ULL << 60);
		mmviz_probe_batch(&log, sizeof(log));
		break;
	case 2: /* more events than bytes */
		log.next = log.first + 10;
		mmviz_probe_batch(&log, MMVIZ_LOG_HEAD_BYTES + 9 * sizeof(struct mmviz_event));
		break;
	case 3: /* less than none */
		log.next = log.first - 1;
		mmviz_probe_batch(&log, sizeof(log));
		break;
	case 4: /* less than a head */
		mmviz_probe_batch(&log, 0);
		break;
	case 5: /* nowhere */
		mmviz_probe_batch((const struct mmviz_log *)8, sizeof(log));
		break;
	case 6: /* no lie but the length: an empty log */
		log.next = log.first;
		mmviz_probe_batch(&log, UINT64_MAX);
		break;
	default:
		abort();
	}
}

static void execute(char letter, long number)
{
	switch (letter) {
	case 'a':
		allocate(number);
		break;
	case 'f':
		release(number);
		break;
	case 'b':
		block_bytes = (size_t)number;
		break;
	case 'g':
		choose_tag(number);
		break;
	case 'L':
		allocate_labelled(number);
		break;
	case 'w':
		let_assistant_allocate(number);
		break;
	case 'r':
		mmviz_arena_reset(arena);
		count = 0;
		break;
	case 'R':
		blocks[count - 1] = mmviz_realloc(arena, blocks[count - 1], (size_t)number, 0);
		break;
	case 'm':
		mmviz_mark("a mark");
		break;
	case 'c':
		start_churning(number);
		break;
	case 'k':
		fork_child(number);
		break;
	case 'n':
		name_badly();
		break;
	case '2':
		toggle_second_arena();
		break;
	case 'v':
		mmviz_registry.abi_version = (uint32_t)number;
		break;
	case 'l':
		lie(number);
		break;
	case 'z': /* the others run on */
		start_churning(1);
		pthread_exit(NULL);
	case 'x':
		exit((int)number);
	case 'e':
		execl("/bin/sleep", "sleep", "1000", NULL);
		abort();
	default:
		abort();
	}
}

int main(void)
{
	char line[64];

	arena = mmviz_arena_create("attach", 256 << 20);
	if (arena == NULL)
		return 1;
	allocate(10);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		execute(line[0], atol(line + 1));
		puts("done");
		fflush(stdout);
	}
	return 0;
}
