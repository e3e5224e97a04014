/* SPDX-License-Identifier: MIT */
/*
 * preload_dlopen.c - libraries that are loaded with RTLD_DEEPBIND get malloc from here too.
 *
 * Such a library looks for its symbols among its own dependencies before it looks where everybody
 * does, and finds glibc's malloc there: what it allocates its host cannot free, and the other way
 * round. php loads its extensions like this, and breaks under every preloaded allocator that lets it
 * be. So the flag is taken off. What it was meant for, that the library's symbols win over others of
 * the same name, is lost with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

/* A jump at its end: glibc looks for the library along the RUNPATH of the code that called. */
__attribute__((visibility("default"))) void *dlopen(const char *file, int mode)
{
	void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

	return next ? next(file, mode & ~RTLD_DEEPBIND) : NULL;
}
