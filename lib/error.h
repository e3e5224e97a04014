/* SPDX-License-Identifier: MIT */
/*
 * error.h - telling of a program's mistakes: probe, handler, message.
 *
 * Owns the handler. Changes nothing of any arena. Any thread.
 */
#ifndef MMVIZ_LIB_ERROR_H
#define MMVIZ_LIB_ERROR_H

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

/*
 * `block` was passed to a call made at `now_at` (NULL: unknown). Fires the `error` probe, then
 * calls the handler; returns if that does.
 */
void error_report(struct mmviz_arena *arena, enum mmviz_error_kind kind, const void *block,
		  const void *now_at);
/* What can be told of a block that something wrote over, and of the one in front of it, into
 * `bytes`. */
void error_text_of_block(const struct mmviz_arena *arena, enum mmviz_error_kind kind,
			 const void *block, char *bytes, size_t size);
/* What is wrong with a block that cannot be freed: the kind to report. */
enum mmviz_error_kind error_of_block(const struct mmviz_arena *arena, const void *block);

#endif
