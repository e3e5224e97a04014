/* SPDX-License-Identifier: MIT */
/*
 * events.h - events mode as JSON: what its page shows, what /api/v1/events says.
 */
#ifndef MMVIZ_EXPORT_EVENTS_H
#define MMVIZ_EXPORT_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "model/events.h"
#include "model/view.h"

struct export_events {
	const struct view *view;
	const struct events *events;
	const struct events_settings *settings;
	bool is_waiting; /* for a tag of the name that was asked for */
};

/* At most `newest` events, newest first, and `rows` of each table. NULL without memory. */
json_t *export_events(const struct export_events *from, uint32_t newest, uint32_t rows);
/* One event a line, oldest first. 0, -ENOMEM. */
int export_events_lines(FILE *out, const struct export_events *from);

#endif
