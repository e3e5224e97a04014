/* SPDX-License-Identifier: MIT */
/*
 * stopped.h - a program that has stopped in the middle of a call: what a probe would have seen of
 * it, and what gdb says about the same moment.
 */
#ifndef MMVIZ_TESTS_STACKS_STOPPED_H
#define MMVIZ_TESTS_STACKS_STOPPED_H

#include "child.h"
#include "collect/unwind.h"

#define BUILD_STACKS   BUILD_TESTS "stacks/"
#define GDB_FRAMES_MAX 64

struct gdb_frame {
	uint64_t pc;
	bool is_inlined;
	uint32_t line;
	char function[512], file[512];
};

/* Start `path` and give it a command that stops it by SIGSTOP. */
void stopped_start(struct child *child, const char *path, const char *command);
/* Registers, and the stack from 128 bytes below the stack pointer on; free input->stack. */
void stopped_capture(const struct child *child, struct unwind_input *input);
/* The same of a process that is traced and stopped already. */
void traced_capture(pid_t pid, int mem_fd, void *stack, size_t stack_bytes,
		    struct unwind_input *input);
/* All frames as gdb sees them, innermost first; skips the test where there is no gdb. */
uint32_t stopped_ask_gdb(const struct child *child, struct gdb_frame *frames);

#endif
