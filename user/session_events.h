/* SPDX-License-Identifier: MIT */
/*
 * session_events.h - the session's part in events mode: what the kernel tells goes to the list,
 * what the user wants goes to the kernel. For the files of the session; users have session.h.
 */
#ifndef MMVIZ_SESSION_EVENTS_H
#define MMVIZ_SESSION_EVENTS_H

#include "collect/attach.h"
#include "session.h"

struct session_events;

/* 0, -ENOMEM; -EINVAL bad settings, reported. `out` is what attach_open wants. */
int session_events_open(const struct events_settings *settings, struct session_events **out,
			struct attach_choice *choice);
void session_events_close(struct session_events *own); /* NULL is fine */
/* From the ring (struct attach_callbacks). */
void session_on_event(void *session, const struct attach_event *event);
/* Once a tick: rates; a name that was waited for. */
void session_events_tick(struct session *session);

#endif
