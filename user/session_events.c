/* SPDX-License-Identifier: MIT */
/*
 * session_events.c - events mode; see session_events.h.
 *
 * A tag is asked for by its name and filtered in the kernel by its id. A name that no tag has yet
 * is looked for again at each tick among those that are new; until then nothing passes.
 */
#define _GNU_SOURCE
#include "session_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_state.h"

#define NO_CONTEXT	MMVIZ_CONTEXTS_MAX /* an id that no block has */
#define NAMES_EACH_TICK 65536
#define OTHER_MODE	"this collector is not in events mode: start it with --mode events"

struct session_events {
	struct events *events;
	struct events_settings settings;
	uint32_t names_searched; /* contexts that do not have the wanted name */
	bool is_waiting;	 /* for a tag of that name */
};

static struct attach_choice choice_of(const struct session_events *own)
{
	const struct events_settings *settings = &own->settings;

	return (struct attach_choice){
		.is_by_bytes = settings->is_by_bytes != 0,
		.sample = settings->sample,
		.min_bytes = settings->min_bytes,
		.max_bytes = settings->max_bytes,
		.thread_id = settings->thread_id,
		.context = own->is_waiting			? NO_CONTEXT
			   : settings->tag_id != EVENTS_ANY_TAG ? settings->tag_id
								: ATTACH_ANY_CONTEXT,
	};
}

static void take_settings(struct session_events *own, const struct events_settings *settings)
{
	own->settings = *settings;
	own->names_searched = 0;
	own->is_waiting = settings->tag[0] != '\0';
}

int session_events_open(const struct events_settings *settings, struct session_events **out,
			struct attach_choice *choice)
{
	const char *why = events_settings_check(settings);
	struct session_events *own;

	if (why != NULL) {
		fprintf(stderr, "mmviz-bpf: %s\n", why);
		return -EINVAL;
	}
	own = calloc(1, sizeof(*own));
	if (own == NULL || events_open(&own->events) != 0) {
		free(own);
		return -ENOMEM;
	}
	take_settings(own, settings);
	*choice = choice_of(own);
	*out = own;
	return 0;
}

void session_events_close(struct session_events *own)
{
	if (own == NULL)
		return;
	events_close(own->events);
	free(own);
}

void session_on_event(void *context, const struct attach_event *event)
{
	struct session *session = context;
	struct event told = {
		.at_ns = event->at_ns + session->realtime_offset_ns,
		.addr = event->addr,
		.bytes = event->bytes,
		.lifetime_ns = event->lifetime_ns,
		.weight = event->weight,
		.arena_id = event->arena_id,
		.context = event->context,
		.thread_id = event->thread_id,
		.birth_thread_id = event->birth_thread_id,
		.is_free = event->is_free,
	};

	if (session->events == NULL || event->is_outdated)
		return;
	memcpy(told.comm, event->comm, sizeof(told.comm));
	memcpy(told.label, event->label, sizeof(told.label));
	events_add(session->events->events, &told);
}

/* The wanted name, among the contexts that were not looked at yet. */
static bool find_name(struct session *session, struct session_events *own)
{
	uint32_t count = registry_reader_contexts_count(session->registry);
	uint32_t end = own->names_searched + NAMES_EACH_TICK;

	for (; own->names_searched < count && own->names_searched < end; own->names_searched++) {
		const struct registry_context *context =
			registry_reader_context(session->registry, own->names_searched);

		if (context->text != NULL && strcmp(context->text, own->settings.tag) == 0) {
			own->settings.tag_id = own->names_searched;
			return true;
		}
	}
	return false;
}

static void seek_name(struct session *session)
{
	struct session_events *own = session->events;
	struct attach_choice choice;

	if (!own->is_waiting || !find_name(session, own))
		return;
	own->is_waiting = false;
	choice = choice_of(own);
	attach_choose(session->attach, &choice);
}

void session_events_tick(struct session *session)
{
	struct attach_event_counters counters;
	struct events_counted counted;

	if (session->events == NULL)
		return;
	seek_name(session);
	attach_event_counters_read(session->attach, &counters);
	counted = (struct events_counted){
		.hits = counters.hits,
		.allocations = counters.allocations,
		.allocated_bytes = counters.allocated_bytes,
		.told = counters.told,
		.dropped = counters.dropped,
		.remembered = counters.remembered,
		.remembered_max = counters.remembered_max,
	};
	events_tick(session->events->events, session_clock_ns(), &counted);
}

const struct events *session_events(const struct session *session)
{
	return session->events != NULL ? session->events->events : NULL;
}

const struct events_settings *session_events_settings(const struct session *session)
{
	return session->events != NULL ? &session->events->settings : &events_everything;
}

bool session_events_is_waiting(const struct session *session)
{
	return session->events != NULL && session->events->is_waiting;
}

/* What lies in the ring, or is on its way there, was chosen by the settings before: it is outdated
 * now, and not listed any more. */
const char *session_events_choose(struct session *session, const struct events_settings *settings)
{
	const char *why = events_settings_check(settings);
	struct session_events *own = session->events;
	struct attach_choice choice;

	if (own == NULL)
		return OTHER_MODE;
	if (why != NULL)
		return why;
	take_settings(own, settings);
	own->is_waiting = own->is_waiting && !find_name(session, own);
	choice = choice_of(own);
	if (attach_choose(session->attach, &choice) != 0)
		return "these settings cannot be had";
	events_restart(own->events);
	return NULL;
}
