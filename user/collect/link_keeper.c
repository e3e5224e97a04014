/* SPDX-License-Identifier: MIT */
/*
 * link_keeper.c - see link_keeper.h. One byte asks; an error number and, with 0, a descriptor
 * answer.
 */
#define _GNU_SOURCE
#include "collect/link_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/uprobe_multi.h"

#define ANSWER_MS 5000
#define NOBODY	  65534

struct link_keeper {
	int socket;
	pid_t pid;
};

/* ------------------------------------------------------------------ both ends */

struct answer {
	struct msghdr head;
	struct iovec iov;
	int error;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
};

static void answer_init(struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->iov = (struct iovec){&answer->error, sizeof(answer->error)};
	answer->head = (struct msghdr){.msg_iov = &answer->iov,
				       .msg_iovlen = 1,
				       .msg_control = answer->control,
				       .msg_controllen = sizeof(answer->control)};
}

/* ------------------------------------------------------------------ the keeper */

#if defined(__x86_64__)
#define ALLOW(call)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),                                         \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* By hand: libseccomp would want memory and system calls of its own. */
static int confine(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_sendmsg),
		ALLOW(SYS_poll),
		ALLOW(SYS_close),
		ALLOW(SYS_bpf),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_restart_syscall),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? -errno : 0;
}
#else
static int confine(void)
{
	return 0;
}
#endif

/* Nobody, but for two capabilities. */
static int keep_two_capabilities(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	uint32_t kept = CAP_TO_MASK(CAP_BPF) | CAP_TO_MASK(CAP_PERFMON);
	struct __user_cap_data_struct data[2] = {[1] = {kept, kept, 0}};

	if (geteuid() == 0 &&
	    (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	     setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &head, data))
		return -errno;
	return 0;
}

/* Descriptors 3 to 6 and nothing else, not even a terminal; what they are is in `place` then. */
static int keep_four_files(struct link_keeper_place *place, int *socket)
{
	int file = open(place->path, O_PATH | O_CLOEXEC);
	int *const kept[] = {socket, &place->prog_fd, &place->pidfd, &file};

	if (file < 0)
		return -errno;
	for (int i = 0; i < 4; i++) /* first out of the way of each other */
		*kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < 4; i++)
		if (*kept[i] < 0 || dup2(*kept[i], 3 + i) < 0)
			return -errno;
		else
			*kept[i] = 3 + i;
	if (syscall(SYS_close_range, 7u, ~0u, 0) || syscall(SYS_close_range, 0u, 2u, 0))
		return -errno;
	place->path = "/proc/self/fd/6";
	return 0;
}

static int make_link(const struct link_keeper_place *place)
{
	struct pollfd ended = {.fd = place->pidfd, .events = POLLIN};

	if (poll(&ended, 1, 0) != 0) /* its number may be another's by now */
		return -ESRCH;
	return uprobe_multi_link(place->prog_fd, place->path, place->offset,
				 place->semaphore_offset, place->pid);
}

static void answer_request(int socket, int link_fd)
{
	struct answer answer;

	answer_init(&answer);
	answer.error = link_fd < 0 ? link_fd : 0;
	if (link_fd >= 0) {
		struct cmsghdr *control = CMSG_FIRSTHDR(&answer.head);

		control->cmsg_level = SOL_SOCKET;
		control->cmsg_type = SCM_RIGHTS;
		control->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(control), &link_fd, sizeof(int));
	} else {
		answer.head.msg_controllen = 0;
	}
	sendmsg(socket, &answer.head, MSG_NOSIGNAL);
	if (link_fd >= 0)
		close(link_fd);
}

/* Ctrl-C is for the collector; the keeper ends when the collector's end of the socket does. */
static void ignore_signals(void)
{
	const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static _Noreturn void keep(struct link_keeper_place place, int socket)
{
	char request;

	ignore_signals();
	prctl(PR_SET_NAME, "mmviz-link");
	if (keep_four_files(&place, &socket) == 0 && keep_two_capabilities() == 0 &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && confine() == 0)
		while (read(socket, &request, 1) == 1)
			answer_request(socket, make_link(&place));
	_exit(0);
}

/* ------------------------------------------------------------------ the collector */

int link_keeper_start(const struct link_keeper_place *place, struct link_keeper **out)
{
	struct link_keeper *keeper = calloc(1, sizeof(*keeper));
	int ends[2], error;

	if (keeper == NULL)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		error = -errno;
		free(keeper);
		return error;
	}
	fflush(NULL);
	keeper->pid = fork();
	if (keeper->pid == 0) {
		close(ends[0]);
		keep(*place, ends[1]);
	}
	error = keeper->pid < 0 ? -errno : 0;
	close(ends[1]);
	keeper->socket = ends[0];
	if (error != 0) {
		close(ends[0]);
		free(keeper);
		return error;
	}
	*out = keeper;
	return 0;
}

void link_keeper_stop(struct link_keeper *keeper)
{
	if (keeper == NULL)
		return;
	close(keeper->socket);
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(keeper);
}

static int link_of(const struct answer *answer)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(&answer->head);
	int fd;

	if (answer->error != 0)
		return answer->error;
	if (control == NULL || control->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	return fd;
}

int link_keeper_link(struct link_keeper *keeper)
{
	struct pollfd ready = {.fd = keeper->socket, .events = POLLIN};
	struct answer answer;
	ssize_t got;

	if (send(keeper->socket, "L", 1, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	while (poll(&ready, 1, ANSWER_MS) < 0)
		if (errno != EINTR)
			return -errno;
	answer_init(&answer);
	got = recvmsg(keeper->socket, &answer.head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	return got == (ssize_t)sizeof(answer.error) ? link_of(&answer) : -EPIPE;
}
