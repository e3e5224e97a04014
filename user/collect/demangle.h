/* SPDX-License-Identifier: MIT */
/*
 * demangle.h - C++ and Rust names as they were written.
 */
#ifndef MMVIZ_COLLECT_DEMANGLE_H
#define MMVIZ_COLLECT_DEMANGLE_H

#include <stddef.h>

/*
 * Write the demangled name to out, NUL-terminated and cut off where out ends; a name that is not
 * mangled as it is. Not yet safe text. Returns the length.
 */
size_t demangle(const char *name, char *out, size_t out_bytes);

#endif
