/* SPDX-License-Identifier: MIT */
/*
 * test_errors.c - what happens to a program that makes mistakes.
 *
 * Each mistake must be told with its right kind, and must change nothing: the arena holds the same
 * blocks, every invariant stays, and the next correct call works. The default handler is tried in a
 * child.
 */
#include "heard.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY_BYTES (16u << 20)

static int setup(void **state)
{
	*state = mmviz_arena_create("errors", CAPACITY_BYTES);
	mmviz_set_error_handler(hear);
	heard_count = 0;
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	mmviz_arena_destroy(*state);
	mmviz_set_error_handler(NULL);
	return 0;
}

/* Frees what must not be freed: told once, as `kind`, and nothing changes. */
static void assert_refused(struct mmviz_arena *arena, void *block, int kind)
{
	uint64_t live = live_blocks(arena);
	struct mmviz_stats before, after;

	mmviz_arena_stats(arena, &before);
	heard_count = 0;
	mmviz_free(arena, opaque(block));
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, kind);
	assert_ptr_equal(heard.address, block);
	assert_string_equal(heard.arena, "errors");
	assert_non_null(heard.now_at);
	mmviz_arena_stats(arena, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(live_blocks(arena), live);
}

static void assert_refused_and_whole(struct mmviz_arena *arena, void *block, int kind)
{
	assert_refused(arena, block, kind);
	assert_whole(arena);
}

/* ------------------------------------------------------------------ wrong frees */

static const size_t sizes[] = {1, 100, 5000, 30000, 100000, 3u << 20};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void test_double_free(void **state)
{
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		void *other = mmviz_alloc(arena, sizes[i], 0);
		void *block = mmviz_alloc(arena, sizes[i], MMVIZ_TAG("freed twice"));

		mmviz_free(arena, block);
		assert_refused_and_whole(arena, block, MMVIZ_ERROR_DOUBLE_FREE);
		assert_string_equal(heard.what, "double free");
		assert_string_equal(heard.tag, "freed twice");
		mmviz_free(arena, other);
	}
	assert_int_equal(live_blocks(arena), 0);
}

static void test_double_free_with_all_kinds_of_blocks(void **state)
{
	struct mmviz_arena *arena = *state;
	void *blocks[] = {mmviz_alloc_labeled(arena, 100, "a label"),
			  mmviz_alloc_labeled(arena, 200000, "a label"),
			  mmviz_alloc_aligned(arena, 64, 100, 0),
			  mmviz_alloc_aligned(arena, 1u << 16, 100, 0),
			  mmviz_calloc(arena, 3, 7, 0)};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		mmviz_free(arena, blocks[i]);
		assert_refused_and_whole(arena, blocks[i], MMVIZ_ERROR_DOUBLE_FREE);
	}
}

static void test_foreign_pointers(void **state)
{
	struct mmviz_arena *arena = *state, *other = mmviz_arena_create("other", CAPACITY_BYTES);
	static char here[64] __attribute__((aligned(16)));
	char stack[64] __attribute__((aligned(16)));
	void *from_malloc = malloc(100), *from_other = mmviz_alloc(other, 100, 0);

	assert_refused_and_whole(arena, here, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, stack, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, from_malloc, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, from_other, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, (void *)16, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, (void *)~15ULL, MMVIZ_ERROR_FOREIGN_POINTER);
	mmviz_free(other, from_other);
	mmviz_arena_destroy(other);
	free(from_malloc);
}

/* The arena's own books, and its last bytes, which nobody has ever committed. */
static void test_pointers_into_the_arena_that_are_no_blocks(void **state)
{
	struct mmviz_arena *arena = *state;
	char *base = (char *)arena;

	assert_refused_and_whole(arena, base, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, base + 16, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, base + 4096, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, base + CAPACITY_BYTES - 16, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, base + CAPACITY_BYTES, MMVIZ_ERROR_FOREIGN_POINTER);
	assert_refused_and_whole(arena, base + CAPACITY_BYTES + 16, MMVIZ_ERROR_FOREIGN_POINTER);
}

static void test_interior_and_misaligned_pointers(void **state)
{
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		char *block = mmviz_calloc(arena, 1, sizes[i], 0);

		for (size_t offset = 1; offset < sizes[i] && offset < 300; offset++)
			assert_refused(arena, block + offset, MMVIZ_ERROR_FOREIGN_POINTER);
		if (sizes[i] > 8192)
			assert_refused(arena, block + 4096, MMVIZ_ERROR_FOREIGN_POINTER);
		assert_whole(arena);
		heard_count = 0;
		mmviz_free(arena, block);
		assert_int_equal(heard_count, 0);
	}
}

/* A header copied into a payload is a header, but not of that place. */
static void test_a_planted_header_is_not_believed(void **state)
{
	struct mmviz_arena *arena = *state;
	char *block = mmviz_calloc(arena, 1, 1000, 0);

	memcpy(block + 48, header_of(block), sizeof(struct mmviz_header));
	assert_refused_and_whole(arena, block + 64, MMVIZ_ERROR_FOREIGN_POINTER);
	mmviz_free(arena, block);
}

static void test_overwritten_header(void **state)
{
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		char *block = mmviz_alloc(arena, sizes[i], 0);
		struct mmviz_header *header = header_of(block), kept = *header;

		memset(header, 'A', 12);
		assert_null(mmviz_realloc(arena, block, 1, 0));
		assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
		*header = kept;
		header->word ^= 1ULL << 40; /* another length */
		assert_null(mmviz_realloc(arena, block, 1, 0));
		assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
		*header = kept;
		assert_whole(arena);
		mmviz_free(arena, block);
		assert_int_equal(live_blocks(arena), 0);
	}
}

/* While the heap is small its own free finds it, and leaves the block alone. */
static void test_free_of_an_overwritten_header(void **state)
{
	struct mmviz_arena *arena = *state;
	char *block;

	for (size_t i = 0; i < SIZES; i++) {
		block = mmviz_alloc(arena, sizes[i], MMVIZ_TAG("overrun"));
		header_of(block)->check ^= 1;
		heard_count = 0;
		mmviz_free(arena, opaque(block));
		assert_int_equal(heard_count, 1);
		assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
		assert_ptr_equal(heard.address, block);
		assert_non_null(heard.now_at);
		header_of(block)->check ^= 1;
		assert_int_equal(live_blocks(arena), 1);
		mmviz_free(arena, block);
		assert_whole(arena);
		assert_int_equal(heard_count, 1);
		assert_int_equal(live_blocks(arena), 0);
	}
}

/* ------------------------------------------------------------------ other pointers */

static void test_realloc_of_a_wrong_pointer(void **state)
{
	struct mmviz_arena *arena = *state;
	char *block = mmviz_calloc(arena, 1, 1000, 0);

	errno = 0;
	assert_null(mmviz_realloc(arena, opaque(block + 16), 2000, 0));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(heard.kind, MMVIZ_ERROR_FOREIGN_POINTER);
	mmviz_free(arena, block);
	assert_null(mmviz_realloc(arena, opaque(block), 2000, 0));
	assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
	assert_int_equal(heard_count, 2);
	assert_whole(arena);
}

/* After a reset every old pointer is dead, and is told so as long as its memory has no new owner.
 */
static void test_free_after_reset(void **state)
{
	struct mmviz_arena *arena = *state;
	void *blocks[SIZES];

	for (size_t i = 0; i < SIZES; i++)
		blocks[i] = mmviz_alloc(arena, sizes[i], 0);
	mmviz_arena_reset(arena);
	for (size_t i = 0; i < SIZES; i++) {
		heard_count = 0;
		mmviz_free(arena, opaque(blocks[i]));
		assert_int_equal(heard_count, 1);
		assert_whole(arena);
	}
	assert_int_equal(live_blocks(arena), 0);
}

/* ------------------------------------------------------------------ writes after free */

/* A header that was overwritten after its free is found when the cell is used again, which is told
 * once. */
static void test_overwritten_header_of_a_free_block(void **state)
{
	struct mmviz_arena *arena = *state;
	char *blocks[20], *again[40];

	for (int i = 0; i < 20; i++)
		blocks[i] = mmviz_alloc(arena, 500, 0);
	for (int i = 0; i < 20; i++)
		mmviz_free(arena, blocks[i]);
	memset(header_of(blocks[10]), 'B', 12);
	for (int i = 0; i < 40; i++) {
		again[i] = mmviz_alloc(arena, 500, 0);
		assert_non_null(again[i]);
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(again[i], again[j]);
	}
	assert_int_equal(heard_count, 1);
	assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
	assert_ptr_equal(heard.address, blocks[10]);
	assert_whole(arena);
	for (int i = 0; i < 40; i++)
		mmviz_free(arena, again[i]);
	assert_whole(arena);
	assert_int_equal(heard_count, 1);
	assert_int_equal(live_blocks(arena), 0);
}

/* ------------------------------------------------------------------ guard bytes */

static struct mmviz_arena *guarded_arena(void)
{
	struct mmviz_arena_options options = {
		.options_bytes = sizeof(options),
		.name = "errors",
		.capacity_bytes = CAPACITY_BYTES,
		.flags = MMVIZ_GUARD_BYTES,
	};

	return mmviz_arena_create_with(&options);
}

static void test_guard_bytes_find_an_overrun(void **state)
{
	struct mmviz_arena *arena = guarded_arena();

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = mmviz_alloc(arena, sizes[i], MMVIZ_TAG("too short"));
		char *behind = block + sizes[i];

		for (size_t offset = 0; offset < 16; offset++) {
			char *at = behind + offset, kept = *reveal(at, 1);

			*reveal(at, 1) = (char)(kept + 1);
			assert_refused(arena, block, MMVIZ_ERROR_OVERRUN);
			assert_string_equal(heard.tag, "too short");
			assert_int_equal(heard.bytes, sizes[i]);
			errno = 0;
			assert_null(mmviz_realloc(arena, block, 10, 0));
			assert_int_equal(errno, EINVAL);
			*reveal(at, 1) = kept;
		}
		assert_int_equal(mmviz_usable_bytes(block), sizes[i]);
		heard_count = 0;
		mmviz_free(arena, block);
		assert_int_equal(heard_count, 0);
		assert_whole(arena);
	}
	mmviz_arena_destroy(arena);
}

static void test_guard_bytes_follow_realloc(void **state)
{
	struct mmviz_arena *arena = guarded_arena();
	char *block = mmviz_alloc(arena, 100, 0);

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		block = mmviz_realloc(arena, block, sizes[i], 0);
		memset(block, 'x', sizes[i]);
	}
	for (size_t i = SIZES; i-- > 0;) {
		block = mmviz_realloc(arena, block, sizes[i], 0);
		memset(block, 'x', sizes[i]);
	}
	mmviz_free(arena, block);
	assert_int_equal(heard_count, 0);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ no memory, wrong arguments */

static void test_exhaustion_and_recovery(void **state)
{
	static void *blocks[CAPACITY_BYTES / 4096];
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		size_t count = 0;

		errno = 0;
		while (count < sizeof(blocks) / sizeof(blocks[0]) &&
		       (blocks[count] = mmviz_alloc(arena, sizes[i] + 4096, 0)))
			count++;
		if (count < sizeof(blocks) / sizeof(blocks[0]))
			assert_int_equal(errno, ENOMEM);
		assert_true(count * (sizes[i] + 4096) > CAPACITY_BYTES * 2ULL / 5);
		assert_whole(arena);
		while (count)
			mmviz_free(arena, blocks[--count]);
		assert_non_null(blocks[0] = mmviz_alloc(arena, 10u << 20, 0));
		mmviz_free(arena, blocks[0]);
	}
	assert_int_equal(heard_count, 0);
	assert_int_equal(live_blocks(arena), 0);
}

static void test_impossible_sizes(void **state)
{
	static const size_t impossible[] = {SIZE_MAX,	      SIZE_MAX - 15, SIZE_MAX - 4096,
					    SIZE_MAX / 2 + 1, 1ULL << 60,    1ULL << 36,
					    CAPACITY_BYTES};
	struct mmviz_arena *arenas[] = {*state, guarded_arena()};

	for (size_t i = 0; i < 2 * sizeof(impossible) / sizeof(impossible[0]); i++) {
		struct mmviz_arena *arena = arenas[i % 2];
		size_t bytes = opaque(impossible[i / 2]);
		char *small = mmviz_alloc(arena, 40, 0), *large = mmviz_alloc(arena, 200000, 0);

		small[39] = large[199999] = 'k';
		errno = 0;
		assert_null(mmviz_alloc(arena, bytes, 0));
		assert_int_equal(errno, ENOMEM);
		assert_null(mmviz_calloc(arena, 1, bytes, 0));
		assert_null(mmviz_calloc(arena, bytes, 3, 0));
		assert_null(mmviz_alloc_labeled(arena, bytes, "label"));
		assert_null(mmviz_alloc_aligned(arena, 64, bytes, 0));
		assert_null(mmviz_alloc_aligned(arena, 1u << 21, bytes, 0));
		errno = 0;
		assert_null(mmviz_realloc(arena, small, bytes, 0));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(mmviz_realloc(arena, large, bytes, 0));
		assert_int_equal(errno, ENOMEM);
		assert_whole(arena);
		assert_int_equal(small[39], 'k');
		assert_int_equal(large[199999], 'k');
		mmviz_free(arena, small);
		mmviz_free(arena, large);
		assert_int_equal(live_blocks(arena), 0);
	}
	assert_int_equal(heard_count, 0);
	mmviz_arena_destroy(arenas[1]);
}

static void test_calloc_overflow(void **state)
{
	struct mmviz_arena *arena = *state;

	errno = 0;
	assert_null(mmviz_calloc(arena, opaque((size_t)1 << 33), (size_t)1 << 33, 0));
	assert_int_equal(errno, ENOMEM);
	assert_null(mmviz_calloc(arena, opaque(SIZE_MAX), 2, 0));
	mmviz_free(arena, mmviz_calloc(arena, 0, 5, 0));
	assert_whole(arena);
	assert_int_equal(heard_count, 0);
}

static void test_wrong_alignments(void **state)
{
	static const size_t wrong[] = {0, 3, 24, 100, 4095, 4u << 20, SIZE_MAX};
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_null(mmviz_alloc_aligned(arena, opaque(wrong[i]), 10, 0));
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(live_blocks(arena), 0);
}

static void assert_no_arena(const struct mmviz_arena_options *options, int error)
{
	errno = 0;
	assert_null(mmviz_arena_create_with(options));
	assert_int_equal(errno, error);
}

static void test_wrong_options(void **state)
{
	const struct mmviz_arena_options fine = {
		.options_bytes = sizeof(fine), .name = "x", .capacity_bytes = 1u << 20};
	struct mmviz_arena_options options;

	(void)state;
	assert_no_arena(NULL, EINVAL);
	options = fine, options.options_bytes = 8;
	assert_no_arena(&options, EINVAL);
	options = fine, options.name = NULL;
	assert_no_arena(&options, EINVAL);
	options = fine, options.name = "";
	assert_no_arena(&options, EINVAL);
	options = fine, options.capacity_bytes = (64u << 10) - 1;
	assert_no_arena(&options, EINVAL);
	options = fine, options.capacity_bytes = (64ULL << 30) + 1;
	assert_no_arena(&options, EINVAL);
	options = fine, options.capacity_bytes = SIZE_MAX;
	assert_no_arena(&options, EINVAL);
	options = fine, options.flags = 1u << 30; /* a flag of a later version */
	assert_no_arena(&options, EINVAL);
	options = fine, options.flags = MMVIZ_ARENA_OWN_MEMORY; /* the library's own flag */
	assert_no_arena(&options, EINVAL);
}

static void test_a_long_name_is_cut(void **state)
{
	char name[200], seen[MMVIZ_NAME_BYTES] = "";
	struct mmviz_arena *arena;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	arena = mmviz_arena_create(name, 1u << 20);
	assert_non_null(arena);
	memset(seen, 'n', sizeof(seen) - 1);
	assert_string_equal(((struct mmviz_arena_head *)arena)->name, seen);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ the default handler */

static mmviz_tag default_tag;

/* What a child that commits the mistake prints before it aborts. */
static void default_message(struct mmviz_arena *arena, void (*mistake)(struct mmviz_arena *),
			    char *text, size_t bytes)
{
	int pipes[2], status;
	ssize_t length;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	mmviz_set_error_handler(NULL);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		dup2(pipes[1], STDERR_FILENO);
		mistake(arena);
		_exit(0);
	}
	mmviz_set_error_handler(hear);
	close(pipes[1]);
	length = read(pipes[0], text, bytes - 1);
	text[length > 0 ? length : 0] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* The mistakes, by functions whose names symbols tell: the program is linked with -rdynamic. */
void mistake_double_free_tagged(struct mmviz_arena *arena);
void mistake_double_free_untagged(struct mmviz_arena *arena);
void mistake_double_free_labelled(struct mmviz_arena *arena);
void mistake_double_free_medium(struct mmviz_arena *arena);
void mistake_double_free_large(struct mmviz_arena *arena);
void mistake_double_free_by_two(struct mmviz_arena *arena);
void mistake_realloc_after_free(struct mmviz_arena *arena);
void mistake_interior(struct mmviz_arena *arena);
void mistake_interior_large(struct mmviz_arena *arena);
void mistake_misaligned(struct mmviz_arena *arena);
void mistake_other_arena(struct mmviz_arena *arena);
void mistake_stack(struct mmviz_arena *arena);
void mistake_null_page(struct mmviz_arena *arena);
void mistake_overrun_then_free(struct mmviz_arena *arena);
void mistake_overrun_then_walk(struct mmviz_arena *arena);
void mistake_overrun_then_realloc(struct mmviz_arena *arena);
void mistake_overrun_of_labelled(struct mmviz_arena *arena);
void mistake_free_of_overwritten_untagged(struct mmviz_arena *arena);
void mistake_guard_then_free(struct mmviz_arena *arena);
void mistake_guard_then_realloc(struct mmviz_arena *arena);

void mistake_double_free_tagged(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 123, default_tag);

	mmviz_free(arena, block);
	mmviz_free(arena, opaque(block));
}

void mistake_double_free_untagged(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 123, 0);

	mmviz_free(arena, block);
	mmviz_free(arena, opaque(block));
}

void mistake_double_free_labelled(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc_labeled(arena, 123, "session 42");

	mmviz_free(arena, block);
	mmviz_free(arena, opaque(block));
}

void mistake_double_free_medium(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 12345, default_tag);

	mmviz_free(arena, block);
	mmviz_free(arena, opaque(block));
}

void mistake_double_free_large(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 123456, default_tag);

	mmviz_free(arena, block);
	mmviz_free(arena, opaque(block));
}

struct one_free {
	struct mmviz_arena *arena;
	void *block;
};

static void *mistake_of_the_other(void *argument)
{
	struct one_free *one = argument;

	mmviz_free(one->arena, one->block);
	return NULL;
}

/* The first by another thread, whose name is not among the symbols. */
void mistake_double_free_by_two(struct mmviz_arena *arena)
{
	struct one_free one = {arena, mmviz_alloc(arena, 123, default_tag)};
	pthread_t thread;

	must(pthread_create(&thread, NULL, mistake_of_the_other, &one) == 0);
	pthread_join(thread, NULL);
	mmviz_free(arena, opaque(one.block));
	mmviz_free(arena, mmviz_alloc(arena, 500, 0)); /* at the latest */
}

void mistake_realloc_after_free(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 123, default_tag), *gone = opaque(block);

	mmviz_free(arena, block);
	opaque(mmviz_realloc(arena, gone, 1000, 0));
}

void mistake_interior(struct mmviz_arena *arena)
{
	mmviz_free(arena, opaque((char *)mmviz_alloc(arena, 123, default_tag) + 32));
}

void mistake_interior_large(struct mmviz_arena *arena)
{
	mmviz_free(arena, opaque((char *)mmviz_alloc(arena, 123456, default_tag) + 65536));
}

void mistake_misaligned(struct mmviz_arena *arena)
{
	mmviz_free(arena, opaque((char *)mmviz_alloc(arena, 123, default_tag) + 1));
}

void mistake_other_arena(struct mmviz_arena *arena)
{
	struct mmviz_arena *other = mmviz_arena_create("the other", 1u << 20);

	mmviz_free(arena, opaque(mmviz_alloc(other, 123, default_tag)));
}

void mistake_stack(struct mmviz_arena *arena)
{
	long here[8] = {0};

	mmviz_free(arena, opaque((void *)here));
	opaque(here[0]);
}

void mistake_null_page(struct mmviz_arena *arena)
{
	mmviz_free(arena, opaque((void *)64));
}

/* The second of two blocks, after the first was written eight bytes too far. */
static void *after_overrun(struct mmviz_arena *arena)
{
	char *front = mmviz_alloc(arena, 112, MMVIZ_TAG("the culprit"));
	void *victim = mmviz_alloc(arena, 112, MMVIZ_TAG("the victim"));

	must((char *)victim == front + 128); /* neighbours */
	memset(reveal(front, 120), 'A', 120);
	return victim;
}

void mistake_overrun_then_free(struct mmviz_arena *arena)
{
	mmviz_free(arena, after_overrun(arena));
	mmviz_free(arena, mmviz_alloc(arena, 112, 0)); /* at the latest */
	mmviz_free(arena, mmviz_alloc(arena, 5000, 0));
}

static int look_away(const struct mmviz_block *block, void *context)
{
	(void)block;
	(void)context;
	return 0;
}

void mistake_overrun_then_walk(struct mmviz_arena *arena)
{
	after_overrun(arena);
	mmviz_arena_walk(arena, look_away, NULL);
}

void mistake_overrun_then_realloc(struct mmviz_arena *arena)
{
	opaque(mmviz_realloc(arena, after_overrun(arena), 5000, 0));
}

/* Past the neighbour's label, into its header. */
void mistake_overrun_of_labelled(struct mmviz_arena *arena)
{
	char *front = mmviz_alloc_labeled(arena, 112, "the first");
	char *victim = mmviz_alloc_labeled(arena, 112, "the second");

	must(victim == front + 160);
	memset(reveal(front, 150), 'A', 150);
	mmviz_free(arena, opaque(victim));
	mmviz_arena_walk(arena, look_away, NULL);
}

void mistake_free_of_overwritten_untagged(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 123, 0);

	header_of(block)->check ^= 1;
	mmviz_free(arena, opaque(block));
	mmviz_arena_check(arena);
}

void mistake_guard_then_free(struct mmviz_arena *arena)
{
	struct mmviz_arena *guarded = guarded_arena();
	char *block = mmviz_alloc(guarded, 123, default_tag);

	(void)arena;
	*reveal(block + 123, 1) = 'A';
	mmviz_free(guarded, block);
}

void mistake_guard_then_realloc(struct mmviz_arena *arena)
{
	struct mmviz_arena *guarded = guarded_arena();
	char *block = mmviz_alloc_labeled(guarded, 123456, "session 43");

	(void)arena;
	*reveal(block + 123456, 1) = 'A';
	opaque(mmviz_realloc(guarded, block, 5, 0));
}

/* What must be in the message, besides the end that all have. Lines end where the text says so. */
static const struct {
	void (*mistake)(struct mmviz_arena *);
	const char *texts[6];
} messages[] = {
	{mistake_double_free_tagged,
	 {"mmviz: double free: block 0x", "(123 bytes, 'GET /default') in arena 'errors'\n",
	  "found by the code at 0x", "(mistake_double_free_tagged+0x", "free each block once\n"}},
	{mistake_double_free_untagged,
	 {"mmviz: double free: block 0x", "(123 bytes) in arena 'errors'\n",
	  "\n  allocated by the code at 0x", "(mistake_double_free_untagged+0x",
	  "\n  found by the code at 0x"}},
	{mistake_double_free_labelled,
	 {"double free: block 0x", "(123 bytes, 'session 42') in arena 'errors'\n"}},
	{mistake_double_free_medium, {"double free: block 0x", "(12345 bytes, 'GET /default')"}},
	{mistake_double_free_large, {"double free: block 0x", "bytes, 'GET /default') in arena"}},
	{mistake_realloc_after_free,
	 {"double free: block 0x", "(123 bytes, 'GET /default')",
	  "(mistake_realloc_after_free+0x"}},
	{mistake_interior,
	 {"mmviz: not a block of this arena: 0x", "(mistake_interior+0x",
	  "\n  it points 32 bytes into block 0x", "(123 bytes, 'GET /default')\n",
	  "\n  pass the pointer that the arena's alloc returned"}},
	{mistake_interior_large,
	 {"not a block of this arena: 0x", "\n  it points 65536 bytes into block 0x",
	  "(123456 bytes, 'GET /default')\n"}},
	{mistake_misaligned,
	 {"not a block of this arena: 0x", "\n  it points 1 bytes into block 0x",
	  "(123 bytes, 'GET /default')\n"}},
	{mistake_other_arena,
	 {"not a block of this arena: 0x", "in arena 'errors'\n", "\n  it is block 0x",
	  "(123 bytes, 'GET /default') of arena 'the other'\n"}},
	{mistake_stack, {"not a block of this arena: 0x", "(mistake_stack+0x"}},
	{mistake_null_page, {"not a block of this arena: 0x40 in", "(mistake_null_page+0x"}},
	{mistake_overrun_then_free,
	 {"mmviz: header overwritten: block 0x", "(112 bytes) in arena 'errors'\n",
	  "(mistake_overrun_then_free+0x", "\n  in front of it lies block 0x",
	  "(112 bytes, 'the culprit')\n", "\n  look for a write before this block"}},
	{mistake_overrun_then_walk,
	 {"header overwritten: block 0x", "(mistake_overrun_then_walk+0x",
	  "\n  in front of it lies block 0x", "(112 bytes, 'the culprit')\n"}},
	{mistake_overrun_then_realloc,
	 {"header overwritten: block 0x", "(mistake_overrun_then_realloc+0x",
	  "\n  in front of it lies block 0x", "(112 bytes, 'the culprit')\n"}},
	{mistake_overrun_of_labelled,
	 {"header overwritten: block 0x", "\n  in front of it lies block 0x",
	  "(112 bytes, 'the first')\n"}},
	{mistake_free_of_overwritten_untagged,
	 {"header overwritten: block 0x", "(123 bytes) in arena 'errors'",
	  "allocated by the code at 0x", "(mistake_free_of_overwritten_untagged+0x"}},
	{mistake_guard_then_free,
	 {"mmviz: written behind its end: block 0x", "(123 bytes, 'GET /default') in arena",
	  "(mistake_guard_then_free+0x", "\n  look for writes past the requested size\n"}},
	{mistake_guard_then_realloc,
	 {"written behind its end: block 0x", "(123456 bytes, 'session 43')",
	  "(mistake_guard_then_realloc+0x"}},
};

static void test_default_handler_tells_all_and_aborts(void **state)
{
	struct mmviz_arena *arena = *state;
	char text[2048];

	default_tag = mmviz_tag_intern("GET /default");
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		default_message(arena, messages[i].mistake, text, sizeof(text));
		for (size_t j = 0; j < 6 && messages[i].texts[j]; j++)
			if (!strstr(text, messages[i].texts[j]))
				fail_msg("\"%s\" is not in: %s", messages[i].texts[j], text);
		assert_int_equal(text[strlen(text) - 1], '\n');
	}
	assert_whole(arena);
}

/* Both sites of a double free, as long as nobody wrote into the free block. */
static void test_a_double_free_names_the_first_one(void **state)
{
	void (*const mistakes[])(struct mmviz_arena *) = {
		mistake_double_free_tagged, mistake_double_free_labelled,
		mistake_double_free_medium, mistake_double_free_large,
		mistake_realloc_after_free,
#ifndef __SANITIZE_THREAD__ /* which ends a child that makes a thread, if its parent had two */
		mistake_double_free_by_two,
#endif
	};
	struct mmviz_arena *arena = *state;
	char text[2048], *first, *found;

	default_tag = mmviz_tag_intern("GET /default");
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		default_message(arena, mistakes[i], text, sizeof(text));
		first = strstr(text, "\n  freed first by the code at 0x");
		found = strstr(text, "\n  found by the code at 0x");
		assert_non_null(first);
		assert_non_null(found);
		assert_true(strstr(first, " (mistake_") || strstr(first, " (test_errors+0x"));
		assert_non_null(strstr(found, "(mistake_"));
	}
}

static void *free_one(void *argument)
{
	struct one_free *one = argument;

	mmviz_free(one->arena, one->block);
	return NULL;
}

/* By its owner, after another thread: told at the latest at the next free or allocation, once, and
 * nobody gets the block twice. */
static void test_a_double_free_of_what_another_thread_returned(void **state)
{
	struct mmviz_arena *arena = *state;
	void *blocks[300];

	for (uint32_t way = 0; way < 3; way++) {
		struct one_free one = {arena, mmviz_alloc(arena, 100, 0)};
		pthread_t thread;

		must(pthread_create(&thread, NULL, free_one, &one) == 0);
		pthread_join(thread, NULL);
		heard_count = 0;
		mmviz_free(arena, opaque(one.block));
		if (way == 0)
			mmviz_free(arena, mmviz_alloc(arena, 500, 0));
		else if (way == 1)
			assert_whole(arena);
		for (int i = 0; i < 300; i++) {
			assert_non_null(blocks[i] = mmviz_alloc(arena, 100, 0));
			*(uint64_t *)blocks[i] = (uint64_t)i;
		}
		assert_int_equal(heard_count, 1);
		assert_int_equal(heard.kind, MMVIZ_ERROR_DOUBLE_FREE);
		assert_ptr_equal(heard.address, one.block);
		for (int i = 0; i < 300; i++) {
			assert_int_equal(*(uint64_t *)blocks[i], i);
			mmviz_free(arena, blocks[i]);
		}
		assert_int_equal(heard_count, 1);
		assert_whole(arena);
		assert_int_equal(live_blocks(arena), 0);
	}
}

/* What a free block's payload holds may be anything: where it was freed says its header. */
static void test_a_scribbled_free_block_names_its_site(void **state)
{
	struct mmviz_arena *arena = *state;
	char *block = mmviz_alloc(arena, 100, 0);

	mmviz_free(arena, block);
	memset(reveal(block, 100), 0x41, 100);
	assert_refused_and_whole(arena, block, MMVIZ_ERROR_DOUBLE_FREE);
	assert_non_null(heard.freed_at);
	assert_non_null(heard.born_at);
}

/* Nor is the header believed blindly. */
static void test_a_site_that_is_no_code_is_not_named(void **state)
{
	static const char *const data = "not code";
	const uintptr_t scribbles[] = {
		0, 1, 0x41414141, UINT32_MAX, (uintptr_t)&data, (uintptr_t)data, (uintptr_t)stdout};
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < sizeof(scribbles) / sizeof(scribbles[0]); i++) {
		char *block = mmviz_alloc(arena, 100, 0);

		mmviz_free(arena, block);
		header_of(block)->incarnation = mmviz_freed_by(scribbles[i]);
		assert_refused_and_whole(arena, block, MMVIZ_ERROR_DOUBLE_FREE);
		assert_null(heard.freed_at);
		assert_non_null(heard.born_at);
	}
}

/* ------------------------------------------------------------------ what a look finds */

static void assert_message(struct mmviz_arena *arena, const char *text)
{
	assert_int_equal(mmviz_arena_check(arena), -EUCLEAN);
	if (!strstr(mmviz_check_message(), text))
		fail_msg("\"%s\" is not in: %s", text, mmviz_check_message());
}

static void test_the_check_names_an_overrun_block(void **state)
{
	struct mmviz_arena *arena = *state;
	char *front = mmviz_alloc(arena, 112, MMVIZ_TAG("the culprit"));
	char *victim = mmviz_alloc(arena, 112, MMVIZ_TAG("the victim"));
	struct mmviz_header kept = *header_of(victim);

	memset(reveal(front, 128), 'A', 113);
	assert_message(arena, "check word");
	assert_message(arena, "\n  in front of it lies block 0x");
	assert_message(arena, "(112 bytes, 'the culprit')");
	*header_of(victim) = kept;
	assert_whole(arena);
	header_of(victim)->check ^= 1; /* all else can be told */
	assert_message(arena, "(112 bytes, 'the victim')");
	*header_of(victim) = kept;
	assert_whole(arena);
}

/* A freed block's header: found by the next look, even if the block is never used again. */
static void test_the_check_finds_a_write_to_a_free_header(void **state)
{
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		char *blocks[3], *victim;
		struct mmviz_header kept;

		for (int j = 0; j < 3; j++)
			blocks[j] = mmviz_alloc(arena, sizes[i], MMVIZ_TAG("was freed"));
		victim = blocks[1];
		mmviz_free(arena, victim);
		assert_whole(arena);
		if (sizes[i] > (1u << 20))
			continue; /* its memory is free units now */
		kept = *header_of(victim);
		header_of(victim)->word ^= 1ULL << 33;
		assert_message(arena, "check word");
		*header_of(victim) = kept;
		assert_whole(arena);
		mmviz_free(arena, blocks[0]);
		mmviz_free(arena, blocks[2]);
	}
}

static void test_the_check_finds_an_overrun_of_one_byte(void **state)
{
	struct mmviz_arena *arena = guarded_arena();
	char text[64];

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = mmviz_alloc(arena, sizes[i], MMVIZ_TAG("one too far"));

		for (size_t offset = 0; offset < 16; offset += 15) {
			char *behind = reveal(block + sizes[i] + offset, 1);

			*behind ^= 4;
			snprintf(text, sizeof(text), "written behind its %zu bytes", sizes[i]);
			assert_message(arena, text);
			assert_message(arena, "'one too far'");
			*reveal(behind, 1) ^= 4;
			assert_whole(arena);
		}
	}
	mmviz_arena_destroy(arena);
}

static int count_blocks(const struct mmviz_block *block, void *context)
{
	assert_true(block->bytes <= block->usable_bytes);
	++*(int *)context;
	return 0;
}

/* The block is told of, the others are visited. */
static void test_a_walk_tells_of_an_overwritten_header(void **state)
{
	struct mmviz_arena *arena = *state;

	for (size_t i = 0; i < SIZES; i++) {
		char *blocks[3];
		int visits = 0;

		for (int j = 0; j < 3; j++)
			blocks[j] = mmviz_alloc(arena, sizes[i], 0);
		header_of(blocks[1])->word ^= 1ULL << 50;
		heard_count = 0;
		assert_int_equal(mmviz_arena_walk(arena, count_blocks, &visits), 0);
		assert_int_equal(visits, 2);
		assert_int_equal(heard_count, 1);
		assert_int_equal(heard.kind, MMVIZ_ERROR_CORRUPT_HEADER);
		assert_ptr_equal(heard.address, blocks[1]);
		assert_non_null(heard.now_at);
		header_of(blocks[1])->word ^= 1ULL << 50;
		for (int j = 0; j < 3; j++)
			mmviz_free(arena, blocks[j]);
		assert_whole(arena);
	}
}

static void test_the_handler_can_be_replaced(void **state)
{
	(void)state;
	assert_ptr_equal(mmviz_set_error_handler(NULL), hear);
	assert_ptr_not_equal(mmviz_set_error_handler(hear), hear);
	assert_ptr_equal(mmviz_set_error_handler(hear), hear);
}

#define error_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		error_test(test_double_free),
		error_test(test_double_free_with_all_kinds_of_blocks),
		error_test(test_foreign_pointers),
		error_test(test_pointers_into_the_arena_that_are_no_blocks),
		error_test(test_interior_and_misaligned_pointers),
		error_test(test_a_planted_header_is_not_believed),
		error_test(test_overwritten_header),
		error_test(test_free_of_an_overwritten_header),
		error_test(test_realloc_of_a_wrong_pointer),
		error_test(test_free_after_reset),
		error_test(test_overwritten_header_of_a_free_block),
		error_test(test_guard_bytes_find_an_overrun),
		error_test(test_guard_bytes_follow_realloc),
		error_test(test_exhaustion_and_recovery),
		error_test(test_impossible_sizes),
		error_test(test_calloc_overflow),
		error_test(test_wrong_alignments),
		error_test(test_wrong_options),
		error_test(test_a_long_name_is_cut),
		error_test(test_default_handler_tells_all_and_aborts),
		error_test(test_a_double_free_of_what_another_thread_returned),
		error_test(test_a_scribbled_free_block_names_its_site),
		error_test(test_a_site_that_is_no_code_is_not_named),
		error_test(test_the_check_names_an_overrun_block),
		error_test(test_the_check_finds_a_write_to_a_free_header),
		error_test(test_the_check_finds_an_overrun_of_one_byte),
		error_test(test_a_walk_tells_of_an_overwritten_header),
		error_test(test_a_double_free_names_the_first_one),
		error_test(test_the_handler_can_be_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
