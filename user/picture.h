/* SPDX-License-Identifier: MIT */
/*
 * picture.h - one target at one instant, by walking alone: no probes, no events, no root needed
 * for one's own processes.
 *
 * The target runs on. A span whose owner worked while it was read is read again, a bounded number
 * of times; what is left is counted as in motion: each of its blocks was there when it was read,
 * but not necessarily all of them at once. With `stop` the target stands still, and nothing is in
 * motion. One thread.
 */
#ifndef MMVIZ_PICTURE_H
#define MMVIZ_PICTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/exact_view.h"
#include "model/view.h"

struct picture;

/* Reports its own errors, as target_open and stop_process. */
int picture_take(pid_t pid, bool stop, struct picture **out);
void picture_free(struct picture *picture); /* NULL is fine */

const struct view *picture_view(const struct picture *picture);
uint64_t picture_pause_ns(const struct picture *picture); /* 0: it was not stopped */
/*
 * The live blocks by call stack, with names: the `max` stacks with most bytes (0: all). -ENOENT: the
 * target has named no stacks (--stacks all does). Valid until picture_free, and freed by it.
 */
int picture_stacks(struct picture *picture, uint32_t max, const struct exact_view **out);
uint64_t picture_blocks_in_motion(const struct picture *picture);

#endif
