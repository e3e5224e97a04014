/* SPDX-License-Identifier: MIT */
/*
 * test_unwind.c - callers found from registers and a copied stack: against gdb at a stop, and
 * against a shadow stack kept while a program is followed instruction by instruction.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/symbols.h"
#include "stacks/stopped.h"
#include "test.h"

#define FRAMES_MAX 128

struct scene {
	struct child child;
	struct modules *modules;
	struct unwind *unwind;
	struct unwind_input input;
	struct unwind_frame frames[FRAMES_MAX];
	uint32_t count;
	bool is_complete;
};

static void scene_open(struct scene *scene, const char *program, const char *command)
{
	char path[256];

	*scene = (struct scene){0};
	snprintf(path, sizeof(path), BUILD_STACKS "%s", program);
	stopped_start(&scene->child, path, command);
	stopped_capture(&scene->child, &scene->input);
	assert_int_equal(modules_open(scene->child.pid, &scene->modules), 0);
	assert_int_equal(unwind_open(scene->modules, &scene->unwind), 0);
	scene->count = unwind_stack(scene->unwind, &scene->input, scene->frames, FRAMES_MAX,
				    &scene->is_complete);
}

static void scene_close(struct scene *scene)
{
	child_stop(&scene->child);
	unwind_close(scene->unwind);
	modules_close(scene->modules);
	free((void *)scene->input.stack);
}

static void assert_same_frames(const struct unwind_frame *a, const struct unwind_frame *b,
			       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(a[i].pc, b[i].pc);
		assert_int_equal(a[i].is_return_address, b[i].is_return_address);
	}
}

/* ------------------------------------------------------------------ as gdb */

static void compare_with_gdb(const char *program, const char *command, uint32_t frames_min)
{
	struct gdb_frame gdb[GDB_FRAMES_MAX];
	struct scene scene;
	uint32_t count, physical = 0;

	scene_open(&scene, program, command);
	count = stopped_ask_gdb(&scene.child, gdb);
	for (uint32_t i = 0; i < count; i++) {
		if (gdb[i].is_inlined)
			continue;
		if (physical >= scene.count || scene.frames[physical].pc != gdb[i].pc)
			fail_msg("%s %s: frame %u: %lx, gdb says %lx %s", program, command,
				 physical, physical < scene.count ? scene.frames[physical].pc : 0,
				 gdb[i].pc, gdb[i].function);
		physical++;
	}
	assert_int_equal(scene.count, physical);
	assert_true(scene.count >= frames_min);
	assert_true(scene.is_complete);
	scene_close(&scene);
}

static void test_optimised_cxx_without_frame_pointers(void **state)
{
	(void)state;
	compare_with_gdb("target_pie", "inlined", 12);
}

static void test_static_program_at_fixed_addresses(void **state)
{
	(void)state;
	compare_with_gdb("target_static", "inlined", 10);
}

static void test_stripped_program(void **state)
{
	(void)state;
	compare_with_gdb("target_stripped", "inlined", 12);
}

static void test_signal_frame(void **state)
{
	(void)state;
	compare_with_gdb("target_pie", "signal", 10);
	compare_with_gdb("target_static", "signal", 8);
}

static void test_lua_c_function(void **state)
{
	(void)state;
	if (access(BUILD_STACKS "lua_host", X_OK) != 0) {
		print_message("liblua5.4-dev is missing: not tested; `make deps` gets it\n");
		skip();
	}
	compare_with_gdb("lua_host", "go", 12);
}

/* ------------------------------------------------------------------ recognised */

static uint64_t recognised(const struct unwind *unwind)
{
	struct unwind_counters counters;

	unwind_counters_read(unwind, &counters);
	return counters.recognised;
}

/* Each word of the copy is changed in turn: either the stack is unwound anew, or it decides
 * nothing: an unwinder that has seen nothing yet finds the same callers. */
static void test_a_stack_is_recognised_by_what_decides(void **state)
{
	struct unwind_frame frames[FRAMES_MAX], fresh[FRAMES_MAX];
	uint32_t count, known = 0, anew = 0;
	struct unwind_counters counters;
	struct scene scene;
	uint64_t *words;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	words = (uint64_t *)scene.input.stack;
	assert_int_equal(recognised(scene.unwind), 0);
	count = unwind_stack(scene.unwind, &scene.input, frames, FRAMES_MAX, NULL);
	assert_int_equal(recognised(scene.unwind), 1);
	assert_int_equal(count, scene.count);
	assert_same_frames(frames, scene.frames, count);
	for (size_t i = 0; i < scene.input.stack_bytes / 8 && i < 1024; i++) {
		uint64_t before = words[i], recognised_before = recognised(scene.unwind);

		words[i] ^= 0x40;
		count = unwind_stack(scene.unwind, &scene.input, frames, FRAMES_MAX, NULL);
		if (recognised(scene.unwind) > recognised_before) {
			struct modules *modules = NULL;
			struct unwind *other;

			known++;
			if (i % 8 != 0) /* opening is slow */
				goto next;
			assert_int_equal(modules_open(scene.child.pid, &modules), 0);
			assert_int_equal(unwind_open(modules, &other), 0);
			assert_int_equal(unwind_stack(other, &scene.input, fresh, FRAMES_MAX, NULL),
					 count);
			assert_same_frames(frames, fresh, count);
			unwind_close(other);
			modules_close(modules);
		} else {
			anew++;
		}
	next:
		words[i] = before;
	}
	unwind_counters_read(scene.unwind, &counters);
	print_message("%u words changed: %u decide nothing, %u do; %lu of %lu recognised\n",
		      known + anew, known, anew, counters.recognised, counters.unwound);
	assert_true(anew >= scene.count - 1 && known > anew);
	scene_close(&scene);
}

/* ------------------------------------------------------------------ step by step */

#define SHADOW_MAX 256

/* Return addresses and where on the stack they lie, outermost first. */
struct shadow {
	struct {
		uint64_t pc, slot;
	} rows[SHADOW_MAX];
	uint32_t count;
};

static uint64_t peek(int mem_fd, uint64_t addr)
{
	uint64_t word = 0;

	assert_true(pread(mem_fd, &word, sizeof(word), (off_t)addr) > 0);
	return word;
}

/* What lies above the stack pointer has returned; a jump with a return address near is a call. */
static void shadow_step(struct shadow *shadow, int mem_fd, const struct user_regs_struct *before,
			const struct user_regs_struct *after)
{
	uint64_t word;

	while (shadow->count > 0 && shadow->rows[shadow->count - 1].slot < after->rsp)
		shadow->count--;
	if (after->rsp != before->rsp - 8)
		return;
	word = peek(mem_fd, after->rsp);
	if (word <= before->rip || word > before->rip + 15 || after->rip == word)
		return;
	/* A push of such a value would go on with the next instruction. */
	if (after->rip > before->rip && after->rip <= before->rip + 15)
		return;
	assert_true(shadow->count < SHADOW_MAX);
	shadow->rows[shadow->count].pc = word;
	shadow->rows[shadow->count++].slot = after->rsp;
}

struct follow {
	struct scene scene;
	struct symbols *symbols;
	struct shadow shadow;
	struct unwind_frame outer[FRAMES_MAX]; /* those around where it began */
	uint32_t outer_count, steps, deepest, wrong;
	uint32_t in_vdso, in_plt, at_entry;
	uint64_t entry; /* where the last call went */
};

static void report_wrong(struct follow *follow, const char *what, uint32_t frame)
{
	const struct scene *scene = &follow->scene;
	uint64_t pc = scene->input.registers[UNWIND_RIP];

	if (follow->wrong++ > 5)
		return;
	print_message("step %u at %lx (%s): %s, frame %u\n", follow->steps, pc,
		      symbols_resolve(follow->symbols, pc)->frames[0].function, what, frame);
	for (uint32_t i = 0; i < scene->count; i++)
		print_message("   %lx\n", scene->frames[i].pc);
}

static void compare_with_shadow(struct follow *follow)
{
	const struct scene *scene = &follow->scene;
	uint32_t count = 1 + follow->shadow.count + follow->outer_count;

	if (scene->count != count)
		report_wrong(follow, "another depth", count);
	for (uint32_t i = 1; i < count && i < scene->count; i++) {
		uint64_t wanted = i <= follow->shadow.count
					  ? follow->shadow.rows[follow->shadow.count - i].pc
					  : follow->outer[i - 1 - follow->shadow.count].pc;

		if (scene->frames[i].pc != wanted) {
			report_wrong(follow, "another caller", i);
			return;
		}
	}
	if (follow->shadow.count > follow->deepest)
		follow->deepest = follow->shadow.count;
}

static void note_place(struct follow *follow, uint64_t pc)
{
	const struct symbol_place *place = symbols_resolve(follow->symbols, pc);

	follow->in_vdso += strcmp(place->module, "[vdso]") == 0;
	follow->at_entry += pc == follow->entry;
	/* No symbol names the procedure linkage table. */
	follow->in_plt +=
		strstr(place->module, "target_") != NULL && place->source == SYMBOL_UNKNOWN;
}

static void follow_until_int3(struct follow *follow, int mem_fd)
{
	static char stack[32768];
	struct scene *scene = &follow->scene;
	struct user_regs_struct before, after;
	pid_t pid = scene->child.pid;
	uint32_t known;
	int status;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &before), 0);
	while ((peek(mem_fd, before.rip) & 0xff) != 0xcc) {
		traced_capture(pid, mem_fd, stack, sizeof(stack), &scene->input);
		scene->count = unwind_stack(scene->unwind, &scene->input, scene->frames, FRAMES_MAX,
					    &scene->is_complete);
		if (follow->steps == 0) {
			follow->outer_count = scene->count - 1;
			memcpy(follow->outer, scene->frames + 1,
			       follow->outer_count * sizeof(*follow->outer));
		}
		compare_with_shadow(follow);
		note_place(follow, before.rip);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, __WALL), pid);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &after), 0);
		known = follow->shadow.count;
		shadow_step(&follow->shadow, mem_fd, &before, &after);
		follow->entry = follow->shadow.count > known ? after.rip : 0;
		before = after;
		follow->steps++;
	}
	scene->input.stack = NULL;
}

static void follow_program(const char *program, uint32_t in_plt_min, uint32_t in_vdso_min)
{
	static struct follow follow;
	struct scene *scene = &follow.scene;
	char path[256];
	int status, mem_fd;

	memset(&follow, 0, sizeof(follow));
	snprintf(path, sizeof(path), BUILD_STACKS "%s", program);
	child_start(&scene->child, path);
	assert_int_equal(ptrace(PTRACE_SEIZE, scene->child.pid, NULL, NULL), 0);
	child_tell(&scene->child, "steps");
	assert_int_equal(waitpid(scene->child.pid, &status, __WALL), scene->child.pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)scene->child.pid);
	mem_fd = open(path, O_RDONLY);
	assert_int_equal(modules_open(scene->child.pid, &scene->modules), 0);
	assert_int_equal(unwind_open(scene->modules, &scene->unwind), 0);
	assert_int_equal(symbols_open(scene->modules, 0, &follow.symbols), 0);
	follow_until_int3(&follow, mem_fd);
	close(mem_fd);
	symbols_close(follow.symbols);
	scene_close(scene);
	print_message("%s: %u steps, %u at a function's first instruction, %u in its linkage "
		      "table, %u in the vdso, at most %u calls deep; %u wrong\n",
		      program, follow.steps, follow.at_entry, follow.in_plt, follow.in_vdso,
		      follow.deepest, follow.wrong);
	assert_int_equal(follow.wrong, 0);
	assert_true(follow.steps > 500 && follow.at_entry > 20 && follow.deepest >= 4);
	assert_true(follow.in_plt >= in_plt_min && follow.in_vdso >= in_vdso_min);
}

static void test_every_instruction(void **state)
{
	(void)state;
	follow_program("target_pie", 10, 10);
}

static void test_every_instruction_of_a_static_program(void **state)
{
	(void)state;
	follow_program("target_static", 0, 0);
}

/* ------------------------------------------------------------------ without call frame information */

/* The frames around code made at run time are those around it without. */
static void test_code_made_at_run_time(void **state)
{
	struct scene scene;
	uint32_t jitted = 0, found = 0;

	(void)state;
	scene_open(&scene, "target_pie", "jit");
	for (uint32_t i = 0; i < scene.count; i++)
		if (modules_find(scene.modules, unwind_code_addr(&scene.frames[i])) == NULL) {
			jitted = i;
			found++;
		}
	assert_int_equal(found, 1);
	assert_true(scene.is_complete);
	assert_true(jitted >= 8 && scene.count >= jitted + 5);
	scene_close(&scene);
}

static void test_frame_pointers_where_there_is_nothing_else(void **state)
{
	struct unwind_frame frames[FRAMES_MAX];
	struct scene with, without;
	uint32_t count;

	(void)state;
	scene_open(&without, "target_frame_pointers", "inlined");
	scene_open(&with, "target_frame_pointers_cfi", "inlined");
	assert_true(with.count >= 12 && with.is_complete);
	assert_int_equal(without.count, with.count);
	/* libc keeps no frame pointers: by them alone its own frames are left out. */
	count = unwind_frame_pointers(with.modules, &with.input, frames, FRAMES_MAX);
	assert_true(count >= 6);
	for (uint32_t i = 1, k = 1; i < count; i++, k++) {
		while (k < with.count && with.frames[k].pc != frames[i].pc)
			k++;
		assert_true(k < with.count);
	}
	scene_close(&with);
	scene_close(&without);
}

/* ------------------------------------------------------------------ parts, and lies */

static void test_shorter_copy_yields_the_innermost_frames(void **state)
{
	struct unwind_frame frames[FRAMES_MAX];
	uint32_t last = 1, partial = 0;
	struct scene scene;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	for (size_t bytes = 0; bytes <= scene.input.stack_bytes; bytes += 8) {
		struct unwind_input input = scene.input;
		bool is_complete;
		uint32_t count;

		input.stack_bytes = bytes;
		count = unwind_stack(scene.unwind, &input, frames, FRAMES_MAX, &is_complete);
		assert_true(count >= 1 && count <= scene.count);
		assert_true(count >= last);
		assert_same_frames(frames, scene.frames, count);
		assert_int_equal(is_complete, count == scene.count);
		partial += count < scene.count;
		last = count;
	}
	assert_true(partial > 10 && last == scene.count);
	scene_close(&scene);
}

static void test_no_more_frames_than_asked_for(void **state)
{
	struct unwind_frame frames[FRAMES_MAX];
	struct scene scene;
	bool is_complete;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	for (uint32_t max = 1; max < scene.count; max++) {
		memset(frames, 0xa5, sizeof(frames));
		assert_int_equal(
			unwind_stack(scene.unwind, &scene.input, frames, max, &is_complete), max);
		assert_false(is_complete);
		assert_same_frames(frames, scene.frames, max);
		assert_int_equal(frames[max].pc, 0xa5a5a5a5a5a5a5a5);
	}
	scene_close(&scene);
}

static void test_stacks_that_lie_do_no_harm(void **state)
{
	struct random random = {.state = random_seed()};
	struct unwind_frame frames[FRAMES_MAX];
	struct scene scene;
	uint64_t *stack;
	size_t words;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	words = scene.input.stack_bytes / 8;
	stack = malloc(words * 8);
	for (int round = 0; round < 20000; round++) {
		struct unwind_input input = scene.input;
		uint32_t count;

		memcpy(stack, scene.input.stack, words * 8);
		input.stack = stack;
		for (uint32_t changes = random_below(&random, 8); changes > 0; changes--) {
			uint64_t *place =
				random_below(&random, 3) == 0
					? &input.registers[random_below(&random, UNWIND_REGISTERS)]
					: &stack[random_below(&random, 128)];
			uint64_t values[] = {random_next(&random),
					     scene.frames[random_below(&random, scene.count)].pc +
						     random_below(&random, 64),
					     scene.input.stack_addr + random_below(&random, 1024)};

			*place = values[random_below(&random, 3)];
		}
		count = unwind_stack(scene.unwind, &input, frames, FRAMES_MAX, NULL);
		assert_in_range(count, 1, FRAMES_MAX);
		assert_int_equal(frames[0].pc, input.registers[UNWIND_RIP]);
	}
	free(stack);
	scene_close(&scene);
}

static void test_copy_can_be_unwound_after_the_end(void **state)
{
	struct unwind_frame frames[FRAMES_MAX];
	struct scene scene;
	bool is_complete;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	child_kill(&scene.child, SIGKILL);
	waitpid(scene.child.pid, NULL, 0);
	assert_int_equal(modules_refresh(scene.modules), -ESRCH);
	assert_int_equal(unwind_stack(scene.unwind, &scene.input, frames, FRAMES_MAX, &is_complete),
			 scene.count);
	assert_true(is_complete);
	assert_same_frames(frames, scene.frames, scene.count);
	unwind_close(scene.unwind);
	modules_close(scene.modules);
	free((void *)scene.input.stack);
	fclose(scene.child.to);
	fclose(scene.child.from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_optimised_cxx_without_frame_pointers),
		cmocka_unit_test(test_static_program_at_fixed_addresses),
		cmocka_unit_test(test_stripped_program),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_lua_c_function),
		cmocka_unit_test(test_a_stack_is_recognised_by_what_decides),
		cmocka_unit_test(test_every_instruction),
		cmocka_unit_test(test_every_instruction_of_a_static_program),
		cmocka_unit_test(test_code_made_at_run_time),
		cmocka_unit_test(test_frame_pointers_where_there_is_nothing_else),
		cmocka_unit_test(test_shorter_copy_yields_the_innermost_frames),
		cmocka_unit_test(test_no_more_frames_than_asked_for),
		cmocka_unit_test(test_stacks_that_lie_do_no_harm),
		cmocka_unit_test(test_copy_can_be_unwound_after_the_end),
	};

	alarm(110); /* a stop that does not come */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
