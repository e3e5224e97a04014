/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - uid, capabilities and a seccomp filter, in the order in which each still may be
 * given up: bounding set, groups, user, capabilities, no_new_privs, filter.
 */
#define _GNU_SOURCE
#include "serve/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

static int report(const char *what)
{
	int error = -errno;

	fprintf(stderr, "mmviz-bpf: giving up privileges failed: %s: %m\n", what);
	return error;
}

/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it harmless. */
static void drop_bounding_set(void)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

static int drop_user(void)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) != 0)
		return report("setgroups");
	if (setresgid(NOBODY, NOBODY, NOBODY) != 0)
		return report("setresgid");
	if (setresuid(NOBODY, NOBODY, NOBODY) != 0)
		return report("setresuid");
	return 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int error = 0;

	if (none == NULL || cap_set_proc(none) != 0)
		error = report("capset");
	cap_free(none);
	return error;
}

int sandbox_drop_privileges(void)
{
	int error;

	drop_bounding_set();
	error = drop_user();
	if (error == 0)
		error = drop_capabilities();
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		error = report("no_new_privs");
	return error;
}

/* ------------------------------------------------------------------ seccomp */

static const int allowed[] = {
	SCMP_SYS(read),		SCMP_SYS(readv),
	SCMP_SYS(recvfrom),	SCMP_SYS(recvmsg),
	SCMP_SYS(write),	SCMP_SYS(writev),
	SCMP_SYS(sendto),	SCMP_SYS(sendmsg),
	SCMP_SYS(close),	SCMP_SYS(poll),
	SCMP_SYS(ppoll),	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),	SCMP_SYS(fcntl),
	SCMP_SYS(brk),		SCMP_SYS(munmap),
	SCMP_SYS(mremap),	SCMP_SYS(madvise),
	SCMP_SYS(futex),	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getpid),	SCMP_SYS(gettid),
	SCMP_SYS(getrandom),	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),		SCMP_SYS(exit_group),
	SCMP_SYS(sigaltstack),
};
static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat),	      SCMP_SYS(ptrace),
	SCMP_SYS(bpf),	  SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int add_rules(scmp_filter_ctx filter)
{
	int error = 0;

	for (size_t i = 0; i < COUNT(allowed) && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < COUNT(deadly) && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (error == 0) /* abort() */
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
					 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return error;
}

int sandbox_confine_server(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = filter != NULL ? add_rules(filter) : -ENOMEM;

	if (error == 0)
		error = seccomp_load(filter);
	if (error != 0) {
		errno = -error;
		error = report("seccomp");
	}
	seccomp_release(filter);
	return error;
}
