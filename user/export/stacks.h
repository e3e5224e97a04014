/* SPDX-License-Identifier: MIT */
/*
 * stacks.h - call stacks with their estimates, as JSON.
 *
 * Pure; speaks to nobody. The caller releases what it gets (json_decref); NULL: no memory.
 */
#ifndef MMVIZ_EXPORT_STACKS_H
#define MMVIZ_EXPORT_STACKS_H

#include <jansson.h>
#include <sys/types.h>

#include "model/stack_view.h"

/*
 * {"version", "pid", "stacks": "sampled", "sample_bytes", "wanted_sample_bytes", "at_ns", "since_ns", counters..,
 * "allocated": AMOUNT, "live": AMOUNT, "rows": [{"id", "kind", "complete", "allocated", "live",
 * "frames": [..]}]}
 *
 * AMOUNT: {"samples", "bytes", "bytes_low", "bytes_high", "blocks", "blocks_low", "blocks_high"},
 * whole numbers. kind: "stack", "unknown" (sampled without its stack), "other" (not listed).
 */
json_t *export_json_stacks(const struct stack_view *view, pid_t pid);
/* {"function", "inlined", "file", "line", "module", "offset", "address"} */
json_t *export_json_frame(const struct stack_view_frame *frame);
/* What is said of a session without them: {"version", "pid", "stacks": "off", "rows": []}. */
json_t *export_json_stacks_off(pid_t pid);

#endif
