/* SPDX-License-Identifier: MIT */
/*
 * test_attach.c - target and attach on real processes, with real BPF programs. Needs root.
 *
 * The targets are build/tests/attach_target*, one for each way of linking the library. A test tells
 * its target what to do, so it knows to the operation what must come out of the ring.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "collect/attach.h"
#include "collect/target.h"
#include "collect/unwind.h"
#include "child.h"

#define HEAPS_MAX 64

/* ------------------------------------------------------------------ what came out */

struct seen {
	uint64_t next[HEAPS_MAX]; /* by heap of arena 1 */
	uint64_t final_seq[HEAPS_MAX];
	uint64_t allocations, gaps, events;
	uint64_t sampled_bytes, most_stack_bytes;
	enum attach_end end;
	int ends, exit_code;
};

static void on_batch(void *context, const struct attach_batch *batch)
{
	struct seen *seen = context;
	uint32_t heap = batch->heap_id;

	if (batch->arena_id != 1)
		return;
	assert_in_range(heap, 1, HEAPS_MAX - 1);
	if (batch->is_final_tail)
		seen->final_seq[heap] = batch->final_seq;
	if (batch->first > seen->next[heap] && seen->next[heap] != 0)
		seen->gaps += batch->first - seen->next[heap];
	for (uint64_t n = batch->first; n < batch->next; n++) {
		if (n < seen->next[heap])
			continue;
		seen->events++;
		seen->allocations +=
			mmviz_event_kind(batch->events[n - batch->first].what) == MMVIZ_EVENT_ALLOC;
	}
	if (batch->next > seen->next[heap])
		seen->next[heap] = batch->next;
}

static void on_sample(void *context, const struct attach_sample *sample)
{
	struct seen *seen = context;

	assert_int_equal(sample->arena_id, 1);
	seen->events++;
	seen->sampled_bytes += sample->weight_bytes;
	if (sample->registers == NULL)
		return;
	/* The stack pointer lies in the first page of the copy. */
	assert_true(sample->registers[UNWIND_RSP] - sample->stack_addr < 4096);
	if (sample->stack_bytes > seen->most_stack_bytes)
		seen->most_stack_bytes = sample->stack_bytes;
}

static void on_end(void *context, enum attach_end how, int exit_code)
{
	struct seen *seen = context;

	seen->end = how;
	seen->exit_code = exit_code;
	seen->ends++;
}

static struct attach_callbacks callbacks_into(struct seen *seen)
{
	return (struct attach_callbacks){.context = seen, .batch = on_batch, .end = on_end};
}

/* ------------------------------------------------------------------ helpers */

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void assert_semaphores(const struct target *target, bool batch)
{
	struct mmviz_semaphores now, wanted = {.batch = batch};

	assert_int_equal(target_read(target, target_registry_addr(target), &now, sizeof(now)), 0);
	assert_memory_equal(&now, &wanted, sizeof(now));
}

/* Every heap that logged anything was followed to its last event. */
static void assert_complete(const struct seen *seen)
{
	assert_int_equal(seen->gaps, 0);
	for (int heap = 1; heap < HEAPS_MAX; heap++)
		if (seen->next[heap] != 0)
			assert_int_equal(seen->final_seq[heap], seen->next[heap]);
}

/* The same after a death in full flight: an operation's events may have been stored, not its seq. */
static void assert_complete_in_flight(const struct seen *seen)
{
	assert_int_equal(seen->gaps, 0);
	for (int heap = 1; heap < HEAPS_MAX; heap++)
		if (seen->next[heap] != 0)
			assert_in_range(seen->next[heap] - seen->final_seq[heap], 0,
					MMVIZ_OPERATION_EVENTS_MAX);
}

struct session {
	struct child child;
	struct target *target;
	struct attach *attach;
	struct seen seen;
};

static void session_start_with(struct session *session, const char *name,
			       const struct attach_options *options, bool wants_samples)
{
	struct attach_callbacks callbacks = callbacks_into(&session->seen);
	char path[256];

	snprintf(path, sizeof(path), "%s%s", BUILD_TESTS, name);
	if (wants_samples)
		callbacks.sample = on_sample;
	child_start(&session->child, path);
	assert_int_equal(target_open(session->child.pid, &session->target), 0);
	assert_int_equal(attach_open(session->target, options, &callbacks, &session->attach), 0);
}

static void session_start(struct session *session, const char *name, bool force_perf)
{
	session_start_with(session, name, &(struct attach_options){.force_perf = force_perf},
			   false);
}

static void session_stop(struct session *session)
{
	attach_close(session->attach);
	target_close(session->target);
	child_stop(&session->child);
}

/* Drain until the end was reported; fails after 5 s. */
static void drain_to_end(struct session *session)
{
	for (int i = 0; i < 1000 && session->seen.ends == 0; i++) {
		assert_true(attach_drain(session->attach) >= 0);
		sleep_ms(5);
	}
	assert_int_equal(session->seen.ends, 1);
}

static int skip_unless_root(void **state)
{
	(void)state;
	if (geteuid() == 0)
		return 0;
	print_message("skip: attaching needs root\n");
	skip();
	return 0;
}

/* ------------------------------------------------------------------ tests */

static const char *const variants[] = {"attach_target_pie",	   "attach_target_static",
				       "attach_target_static_pie", "attach_target_nopie",
				       "attach_target_shared",	   "attach_target_stripped"};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static void check_round(const char *name, bool force_perf)
{
	struct session session = {0};
	double begin, attached, detached;

	begin = now_ms();
	session_start(&session, name, force_perf);
	attached = now_ms();
	assert_semaphores(session.target, true);
	child_do(&session.child, "a1000");
	child_do(&session.child, "f500");
	assert_true(attach_drain(session.attach) >= 0);
	assert_true(session.seen.events >= 1024); /* two full logs */
	assert_int_equal(session.seen.gaps, 0);
	detached = now_ms();
	attach_close(session.attach);
	detached = now_ms() - detached;
	session.attach = NULL;
	assert_semaphores(session.target, false);
	child_do(&session.child, "a1000");
	session_stop(&session);
	print_message("%-26s %-5s start and attach %.0f ms, detach %.0f ms\n", name,
		      force_perf ? "perf" : "multi", attached - begin, detached);
}

static void test_every_way_of_linking_attaches_and_detaches(void **state)
{
	(void)state;
	for (size_t i = 0; i < VARIANTS; i++)
		check_round(variants[i], false);
}

static void test_perf_path_attaches_and_detaches(void **state)
{
	(void)state;
	for (size_t i = 0; i < VARIANTS; i++)
		check_round(variants[i], true);
}

static void test_deleted_binary_attaches(void **state)
{
	struct session session = {0};

	(void)state;
	assert_int_equal(
		system("cp " BUILD_TESTS "attach_target_pie " BUILD_TESTS "attach_deleted"), 0);
	child_start(&session.child, BUILD_TESTS "attach_deleted");
	assert_int_equal(unlink(BUILD_TESTS "attach_deleted"), 0);
	struct attach_callbacks callbacks = callbacks_into(&session.seen);

	assert_int_equal(target_open(session.child.pid, &session.target), 0);
	assert_int_equal(attach_open(session.target, &(struct attach_options){0}, &callbacks,
				     &session.attach),
			 0);
	assert_semaphores(session.target, true);
	session_stop(&session);
}

/* Every allocation since the attach is in the ring when a target dies, and the tails say so. */
static void check_death(bool force_perf, int signal)
{
	struct session session = {0};

	session_start(&session, "attach_target_pie", force_perf);
	child_do(&session.child, "a1234");
	child_kill(&session.child, signal);
	drain_to_end(&session);
	assert_int_equal(session.seen.end, ATTACH_END_EXIT);
	assert_int_equal(session.seen.exit_code & 0x7f, signal);
	assert_int_equal(session.seen.allocations, 1234);
	assert_complete(&session.seen);
	assert_true(target_is_gone(session.target));
	session_stop(&session);
}

static void test_killed_target_loses_no_event(void **state)
{
	(void)state;
	check_death(false, SIGKILL);
	check_death(false, SIGSEGV);
	check_death(true, SIGKILL);
}

static void test_exit_code_is_reported(void **state)
{
	struct session session = {0};

	(void)state;
	session_start(&session, "attach_target_pie", false);
	child_do(&session.child, "a7");
	child_tell(&session.child, "x3");
	drain_to_end(&session);
	assert_int_equal(session.seen.exit_code, 3 << 8);
	assert_int_equal(session.seen.allocations, 7);
	session_stop(&session);
}

static void test_exec_ends_the_picture_with_its_tails(void **state)
{
	struct session session = {0};

	(void)state;
	session_start(&session, "attach_target_pie", false);
	child_do(&session.child, "a7");
	child_tell(&session.child, "e");
	drain_to_end(&session);
	assert_int_equal(session.seen.end, ATTACH_END_EXEC);
	assert_int_equal(session.seen.allocations, 7);
	assert_complete(&session.seen);
	for (int i = 0; i < 200 && !target_is_gone(session.target); i++)
		sleep_ms(5);
	assert_true(target_is_gone(session.target));
	assert_int_equal(target_thread_count(session.target), 0);
	session_stop(&session);
}

static void test_threads_killed_in_full_flight_lose_nothing(void **state)
{
	struct session session = {0};

	(void)state;
	session_start(&session, "attach_target_pie", false);
	child_do(&session.child, "c3");
	for (int i = 0; i < 50; i++) {
		assert_true(attach_drain(session.attach) >= 0);
		sleep_ms(5);
	}
	child_kill(&session.child, SIGKILL);
	drain_to_end(&session);
	assert_complete_in_flight(&session.seen);
	assert_true(session.seen.events > 10000);
	session_stop(&session);
}

static void test_forked_child_is_not_followed(void **state)
{
	struct session session = {0};

	(void)state;
	session_start(&session, "attach_target_pie", false);
	child_do(&session.child, "k5000");
	child_do(&session.child, "a3");
	child_kill(&session.child, SIGKILL);
	drain_to_end(&session);
	assert_int_equal(session.seen.allocations, 3);
	session_stop(&session);
}

static void test_killed_collector_leaves_no_trace(void **state)
{
	struct child child;
	struct target *target;
	pid_t collector;

	(void)state;
	child_start(&child, BUILD_TESTS "attach_target_pie");
	assert_int_equal(target_open(child.pid, &target), 0);
	collector = fork();
	if (collector == 0) {
		struct seen seen = {0};
		struct attach_callbacks callbacks = callbacks_into(&seen);
		struct attach *attach;

		if (attach_open(target, &(struct attach_options){0}, &callbacks, &attach) == 0)
			pause();
		_exit(1);
	}
	for (int i = 0; i < 1000; i++) {
		struct mmviz_semaphores now;

		assert_int_equal(
			target_read(target, target_registry_addr(target), &now, sizeof(now)), 0);
		if (now.batch == 1)
			break;
		sleep_ms(5);
	}
	assert_semaphores(target, true);
	kill(collector, SIGKILL);
	waitpid(collector, NULL, 0);
	sleep_ms(200);
	assert_semaphores(target, false);
	child_do(&child, "a1000");
	target_close(target);
	child_stop(&child);
}

/* A ring that nobody empties: what is dropped is counted, and the seqs show the same number. */
static void test_full_ring_is_counted(void **state)
{
	const struct attach_options options = {.ring_bytes = 1 << 16};
	struct attach_counters counters;
	struct session session = {0};
	uint64_t lost;

	(void)state;
	session_start_with(&session, "attach_target_pie", &options, false);
	child_do(&session.child, "a100000");
	attach_counters_read(session.attach, &counters);
	assert_true(counters.dropped_batches > 100);
	assert_true(counters.ring_used_bytes > counters.ring_bytes / 2);
	assert_int_equal(counters.ring_bytes, 1 << 16);
	assert_true(attach_drain(session.attach) > 0);
	child_kill(&session.child, SIGKILL);
	drain_to_end(&session);
	attach_counters_read(session.attach, &counters);
	lost = session.seen.gaps;
	assert_in_range(lost, counters.dropped_batches * MMVIZ_LOG_EVENTS,
			counters.dropped_batches * MMVIZ_LOG_SLOTS);
	session.seen.gaps = 0;
	assert_complete(&session.seen);
	session_stop(&session);
}

/* A drain ends though the target produces faster than the callbacks consume. */
static void slow_batch(void *context, const struct attach_batch *batch)
{
	on_batch(context, batch);
	sleep_ms(1);
}

static void test_drain_ends_while_the_target_is_faster(void **state)
{
	const struct attach_options options = {.ring_bytes = 1 << 20};
	struct session session = {0};
	struct attach_callbacks callbacks = callbacks_into(&session.seen);
	double begin;

	(void)state;
	callbacks.batch = slow_batch;
	child_start(&session.child, BUILD_TESTS "attach_target_pie");
	assert_int_equal(target_open(session.child.pid, &session.target), 0);
	assert_int_equal(attach_open(session.target, &options, &callbacks, &session.attach), 0);
	child_do(&session.child, "c1");
	begin = now_ms();
	assert_true(attach_drain(session.attach) >= 0);
	assert_true(now_ms() - begin < 2000); /* 123 records fit, each takes about 1 ms */
	session_stop(&session);
}

/* Logs that lie are counted and not delivered; what comes after them is. */
static void test_lying_logs_are_counted(void **state)
{
	struct attach_counters counters;
	struct session session = {0};

	(void)state;
	session_start(&session, "attach_target_static", false);
	for (int lie = 1; lie <= 6; lie++) {
		char command[16];

		snprintf(command, sizeof(command), "l%d", lie);
		child_do(&session.child, command);
	}
	assert_int_equal(attach_drain(session.attach), 5); /* the fifth was never copied */
	attach_counters_read(session.attach, &counters);
	assert_int_equal(counters.copy_failures, 5);
	assert_int_equal(counters.batches, 1);
	child_do(&session.child, "a1000");
	assert_true(attach_drain(session.attach) > 0);
	assert_true(session.seen.allocations >= 512);
	assert_int_equal(session.seen.gaps, 0);
	session_stop(&session);
}

static void test_sampled_mode_carries_stacks(void **state)
{
	const struct attach_options options = {.mode = ATTACH_SAMPLED};
	const uint64_t period = 1024;
	struct session session = {0};

	(void)state;
	session_start_with(&session, "attach_target_pie", &options, true);
	assert_int_equal(target_write_control(session.target,
					      offsetof(struct mmviz_registry, control_sample_bytes),
					      &period, sizeof(period)),
			 0);
	child_do(&session.child,
		 "a100000"); /* 6.4 MB: the first sample may still be 512 KiB away */
	session.seen = (struct seen){0};
	child_do(&session.child, "a100000");
	assert_true(attach_drain(session.attach) > 0);
	session.seen = (struct seen){0};
	child_do(&session.child, "a100000");
	assert_true(attach_drain(session.attach) > 0);
	print_message("%lu samples, %lu bytes, at most %lu bytes of stack\n", session.seen.events,
		      session.seen.sampled_bytes, session.seen.most_stack_bytes);
	assert_in_range(session.seen.sampled_bytes, 5800000, 7000000);
	assert_true(session.seen.most_stack_bytes >= 4096);
	session_stop(&session);
}

/* ------------------------------------------------------------------ refusals */

static void test_refusals_have_their_own_errors(void **state)
{
	struct target *target;
	struct child child;
	char command[16];

	(void)state;
	assert_int_equal(target_open(4194303, &target), -ESRCH);
	assert_int_equal(target_open(getpid(), &target), -ENODATA);
	assert_int_equal(target_open(2, &target), -ENODATA); /* kthreadd */
	child_start(&child, BUILD_TESTS "attach_target_pie");
	child_do(&child, "v99");
	assert_int_equal(target_open(child.pid, &target), -EPROTO);
	snprintf(command, sizeof(command), "v%u", MMVIZ_ABI_VERSION);
	child_do(&child, command);
	assert_int_equal(target_open(child.pid, &target), 0);
	target_close(target);
	child_stop(&child);
}

static void test_zombie_has_ended(void **state)
{
	struct target *target;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(0);
	sleep_ms(50);
	assert_int_equal(target_open(child, &target), -ESRCH);
	waitpid(child, NULL, 0);
}

static void test_process_without_its_main_thread_is_refused(void **state)
{
	struct target *target;
	struct child child;

	(void)state;
	child_start(&child, BUILD_TESTS "attach_target_pie");
	child_tell(&child, "z");
	sleep_ms(50);
	assert_int_equal(target_open(child.pid, &target), -ESRCH);
	child_stop(&child);
}

static void test_other_users_are_not_permitted(void **state)
{
	struct child child;
	pid_t nobody;
	int status;

	(void)state;
	child_start(&child, BUILD_TESTS "attach_target_pie");
	nobody = fork();
	if (nobody == 0) {
		struct target *target;
		int error;

		if (setresuid(65534, 65534, 65534) != 0)
			_exit(1);
		error = target_open(child.pid, &target);
		_exit(error == -EACCES || error == -EPERM ? 0 : 1);
	}
	waitpid(nobody, &status, 0);
	assert_int_equal(status, 0);
	child_stop(&child);
}

static void test_only_control_words_can_be_written(void **state)
{
	struct session session = {0};
	uint32_t word = 7, read_back;
	const size_t offset = offsetof(struct mmviz_registry, control_log_events);

	(void)state;
	session_start(&session, "attach_target_pie", false);
	assert_int_equal(target_write_control(session.target, 0, &word, sizeof(word)), -EINVAL);
	assert_int_equal(target_write_control(session.target,
					      offsetof(struct mmviz_registry, stacks_count), &word,
					      sizeof(word)),
			 -EINVAL);
	assert_int_equal(target_write_control(session.target, SIZE_MAX - 1, &word, sizeof(word)),
			 -EINVAL);
	assert_int_equal(target_write_control(session.target, offset, &word, sizeof(word)), 0);
	assert_int_equal(target_read(session.target, target_registry_addr(session.target) + offset,
				     &read_back, sizeof(read_back)),
			 0);
	assert_int_equal(read_back, 7);
	assert_int_equal(target_read(session.target, 0, &word, 4), -EFAULT);
	assert_int_equal(target_read(session.target, UINT64_MAX - 2, &word, 4), -EFAULT);
	session_stop(&session);
}

/* The pid that the tracepoints compare is another one in there. */
static void test_target_in_its_own_pid_namespace(void **state)
{
	struct session session = {0};
	struct attach_callbacks callbacks = callbacks_into(&session.seen);
	pid_t keeper;
	int status;

	(void)state;
	keeper = fork(); /* unshare would change this process for good */
	if (keeper == 0) {
		if (unshare(CLONE_NEWPID) != 0)
			_exit(1);
		child_start(&session.child, BUILD_TESTS "attach_target_pie");
		if (target_open(session.child.pid, &session.target) != 0 ||
		    attach_open(session.target, &(struct attach_options){0}, &callbacks,
				&session.attach) != 0)
			_exit(2);
		child_do(&session.child, "a77");
		child_kill(&session.child, SIGKILL);
		for (int i = 0; i < 200 && session.seen.ends == 0; i++) {
			attach_drain(session.attach);
			sleep_ms(5);
		}
		_exit(session.seen.ends == 1 && session.seen.allocations == 77 ? 0 : 3);
	}
	waitpid(keeper, &status, 0);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_way_of_linking_attaches_and_detaches,
				       skip_unless_root),
		cmocka_unit_test_setup(test_perf_path_attaches_and_detaches, skip_unless_root),
		cmocka_unit_test_setup(test_deleted_binary_attaches, skip_unless_root),
		cmocka_unit_test_setup(test_killed_target_loses_no_event, skip_unless_root),
		cmocka_unit_test_setup(test_exit_code_is_reported, skip_unless_root),
		cmocka_unit_test_setup(test_exec_ends_the_picture_with_its_tails, skip_unless_root),
		cmocka_unit_test_setup(test_threads_killed_in_full_flight_lose_nothing,
				       skip_unless_root),
		cmocka_unit_test_setup(test_forked_child_is_not_followed, skip_unless_root),
		cmocka_unit_test_setup(test_killed_collector_leaves_no_trace, skip_unless_root),
		cmocka_unit_test_setup(test_full_ring_is_counted, skip_unless_root),
		cmocka_unit_test_setup(test_drain_ends_while_the_target_is_faster,
				       skip_unless_root),
		cmocka_unit_test_setup(test_lying_logs_are_counted, skip_unless_root),
		cmocka_unit_test_setup(test_sampled_mode_carries_stacks, skip_unless_root),
		cmocka_unit_test_setup(test_refusals_have_their_own_errors, skip_unless_root),
		cmocka_unit_test_setup(test_zombie_has_ended, skip_unless_root),
		cmocka_unit_test_setup(test_process_without_its_main_thread_is_refused,
				       skip_unless_root),
		cmocka_unit_test_setup(test_other_users_are_not_permitted, skip_unless_root),
		cmocka_unit_test_setup(test_only_control_words_can_be_written, skip_unless_root),
		cmocka_unit_test_setup(test_target_in_its_own_pid_namespace, skip_unless_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
