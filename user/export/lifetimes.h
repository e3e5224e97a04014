/* SPDX-License-Identifier: MIT */
/*
 * lifetimes.h - how long blocks lived, by tag and by arena, as JSON.
 *
 *	{"version":1,"pid":N,"at_ns":N,"all":L,"contexts":[{"tag":"...","id":N} + L],
 *	 "arenas":[{"id":N,"name":"..."} + L]}
 *	L: "live_blocks":N,"deaths":N,"older":N,"histogram":[N,...]
 *
 * histogram[i] counts deaths at an age from 2^i to 2^(i+1) ns ([0]: from 0); what would be zeros at
 * its end is left out. `older` are deaths of blocks that are older than the attach, in no histogram.
 */
#ifndef MMVIZ_EXPORT_LIFETIMES_H
#define MMVIZ_EXPORT_LIFETIMES_H

#include <jansson.h>
#include <sys/types.h>

#include "model/view.h"

/* A new object, or NULL: no memory. The contexts with most deaths come first, LIFETIMES_CONTEXTS of
 * them at most. */
#define LIFETIMES_CONTEXTS 500u
json_t *export_json_lifetimes(const struct view *view, pid_t pid);

#endif
