/* SPDX-License-Identifier: MIT */
/*
 * safe_text.h - text from the target made fit for terminals, JSON and the page.
 */
#ifndef MMVIZ_COLLECT_SAFE_TEXT_H
#define MMVIZ_COLLECT_SAFE_TEXT_H

#include <stddef.h>

/*
 * Copy `count` bytes of hostile text to out: well-formed UTF-8 as it is; bytes that are not,
 * control characters and those that reorder text as \xNN. Always NUL-terminated, cut at a whole
 * character when out_bytes (at least 1) is reached. Returns the length.
 */
size_t safe_text(char *out, size_t out_bytes, const char *text, size_t count);

#endif
