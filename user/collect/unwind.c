/* SPDX-License-Identifier: MIT */
/*
 * unwind.c - libdwfl's unwinder on a copy of the stack.
 *
 * libdwfl asks for memory one word at a time: it gets it from the copy, else from the read-only
 * segments of the modules' files. Where a module has no call frame information, libdwfl follows the
 * frame pointer for this one step. It believes any value that it finds: a pc that is no code ends
 * the list here.
 *
 * Twice the way on is found here, and libdwfl resumes from there:
 *
 *   - elfutils (0.188) takes rbx for a register that calls do not preserve. What the calls on the
 *     way did not save is still in it.
 *   - A stub without any information (the linkage table of a static program) has no frame: the
 *     return address is on top of the stack, and a call stands before the place it points to.
 *
 * A stack like one that was unwound to its bottom before is recognised (unwind_memo.h).
 */
#include "collect/unwind.h"
#include "collect/unwind_memo.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 512

struct unwind {
	struct modules *modules;
	bool is_attached;
	struct unwind_memo *memo;
	uint64_t generation; /* of the modules, when the memo was begun */
	struct unwind_counters counters;
	/* During unwind_stack: */
	const struct unwind_input *input;
	struct unwind_frame *frames;
	uint32_t count, max;
	uint64_t registers[UNWIND_REGISTERS]; /* of the last frame; rip as unwind_code_addr */
	bool has_lost_rbx;		      /* there, in libdwfl's opinion */
	bool has_missed;		      /* memory that is not in the copy was asked for */
	bool is_first_known;		      /* libdwfl starts at the last frame */
	struct unwind_word words[WORDS_MAX];  /* that were read */
	uint32_t words_count;
};

/* Too many: then the stack is not kept. */
static bool copy_read(struct unwind *unwind, uint64_t addr, uint64_t *out)
{
	if (!unwind_input_read(unwind->input, addr, out))
		return false;
	if (unwind->words_count < WORDS_MAX)
		unwind->words[unwind->words_count] = (struct unwind_word){addr, *out};
	unwind->words_count++;
	return true;
}

/* ------------------------------------------------------------------ what libdwfl asks for */

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *out, void *context)
{
	struct unwind *unwind = context;

	(void)dwfl;
	if (copy_read(unwind, addr, out) ||
	    modules_read(unwind->modules, addr, out, sizeof(*out)) == 0)
		return true;
	unwind->has_missed = true;
	return false;
}

static bool set_registers(Dwfl_Thread *thread, void *context)
{
	const struct unwind *unwind = context;

	if (!dwfl_thread_state_registers(thread, 0, UNWIND_REGISTERS, unwind->registers))
		return false;
	dwfl_thread_state_register_pc(thread, unwind->registers[UNWIND_RIP]);
	return true;
}

/* There is one thread: the one whose registers are given. */
static pid_t next_thread(Dwfl *dwfl, void *context, void **thread)
{
	pid_t next = *thread == NULL ? 1 : 0;

	(void)dwfl;
	*thread = context;
	return next;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *context, void **thread)
{
	(void)dwfl, (void)tid;
	*thread = context;
	return true;
}

static const Dwfl_Thread_Callbacks callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/* ------------------------------------------------------------------ frames */

/* What a frame says nothing about has the value that it had before the call. */
static void note_registers(struct unwind *unwind, Dwfl_Frame *state)
{
	for (unsigned i = 0; i < UNWIND_RIP; i++) {
		Dwarf_Word value;
		int result = dwfl_frame_reg(state, i, &value);

		if (result == 0)
			unwind->registers[i] = value;
		if (i == UNWIND_RBX)
			unwind->has_lost_rbx = result != 0;
	}
}

static int add_frame(struct unwind *unwind, const struct unwind_frame *frame)
{
	unwind->frames[unwind->count++] = *frame;
	unwind->registers[UNWIND_RIP] = unwind_code_addr(frame);
	return unwind->count < unwind->max ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static int take_frame(Dwfl_Frame *state, void *context)
{
	struct unwind *unwind = context;
	struct unwind_frame frame;
	bool is_activation;
	Dwarf_Addr pc;

	if (unwind->is_first_known) {
		unwind->is_first_known = false;
		return DWARF_CB_OK;
	}
	if (!dwfl_frame_pc(state, &pc, &is_activation))
		return DWARF_CB_ABORT;
	frame = (struct unwind_frame){.pc = pc, .is_return_address = !is_activation};
	if (unwind->count > 0 && !modules_is_code(unwind->modules, unwind_code_addr(&frame)))
		return DWARF_CB_ABORT;
	note_registers(unwind, state);
	return add_frame(unwind, &frame);
}

/* Is there a call before `pc`: e8 and a distance, or ff with an operand of one to six bytes? */
static bool is_after_call(struct modules *modules, uint64_t pc)
{
	uint8_t code[7];

	if (!modules_is_code(modules, pc - 1) ||
	    modules_read(modules, pc - sizeof(code), code, sizeof(code)) != 0)
		return false;
	if (code[2] == 0xe8)
		return true;
	for (size_t i = 0; i + 2 <= sizeof(code); i++)
		if (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

static bool has_frame_information(struct unwind *unwind, uint64_t pc)
{
	const struct module *module = modules_find(unwind->modules, pc);
	Dwarf_Addr bias;
	Dwarf_CFI *information = module != NULL && module->dwfl != NULL
					 ? dwfl_module_eh_cfi(module->dwfl, &bias)
					 : NULL;
	Dwarf_Frame *frame = NULL;
	bool result =
		information != NULL && dwarf_cfi_addrframe(information, pc - bias, &frame) == 0;

	free(frame);
	return result;
}

/* Before libdwfl would follow the frame pointer, which leaves out the stub's caller. */
static void leave_stub(struct unwind *unwind)
{
	struct unwind_frame frame = {.pc = unwind->registers[UNWIND_RIP]};

	if (unwind->max < 2 || modules_find(unwind->modules, frame.pc) == NULL ||
	    has_frame_information(unwind, frame.pc))
		return;
	add_frame(unwind, &frame);
	frame.is_return_address = true;
	if (copy_read(unwind, unwind->registers[UNWIND_RSP], &frame.pc) &&
	    is_after_call(unwind->modules, frame.pc)) {
		unwind->registers[UNWIND_RSP] += sizeof(frame.pc);
		add_frame(unwind, &frame);
	}
}

/* libdwfl learns the architecture from a module, so it waits for the first. */
static bool attach(struct unwind *unwind)
{
	if (!unwind->is_attached)
		unwind->is_attached = dwfl_attach_state(modules_dwfl(unwind->modules), NULL, 1,
							&callbacks, unwind);
	return unwind->is_attached;
}

/* Unwind until nothing more comes; says whether the bottom was reached. */
static bool run(struct unwind *unwind)
{
	Dwfl *dwfl = modules_dwfl(unwind->modules);
	uint32_t known;
	int result;

	do {
		known = unwind->count;
		unwind->is_first_known = known > 0;
		unwind->has_missed = unwind->has_lost_rbx = false;
		result = dwfl_getthread_frames(dwfl, 1, take_frame, unwind);
	} while (unwind->has_lost_rbx && unwind->count > known && unwind->count < unwind->max);
	/* libdwfl takes a return address that it cannot read for the bottom. */
	return result == 0 && !unwind->has_missed;
}

static uint32_t recognise(struct unwind *unwind, const struct unwind_input *input,
			  struct unwind_frame *frames, uint32_t max)
{
	uint64_t generation = modules_generation(unwind->modules);

	if (generation != unwind->generation)
		unwind_memo_clear(unwind->memo);
	unwind->generation = generation;
	return unwind_memo_find(unwind->memo, input, frames, max);
}

/* The memo is of the modules as they were when unwinding began. */
static void keep(struct unwind *unwind, const struct unwind_input *input)
{
	if (unwind->words_count <= WORDS_MAX && unwind->count < unwind->max &&
	    modules_generation(unwind->modules) == unwind->generation)
		unwind_memo_keep(unwind->memo, input, unwind->words, unwind->words_count,
				 unwind->frames, unwind->count);
}

static uint32_t unwind_anew(struct unwind *unwind, const struct unwind_input *input,
			    bool *is_bottom)
{
	unwind->input = input;
	unwind->count = unwind->words_count = 0;
	memcpy(unwind->registers, input->registers, sizeof(unwind->registers));
	leave_stub(unwind);
	*is_bottom = attach(unwind) && run(unwind);
	unwind->input = NULL;
	if (*is_bottom)
		keep(unwind, input);
	else if (unwind->count <= 1)
		unwind->count =
			unwind_frame_pointers(unwind->modules, input, unwind->frames, unwind->max);
	return unwind->count;
}

uint32_t unwind_stack(struct unwind *unwind, const struct unwind_input *input,
		      struct unwind_frame *frames, uint32_t max, bool *is_complete)
{
	uint32_t count = recognise(unwind, input, frames, max);
	bool is_bottom = count > 0;

	unwind->counters.unwound++;
	unwind->counters.recognised += count > 0;
	unwind->frames = frames;
	unwind->max = max;
	if (count == 0)
		count = unwind_anew(unwind, input, &is_bottom);
	if (is_complete != NULL)
		*is_complete = is_bottom;
	return count;
}

void unwind_counters_read(const struct unwind *unwind, struct unwind_counters *out)
{
	*out = unwind->counters;
}

/*
 *	rbp -> | the caller's rbp | return address | ...	towards the bottom: addresses grow
 */
uint32_t unwind_frame_pointers(struct modules *modules, const struct unwind_input *input,
			       struct unwind_frame *frames, uint32_t max)
{
	uint64_t frame = input->registers[UNWIND_RBP], next, pc;
	uint64_t lowest = input->registers[UNWIND_RSP];
	uint32_t count = 1;

	frames[0] = (struct unwind_frame){.pc = input->registers[UNWIND_RIP]};
	while (count < max && frame >= lowest && frame % sizeof(uint64_t) == 0 &&
	       unwind_input_read(input, frame, &next) &&
	       unwind_input_read(input, frame + sizeof(next), &pc) &&
	       modules_is_code(modules, pc - 1)) {
		frames[count++] = (struct unwind_frame){.pc = pc, .is_return_address = true};
		lowest = frame + 2 * sizeof(uint64_t);
		frame = next;
	}
	return count;
}

/* ------------------------------------------------------------------ open, close */

int unwind_open(struct modules *modules, struct unwind **out)
{
	struct unwind *unwind = calloc(1, sizeof(*unwind));

	if (unwind == NULL)
		return -ENOMEM;
	unwind->modules = modules;
	unwind->memo = unwind_memo_create();
	if (unwind->memo == NULL) {
		free(unwind);
		return -ENOMEM;
	}
	*out = unwind;
	return 0;
}

void unwind_close(struct unwind *unwind)
{
	if (unwind == NULL)
		return;
	unwind_memo_destroy(unwind->memo);
	free(unwind);
}
