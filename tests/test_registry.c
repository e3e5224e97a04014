/* SPDX-License-Identifier: MIT */
/*
 * test_registry.c - what a reader in another process starts from: arenas, names, call sites, marks.
 *
 * Reads `mmviz_registry` as such a reader would: by its public symbol and its addresses alone.
 */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

extern struct mmviz_registry mmviz_registry;

static struct mmviz_context context_at(uint32_t id)
{
	must(id < mmviz_registry.contexts_count);
	return ((const struct mmviz_context *)mmviz_registry.contexts_addr)[id];
}

/* ------------------------------------------------------------------ the object */

static void test_the_registry_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(mmviz_registry.magic, MMVIZ_REGISTRY_MAGIC);
	assert_int_equal(mmviz_registry.abi_version, MMVIZ_ABI_VERSION);
	assert_int_equal(mmviz_registry.registry_bytes, sizeof(struct mmviz_registry));
}

static bool is_interning;

static void *intern_for_ever(void *context)
{
	char name[32];

	for (unsigned i = 0; __atomic_load_n(&is_interning, __ATOMIC_RELAXED); i++) {
		snprintf(name, sizeof(name), "fork %u", i % 1000);
		mmviz_tag_intern(name);
	}
	return context;
}

/* Before any arena exists: whoever forks while another thread interns gives the child a free lock. */
static void test_tags_alone_survive_a_fork(void **state)
{
	pthread_t thread;

	(void)state;
	is_interning = true;
	assert_int_equal(pthread_create(&thread, NULL, intern_for_ever, NULL), 0);
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			alarm(5);
			_exit(mmviz_tag_intern("fork 1") ? 0 : 1);
		}
		assert_true(child > 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	__atomic_store_n(&is_interning, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static int is_listed(const struct mmviz_arena *arena)
{
	int found = 0;

	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		found += mmviz_registry.arena_addr[slot] == (uint64_t)arena;
	return found;
}

static void test_arenas_are_listed_while_they_live(void **state)
{
	struct mmviz_arena *arena = mmviz_arena_create("listed", 1u << 20);
	const struct mmviz_arena_head *head = (const struct mmviz_arena_head *)arena;

	(void)state;
	assert_int_equal(is_listed(arena), 1);
	assert_int_equal(head->magic, MMVIZ_ARENA_MAGIC);
	assert_int_equal(head->base_addr, (uint64_t)arena);
	assert_int_equal(head->capacity_bytes, 1u << 20);
	assert_string_equal(head->name, "listed");
	assert_true(head->created_ns > 0);
	assert_true(head->committed_units <= head->capacity_bytes >> MMVIZ_UNIT_SHIFT);
	mmviz_arena_destroy(arena);
	assert_int_equal(is_listed(arena), 0);
}

/* From arena to heaps to logs, by addresses alone. */
static void test_heaps_are_found_from_the_arena(void **state)
{
	struct mmviz_arena *arena = mmviz_arena_create("heaps", 1u << 20);
	uint64_t addr = ((const struct mmviz_arena_head *)arena)->first_heap_addr;
	struct mmviz_stats stats;
	uint64_t heaps = 0, events = 0;

	(void)state;
	mmviz_alloc(arena, 100, 0);
	for (; addr; addr = ((const struct mmviz_heap_head *)addr)->next_addr) {
		const struct mmviz_heap_head *heap = (const struct mmviz_heap_head *)addr;
		const struct mmviz_log *log = (const struct mmviz_log *)heap->log_addr;

		assert_int_equal(heap->magic, MMVIZ_HEAP_MAGIC);
		assert_int_equal(heap->id, ++heaps); /* from 1, in order of creation */
		assert_int_equal(log->heap_id, heap->id);
		assert_int_equal(log->arena_id, ((const struct mmviz_arena_head *)arena)->id);
		events += log->seq;
	}
	mmviz_arena_stats(arena, &stats);
	assert_int_equal(stats.heaps, heaps);
	assert_int_equal(stats.events, events);
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ names */

static void test_the_same_name_has_the_same_id(void **state)
{
	mmviz_tag tag = mmviz_tag_intern("a name");
	char copy[] = "a name";

	(void)state;
	assert_int_not_equal(tag, 0);
	assert_int_equal(mmviz_tag_intern(copy), tag);
	memset(copy, 'x', 3); /* the registry has its own copy */
	assert_string_equal(mmviz_tag_name(tag), "a name");
	assert_int_not_equal(mmviz_tag_intern("a nam"), tag);
	assert_int_not_equal(mmviz_tag_intern("a name "), tag);
	assert_int_equal(context_at(tag).kind, MMVIZ_CONTEXT_TAG);
	assert_int_equal(context_at(tag).length, 6);
	assert_string_equal((const char *)context_at(tag).value, "a name");
}

static void test_no_name_is_untagged(void **state)
{
	(void)state;
	assert_int_equal(mmviz_tag_intern(NULL), 0);
	assert_int_equal(mmviz_tag_intern(""), 0);
	assert_null(mmviz_tag_name(0));
	assert_null(mmviz_tag_name(0x7fffffff));
	assert_int_equal(context_at(0).kind, MMVIZ_CONTEXT_NONE);
}

static void test_the_macro_interns_once(void **state)
{
	uint32_t count;
	mmviz_tag tags[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		tags[i] = MMVIZ_TAG("by macro");
		if (i == 0)
			count = mmviz_registry.contexts_count;
	}
	assert_int_equal(tags[0], tags[2]);
	assert_int_equal(tags[0], mmviz_tag_intern("by macro"));
	assert_int_equal(mmviz_registry.contexts_count, count);
}

static void test_names_are_kept_in_full_length(void **state)
{
	static char name[60001];
	mmviz_tag tag, shorter;

	(void)state;
	memset(name, 'l', sizeof(name) - 1);
	tag = mmviz_tag_intern(name);
	assert_string_equal(mmviz_tag_name(tag), name);
	name[60000 - 1] = '\0';
	shorter = mmviz_tag_intern(name);
	assert_int_not_equal(shorter, tag);
	assert_int_equal(strlen(mmviz_tag_name(shorter)), 59999);
}

/* Over several doublings of the index and growths of table and text, ids and addresses stay. */
static void test_the_table_grows_in_place(void **state)
{
	enum { NAMES = 50000 };
	static mmviz_tag tags[NAMES];
	uint64_t addr = mmviz_registry.contexts_addr;
	const char *first;
	char name[32];

	(void)state;
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name %d", i * 7919);
		tags[i] = mmviz_tag_intern(name);
		assert_int_not_equal(tags[i], 0);
		if (i == 0)
			first = mmviz_tag_name(tags[0]);
	}
	assert_int_equal(mmviz_registry.contexts_addr, addr);
	assert_ptr_equal(mmviz_tag_name(tags[0]), first);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name %d", i * 7919);
		assert_int_equal(mmviz_tag_intern(name), tags[i]);
		assert_string_equal(mmviz_tag_name(tags[i]), name);
	}
}

struct interner {
	pthread_t thread;
	mmviz_tag tags[3000];
	uint32_t offset;
};

static void *intern_many(void *argument)
{
	struct interner *interner = argument;
	char name[32];

	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t number = (i + interner->offset) % 3000;

		snprintf(name, sizeof(name), "shared %u", number);
		interner->tags[number] = mmviz_tag_intern(name);
		must(strcmp(mmviz_tag_name(interner->tags[number]), name) == 0);
	}
	return NULL;
}

static void test_threads_agree_on_ids(void **state)
{
	static struct interner interners[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		interners[i].offset = i * 700;
		pthread_create(&interners[i].thread, NULL, intern_many, &interners[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(interners[i].thread, NULL);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(interners[i].tags, interners[0].tags,
				    sizeof(interners[0].tags));
}

/* ------------------------------------------------------------------ call sites */

__attribute__((noinline)) static void *alloc_here(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc(arena, 10, 0);

	__asm__ volatile(""); /* no tail call */
	return block;
}

__attribute__((noinline)) static void *alloc_there(struct mmviz_arena *arena)
{
	void *block = mmviz_alloc_labeled(arena, 10, "label");

	__asm__ volatile("");
	return block;
}

static uint32_t context_of(void *block)
{
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;

	return mmviz_word_context(reveal(header, sizeof(*header))->word);
}

static void test_untagged_blocks_know_their_call_site(void **state)
{
	struct mmviz_arena *arena = mmviz_arena_create("sites", 1u << 20);
	uint32_t here = context_of(alloc_here(arena)), there = context_of(alloc_there(arena));
	uint64_t site = context_at(here).value;

	(void)state;
	assert_int_equal(context_of(alloc_here(arena)), here);
	assert_int_not_equal(here, there);
	assert_int_equal(context_at(here).kind, MMVIZ_CONTEXT_SITE);
	assert_int_equal(context_at(there).kind, MMVIZ_CONTEXT_SITE);
	assert_true(site > (uint64_t)alloc_here && site < (uint64_t)alloc_here + 200);
	assert_null(mmviz_tag_name(here));
	mmviz_arena_destroy(arena);
}

/* ------------------------------------------------------------------ marks */

static void test_the_newest_marks_are_kept(void **state)
{
	uint64_t before = mmviz_registry.marks_count, last_ns = 0;
	char text[32];

	(void)state;
	for (unsigned i = 0; i < MMVIZ_MARKS_MAX + 44; i++) {
		snprintf(text, sizeof(text), "mark %u", i);
		mmviz_mark(text);
	}
	assert_int_equal(mmviz_registry.marks_count, before + MMVIZ_MARKS_MAX + 44);
	for (unsigned i = 44; i < MMVIZ_MARKS_MAX + 44; i++) {
		const struct mmviz_mark_entry *mark =
			&mmviz_registry.marks[(before + i) % MMVIZ_MARKS_MAX];

		snprintf(text, sizeof(text), "mark %u", i);
		assert_string_equal((const char *)context_at(mark->context).value, text);
		assert_true(mark->at_ns >= last_ns);
		assert_int_not_equal(mark->thread_id, 0);
		last_ns = mark->at_ns;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_registry_says_what_it_is),
		cmocka_unit_test(test_tags_alone_survive_a_fork),
		cmocka_unit_test(test_arenas_are_listed_while_they_live),
		cmocka_unit_test(test_heaps_are_found_from_the_arena),
		cmocka_unit_test(test_the_same_name_has_the_same_id),
		cmocka_unit_test(test_no_name_is_untagged),
		cmocka_unit_test(test_the_macro_interns_once),
		cmocka_unit_test(test_names_are_kept_in_full_length),
		cmocka_unit_test(test_the_table_grows_in_place),
		cmocka_unit_test(test_threads_agree_on_ids),
		cmocka_unit_test(test_untagged_blocks_know_their_call_site),
		cmocka_unit_test(test_the_newest_marks_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
