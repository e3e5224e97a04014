/* SPDX-License-Identifier: MIT */
/*
 * exact_stacks.h - the live blocks by call stack, as JSON.
 *
 * Pure; speaks to nobody. The caller releases what it gets (json_decref); NULL: no memory.
 */
#ifndef MMVIZ_EXPORT_EXACT_STACKS_H
#define MMVIZ_EXPORT_EXACT_STACKS_H

#include <jansson.h>
#include <sys/types.h>

#include "model/exact_view.h"

/*
 * {"version", "pid", "stacks": "exact", "at_ns", "live": AMOUNT, "known", "refused", "unnamed",
 * "rows_left", "left_out": AMOUNT, "rows": [{"id", "kind", "tag", "complete", "deep", "live",
 * "allocated", "frames": [..]}]}
 *
 * AMOUNT: {"blocks", "bytes"}. kind: "stack", or of blocks without one "tag", "site", "untagged";
 * "tag": the name of the tag or the place of the site, of stacks too. Frames as in stacks.h.
 */
json_t *export_json_exact_stacks(const struct exact_view *view, pid_t pid);
/* The rows alone: what a snapshot holds. */
json_t *export_json_exact_rows(const struct exact_view *view);

#endif
