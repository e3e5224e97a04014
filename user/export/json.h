/* SPDX-License-Identifier: MIT */
/*
 * json.h - a view as JSON: the summary and the snapshot, whose keys are a contract.
 *
 * Pure; speaks to nobody. The caller releases what it gets (json_decref); NULL: no memory.
 */
#ifndef MMVIZ_EXPORT_JSON_H
#define MMVIZ_EXPORT_JSON_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/view.h"

/* {"version", "pid", "mode", "exact", "at_ns", totals..., "arenas": [...]} */
json_t *export_json_summary(const struct view *view, pid_t pid, const char *mode);
/* {"version", "pid", "pause_ns", "arenas": [...]} */
json_t *export_json_snapshot(const struct view *view, pid_t pid, uint64_t pause_ns);

#endif
