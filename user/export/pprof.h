/* SPDX-License-Identifier: MIT */
/*
 * pprof.h - call stacks as a compressed pprof profile, for pprof, Parca, Pyroscope, Alloy, speedscope.
 *
 * Pure; speaks to nobody. Values are the estimates themselves, as Go's heap profiles have them:
 * alloc_objects, alloc_space, inuse_objects, inuse_space; allocated and live since sampling began.
 */
#ifndef MMVIZ_EXPORT_PPROF_H
#define MMVIZ_EXPORT_PPROF_H

#include <stddef.h>

#include "model/stack_view.h"

enum pprof_shown { PPROF_LIVE, PPROF_ALLOCATED }; /* what a reader shows at first */

/* *bytes at *out, to be freed. 0 or -ENOMEM. */
int export_pprof(const struct stack_view *view, enum pprof_shown shown, char **out, size_t *bytes);

#endif
