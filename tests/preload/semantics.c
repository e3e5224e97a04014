/* SPDX-License-Identifier: MIT */
/* semantics.c - the edges of the malloc family, as glibc's manual has them. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define MANY	 1000
#define TOO_MUCH ((size_t)PTRDIFF_MAX + 1)

/* Hidden from the compiler, which knows what too much is. */
static volatile size_t too_much = TOO_MUCH, all = SIZE_MAX, half = (size_t)1 << 32;

static bool is_aligned(const void *block, size_t alignment)
{
	return (uintptr_t)block % alignment == 0;
}

static void blocks_of_no_bytes_are_unique(void)
{
	void *blocks[MANY];

	for (int i = 0; i < MANY; i++) {
		blocks[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, 5) : calloc(5, 0);
		CHECK(blocks[i]);
		for (int j = i - 1; j >= 0 && j > i - 20; j--)
			CHECK(blocks[i] != blocks[j]);
	}
	for (int i = 0; i < MANY; i++)
		free(blocks[i]);
}

static void every_block_is_aligned_and_its_own(void)
{
	unsigned char *blocks[600];

	for (size_t i = 0; i < 600; i++) {
		size_t bytes = i < 300 ? i : i * i;

		blocks[i] = malloc(bytes);
		CHECK(blocks[i] && is_aligned(blocks[i], 16));
		CHECK(malloc_usable_size(blocks[i]) >= bytes);
		fill(blocks[i], bytes, (unsigned)i);
	}
	for (size_t i = 0; i < 600; i++)
		CHECK(is_filled(blocks[i], i < 300 ? i : i * i, (unsigned)i));
	for (size_t i = 0; i < 600; i++)
		free(blocks[i]);
}

static void too_much_is_enomem(void)
{
	void *block = malloc(10), *out = &block;

	fill(block, 10, 1);
	errno = 0;
	CHECK(!malloc(too_much) && errno == ENOMEM);
	errno = 0;
	CHECK(!malloc(all) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(all, 1) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(all / 2, 3) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(half, half) && errno == ENOMEM);
	errno = 0;
	CHECK(!realloc(block, too_much) && errno == ENOMEM && is_filled(block, 10, 1));
	errno = 0;
	CHECK(!realloc(block, all) && errno == ENOMEM && is_filled(block, 10, 1));
	errno = 0;
	CHECK(!reallocarray(block, half, half) && errno == ENOMEM);
	CHECK(is_filled(block, 10, 1));
	errno = 0;
	CHECK(!memalign(4096, all - 100) && errno == ENOMEM);
	errno = 0;
	CHECK(!aligned_alloc(4096, too_much) && errno == ENOMEM);
	errno = 0;
	CHECK(!valloc(all) && errno == ENOMEM);
	errno = 0;
	CHECK(!pvalloc(all) && errno == ENOMEM);
	errno = 7;
	CHECK(posix_memalign(&out, 4096, all - 100) == ENOMEM && out == &block);
	free(block);
}

static void realloc_to_nothing_frees(void)
{
	errno = 7;
	for (int i = 0; i < MANY; i++) {
		void *block = malloc(100);

		CHECK(block && !realloc(block, 0));
	}
	CHECK(errno == 7);
	CHECK(!reallocarray(malloc(5), 0, 10));
}

static void realloc_of_nothing_allocates(void)
{
	void *block = realloc(NULL, 100), *empty = realloc(NULL, 0);
	void *array = reallocarray(NULL, 10, 10);

	CHECK(block && empty && array);
	free(block);
	free(empty);
	free(array);
}

static void realloc_keeps_what_fits(void)
{
	size_t bytes = 1, before = 0;
	char *block = NULL;

	for (; bytes < (48u << 20); bytes = bytes * 5 / 3 + 1) {
		block = realloc(block, bytes);
		CHECK(block && is_aligned(block, 16) && is_filled(block, before, 3));
		fill(block, bytes, 3);
		before = bytes;
	}
	for (; bytes > 1; bytes = bytes * 2 / 5) {
		block = realloc(block, bytes);
		CHECK(block && is_filled(block, bytes < before ? bytes : before, 3));
	}
	free(block);
}

static void all_usable_bytes_are_kept_by_realloc(void)
{
	for (size_t bytes = 1; bytes < 300000; bytes = bytes * 3 / 2 + 1) {
		void *block = malloc(bytes), *wall = malloc(bytes);
		size_t usable = malloc_usable_size(block);

		fill(block, usable, 9);
		block = realloc(block, usable * 4 + 1000);
		CHECK(block && is_filled(block, usable, 9));
		free(block);
		free(wall);
	}
}

static void calloc_gives_zeros(void)
{
	for (size_t bytes = 1; bytes < (20u << 20); bytes = bytes * 2 + 1)
		for (int round = 0; round < 3; round++) {
			char *block = calloc(bytes, 1);

			CHECK(block && is_zero(block, bytes));
			memset(block, 0xff, malloc_usable_size(block));
			free(block);
		}
}

/* A table that is asked for and hardly used must not become memory. */
static void a_large_calloc_is_no_memory_until_it_is_used(void)
{
	size_t bytes = (size_t)2 << 30, resident_pages = 0;
	unsigned char *block = calloc(1, bytes), *map = malloc(bytes >> 12);
	unsigned char *pages = (unsigned char *)((uintptr_t)block & ~(uintptr_t)4095) + 4096;

	CHECK(block && map);
	block[bytes / 2] = 1;
	CHECK(mincore(pages, bytes - 8192, map) == 0);
	for (size_t i = 0; i < (bytes >> 12) - 2; i++)
		resident_pages += map[i] & 1;
	CHECK(resident_pages > 0 && resident_pages < 65536); /* of 524288 */
	free(map);
	free(block);
}

static void posix_memalign_is_strict(void)
{
	static const size_t wrong[] = {0, 1, 2, 4, 7, 9, 12, 24, 100, 4097};
	void *block, *untouched = &block;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 7;
		block = untouched;
		CHECK(posix_memalign(&block, wrong[i], 100) == EINVAL);
		CHECK(errno == 7 && block == untouched);
	}
	for (size_t alignment = sizeof(void *); alignment <= (64u << 20); alignment *= 2)
		for (size_t bytes = 0; bytes < 200000; bytes = bytes * 9 + 1) {
			CHECK(posix_memalign(&block, alignment, bytes) == 0);
			CHECK(is_aligned(block, alignment) && malloc_usable_size(block) >= bytes);
			fill(block, bytes, 5);
			CHECK(is_filled(block, bytes, 5));
			free(block);
		}
}

static void memalign_rounds_its_alignment_up(void)
{
	static const size_t odd[] = {0, 1, 3, 5, 17, 24, 100, 1000, 5000, 100000, 3000000};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		size_t power = 1;
		void *block = memalign(odd[i], 333);

		while (power < odd[i])
			power *= 2;
		CHECK(block && is_aligned(block, power));
		fill(block, 333, 1);
		block = realloc(block, 100000);
		CHECK(block && is_filled(block, 333, 1));
		free(block);
	}
	errno = 0;
	CHECK(!memalign(all, 1) && errno == EINVAL);
}

static void aligned_blocks_do_not_overlap(void)
{
	void *blocks[11][50];

	for (unsigned power = 0; power < 11; power++)
		for (unsigned i = 0; i < 50; i++) {
			blocks[power][i] = aligned_alloc((size_t)32 << power, i * 41);
			CHECK(blocks[power][i] &&
			      is_aligned(blocks[power][i], (size_t)32 << power));
			fill(blocks[power][i], i * 41, power * 50 + i);
		}
	for (unsigned power = 0; power < 11; power++)
		for (unsigned i = 0; i < 50; i++) {
			CHECK(is_filled(blocks[power][i], i * 41, power * 50 + i));
			free(blocks[power][i]);
		}
}

static void valloc_gives_pages(void)
{
	void *page = valloc(10), *pages = pvalloc(4097), *none = pvalloc(0);

	CHECK(page && is_aligned(page, 4096));
	CHECK(pages && is_aligned(pages, 4096) && malloc_usable_size(pages) >= 8192);
	CHECK(none);
	fill(pages, 8192, 2);
	CHECK(is_filled(pages, 8192, 2));
	free(page);
	free(pages);
	free(none);
}

static void free_leaves_errno_alone(void)
{
	void *small[MANY], *large[20];

	for (int i = 0; i < MANY; i++)
		small[i] = malloc((size_t)i * 10);
	for (int i = 0; i < 20; i++)
		large[i] = malloc((size_t)1 << (10 + i % 16));
	CHECK(mlock(large[15], 1 << 20) == 0 || errno == ENOMEM || errno == EPERM);
	for (int i = 0; i < MANY; i++) {
		errno = i;
		free(small[i]);
		CHECK(errno == i);
	}
	for (int i = 0; i < 20; i++) {
		errno = i;
		free(large[i]);
		CHECK(errno == i);
	}
	errno = 3;
	free(NULL);
	CHECK(errno == 3);
}

static void success_leaves_errno_alone(void)
{
	errno = 5;
	for (size_t bytes = 1; bytes < (100u << 20); bytes *= 3) {
		void *block = malloc(bytes), *zeros = calloc(1, bytes), *pages = valloc(bytes);

		CHECK(block && zeros && pages);
		block = realloc(block, bytes * 2);
		free(block);
		free(zeros);
		free(pages);
	}
	CHECK(errno == 5);
}

static void usable_size_of_nothing_is_zero(void)
{
	CHECK(malloc_usable_size(NULL) == 0);
}

static void statistics_move(void)
{
	struct mallinfo2 before = mallinfo2(), after;
	void *blocks[MANY];
	FILE *sink = fopen("/dev/null", "w");

	for (int i = 0; i < MANY; i++)
		blocks[i] = malloc(1000);
	after = mallinfo2();
	CHECK(after.uordblks >= before.uordblks + MANY * 1000);
	CHECK(after.uordblks < before.uordblks + MANY * 2000 + (1 << 20));
	CHECK(after.arena + after.hblkhd >= after.uordblks);
	for (int i = 0; i < MANY; i++)
		free(blocks[i]);
	after = mallinfo2();
	CHECK(after.uordblks < before.uordblks + MANY * 100);
	CHECK(malloc_info(0, sink) == 0 && malloc_info(1, sink) == EINVAL);
	CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
	fclose(sink);
}

static void trim_gives_memory_back(void)
{
	void *blocks[64];
	int released;

	for (int i = 0; i < 64; i++) {
		blocks[i] = malloc(200000);
		memset(blocks[i], 1, 200000);
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	released = malloc_trim(0);
	CHECK(released == 0 || released == 1);
}

/* What libc allocates for its callers comes from the same malloc that frees it. */
static void libc_and_program_share_the_heap(void)
{
	char *line = NULL, *text, *copy = strdup("a copy"), *path = realpath("/proc/self/..", NULL);
	size_t room = 0;
	FILE *in = fmemopen((char *)"one line\nanother\n", 17, "r");

	CHECK(getline(&line, &room, in) == 9 && malloc_usable_size(line) >= 9);
	line = realloc(line, 4000);
	CHECK(memcmp(line, "one line\n", 9) == 0);
	CHECK(asprintf(&text, "%d %s", 5, copy) == 8);
	fclose(in);
	free(line);
	free(text);
	free(copy);
	free(path);
}

int main(void)
{
	BEHAVIOUR(blocks_of_no_bytes_are_unique);
	BEHAVIOUR(every_block_is_aligned_and_its_own);
	BEHAVIOUR(too_much_is_enomem);
	BEHAVIOUR(realloc_to_nothing_frees);
	BEHAVIOUR(realloc_of_nothing_allocates);
	BEHAVIOUR(realloc_keeps_what_fits);
	BEHAVIOUR(all_usable_bytes_are_kept_by_realloc);
	BEHAVIOUR(calloc_gives_zeros);
	BEHAVIOUR(a_large_calloc_is_no_memory_until_it_is_used);
	BEHAVIOUR(posix_memalign_is_strict);
	BEHAVIOUR(memalign_rounds_its_alignment_up);
	BEHAVIOUR(aligned_blocks_do_not_overlap);
	BEHAVIOUR(valloc_gives_pages);
	BEHAVIOUR(free_leaves_errno_alone);
	BEHAVIOUR(success_leaves_errno_alone);
	BEHAVIOUR(usable_size_of_nothing_is_zero);
	BEHAVIOUR(statistics_move);
	BEHAVIOUR(trim_gives_memory_back);
	BEHAVIOUR(libc_and_program_share_the_heap);
	return 0;
}
