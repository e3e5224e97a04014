/* SPDX-License-Identifier: MIT */
/*
 * folded.h - call stacks one a line, for flame graph tools: "main;serve;alloc 524288".
 *
 * Outermost function first; the number is the estimate of live bytes, or of allocated ones. Text
 * cannot break a line; a semicolon in a name becomes a colon.
 */
#ifndef MMVIZ_EXPORT_FOLDED_H
#define MMVIZ_EXPORT_FOLDED_H

#include <stdbool.h>
#include <stdio.h>

#include "model/stack_view.h"

void export_folded(FILE *out, const struct stack_view *view, bool allocated);

#endif
