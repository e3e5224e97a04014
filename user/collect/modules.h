/* SPDX-License-Identifier: MIT */
/*
 * modules.h - the ELF images in a target's memory: executable, shared objects, vdso.
 *
 * Keeps their files open, so that they stay readable when the files are deleted or the target has
 * ended. Reads /proc and files only, never stops the target. One thread at a time; different
 * objects are independent.
 */
#ifndef MMVIZ_COLLECT_MODULES_H
#define MMVIZ_COLLECT_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct modules;
struct Dwfl;
struct Dwfl_Module;
struct unit_index;

struct module {
	uint64_t start, end;  /* addresses in the target */
	uint64_t bias;	      /* address in the target minus address in the file */
	const char *path;     /* safe text, as the target names it, without " (deleted)" */
	const char *build_id; /* hexadecimal, "" without one */
	bool is_deleted;
	uint64_t own_start, own_end; /* code of libmmviz in it, in the target; 0, 0: none */
	/* NULL: the file cannot be read or is no ELF file; then bias is a guess. */
	struct Dwfl_Module *dwfl;
	/* The debug information refers to a supplement (dwz) that is not here. libdw must not be
	 * asked for what it holds: it would open any path that the file names. */
	bool lacks_supplement;
	struct unit_index *units; /* owned by symbols' lookups, freed with the module */
};

/* 0, -ESRCH no such process, -EPERM/-EACCES not permitted, -ENOMEM. Reports nothing. */
int modules_open(pid_t pid, struct modules **out);
void modules_close(struct modules *modules); /* NULL is fine */

/*
 * Read the target's mappings anew. What is not mapped any more stays known until something else is
 * mapped in its place. 0, -ESRCH when the target has ended or exec'd: what is known stays.
 */
int modules_refresh(struct modules *modules);

/*
 * The module at `addr`, or NULL. An unknown address makes the mappings be read anew, at most ten
 * times a second, less often when that finds nothing. Valid until the generation changes.
 */
const struct module *modules_find(struct modules *modules, uint64_t addr);

/* Is there a mapping at `addr` whose code can be executed? */
bool modules_is_code(struct modules *modules, uint64_t addr);

/* Read what no program changes: the modules' read-only segments, from their files. 0 or -EFAULT. */
int modules_read(struct modules *modules, uint64_t addr, void *out, size_t bytes);

uint32_t modules_count(const struct modules *modules);
/* Counts up when a module has been replaced: what was derived from it is void. */
uint64_t modules_generation(const struct modules *modules);
struct Dwfl *modules_dwfl(const struct modules *modules);
/* The target's root directory, its pid in its own pid namespace, its owner. */
int modules_root_fd(const struct modules *modules); /* -1: cannot be opened */
pid_t modules_inner_pid(const struct modules *modules);
uid_t modules_uid(const struct modules *modules);

#endif
