/* SPDX-License-Identifier: MIT */
/*
 * demangle.c - libiberty's demangler, because it hands its output over piece by piece.
 *
 * A short mangled name can stand for gigabytes of text. Here it is stopped when enough is there,
 * by a jump out of the callback; the functions used keep all of their state on the stack.
 * (__cxa_demangle allocates the whole.)
 */
#include "collect/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

#define MANGLED_BYTES_MAX 4096

struct output {
	char *text;
	size_t used, room;
	jmp_buf is_full;
};

static void take(const char *piece, size_t bytes, void *context)
{
	struct output *output = context;
	size_t left = output->room - 1 - output->used, taken = bytes < left ? bytes : left;

	memcpy(output->text + output->used, piece, taken);
	output->used += taken;
	if (taken < bytes)
		longjmp(output->is_full, 1);
}

static void run(const char *name, struct output *output)
{
	const int options = DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP;

	if (setjmp(output->is_full) != 0)
		return;
	if (rust_demangle_callback(name, options, take, output) != 0)
		return;
	output->used = 0;
	if (cplus_demangle_v3_callback(name, options, take, output) == 0)
		output->used = 0;
}

size_t demangle(const char *name, char *out, size_t out_bytes)
{
	struct output output = {.text = out, .room = out_bytes};
	size_t length = strnlen(name, MANGLED_BYTES_MAX + 1);

	if (length <= MANGLED_BYTES_MAX && name[0] == '_')
		run(name, &output);
	if (output.used == 0) {
		output.used = length < out_bytes ? length : out_bytes - 1;
		memcpy(out, name, output.used);
	}
	out[output.used] = '\0';
	return output.used;
}
