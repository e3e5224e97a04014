/* SPDX-License-Identifier: MIT */
/*
 * unwind.h - the callers of a place in the target's code, from registers and a copy of the stack.
 *
 * Works on copies and files: the target runs on meanwhile, and may have ended. One thread at a
 * time, the same as that of its modules.
 */
#ifndef MMVIZ_COLLECT_UNWIND_H
#define MMVIZ_COLLECT_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "collect/modules.h"

struct unwind;

/* Registers by their DWARF numbers for x86-64, System V ABI figure 3.36. Only the stack pointer,
 * the base pointer, rbx, r12 to r15 and the instruction pointer are needed. */
enum unwind_register {
	UNWIND_RAX,
	UNWIND_RDX,
	UNWIND_RCX,
	UNWIND_RBX,
	UNWIND_RSI,
	UNWIND_RDI,
	UNWIND_RBP,
	UNWIND_RSP,
	UNWIND_R8,
	UNWIND_R9,
	UNWIND_R10,
	UNWIND_R11,
	UNWIND_R12,
	UNWIND_R13,
	UNWIND_R14,
	UNWIND_R15,
	UNWIND_RIP,
	UNWIND_REGISTERS
};

struct unwind_input {
	uint64_t registers[UNWIND_REGISTERS];
	uint64_t stack_addr; /* where the copy was taken, at or below rsp */
	const void *stack;
	size_t stack_bytes;
};
/* A word of the copy; false: it lies outside. */
static inline bool unwind_input_read(const struct unwind_input *input, uint64_t addr, uint64_t *out)
{
	uint64_t into = addr - input->stack_addr;

	if (into >= input->stack_bytes || input->stack_bytes - into < sizeof(*out))
		return false;
	memcpy(out, (const char *)input->stack + into, sizeof(*out));
	return true;
}

struct unwind_frame {
	uint64_t pc;
	bool is_return_address; /* else the instruction at pc is still to be executed */
};
/* What the output of symbols_resolve is to be asked for. */
static inline uint64_t unwind_code_addr(const struct unwind_frame *frame)
{
	return frame->pc - frame->is_return_address;
}

/* `modules` stays the caller's and must outlive this. At most one unwind for each modules object.
 * 0 or -ENOMEM. */
int unwind_open(struct modules *modules, struct unwind **out);
void unwind_close(struct unwind *unwind); /* NULL is fine */

/*
 * Fill at most `max` frames, innermost first; returns how many, at least 1. By the modules' call
 * frame information, by frame pointers where there is none. *is_complete (may be NULL) says whether
 * the stack's bottom was reached: not when the copy ends before, and not after code that keeps
 * neither.
 */
uint32_t unwind_stack(struct unwind *unwind, const struct unwind_input *input,
		      struct unwind_frame *frames, uint32_t max, bool *is_complete);

struct unwind_counters {
	uint64_t unwound, recognised; /* stacks; recognised: as one that was unwound before */
};
void unwind_counters_read(const struct unwind *unwind, struct unwind_counters *out);

/* By frame pointers alone: leaves out the caller of a function that has not set up its frame. */
uint32_t unwind_frame_pointers(struct modules *modules, const struct unwind_input *input,
			       struct unwind_frame *frames, uint32_t max);

#endif
