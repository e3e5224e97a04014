/* SPDX-License-Identifier: MIT */
/*
 * test_registry_reader.c - what a real target publishes, and what a lying one does.
 *
 * A lie is told by writing into the target's memory from here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "child.h"
#include "collect/registry_reader.h"

struct fixture {
	struct child child;
	struct target *target;
	struct registry_reader *reader;
};

static void fixture_start(struct fixture *fixture)
{
	child_start(&fixture->child, BUILD_TESTS "attach_target_pie");
	assert_int_equal(target_open(fixture->child.pid, &fixture->target), 0);
	assert_int_equal(registry_reader_open(fixture->target, &fixture->reader), 0);
}

static void fixture_stop(struct fixture *fixture)
{
	registry_reader_close(fixture->reader);
	target_close(fixture->target);
	child_stop(&fixture->child);
}

static void poke(const struct fixture *fixture, uint64_t addr, const void *value, size_t bytes)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)fixture->child.pid);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, value, bytes, (off_t)addr), bytes);
	close(fd);
}

static const struct registry_arena *arena_by_id(const struct fixture *fixture, uint32_t id)
{
	const struct registry_arena **arenas;
	uint32_t count = registry_reader_arenas(fixture->reader, &arenas);

	for (uint32_t i = 0; i < count; i++)
		if (arenas[i]->id == id)
			return arenas[i];
	return NULL;
}

static bool has_context(const struct fixture *fixture, const char *text)
{
	for (uint32_t i = 0; i < registry_reader_contexts_count(fixture->reader); i++)
		if (strcmp(registry_reader_context(fixture->reader, i)->text, text) == 0)
			return true;
	return false;
}

static void count_mark(uint64_t at_ns, const char *text, void *context)
{
	assert_true(at_ns > 0);
	assert_string_equal(text, "a mark");
	++*(unsigned *)context;
}

static void ignore_mark(uint64_t at_ns, const char *text, void *context)
{
	(void)at_ns;
	assert_non_null(text);
	++*(unsigned *)context;
}

/* ------------------------------------------------------------------ a target that tells the truth
 */

static void test_arenas_come_and_go(void **state)
{
	struct fixture fixture = {0};
	const struct registry_arena *first, *second;

	(void)state;
	fixture_start(&fixture);
	first = arena_by_id(&fixture, 1);
	assert_non_null(first);
	assert_string_equal(first->head.name, "attach");
	assert_int_equal(first->head.capacity_bytes, 256 << 20);
	assert_true(first->heaps_count >= 1);
	for (uint32_t i = 0; i < first->heaps_count; i++)
		assert_int_equal(first->heaps[i].id, i + 1);
	assert_null(arena_by_id(&fixture, 2));

	child_do(&fixture.child, "2");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	second = arena_by_id(&fixture, 2);
	assert_non_null(second);
	assert_string_equal(second->head.name, "second\\x0a\\xff");
	assert_false(second->is_gone);

	child_do(&fixture.child, "2");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	assert_true(arena_by_id(&fixture, 2)->is_gone);
	assert_false(arena_by_id(&fixture, 1)->is_gone);
	fixture_stop(&fixture);
}

static void test_arenas_that_come_and_go_are_forgotten(void **state)
{
	const struct registry_arena **arenas;
	struct fixture fixture = {0};

	(void)state;
	fixture_start(&fixture);
	for (uint32_t id = 2; id < 40; id++) {
		child_do(&fixture.child, "2"); /* made */
		assert_int_equal(registry_reader_refresh(fixture.reader), 0);
		assert_false(arena_by_id(&fixture, id)->is_gone);
		child_do(&fixture.child, "2"); /* destroyed */
		assert_int_equal(registry_reader_refresh(fixture.reader), 0);
		assert_true(arena_by_id(&fixture, id)->is_gone); /* told once */
		assert_int_equal(registry_reader_arenas(fixture.reader, &arenas), 2);
	}
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	assert_int_equal(registry_reader_arenas(fixture.reader, &arenas), 1);
	fixture_stop(&fixture);
}

static void test_heaps_of_new_threads_are_found(void **state)
{
	struct fixture fixture = {0};
	uint32_t before;

	(void)state;
	fixture_start(&fixture);
	before = arena_by_id(&fixture, 1)->heaps_count;
	child_do(&fixture.child, "c3");
	for (int i = 0; i < 400 && arena_by_id(&fixture, 1)->heaps_count < before + 3; i++) {
		assert_int_equal(registry_reader_refresh(fixture.reader), 0);
		sleep_ms(5);
	}
	assert_int_equal(arena_by_id(&fixture, 1)->heaps_count, before + 3);
	fixture_stop(&fixture);
}

static void test_names_are_safe(void **state)
{
	struct fixture fixture = {0};
	char longest[256 + sizeof("\u2026")];

	(void)state;
	fixture_start(&fixture);
	child_do(&fixture.child, "n");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	assert_true(has_context(&fixture, "untagged"));
	assert_true(has_context(&fixture, "attach test"));
	assert_true(has_context(&fixture, "\\x1b[31mred\\x07"));
	assert_true(has_context(&fixture, "bad \\xff utf-8 \xc3\xa9"));
	memset(longest, 'x', 256);
	strcpy(longest + 256, "\u2026");
	assert_true(has_context(&fixture, longest));
	assert_string_equal(registry_reader_context(fixture.reader, 1 << 20)->text, "unknown");
	assert_string_equal(registry_reader_context(fixture.reader, UINT32_MAX)->text, "unknown");
	fixture_stop(&fixture);
}

static void test_untagged_code_is_named_by_module(void **state)
{
	struct fixture fixture = {0};
	bool found = false;

	(void)state;
	fixture_start(&fixture);
	child_do(&fixture.child, "2"); /* allocates without a tag */
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	for (uint32_t i = 0; i < registry_reader_contexts_count(fixture.reader); i++) {
		const struct registry_context *context = registry_reader_context(fixture.reader, i);

		found |= context->kind == MMVIZ_CONTEXT_SITE &&
			 strncmp(context->text, "attach_target_pie+0x", 20) == 0;
	}
	assert_true(found);
	fixture_stop(&fixture);
}

static void test_marks_are_reported_once(void **state)
{
	struct fixture fixture = {0};
	unsigned marks = 0;

	(void)state;
	fixture_start(&fixture);
	child_do(&fixture.child, "m");
	child_do(&fixture.child, "m");
	assert_int_equal(registry_reader_marks(fixture.reader, count_mark, &marks), 0);
	assert_int_equal(marks, 2);
	assert_int_equal(registry_reader_marks(fixture.reader, count_mark, &marks), 0);
	assert_int_equal(marks, 2);
	for (int i = 0; i < 300; i++)
		child_do(&fixture.child, "m");
	assert_int_equal(registry_reader_marks(fixture.reader, count_mark, &marks), 0);
	assert_in_range(marks, 2 + 255, 2 + 256);
	fixture_stop(&fixture);
}

/* What the kernel does when somebody attaches. */
static void raise_stack(const struct fixture *fixture)
{
	const uint16_t raised = 1;

	poke(fixture,
	     target_registry_addr(fixture->target) + offsetof(struct mmviz_semaphores, stack),
	     &raised, sizeof(raised));
}

/* Id of the newest stack; 0: none. */
static uint32_t last_stack(const struct fixture *fixture)
{
	uint32_t id = registry_reader_contexts_known(fixture->reader);

	while (id-- > 1)
		if (registry_reader_context(fixture->reader, id)->kind == MMVIZ_CONTEXT_STACK)
			return id;
	return 0;
}

static void test_stacks_count_as_their_tag_or_site(void **state)
{
	struct fixture fixture = {0};
	struct registry_stacks known;
	uint32_t stacks = 0, kinds[4] = {0};

	(void)state;
	fixture_start(&fixture);
	raise_stack(&fixture);
	child_do(&fixture.child, "a10");
	child_do(&fixture.child, "2");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	for (uint32_t id = 0; id < registry_reader_contexts_known(fixture.reader); id++) {
		const struct registry_context *context =
			registry_reader_context(fixture.reader, id);
		const struct registry_context *base = registry_reader_context(
			fixture.reader, registry_reader_base(fixture.reader, id));

		assert_string_equal(context->text, base->text);
		kinds[base->kind] += context->kind == MMVIZ_CONTEXT_STACK;
		if (context->kind != MMVIZ_CONTEXT_STACK)
			continue;
		stacks++;
		assert_in_range(context->frames_count, 1, MMVIZ_STACK_FRAMES_MAX);
		if (base->kind == MMVIZ_CONTEXT_SITE)
			assert_int_equal(context->return_addr[0], base->value);
	}
	assert_int_equal(kinds[MMVIZ_CONTEXT_TAG] + kinds[MMVIZ_CONTEXT_SITE], stacks);
	assert_true(kinds[MMVIZ_CONTEXT_TAG] > 0 && kinds[MMVIZ_CONTEXT_SITE] > 0);
	assert_int_equal(registry_reader_stacks(fixture.reader, &known), 0);
	assert_int_equal(known.count, stacks);
	assert_int_equal(known.refused, 0);
	fixture_stop(&fixture);
}

static void test_names_outlive_the_target(void **state)
{
	struct fixture fixture = {0};

	(void)state;
	fixture_start(&fixture);
	child_do(&fixture.child, "n");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	child_kill(&fixture.child, SIGKILL);
	for (int i = 0; i < 400 && !target_is_gone(fixture.target); i++)
		sleep_ms(5);
	assert_int_equal(registry_reader_refresh(fixture.reader), -ESRCH);
	assert_false(arena_by_id(&fixture, 1)->is_gone);
	assert_true(has_context(&fixture, "\\x1b[31mred\\x07"));
	fixture_stop(&fixture);
}

/* ------------------------------------------------------------------ a target that lies */

/* Overwrite one word of arena 1's head: the arena is not believed in any more. */
static void expect_disbelief(size_t offset, uint64_t lie, size_t bytes)
{
	struct fixture fixture = {0};

	fixture_start(&fixture);
	poke(&fixture, arena_by_id(&fixture, 1)->head_addr + offset, &lie, bytes);
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	assert_true(arena_by_id(&fixture, 1)->is_gone);
	fixture_stop(&fixture);
}

static void test_unsound_arenas_are_not_believed(void **state)
{
	(void)state;
	expect_disbelief(offsetof(struct mmviz_arena_head, magic), 0, 4);
	expect_disbelief(offsetof(struct mmviz_arena_head, base_addr), 4096, 8);
	expect_disbelief(offsetof(struct mmviz_arena_head, capacity_bytes), 1ULL << 40, 8);
	expect_disbelief(offsetof(struct mmviz_arena_head, capacity_bytes), 4097, 8);
	expect_disbelief(offsetof(struct mmviz_arena_head, capacity_bytes), 0, 8);
	expect_disbelief(offsetof(struct mmviz_arena_head, frontier_units), UINT64_MAX, 8);
	expect_disbelief(offsetof(struct mmviz_arena_head, span_shift), 0xffff, 2);
}

/* A reader that comes after the lie: the stack has no frames and counts as untagged. */
static void expect_no_stack(const struct fixture *fixture, uint32_t id)
{
	const struct registry_context *context;
	struct registry_reader *late;

	assert_int_equal(registry_reader_open(fixture->target, &late), 0);
	context = registry_reader_context(late, id);
	assert_int_equal(context->kind, MMVIZ_CONTEXT_STACK);
	assert_string_equal(context->text, "untagged");
	assert_int_equal(context->frames_count, 0);
	assert_int_equal(registry_reader_base(late, id), 0);
	registry_reader_close(late);
}

static void test_stacks_that_are_none_have_no_frames(void **state)
{
	struct fixture fixture = {0};
	struct mmviz_context entry, lie;
	struct mmviz_stack stack;
	uint64_t table_addr, entry_addr;
	uint32_t id;

	(void)state;
	fixture_start(&fixture);
	raise_stack(&fixture);
	child_do(&fixture.child, "a10");
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	id = last_stack(&fixture);
	assert_int_not_equal(id, 0);
	assert_int_equal(target_read(fixture.target,
				     target_registry_addr(fixture.target) +
					     offsetof(struct mmviz_registry, contexts_addr),
				     &table_addr, sizeof(table_addr)),
			 0);
	entry_addr = table_addr + id * sizeof(entry);
	assert_int_equal(target_read(fixture.target, entry_addr, &entry, sizeof(entry)), 0);
	assert_int_equal(target_read(fixture.target, entry.value, &stack, entry.length), 0);

	for (uint64_t addr = 0; addr < 2; addr++) {
		lie = (struct mmviz_context){addr ? UINT64_MAX - 8 : 8, entry.length, entry.kind};
		poke(&fixture, entry_addr, &lie, sizeof(lie));
		expect_no_stack(&fixture, id);
	}
	for (uint32_t length = 0; length < 4; length++) {
		static const uint32_t lengths[] = {0, MMVIZ_STACK_HEAD_BYTES,
						   sizeof(struct mmviz_stack) + 8, UINT32_MAX};

		lie = (struct mmviz_context){entry.value, lengths[length], entry.kind};
		poke(&fixture, entry_addr, &lie, sizeof(lie));
		expect_no_stack(&fixture, id);
	}
	poke(&fixture, entry_addr, &entry, sizeof(entry));
	for (uint32_t lied = 0; lied < 3; lied++) { /* itself, a younger one, none */
		uint32_t contexts[] = {id, id + 1, UINT32_MAX};

		poke(&fixture, entry.value, &contexts[lied], sizeof(uint32_t));
		expect_no_stack(&fixture, id);
	}
	poke(&fixture, entry.value, &stack, entry.length);
	stack.frames_count = UINT16_MAX;
	poke(&fixture, entry.value, &stack, entry.length);
	expect_no_stack(&fixture, id);
	fixture_stop(&fixture);
}

static void test_heaps_in_a_circle_end(void **state)
{
	struct fixture fixture = {0};
	const struct registry_arena *arena;
	struct mmviz_arena_head head;
	uint64_t addr;

	(void)state;
	fixture_start(&fixture);
	arena = arena_by_id(&fixture, 1);
	assert_int_equal(target_read(fixture.target, arena->head_addr, &head, sizeof(head)), 0);
	for (addr = head.first_heap_addr; addr != 0;) {
		struct mmviz_heap_head heap;

		assert_int_equal(target_read(fixture.target, addr, &heap, sizeof(heap)), 0);
		if (heap.next_addr == 0)
			break;
		addr = heap.next_addr;
	}
	poke(&fixture, addr + offsetof(struct mmviz_heap_head, next_addr), &head.first_heap_addr,
	     sizeof(addr));
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	fixture_stop(&fixture);
}

static void test_counts_are_bounded(void **state)
{
	struct fixture fixture = {0};
	const uint64_t registry_offset_contexts = offsetof(struct mmviz_registry, contexts_count);
	const uint32_t many = UINT32_MAX;
	const uint64_t nowhere = 8, many_marks = UINT64_MAX - 5;
	unsigned marks = 0;
	uint64_t registry;

	(void)state;
	fixture_start(&fixture);
	registry = target_registry_addr(fixture.target);
	poke(&fixture, registry + registry_offset_contexts, &many, sizeof(many));
	registry_reader_refresh(fixture.reader);
	assert_int_equal(registry_reader_contexts_count(fixture.reader), MMVIZ_CONTEXTS_MAX);
	poke(&fixture, registry + offsetof(struct mmviz_registry, contexts_addr), &nowhere,
	     sizeof(nowhere));
	assert_int_equal(registry_reader_refresh(fixture.reader), 0);
	assert_string_equal(registry_reader_context(fixture.reader, 100000)->text, "unknown");
	poke(&fixture, registry + offsetof(struct mmviz_registry, arena_addr) + 8, &nowhere,
	     sizeof(nowhere));
	registry_reader_refresh(fixture.reader);
	assert_false(arena_by_id(&fixture, 1)->is_gone);
	poke(&fixture, registry + offsetof(struct mmviz_registry, marks_count), &many_marks,
	     sizeof(many_marks));
	assert_int_equal(registry_reader_marks(fixture.reader, ignore_mark, &marks), 0);
	assert_in_range(marks, 1, MMVIZ_MARKS_MAX);
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arenas_come_and_go),
		cmocka_unit_test(test_arenas_that_come_and_go_are_forgotten),
		cmocka_unit_test(test_heaps_of_new_threads_are_found),
		cmocka_unit_test(test_names_are_safe),
		cmocka_unit_test(test_untagged_code_is_named_by_module),
		cmocka_unit_test(test_marks_are_reported_once),
		cmocka_unit_test(test_stacks_count_as_their_tag_or_site),
		cmocka_unit_test(test_stacks_that_are_none_have_no_frames),
		cmocka_unit_test(test_names_outlive_the_target),
		cmocka_unit_test(test_unsound_arenas_are_not_believed),
		cmocka_unit_test(test_heaps_in_a_circle_end),
		cmocka_unit_test(test_counts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
