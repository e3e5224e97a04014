/* SPDX-License-Identifier: MIT */
/*
 * test_sandbox.c - a child gives everything up and then tries to get something back.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/sandbox.h"

/* The wait status of a sandboxed child that runs `attempt` and exits with what that returns. */
static int status_of(int (*attempt)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (sandbox_drop_privileges() != 0 || sandbox_confine_server() != 0)
			_exit(99);
		_exit(attempt());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool is_refused(long result)
{
	return result == -1 && errno == EPERM;
}

static int open_a_file(void)
{
	return is_refused(open("/etc/passwd", O_RDONLY)) ? 0 : 1;
}
static int make_a_socket(void)
{
	return is_refused(socket(AF_INET, SOCK_STREAM, 0)) ? 0 : 1;
}
static int map_code(void)
{
	void *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mapped == MAP_FAILED && errno == EPERM ? 0 : 1;
}
static int become_root(void)
{
	return is_refused(setuid(0)) ? 0 : 1;
}
static int signal_another(void)
{
	return is_refused(kill(1, SIGTERM)) ? 0 : 1;
}
static int fork_again(void)
{
	return is_refused(fork()) ? 0 : 1;
}
static int allocate_memory(void)
{
	char *memory = malloc(8 << 20);

	if (memory == NULL)
		return 1;
	memset(memory, 1, 8 << 20);
	free(memory);
	return 0;
}

static int execute(void)
{
	execl("/bin/true", "true", NULL);
	return 1;
}
static int trace(void)
{
	ptrace(PTRACE_ATTACH, 1, NULL, NULL);
	return 1;
}
static int read_another(void)
{
	char byte;
	struct iovec iov = {&byte, 1};

	process_vm_readv(1, &iov, 1, &iov, 1, 0);
	return 1;
}

static void what_a_server_needs_works(void **state)
{
	(void)state;
	assert_int_equal(status_of(allocate_memory), 0);
}

static void the_rest_is_refused(void **state)
{
	static int (*const attempts[])(void) = {open_a_file, make_a_socket,  map_code,
						become_root, signal_another, fork_again};

	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(status_of(attempts[i]), 0);
}

static void attacks_kill(void **state)
{
	static int (*const attempts[])(void) = {execute, trace, read_another};

	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status = status_of(attempts[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static int be_nobody(void)
{
	cap_t now = cap_get_proc(), none = cap_init();
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) != 0 || real != 65534 || effective != 65534 ||
	    saved != 65534 || getgroups(0, NULL) != 0)
		return 1;
	if (now == NULL || none == NULL || cap_compare(now, none) != 0)
		return 2;
	return prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0 ? 0 : 3;
}

static void root_becomes_nobody(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(sandbox_drop_privileges() == 0 ? be_nobody() : 99);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_server_needs_works),
		cmocka_unit_test(the_rest_is_refused),
		cmocka_unit_test(attacks_kill),
		cmocka_unit_test(root_becomes_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
