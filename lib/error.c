/* SPDX-License-Identifier: MIT */
/* error.c - see error.h. The message is the only thing that the library ever prints. */
#define _GNU_SOURCE
#include "error.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "arena.h"
#include "poison.h"
#include "probes.h"

static const char *const texts[] = {
	[MMVIZ_ERROR_DOUBLE_FREE] = "double free",
	[MMVIZ_ERROR_FOREIGN_POINTER] = "not a block of this arena",
	[MMVIZ_ERROR_CORRUPT_HEADER] = "header overwritten",
	[MMVIZ_ERROR_OVERRUN] = "written behind its end",
	[MMVIZ_ERROR_OUT_OF_MEMORY] = "out of memory",
};

static const char *const remedies[] = {
	[MMVIZ_ERROR_DOUBLE_FREE] = "free each block once",
	[MMVIZ_ERROR_FOREIGN_POINTER] =
		"pass the pointer that the arena's alloc returned, to the same arena",
	[MMVIZ_ERROR_CORRUPT_HEADER] =
		"look for a write before this block or behind the block in front of it",
	[MMVIZ_ERROR_OVERRUN] = "look for writes past the requested size",
	[MMVIZ_ERROR_OUT_OF_MEMORY] = "create the arena with more capacity",
};

/* ------------------------------------------------------------------ the message */

struct text {
	char bytes[1536];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		text->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* A return address, and the function that the call lies in, as far as symbols tell. */
static void say_site(struct text *text, const char *what, const void *site)
{
	const char *file;
	Dl_info info;

	if (!site)
		return;
	say(text, "\n  %s by the code at %p", what, site);
	if (!dladdr((const char *)site - 1, &info) || !info.dli_fname)
		return;
	file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
	if (info.dli_sname)
		say(text, " (%s+%#zx in %s)", info.dli_sname,
		    (size_t)((const char *)site - (const char *)info.dli_saddr), file);
	else
		say(text, " (%s+%#zx)", file,
		    (size_t)((const char *)site - (const char *)info.dli_fbase));
}

static void say_block(struct text *text, const void *address, size_t bytes, const char *tag)
{
	if (tag[0])
		say(text, "block %p (%zu bytes, '%s')", address, bytes, tag);
	else
		say(text, "block %p (%zu bytes)", address, bytes);
}

static void say_near(struct text *text, const struct mmviz_error *error)
{
	if (!error->near_block)
		return;
	if (error->kind == MMVIZ_ERROR_CORRUPT_HEADER)
		say(text, "\n  in front of it lies ");
	else if (error->near_block == error->address)
		say(text, "\n  it is ");
	else
		say(text, "\n  it points %zu bytes into ",
		    (size_t)((const char *)error->address - (const char *)error->near_block));
	say_block(text, error->near_block, error->near_bytes, error->near_tag);
	if (strcmp(error->near_arena, error->arena) != 0)
		say(text, " of arena '%s'", error->near_arena);
}

/* All in one write, so that lines of several processes do not mix. Allocates nothing. */
static void print_and_abort(const struct mmviz_error *error)
{
	struct text text = {.length = 0};

	say(&text, "mmviz: %s: ", error->what);
	if (error->kind == MMVIZ_ERROR_FOREIGN_POINTER)
		say(&text, "%p", error->address);
	else
		say_block(&text, error->address, error->bytes, error->tag);
	say(&text, " in arena '%s'", error->arena);
	say_site(&text, "allocated", error->born_at);
	say_site(&text, "freed first", error->freed_at);
	say_site(&text, "found", error->now_at);
	if (!error->now_at)
		say(&text, "\n  found by a later call, on its way through free blocks");
	say_near(&text, error);
	say(&text, "\n  %s\n", remedies[error->kind]);
	if (write(STDERR_FILENO, text.bytes, text.length) < 0)
		abort();
	abort();
}

static mmviz_error_handler handler = print_and_abort;

mmviz_error_handler mmviz_set_error_handler(mmviz_error_handler wanted)
{
	return __atomic_exchange_n(&handler, wanted ? wanted : print_and_abort, __ATOMIC_ACQ_REL);
}

/* ------------------------------------------------------------------ what lies where */

static bool is_readable_block(const struct mmviz_arena *arena, const void *block)
{
	return (uint64_t)block - MMVIZ_HEADER_BYTES - arena->head.base_addr <
		       arena_readable_bytes(arena) &&
	       !((uint64_t)block & (MMVIZ_PLACE_BYTES - 1));
}

enum mmviz_error_kind error_of_block(const struct mmviz_arena *arena, const void *block)
{
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;

	if (!is_readable_block(arena, block))
		return MMVIZ_ERROR_FOREIGN_POINTER;
	if (!arena_is_block_start(arena, block)) /* free units remember what they were */
		return mmviz_header_is_whole(header, (uint64_t)header) &&
				       span_is_marked_freed(header)
			       ? MMVIZ_ERROR_DOUBLE_FREE
			       : MMVIZ_ERROR_FOREIGN_POINTER;
	return mmviz_header_is_whole(header, (uint64_t)header) || span_header_is_gone(header)
		       ? MMVIZ_ERROR_DOUBLE_FREE
		       : MMVIZ_ERROR_CORRUPT_HEADER;
}

/* ------------------------------------------------------------------ what is said of a block */

/* The name under which a program knows a block: its label, else its tag. */
static const char *name_of(const struct mmviz_span *span, const struct mmviz_header *header,
			   char label[MMVIZ_LABEL_BYTES])
{
	struct mmviz_context context;

	if (span && span->shape == MMVIZ_SHAPE_LABELLED) {
		/* a copy: the NUL may be overwritten, too */
		memcpy(label, (const char *)header - MMVIZ_LABEL_BYTES, MMVIZ_LABEL_BYTES - 1);
		return label;
	}
	context = registry_plain_context(mmviz_word_context(header->word));
	return context.kind == MMVIZ_CONTEXT_TAG ? (const char *)context.value : "";
}

/* Whether a program header of the object that is loaded at `base` makes this address code. */
static bool is_code_of(const char *base, uint64_t address)
{
	const ElfW(Ehdr) *file = (const ElfW(Ehdr) *)base;
	const ElfW(Phdr) *part = (const ElfW(Phdr) *)(base + file->e_phoff);
	uint64_t shift;

	if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0 || file->e_phoff != sizeof(*file))
		return false;
	shift = file->e_type == ET_DYN ? (uint64_t)base : 0;
	for (unsigned i = 0; i < file->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && part[i].p_flags & PF_X &&
		    address - shift - part[i].p_vaddr < part[i].p_memsz)
			return true;
	return false;
}

/* The C library's answer, without a lock where it can. */
static bool is_loaded_code(const void *address)
{
#if __GLIBC_PREREQ(2, 35)
	struct dl_find_object object;

	return _dl_find_object((void *)address, &object) == 0 &&
	       is_code_of(object.dlfo_map_start, (uint64_t)address);
#else
	Dl_info info;

	return dladdr(address, &info) && is_code_of(info.dli_fbase, (uint64_t)address);
#endif
}

/* Of the object that this is linked into: a static program knows of no objects. */
extern const char __executable_start[] __attribute__((weak, visibility("hidden")));
extern const char etext[] __attribute__((weak, visibility("hidden")));

/* Whether a word can be a return address. */
static bool is_code(const void *address)
{
	const char *start = __executable_start; /* NULL: of a shared object, which has none */

	return (start && (const char *)address >= start && (const char *)address < etext) ||
	       is_loaded_code(address);
}

/*
 * The code whose address ends in these 31 bits, or NULL: programs and libraries lie together, in the
 * same 2 GiB as the program's entry or as this function, or next to them.
 */
static const void *code_of_low_bits(uint64_t low)
{
	const uint64_t near[] = {0, getauxval(AT_ENTRY), (uint64_t)(uintptr_t)error_report};

	for (unsigned i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		for (uint64_t shift = 0; shift < 3; shift++) {
			uint64_t high = (near[i] >> 31) + shift - 1;
			const void *code = (const void *)(high << 31 | low);

			if (is_code(code))
				return code;
		}
	return NULL;
}

/* Where a free block was freed, if its header tells. */
static const void *free_site_of(const struct mmviz_header *header)
{
	if (!mmviz_header_is_whole(header, (uint64_t)header))
		return NULL;
	if (mmviz_word_life(header->word) == MMVIZ_LIFE_RETURNED)
		return is_code(span_returned(header)->site) ? span_returned(header)->site : NULL;
	return span_is_marked_freed(header) ? code_of_low_bits(header->incarnation >> 1) : NULL;
}

/* The block whose cell holds this address, live or not; NULL: none whose header can be trusted. */
static const struct mmviz_header *header_around(const struct mmviz_arena *arena,
						const void *address)
{
	const struct mmviz_span *span = arena_span_around(arena, address);
	const struct mmviz_header *header;
	uint64_t offset;

	if (!span || !span->cell_bytes)
		return NULL;
	offset = (uint64_t)address - span->start_addr;
	if (span->fit == MMVIZ_FIT_LARGE)
		offset = 0;
	if (offset / span->cell_bytes >= span->bump_cells)
		return NULL;
	header = span_header(span, (uint32_t)(offset / span->cell_bytes));
	return mmviz_header_is_whole(header, (uint64_t)header) ? header : NULL;
}

static void describe_near(struct mmviz_error *error, const struct mmviz_arena *arena,
			  const struct mmviz_header *header)
{
	static __thread char label[MMVIZ_LABEL_BYTES];

	if (!header)
		return;
	error->near_block = header + 1;
	error->near_bytes = mmviz_word_bytes(header->word);
	error->near_tag = name_of(arena_span_around(arena, header), header, label);
	error->near_arena = arena->head.name;
}

/* A pointer that is no block: the live block that it points into, here or elsewhere. */
static void describe_foreign(struct mmviz_error *error, const void *block)
{
	const struct mmviz_arena *arena = registry_arena_of(block);
	const struct mmviz_header *header = arena ? header_around(arena, block) : NULL;

	if (header && (const void *)(header + 1) <= block && mmviz_header_is_live(header))
		describe_near(error, arena, header);
}

/* A header that was overwritten: what it says still, if that can be, and the block in front. */
static void describe_corrupt(struct mmviz_error *error, const struct mmviz_arena *arena,
			     const struct mmviz_span *span, const struct mmviz_header *header)
{
	uint64_t cell_start = (uint64_t)header - span->first_header_bytes;

	if (error->bytes > span_usable_bytes(span) ||
	    registry_plain_context(mmviz_word_context(header->word)).kind == MMVIZ_CONTEXT_NONE) {
		error->bytes = span_usable_bytes(span);
		error->tag = "";
		error->born_at = NULL;
	}
	if (span->fit != MMVIZ_FIT_LARGE && cell_start > span->start_addr)
		describe_near(error, arena, header_around(arena, (const void *)(cell_start - 1)));
}

/* What can be said of the block, from a header that may be garbage. */
static void describe(struct mmviz_error *error, const struct mmviz_arena *arena, const void *block)
{
	static __thread char label[MMVIZ_LABEL_BYTES];
	const struct mmviz_header *header = (const struct mmviz_header *)block - 1;
	const struct mmviz_span *span;
	struct mmviz_context context;

	error->tag = error->near_tag = error->near_arena = "";
	if (error->kind == MMVIZ_ERROR_FOREIGN_POINTER || !is_readable_block(arena, block)) {
		describe_foreign(error, block);
		return;
	}
	span = arena_is_block_start(arena, block) ? arena_span_around(arena, block) : NULL;
	context = registry_plain_context(mmviz_word_context(header->word));
	error->tag = name_of(span, header, label);
	if (context.kind == MMVIZ_CONTEXT_SITE)
		error->born_at = (const void *)context.value;
	error->bytes = mmviz_word_bytes(header->word);
	error->freed_at = free_site_of(header);
	if (error->freed_at == error->now_at) /* found by its own free */
		error->freed_at = NULL;
	if (error->kind == MMVIZ_ERROR_CORRUPT_HEADER && span)
		describe_corrupt(error, arena, span, header);
}

void error_text_of_block(const struct mmviz_arena *arena, enum mmviz_error_kind kind,
			 const void *block, char *bytes, size_t size)
{
	struct mmviz_error error = {.kind = (int)kind, .address = block, .arena = arena->head.name};
	struct text text = {.length = 0};

	describe(&error, arena, block);
	say_block(&text, error.address, error.bytes, error.tag);
	say_site(&text, "allocated", error.born_at);
	say_site(&text, "freed first", error.freed_at);
	say_near(&text, &error);
	snprintf(bytes, size, "%s", text.bytes);
}

void error_report(struct mmviz_arena *arena, enum mmviz_error_kind kind, const void *block,
		  const void *now_at)
{
	struct mmviz_error error = {
		.kind = (int)kind,
		.what = texts[kind],
		.address = block,
		.arena = arena->head.name,
		.now_at = now_at,
	};

	if (registry_here.error_semaphore)
		mmviz_probe_error(kind, block, arena->head.id);
	if (kind == MMVIZ_ERROR_OUT_OF_MEMORY)
		return; /* the caller is told by NULL and ENOMEM */
	describe(&error, arena, block);
	__atomic_load_n(&handler, __ATOMIC_ACQUIRE)(&error);
}
