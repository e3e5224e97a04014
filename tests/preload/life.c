/* SPDX-License-Identifier: MIT */
/*
 * life.c - a program's life from its first constructor to its last destructor: malloc works at
 * every moment of it, in threads that end, and in children.
 *
 *	life          each behaviour
 *	life LIBRARY  also: LIBRARY is loaded and unloaded again and again
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define KEEP 64

extern char **environ;
static const char *library;

/* ------------------------------------------------------------------ before main, after main */

static void *from_constructor, *from_preinit;

static void preinit(void)
{
	from_preinit = malloc(100);
	fill(from_preinit, 100, 1);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor(101))) static void early_constructor(void)
{
	from_constructor = calloc(10, 1000);
	fill(from_constructor, 10000, 2);
}

static void *until_the_end;

static void at_exit(void)
{
	CHECK(is_filled(until_the_end, 500, 3));
	until_the_end = realloc(until_the_end, 50000);
	CHECK(is_filled(until_the_end, 500, 3));
}

__attribute__((destructor(101))) static void late_destructor(void)
{
	CHECK(is_filled(until_the_end, 500, 3));
	free(until_the_end);
	free(malloc(100000));
	free(from_constructor);
}

static void blocks_of_constructors_live_on(void)
{
	CHECK(is_filled(from_preinit, 100, 1) && is_filled(from_constructor, 10000, 2));
	from_preinit = realloc(from_preinit, 10000);
	CHECK(is_filled(from_preinit, 100, 1));
	free(from_preinit);
	until_the_end = malloc(500);
	fill(until_the_end, 500, 3);
	CHECK(atexit(at_exit) == 0);
}

/* ------------------------------------------------------------------ churn in the background */

static volatile bool stop;
static pthread_t churners[3];

static void *churn(void *argument)
{
	void *blocks[KEEP] = {0};
	unsigned random = (unsigned)(uintptr_t)argument * 2654435761u;

	while (!stop) {
		unsigned at = (random = random * 1664525 + 1013904223) >> 16;
		size_t bytes = (random >> 8) % ((at & 31) ? 600 : 200000);

		free(blocks[at % KEEP]);
		blocks[at % KEEP] = malloc(bytes);
		memset(blocks[at % KEEP], (int)at, bytes < 64 ? bytes : 64);
	}
	for (int i = 0; i < KEEP; i++)
		free(blocks[i]);
	return NULL;
}

static void start_churn(void)
{
	stop = false;
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&churners[i], NULL, churn, (void *)(i + 1)) == 0);
}

static void stop_churn(void)
{
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(churners[i], NULL);
}

/* ------------------------------------------------------------------ children */

static void expect_exit(pid_t child)
{
	int status = 0;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *allocate_in_thread(void *argument)
{
	void *block = malloc(3000);

	fill(block, 3000, 4);
	free(argument);
	return block;
}

/* What a child does: its own blocks, those of before, and a thread of its own. */
static void live_as_child(char *inherited)
{
	void *blocks[300], *result;
	pthread_t thread;

	CHECK(is_filled(inherited, 5000, 6));
	free(inherited);
	for (int i = 0; i < 300; i++)
		blocks[i] = malloc((size_t)i * 50);
	CHECK(pthread_create(&thread, NULL, allocate_in_thread, malloc(10)) == 0);
	CHECK(pthread_join(thread, &result) == 0 && is_filled(result, 3000, 4));
	for (int i = 0; i < 300; i++)
		free(blocks[i]);
	free(result);
}

static void children_of_a_threaded_program_allocate(void)
{
	start_churn();
	for (int i = 0; i < 150; i++) {
		char *inherited = malloc(5000);
		pid_t child;

		fill(inherited, 5000, 6);
		child = fork();
		if (child == 0) {
			alarm(20); /* a lock that nobody holds any more would hang it */
			live_as_child(inherited);
			_exit(0);
		}
		expect_exit(child);
		CHECK(is_filled(inherited, 5000, 6));
		free(inherited);
	}
	stop_churn();
}

static ssize_t write_to_memory(void *cookie, const char *text, size_t bytes)
{
	void *block = malloc(bytes + 100000);

	(void)cookie;
	memcpy(block, text, bytes);
	free(block);
	return (ssize_t)bytes;
}

/* Flushing everything holds the list of files while this one allocates; fork wants both. */
static void *flush_everything(void *argument)
{
	cookie_io_functions_t functions = {.write = write_to_memory};
	FILE *stream = fopencookie(NULL, "w", functions);

	while (!stop) {
		fputs("text", stream);
		fflush(NULL);
	}
	fclose(stream);
	return argument;
}

static void forks_while_files_are_flushed_do_not_hang(void)
{
	pthread_t threads[2];

	alarm(60); /* for those that would wait for each other */
	stop = false;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, flush_everything, NULL) == 0);
	for (int i = 0; i < 400; i++) {
		pid_t child = fork();

		if (child == 0) {
			alarm(20);
			FILE *file = fopen("/dev/null", "w");

			fprintf(file, "%d", i);
			fclose(file);
			free(malloc(100000));
			_exit(0);
		}
		expect_exit(child);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	alarm(0);
}

static void grandchildren_allocate(void)
{
	pid_t child;

	start_churn();
	child = fork();
	if (child == 0) {
		alarm(20);
		for (int generation = 0; generation < 8; generation++) {
			pid_t next;

			free(malloc(40000));
			start_churn();
			next = fork();
			if (next > 0) {
				int status = 0;

				waitpid(next, &status, 0);
				_exit(status != 0);
			}
			alarm(20);
		}
		_exit(0);
	}
	expect_exit(child);
	stop_churn();
}

static void handlers_of_fork_may_allocate(void);
static int handler_calls;
static void in_handler(void)
{
	void *block = malloc(777);

	fill(block, 777, 8);
	CHECK(is_filled(block, 777, 8));
	free(block);
	handler_calls++;
}

static void handlers_of_fork_may_allocate(void)
{
	pid_t child;

	for (int i = 0; i < 60; i++) /* more than glibc keeps without malloc */
		CHECK(pthread_atfork(in_handler, in_handler, in_handler) == 0);
	start_churn();
	child = fork();
	if (child == 0)
		_exit(handler_calls != 120);
	expect_exit(child);
	CHECK(handler_calls == 120);
	stop_churn();
}

static void vfork_and_posix_spawn_work(void)
{
	char *arguments[] = {(char *)"sh", (char *)"-c", (char *)"exit 0", NULL};

	start_churn();
	for (int i = 0; i < 30; i++) {
		pid_t child = vfork();

		if (child == 0) {
			execv("/bin/sh", arguments);
			_exit(1);
		}
		expect_exit(child);
		CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
		expect_exit(child);
	}
	CHECK(system("exit 0") == 0);
	stop_churn();
}

static void popen_reads_what_a_child_writes(void)
{
	char line[100] = "";
	FILE *in = popen("echo hello", "r");

	CHECK(in && fgets(line, sizeof(line), in) && strcmp(line, "hello\n") == 0);
	CHECK(pclose(in) == 0);
}

/* ------------------------------------------------------------------ threads that end */

static pthread_key_t keys[40];
static int destructor_calls;

/* Comes back in each round, allocates and frees in all of them, at the last one too. */
static void on_thread_end(void *value)
{
	intptr_t *count = value, rounds = *count + 1;
	void *block = malloc(1234);

	fill(block, 1234, 5);
	CHECK(is_filled(block, 1234, 5));
	free(block);
	free(count);
	__atomic_add_fetch(&destructor_calls, 1, __ATOMIC_RELAXED);
	if (rounds < 10) {
		count = malloc(sizeof(*count));
		*count = rounds;
		pthread_setspecific(keys[0], count);
	}
}

static void free_value(void *value)
{
	free(value);
}

static void *end_with_keys(void *argument)
{
	intptr_t *count = calloc(1, sizeof(*count));

	pthread_setspecific(keys[0], count);
	for (int i = 1; i < 40; i++)
		pthread_setspecific(keys[i], malloc((size_t)i * 100));
	return argument;
}

static size_t resident_pages(void)
{
	unsigned long total, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	CHECK(file && fscanf(file, "%lu %lu", &total, &resident) == 2);
	fclose(file);
	return resident;
}

static void run_threads(int count, void *(*body)(void *))
{
	pthread_t threads[4];

	for (int done = 0; done < count; done += 4) {
		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
		for (int i = 0; i < 4; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

static void destructors_of_a_thread_allocate_to_the_last(void)
{
	size_t before;

	CHECK(pthread_key_create(&keys[0], on_thread_end) == 0);
	for (int i = 1; i < 40; i++)
		CHECK(pthread_key_create(&keys[i], free_value) == 0);
	run_threads(200, end_with_keys);
	CHECK(destructor_calls >= 200 * 4);
	before = resident_pages();
	run_threads(2000, end_with_keys);
	/* A heap that each thread left behind would be 2000 times 64 KiB. */
	CHECK(resident_pages() < before + 4000);
}

static void *allocate_much(void *argument)
{
	void *blocks[200];

	for (int i = 0; i < 200; i++)
		blocks[i] = malloc((size_t)i * 20);
	for (int i = 0; i < 200; i++)
		free(blocks[i]);
	return argument;
}

static void memory_of_ended_threads_is_used_again(void)
{
	size_t before;

	run_threads(100, allocate_much);
	before = resident_pages();
	run_threads(3000, allocate_much);
	CHECK(resident_pages() < before + 2000);
}

static void *be_cancelled(void *argument)
{
	for (;;) {
		free(malloc(100));
		free(malloc(100000));
		pthread_testcancel();
	}
	return argument;
}

static void cancelled_threads_leave_no_lock(void)
{
	for (int i = 0; i < 100; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, be_cancelled, NULL) == 0);
		nanosleep(&pause, NULL);
		CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
		free(malloc(100000));
	}
}

/* One thread's blocks are freed by another, which is gone soon. */
static void *free_all(void *argument)
{
	void **blocks = argument;

	for (int i = 0; i < 1000; i++)
		free(blocks[i]);
	return NULL;
}

static void blocks_outlive_their_threads(void)
{
	static void *blocks[1000];
	size_t before = 0;

	for (int round = 0; round < 300; round++) {
		pthread_t thread;

		for (int i = 0; i < 1000; i++)
			blocks[i] = malloc((size_t)(i % 100) * 10);
		CHECK(pthread_create(&thread, NULL, free_all, blocks) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		if (round == 50)
			before = resident_pages();
	}
	CHECK(resident_pages() < before + 2000);
}

/* ------------------------------------------------------------------ libraries that come and go */

static void *load_and_unload(void *argument)
{
	for (int i = 0; i < 60; i++) {
		void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
		void *(*make)(size_t), *block;

		CHECK(handle);
		make = (void *(*)(size_t))dlsym(handle, "plugin_make");
		CHECK(make && !dlsym(handle, "no_such_symbol") && dlerror());
		block = make(3000);
		CHECK(is_filled(block, 3000, 12));
		CHECK(dlclose(handle) == 0);
		CHECK(is_filled(block, 3000, 12));
		free(block);
	}
	return argument;
}

static void libraries_come_and_go(void)
{
	start_churn();
	run_threads(4, load_and_unload);
	stop_churn();
}

/*
 * RTLD_DEEPBIND, the way of php's extensions: the library sees its own dependencies first, among them
 * glibc, and its malloc. Found by the RUNPATH of this program, so dlopen must know who called it.
 */
static void *load_deeply_bound(void *argument)
{
	void *handle = dlopen("plugin.so", RTLD_NOW | RTLD_DEEPBIND);
	void *(*make)(size_t);
	void (*take)(void *);

	CHECK(handle);
	make = (void *(*)(size_t))dlsym(handle, "plugin_make");
	take = (void (*)(void *))dlsym(handle, "plugin_take");
	CHECK(make && take);
	for (size_t bytes = 1; bytes < 5000000; bytes = bytes * 3 + 1) {
		free(make(bytes));
		take(malloc(bytes));
		take(strdup("of glibc's own making"));
		take(realloc(make(bytes), bytes * 2));
	}
	CHECK(dlclose(handle) == 0);
	CHECK(!dlopen("no_such_library.so", RTLD_NOW | RTLD_DEEPBIND));
	CHECK(strstr(dlerror(), "no_such_library.so"));
	return argument;
}

static void a_deeply_bound_library_shares_blocks_with_its_host(void)
{
	/* what is thread-local in the library ends with the thread */
	run_threads(1, load_deeply_bound);
}

/* ------------------------------------------------------------------ signals */

static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

static void system_calls_interrupted_by_signals_do_no_harm(void)
{
	struct timespec period = {.tv_nsec = 100000};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec times = {.it_interval = period, .it_value = period};
	timer_t timer;

	signal(SIGUSR1, on_tick);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	timer_settime(timer, 0, &times, NULL);
	while (ticks < 300) {
		char *block = calloc(1, 3u << 20);

		CHECK(block && is_zero(block + (1 << 20), 4096));
		free(block);
		run_threads(4, allocate_much);
	}
	timer_delete(timer);
}

/* ------------------------------------------------------------------ a thread that is not the program's */

/* An allocator that makes a thread of its own does so in the middle of a free, and that allocates. */
static void free_by_halves(void)
{
	enum { BLOCKS = 6000, BYTES = 600 };
	static void *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++)
		fill(blocks[i] = malloc(BYTES), BYTES, (unsigned)i);
	for (int i = BLOCKS / 2; i < BLOCKS; i++)
		if (i % 4)
			free(blocks[i]);
	for (int i = 0; i < BLOCKS / 2; i++) {
		CHECK(is_filled(blocks[i], BYTES, (unsigned)i));
		free(blocks[i]);
	}
	for (int i = BLOCKS / 2; i < BLOCKS; i += 4)
		CHECK(is_filled(blocks[i], BYTES, (unsigned)i));
}

static void a_child_that_frees_much_lives_on(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		free_by_halves();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments)
{
	library = count > 1 ? arguments[1] : NULL;
	BEHAVIOUR(a_child_that_frees_much_lives_on);
	BEHAVIOUR(blocks_of_constructors_live_on);
	BEHAVIOUR(children_of_a_threaded_program_allocate);
	BEHAVIOUR(forks_while_files_are_flushed_do_not_hang);
	BEHAVIOUR(grandchildren_allocate);
	BEHAVIOUR(vfork_and_posix_spawn_work);
	BEHAVIOUR(popen_reads_what_a_child_writes);
	BEHAVIOUR(destructors_of_a_thread_allocate_to_the_last);
	BEHAVIOUR(memory_of_ended_threads_is_used_again);
	BEHAVIOUR(cancelled_threads_leave_no_lock);
	BEHAVIOUR(blocks_outlive_their_threads);
	if (library) {
		BEHAVIOUR(a_deeply_bound_library_shares_blocks_with_its_host);
		BEHAVIOUR(libraries_come_and_go);
	}
	BEHAVIOUR(system_calls_interrupted_by_signals_do_no_harm);
	BEHAVIOUR(handlers_of_fork_may_allocate);
	return 0;
}
