/* SPDX-License-Identifier: MIT */
/*
 * test_session.c - a real target, attached for real: what the collector says of it is what the
 * library in it says of itself, to the byte and block by block.
 *
 * The target is this program again. It carries out operation streams (ops.h) on threads that take
 * turns, so that blocks are freed by others, and reports its statistics and a walk of its own. Every
 * kind of block is there, and resets. The session part needs root; the picture part does not.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmviz/mmviz.h>

#include "model/view.h"
#include "ops.h"
#include "picture.h"
#include "session.h"
#include "worker.h"

#define ARENAS	     2u
#define STREAM_BYTES 20000u
#define BLOCKS_MAX   20000u

struct told_block {
	uint64_t address, bytes;
	uint32_t context, owner_heap, incarnation;
	char label[32];
};

/* ------------------------------------------------------------------ the target */

struct turn {
	struct ops *ops;
	struct random *random;
};

static void take_turn(void *argument)
{
	struct turn *turn = argument;
	static uint8_t stream[STREAM_BYTES];
	const char *fault;

	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)random_next(turn->random);
	fault = ops_run(turn->ops, stream, sizeof(stream));
	if (fault)
		fprintf(stderr, "target: %s\n", fault);
	must(!fault);
}

static int tell_block(const struct mmviz_block *block, void *context)
{
	struct told_block told = {
		.address = (uint64_t)block->address,
		.bytes = block->bytes,
		.context = block->context,
		.owner_heap = block->owner_heap,
		.incarnation = block->incarnation,
	};

	strncpy(told.label, block->label, sizeof(told.label) - 1);
	must(fwrite(&told, sizeof(told), 1, context) == 1);
	return 0;
}

static void tell_arena(struct mmviz_arena *arena)
{
	struct told_block end = {0};
	struct mmviz_stats stats;

	must(mmviz_arena_stats(arena, &stats) == 0);
	must(fwrite(&stats, sizeof(stats), 1, stdout) == 1);
	must(mmviz_arena_walk(arena, tell_block, stdout) == 0);
	must(fwrite(&end, sizeof(end), 1, stdout) == 1);
	fflush(stdout);
}

/* Commands are single bytes: 'o' operate, 't' tell, 'c' and 'd' make and destroy a third arena. */
static int target_main(uint64_t seed)
{
	/* Where not every free is examined, mistakes are told later than they are made. */
	const struct mmviz_arena_options small = {.options_bytes = sizeof(small),
						  .name = "small",
						  .capacity_bytes = 48u << 20,
						  .flags = MMVIZ_CHECKED_FREES};
	struct mmviz_arena *arenas[ARENAS + 1] = {mmviz_arena_create_with(&small),
						  mmviz_arena_create("big", 1u << 30)};
	struct random random = {seed};
	struct worker workers[2];
	struct turn turns[ARENAS];
	int command;

	for (uint32_t i = 0; i < ARENAS; i++) {
		turns[i] = (struct turn){ops_create(arenas[i], 100000), &random};
		ops_let_err(turns[i].ops, i == 0);
		worker_start(&workers[i]);
	}
	putchar('.'); /* ready */
	fflush(stdout);
	for (unsigned turn = 0; (command = getchar()) != EOF; turn++) {
		if (command == 'o')
			for (uint32_t i = 0; i < ARENAS; i++)
				worker_do(&workers[(turn + i) % 2], take_turn, &turns[i]);
		if (command == 't')
			for (uint32_t i = 0; i < ARENAS; i++)
				tell_arena(arenas[i]);
		if (command == 'c') {
			arenas[ARENAS] = mmviz_arena_create("passing", 8u << 20);
			for (int i = 0; i < 1000; i++)
				must(mmviz_alloc(arenas[ARENAS], 100, 0));
		}
		if (command == 'd')
			mmviz_arena_destroy(arenas[ARENAS]);
		if (command != 't') {
			putchar('.');
			fflush(stdout);
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ its other end */

struct target_process {
	pid_t pid;
	FILE *to, *from;
};

static void target_start(struct target_process *process)
{
	int to[2], from[2];
	char seed[32];

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)random_seed());
	must(pipe(to) == 0 && pipe(from) == 0);
	process->pid = fork();
	if (process->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		execl("/proc/self/exe", "target", seed, NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	process->to = fdopen(to[1], "w");
	process->from = fdopen(from[0], "r");
	assert_int_equal(fgetc(process->from), '.');
}

static void target_say(struct target_process *process, char command)
{
	fputc(command, process->to);
	fflush(process->to);
	if (command != 't')
		assert_int_equal(fgetc(process->from), '.');
}

static void target_stop(struct target_process *process)
{
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	fclose(process->to);
	fclose(process->from);
}

/* ------------------------------------------------------------------ comparing */

static void compare_stats(const struct mmviz_stats *told, const struct view_arena *seen)
{
	assert_int_equal(seen->capacity_bytes, told->capacity_bytes);
	assert_int_equal(seen->committed_bytes, told->committed_bytes);
	assert_int_equal(seen->live_blocks, told->live_blocks);
	assert_int_equal(seen->live_bytes, told->live_bytes);
	assert_int_equal(seen->header_bytes, told->header_bytes);
	assert_int_equal(seen->padding_bytes, told->padding_bytes);
	/* Cells that the library made ready and nobody has used: unused, for who follows events. */
	assert_true(seen->cached_bytes <= told->cached_bytes);
	assert_int_equal(seen->cached_bytes + seen->unused_bytes,
			 told->cached_bytes + told->unused_bytes);
	assert_int_equal(seen->meta_bytes, told->meta_bytes);
	assert_int_equal(seen->free_bytes, told->free_bytes);
	assert_int_equal(seen->largest_free_bytes, told->largest_free_bytes);
}

struct seen_blocks {
	uint32_t arena_id, count;
	struct view_block blocks[BLOCKS_MAX];
};

static int collect_block(const struct view_block *block, void *context)
{
	struct seen_blocks *seen = context;

	if (block->arena_id == seen->arena_id) {
		assert_true(seen->count < BLOCKS_MAX);
		seen->blocks[seen->count++] = *block;
	}
	return 0;
}

static void compare_block(const struct told_block *told, const struct view_block *seen)
{
	assert_int_equal(seen->addr, told->address);
	assert_int_equal(seen->bytes, told->bytes);
	assert_int_equal(seen->context, told->context);
	assert_int_equal(seen->owner_heap, told->owner_heap);
	assert_int_equal(seen->incarnation, told->incarnation);
	assert_string_equal(seen->label, told->label);
}

/* The target stands still; every number and every block must be the same. Returns live blocks. */
static uint64_t compare_all(struct target_process *process, const struct view *view)
{
	static struct seen_blocks seen;
	struct view_arena arenas[MMVIZ_ARENAS_MAX];
	uint64_t compared = 0;

	target_say(process, 't');
	assert_true(view_arenas(view, arenas, MMVIZ_ARENAS_MAX) >= ARENAS);
	for (uint32_t i = 0; i < ARENAS; i++) {
		struct mmviz_stats stats;
		struct told_block told;
		uint32_t count = 0;

		assert_int_equal(fread(&stats, sizeof(stats), 1, process->from), 1);
		seen.arena_id = arenas[i].id;
		seen.count = 0;
		view_each_live(view, collect_block, &seen);
		while (fread(&told, sizeof(told), 1, process->from) == 1 && told.address) {
			assert_true(count < seen.count);
			compare_block(&told, &seen.blocks[count++]);
		}
		assert_int_equal(count, seen.count);
		compare_stats(&stats, &arenas[i]);
		compared += count;
	}
	return compared;
}

/* ------------------------------------------------------------------ tests */

static void a_picture_is_what_the_target_says(void **state)
{
	struct target_process process;
	uint64_t compared = 0;

	(void)state;
	target_start(&process);
	for (int round = 0; round < 6; round++) {
		struct picture *picture;

		target_say(&process, 'o');
		assert_int_equal(picture_take(process.pid, round % 2, &picture), 0);
		assert_int_equal(picture_blocks_in_motion(picture), 0);
		assert_int_equal(picture_pause_ns(picture) > 0, round % 2);
		compared += compare_all(&process, picture_view(picture));
		picture_free(picture);
	}
	print_message("%llu blocks compared\n", (unsigned long long)compared);
	assert_true(compared > 100);
	target_stop(&process);
}

static struct session *attach(pid_t pid)
{
	struct session_options options = {.pid = pid};
	struct session *session;

	assert_int_equal(session_open(&options, &session), 0);
	return session;
}

static void a_followed_picture_is_what_the_target_says(void **state)
{
	struct target_process process;
	struct session *session;
	struct view_totals totals;
	uint64_t compared = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	target_start(&process);
	target_say(&process, 'o');
	session = attach(process.pid);
	for (int round = 0; round < 12; round++) {
		compared += compare_all(&process, session_view(session));
		target_say(&process, 'o');
		assert_int_equal(session_tick(session, 0), 0);
	}
	view_totals(session_view(session), &totals);
	assert_int_equal(totals.events_lost, 0);
	assert_int_equal(totals.resyncs, 0);
	print_message("%llu blocks compared, %llu events\n", (unsigned long long)compared,
		      (unsigned long long)totals.events_seen);
	assert_true(totals.is_exact && totals.events_seen > 5000 && compared > 100);
	session_close(session);
	target_stop(&process);
}

/* All state of a target is in its session: two targets at once, in one process, do not meet; nor does
 * the end of one touch the other's picture. */
static void two_targets_are_followed_at_once(void **state)
{
	struct target_process processes[2];
	struct session *sessions[2];
	struct view_totals totals;
	uint64_t compared[2] = {0};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (int i = 0; i < 2; i++) {
		target_start(&processes[i]);
		target_say(&processes[i], 'o');
		sessions[i] = attach(processes[i].pid);
	}
	for (int round = 0; round < 6; round++)
		for (int i = 0; i < 2; i++) {
			target_say(&processes[i], 'o');
			assert_int_equal(session_tick(sessions[i], 0), 0);
			compared[i] += compare_all(&processes[i], session_view(sessions[i]));
		}
	session_close(sessions[0]);
	target_stop(&processes[0]);
	target_say(&processes[1], 'o');
	assert_int_equal(session_tick(sessions[1], 0), 0);
	compared[1] += compare_all(&processes[1], session_view(sessions[1]));
	view_totals(session_view(sessions[1]), &totals);
	assert_true(totals.is_exact && totals.events_lost == 0);
	assert_true(compared[0] > 100 && compared[1] > 100);
	session_close(sessions[1]);
	target_stop(&processes[1]);
}

static void arenas_come_and_go(void **state)
{
	struct target_process process;
	struct session *session;
	struct view_totals totals;
	uint64_t live_blocks;

	(void)state;
	if (geteuid() != 0)
		skip();
	target_start(&process);
	target_say(&process, 'o');
	session = attach(process.pid);
	view_totals(session_view(session), &totals);
	live_blocks = totals.live_blocks;
	for (int round = 0; round < 5; round++) {
		target_say(&process, 'c');
		assert_int_equal(session_tick(session, 0), 0);
		view_totals(session_view(session), &totals);
		assert_int_equal(totals.arenas, ARENAS + 1);
		assert_int_equal(totals.live_blocks, live_blocks + 1000);
		target_say(&process, 'd');
		if (round % 2) /* or it is gone and there again between two ticks */
			assert_int_equal(session_tick(session, 0), 0);
	}
	assert_int_equal(session_tick(session, 0), 0);
	view_totals(session_view(session), &totals);
	assert_int_equal(totals.arenas, ARENAS);
	assert_int_equal(totals.live_blocks, live_blocks);
	assert_int_equal(totals.allocations, 5000);
	assert_int_equal(totals.frees, 5000);
	assert_int_equal(totals.events_lost, 0);
	session_close(session);
	target_stop(&process);
}

static void the_end_keeps_the_last_picture(void **state)
{
	struct target_process process;
	struct session *session;
	struct view_totals before, after;
	int result = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	target_start(&process);
	session = attach(process.pid);
	target_say(&process, 'o');
	assert_int_equal(session_tick(session, 0), 0);
	compare_all(&process, session_view(session));
	view_totals(session_view(session), &before);
	kill(process.pid, SIGKILL);
	waitpid(process.pid, NULL, 0);
	for (int i = 0; i < 100 && result == 0; i++)
		result = session_tick(session, 20);
	assert_int_equal(result, 1);
	assert_int_equal(session_tick(session, 0), 1);
	view_totals(session_view(session), &after);
	assert_int_equal(after.target_state, VIEW_TARGET_EXITED);
	assert_int_equal(after.exit_code, SIGKILL);
	assert_int_equal(after.live_blocks, before.live_blocks);
	assert_int_equal(after.live_bytes, before.live_bytes);
	assert_int_equal(after.events_lost, 0);
	session_close(session);
	fclose(process.to);
	fclose(process.from);
}

static void targets_that_cannot_be_attached_are_refused(void **state)
{
	struct session_options options = {.pid = getppid()};
	struct session *session;
	struct picture *picture;

	(void)state;
	assert_int_equal(picture_take(getppid(), false, &picture), -ENODATA);
	assert_int_equal(picture_take(1 << 22, false, &picture), -ESRCH);
	if (geteuid() == 0)
		assert_int_equal(session_open(&options, &session), -ENODATA);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_picture_is_what_the_target_says),
		cmocka_unit_test(a_followed_picture_is_what_the_target_says),
		cmocka_unit_test(two_targets_are_followed_at_once),
		cmocka_unit_test(arenas_come_and_go),
		cmocka_unit_test(the_end_keeps_the_last_picture),
		cmocka_unit_test(targets_that_cannot_be_attached_are_refused),
	};

	if (argc == 2)
		return target_main(strtoull(argv[1], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
