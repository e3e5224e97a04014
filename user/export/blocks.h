/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - every live block of a view, one a line: ndjson or csv.
 *
 *   ndjson  {"arena":1,"address":"0x...","bytes":96,"state":"live","tag":"GET /"}
 *   csv     arena,address,bytes,state,tag       (RFC 4180 quoting, one header line)
 *
 * In address order, arena by arena. The sums over the lines are the view's totals.
 */
#ifndef MMVIZ_EXPORT_BLOCKS_H
#define MMVIZ_EXPORT_BLOCKS_H

#include <stdio.h>

#include "model/view.h"

/* 0 or -errno of the stream. */
int export_blocks_ndjson(FILE *out, const struct view *view);
int export_blocks_csv(FILE *out, const struct view *view);

#endif
