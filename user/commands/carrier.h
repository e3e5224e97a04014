/* SPDX-License-Identifier: MIT */
/* carrier.h - whether a program file will load the library that LD_PRELOAD names. */
#ifndef MMVIZ_CARRIER_H
#define MMVIZ_CARRIER_H

#include <stddef.h>

/* The file that a shell would start for `name`. 0, or -ENOENT or -EACCES, reported. */
int carrier_find(const char *name, char *path, size_t path_bytes);
/*
 * Check the file, or the interpreter of a script. 0, or reported: -EPERM set-uid, -ENODATA static,
 * of another machine, or made for another C library.
 */
int carrier_check(const char *path);

#endif
