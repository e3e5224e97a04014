/* SPDX-License-Identifier: MIT */
/* stopped.c - see stopped.h. The programs are ours: here they may be stopped and traced. */
#define _GNU_SOURCE
#include "stacks/stopped.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define STACK_BYTES    (64u << 10)
#define RED_ZONE_BYTES 128

void stopped_start(struct child *child, const char *path, const char *command)
{
	int status;

	child_start(child, path);
	child_tell(child, command);
	assert_int_equal(waitpid(child->pid, &status, WUNTRACED), child->pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static void take_registers(const struct user_regs_struct *from, uint64_t *to)
{
	to[UNWIND_RAX] = from->rax;
	to[UNWIND_RDX] = from->rdx;
	to[UNWIND_RCX] = from->rcx;
	to[UNWIND_RBX] = from->rbx;
	to[UNWIND_RSI] = from->rsi;
	to[UNWIND_RDI] = from->rdi;
	to[UNWIND_RBP] = from->rbp;
	to[UNWIND_RSP] = from->rsp;
	to[UNWIND_R8] = from->r8;
	to[UNWIND_R9] = from->r9;
	to[UNWIND_R10] = from->r10;
	to[UNWIND_R11] = from->r11;
	to[UNWIND_R12] = from->r12;
	to[UNWIND_R13] = from->r13;
	to[UNWIND_R14] = from->r14;
	to[UNWIND_R15] = from->r15;
	to[UNWIND_RIP] = from->rip;
}

void traced_capture(pid_t pid, int mem_fd, void *stack, size_t stack_bytes,
		    struct unwind_input *input)
{
	struct user_regs_struct registers;
	ssize_t got;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
	take_registers(&registers, input->registers);
	input->stack_addr = registers.rsp - RED_ZONE_BYTES;
	input->stack = stack;
	got = pread(mem_fd, stack, stack_bytes, (off_t)input->stack_addr);
	assert_true(got > RED_ZONE_BYTES);
	input->stack_bytes = (size_t)got;
}

void stopped_capture(const struct child *child, struct unwind_input *input)
{
	char path[64];
	int status, mem_fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)child->pid);
	mem_fd = open(path, O_RDONLY);
	assert_true(mem_fd >= 0);
	assert_int_equal(ptrace(PTRACE_SEIZE, child->pid, NULL, NULL), 0);
	ptrace(PTRACE_INTERRUPT, child->pid, NULL, NULL);
	assert_int_equal(waitpid(child->pid, &status, __WALL), child->pid);
	traced_capture(child->pid, mem_fd, malloc(STACK_BYTES), STACK_BYTES, input);
	assert_int_equal(ptrace(PTRACE_DETACH, child->pid, NULL, NULL), 0);
	close(mem_fd);
}

static bool parse_frame(char *line, struct gdb_frame *frame)
{
	const char *fields[6];
	size_t count = 0;

	line[strcspn(line, "\n")] = '\0';
	for (char *field; count < 6 && (field = strsep(&line, "\t")) != NULL; count++)
		fields[count] = field;
	if (count < 6 || strcmp(fields[0], "FRAME") != 0)
		return false;
	frame->pc = strtoull(fields[1], NULL, 16);
	frame->is_inlined = fields[2][0] == '1';
	frame->line = (uint32_t)atoi(fields[3]);
	snprintf(frame->function, sizeof(frame->function), "%s", fields[4]);
	snprintf(frame->file, sizeof(frame->file), "%s", fields[5]);
	return true;
}

uint32_t stopped_ask_gdb(const struct child *child, struct gdb_frame *frames)
{
	char command[512], line[2048];
	uint32_t count = 0;
	FILE *gdb;

	if (system("gdb -nx -batch -ex 'python print(1)' >/dev/null 2>&1") != 0) {
		print_message("gdb with python is missing: not compared; `make deps` gets it\n");
		skip();
	}
	snprintf(
		command, sizeof(command),
		"DEBUGINFOD_URLS= gdb -nx -batch -p %d -ex 'set backtrace past-main on' "
		"-ex 'set backtrace past-entry on' -ex 'source tests/stacks/frames.py' 2>/dev/null",
		(int)child->pid);
	gdb = popen(command, "r");
	assert_non_null(gdb);
	while (fgets(line, sizeof(line), gdb) != NULL && count < GDB_FRAMES_MAX)
		count += parse_frame(line, &frames[count]);
	pclose(gdb);
	assert_true(count > 3);
	return count;
}
