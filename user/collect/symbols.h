/* SPDX-License-Identifier: MIT */
/*
 * symbols.h - what lies at a code address of the target: functions, inlined ones too, source lines.
 *
 * Slow work: the first address of a module can take 100 ms. Made for a thread of its own; never
 * call it where events are taken in. Nothing is downloaded. One thread at a time; no globals.
 */
#ifndef MMVIZ_COLLECT_SYMBOLS_H
#define MMVIZ_COLLECT_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect/modules.h"

struct symbols;

enum symbol_source {
	SYMBOL_UNKNOWN,	 /* named by its module and offset, or by its address */
	SYMBOL_PERF_MAP, /* by a just-in-time compiler */
	SYMBOL_TABLE,	 /* by the ELF symbol table */
	SYMBOL_DWARF,
};

/* All text is safe text. */
struct symbol_frame {
	const char *function; /* never empty: "name", "module+0x1234" or "0x55d0c0de1234" */
	const char *file;     /* of the line, "" when unknown */
	uint32_t line;	      /* 0: unknown */
	bool is_inlined;      /* into the next frame's function */
};
struct symbol_place {
	uint64_t addr;
	const char *module;	/* path as the target names it, "" outside of modules */
	const char *build_id;	/* hexadecimal, "" without one */
	bool is_own;		/* code of libmmviz */
	uint64_t module_offset; /* the address in the module's file, as addr2line wants it */
	enum symbol_source source;
	uint32_t frames_count;		   /* at least 1 */
	const struct symbol_frame *frames; /* innermost first */
};

/*
 * `modules` stays the caller's and must outlive this. The places that were resolved last are kept in
 * at most cache_bytes (0: 32 MiB). 0 or -ENOMEM.
 */
int symbols_open(struct modules *modules, size_t cache_bytes, struct symbols **out);
void symbols_close(struct symbols *symbols); /* NULL is fine */

/*
 * What lies at `addr`. Of a return address pass the address minus one: the call, not what comes
 * after it. Always answers, at least with the address itself; NULL: no memory. Valid until the next
 * call.
 */
const struct symbol_place *symbols_resolve(struct symbols *symbols, uint64_t addr);

struct symbols_counters {
	uint64_t resolved; /* not found in the cache */
	uint64_t cached_count, cached_bytes;
};
void symbols_counters_read(const struct symbols *symbols, struct symbols_counters *out);

#endif
