/* SPDX-License-Identifier: MIT */
/*
 * test_elf_notes.c - the probes of real ELF files, and of ELF files that lie.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <mmviz/abi.h>
#include "collect/elf_notes.h"

#define BUILD_TESTS "build/tests/"
#define PROBES_MAX  16
#define PROBES	    9

static const char *const variants[] = {"nopie", "pie", "static", "static_pie", "stripped"};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct file {
	unsigned char *bytes;
	size_t size;
};

static struct file file_load(const char *path)
{
	struct stat status;
	struct file file;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	file.size = (size_t)status.st_size;
	file.bytes = malloc(file.size);
	assert_int_equal(read(fd, file.bytes, file.size), file.size);
	close(fd);
	return file;
}

static int probes_of_path(const char *path, const char *provider, struct elf_probe *out)
{
	int fd = open(path, O_RDONLY), count;

	assert_true(fd >= 0);
	count = elf_notes_read(fd, provider, out, PROBES_MAX);
	close(fd);
	return count;
}

static int probes_of_bytes(const unsigned char *bytes, size_t size, struct elf_probe *out)
{
	int fd = memfd_create("elf", 0), count;

	assert_int_equal(write(fd, bytes, size), size);
	count = elf_notes_read(fd, "mmviz", out, PROBES_MAX);
	close(fd);
	return count;
}

/* Every probe is a nop in the file, and the semaphores are 16-bit words: eight in a row, and that of `error`. */
static void test_probes_of_every_way_of_linking(void **state)
{
	(void)state;
	for (size_t i = 0; i < VARIANTS; i++) {
		struct elf_probe probes[PROBES_MAX];
		uint64_t lowest = UINT64_MAX, highest = 0;
		char path[256];
		struct file file;

		snprintf(path, sizeof(path), BUILD_TESTS "attach_target_%s", variants[i]);
		file = file_load(path);
		assert_int_equal(probes_of_path(path, "mmviz", probes), PROBES);
		for (int k = 0; k < PROBES; k++) {
			assert_in_range(probes[k].site_offset, 1, file.size - 1);
			assert_int_equal(file.bytes[probes[k].site_offset], 0x90);
			if (probes[k].semaphore_offset < lowest)
				lowest = probes[k].semaphore_offset;
			if (probes[k].semaphore_offset > highest)
				highest = probes[k].semaphore_offset;
		}
		assert_int_equal(highest - lowest,
				 offsetof(struct mmviz_registry, error_semaphore));
		assert_memory_equal(file.bytes + lowest + 16, "MVMMVIZ1", 8);
		free(file.bytes);
	}
}

static void test_other_providers_are_left_alone(void **state)
{
	struct elf_probe probes[PROBES_MAX];

	(void)state;
	assert_int_equal(probes_of_path("/proc/self/exe", "mmviz", probes), 0);
	assert_int_equal(probes_of_path(BUILD_TESTS "attach_target_pie", "mmvi", probes), 0);
	assert_int_equal(probes_of_path(BUILD_TESTS "attach_target_pie", "mmviz2", probes), 0);
}

static void test_what_is_no_elf_file_has_no_probes(void **state)
{
	struct elf_probe probes[PROBES_MAX];
	int pipe_fds[2];

	(void)state;
	assert_int_equal(probes_of_path("/etc/passwd", "mmviz", probes), 0);
	assert_int_equal(probes_of_path("/dev/null", "mmviz", probes), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(elf_notes_read(pipe_fds[0], "mmviz", probes, PROBES_MAX), -ESPIPE);
	assert_int_equal(elf_notes_read(-1, "mmviz", probes, PROBES_MAX), -EBADF);
}

static void test_no_more_than_asked_for(void **state)
{
	struct elf_probe probes[PROBES_MAX];
	int fd = open(BUILD_TESTS "attach_target_pie", O_RDONLY);

	(void)state;
	assert_int_equal(elf_notes_read(fd, "mmviz", probes, 3), 3);
	assert_int_equal(elf_notes_read(fd, "mmviz", probes, 0), 0);
	close(fd);
}

/* As prelink leaves it: the sections have moved, the notes still hold the old addresses. */
static void test_moved_file_is_corrected_by_its_base(void **state)
{
	struct file file = file_load(BUILD_TESTS "attach_target_pie");
	struct elf_probe before[PROBES_MAX], after[PROBES_MAX];
	const uint64_t moved = 0x10000;
	size_t patched = 0;

	(void)state;
	assert_int_equal(probes_of_bytes(file.bytes, file.size, before), PROBES);
	for (size_t i = 0; i + 8 + 24 < file.size; i++) {
		if (memcmp(file.bytes + i, "stapsdt", 8) != 0)
			continue;
		for (int word = 0; word < 3; word++) {
			uint64_t address;

			memcpy(&address, file.bytes + i + 8 + 8 * word, 8);
			address -= moved;
			memcpy(file.bytes + i + 8 + 8 * word, &address, 8);
		}
		patched++;
	}
	assert_true(patched >= PROBES);
	assert_int_equal(probes_of_bytes(file.bytes, file.size, after), PROBES);
	for (int i = 0; i < PROBES; i++) {
		assert_string_equal(before[i].name, after[i].name);
		assert_int_equal(before[i].site_offset, after[i].site_offset);
		assert_int_equal(before[i].semaphore_offset, after[i].semaphore_offset);
		assert_int_equal(before[i].semaphore_distance, after[i].semaphore_distance);
	}
	free(file.bytes);
}

/* Bytes changed at random where the structure is: nothing but the count's bounds is promised. */
static void test_files_that_lie_do_no_harm(void **state)
{
	struct file file = file_load(BUILD_TESTS "attach_target_stripped");
	unsigned char *copy = malloc(file.size);
	const char *wanted = getenv("SEED");
	unsigned seed = wanted != NULL ? (unsigned)atoi(wanted) : (unsigned)time(NULL);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file.bytes;
	int intact = 0;

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	for (int round = 0; round < 3000; round++) {
		struct elf_probe probes[PROBES_MAX];
		int count;

		memcpy(copy, file.bytes, file.size);
		for (int change = rand() % 4; change >= 0; change--) {
			size_t places[] = {(size_t)rand() % 1024,
					   header->e_shoff +
						   (size_t)rand() % (file.size - header->e_shoff),
					   (size_t)rand() % file.size};

			copy[places[rand() % 3]] = (unsigned char)rand();
		}
		count = probes_of_bytes(
			copy, round % 7 == 0 ? (size_t)rand() % file.size : file.size, probes);
		assert_in_range(count + 4096, 0, PROBES_MAX + 4096);
		for (int i = 0; i < count; i++)
			assert_true(memchr(probes[i].name, '\0', sizeof(probes[i].name)) != NULL);
		intact += count == PROBES;
	}
	assert_true(intact > 300); /* the changes are small: most files keep their probes */
	free(copy);
	free(file.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probes_of_every_way_of_linking),
		cmocka_unit_test(test_other_providers_are_left_alone),
		cmocka_unit_test(test_what_is_no_elf_file_has_no_probes),
		cmocka_unit_test(test_no_more_than_asked_for),
		cmocka_unit_test(test_moved_file_is_corrected_by_its_base),
		cmocka_unit_test(test_files_that_lie_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
