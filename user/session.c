/* SPDX-License-Identifier: MIT */
/*
 * session.c - one target from attach to its end; see session.h.
 *
 * Opening: target, registry, probes; then the baseline; then ticks until the picture is complete.
 * A tick follows (follow.c), heals what is broken (baseline.c), and moves the view to a new
 * instant. At the end the last words of the target come through the ring, everything is applied,
 * and the picture stays.
 */
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "session_events.h"
#include "session_state.h"

#define SLOW_FACTS_NS	 100000000ull /* how often memory sizes are read */
#define REWALK_NS	 1000000000ull
#define REWALK_PAUSE	 50 /* times the last walk */
#define COLLECTOR_NICE	 -15
#define SETTLE_TICKS	 20
#define LAST_WORDS_TRIES 50 /* of 2 ms */

/* ------------------------------------------------------------------ clocks and facts */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t session_clock_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t own_resident_bytes(void)
{
	unsigned long total_pages, resident_pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &total_pages, &resident_pages) != 2)
		resident_pages = 0;
	fclose(file);
	return resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_slow_facts(struct session *session, struct view_now *now)
{
	if (now->monotonic_ns - session->slow_facts_ns < SLOW_FACTS_NS)
		return;
	session->slow_facts_ns = now->monotonic_ns;
	now->collector_bytes = own_resident_bytes();
	if (session->is_over)
		return;
	now->resident_bytes = target_resident_bytes(session->target);
	now->threads = target_thread_count(session->target);
}

static enum view_target_state target_state(const struct session *session)
{
	if (!session->is_over)
		return VIEW_TARGET_LIVE;
	return session->end == ATTACH_END_EXEC ? VIEW_TARGET_EXECED : VIEW_TARGET_EXITED;
}

static void move_view(struct session *session)
{
	struct view_now *now = &session->view.now;
	struct attach_counters counters;

	attach_counters_read(session->attach, &counters);
	now->monotonic_ns = session_clock_ns();
	now->realtime_ns = now->monotonic_ns + session->realtime_offset_ns;
	now->ring_used_bytes = counters.ring_used_bytes;
	now->ring_bytes = counters.ring_bytes;
	now->contexts = registry_reader_contexts_count(session->registry);
	now->is_followed = session_is_following(session);
	now->is_walked = session->mode != ATTACH_EXACT;
	now->target_state = target_state(session);
	now->exit_code = session->exit_code;
	read_slow_facts(session, now);
	session_events_tick(session);
	replica_keep_time(&session->replica, now->monotonic_ns);
	view_tick(&session->view);
}

static void on_mark(uint64_t at_ns, const char *text, void *context)
{
	struct session *session = context;

	timeline_mark(&session->view.timeline, at_ns + session->realtime_offset_ns, text);
}

static const char *describe_context(void *context, uint32_t id, uint32_t *kind)
{
	const struct registry_context *meaning = registry_reader_context(context, id);

	*kind = meaning->kind;
	return meaning->text;
}

static uint32_t base_of_context(void *context, uint32_t id)
{
	return registry_reader_base(context, id);
}

/* ------------------------------------------------------------------ open and close */

static void on_end(void *context, enum attach_end how, int exit_code)
{
	struct session *session = context;

	session->is_ending = true;
	session->end = how;
	session->exit_code = exit_code;
}

static int watch(const struct session *session, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return 0;
	return epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* What target_open and attach_open have not reported yet. */
static int refuse(const struct session *session, int error)
{
	int pid = (int)target_pid(session->target);

	if (error == -ESRCH && session->is_ending && session->end == ATTACH_END_EXEC)
		fprintf(stderr,
			"mmviz-bpf: process %d started another program while it was being "
			"attached\n",
			pid);
	else if (error == -ESRCH)
		fprintf(stderr, "mmviz-bpf: process %d ended while it was being attached\n", pid);
	else
		fprintf(stderr, "mmviz-bpf: process %d: reading its heap: %s\n", pid,
			strerror(-error));
	return error;
}

static int open_registry(struct session *session)
{
	int error = registry_reader_open(session->target, &session->registry);

	return error ? refuse(session, error) : 0;
}

static int open_target(struct session *session, const struct session_options *options)
{
	struct attach_callbacks callbacks = {.context = session,
					     .batch = session_on_batch,
					     .event = session_on_event,
					     .end = on_end};
	struct attach_options attach = options->attach;
	struct attach_counters counters;
	int error = target_open(options->pid, &session->target);

	attach.may_unfollow = session->may_fall_back;
	if (!error && attach.mode == ATTACH_EVENTS)
		error = session_events_open(&options->events, &session->events, &attach.choice);
	if (!error)
		error = open_registry(session);
	if (!error && options->sample_bytes > 0) {
		callbacks.sample = session_on_sample;
		callbacks.arena_empty = session_on_arena_empty;
		error = session_stacks_open(session, options->sample_bytes);
	}
	if (!error)
		error = attach_open(session->target, &attach, &callbacks, &session->attach);
	if (error)
		return error;
	session->replica.attach_ns = session_clock_ns();
	attach_counters_read(session->attach, &counters);
	pace_init(&session->pace, counters.ring_bytes);
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (session->epoll_fd < 0)
		return -errno;
	error = watch(session, attach_poll_fd(session->attach));
	return error ?: watch(session, target_pidfd(session->target));
}

static bool is_complete(const struct session *session)
{
	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		if (session->replica.arenas[i]->state != REPLICA_EXACT)
			return false;
	return true;
}

/* Whoever is slower than the target loses events: where CPUs are scarce the collector goes first.
 * Not permitted: then it is as it is. */
static void raise_priority(void)
{
	setpriority(PRIO_PROCESS, 0, COLLECTOR_NICE);
}

/* A loss during the first walk is healed before anybody sees a picture, if that is possible. */
static int first_picture(struct session *session)
{
	int error = session_refresh(session);

	for (int i = 0; i < SETTLE_TICKS && !error; i++) {
		error = session_baseline(session);
		if (!error)
			error = session_follow(session);
		if (is_complete(session) || session->is_ending)
			break;
	}
	return error;
}

int session_open(const struct session_options *options, struct session **out)
{
	struct session *session = calloc(1, sizeof(*session));
	uint64_t begun_ns = session_clock_ns();
	int error;

	if (!session)
		return -ENOMEM;
	session->epoll_fd = -1;
	session->mode = options->attach.mode;
	session->may_fall_back = options->may_fall_back;
	session->realtime_offset_ns = clock_ns(CLOCK_REALTIME) - begun_ns;
	raise_priority();
	error = open_target(session, options);
	if (!error) {
		error = first_picture(session);
		if (error)
			refuse(session, error);
	}
	if (error) {
		session_close(session);
		return error;
	}
	session->view.replica = &session->replica;
	session->view.names =
		(struct view_names){session->registry, describe_context, base_of_context};
	move_view(session);
	session->attach_duration_ns = session_clock_ns() - begun_ns;
	*out = session;
	return 0;
}

void session_close(struct session *session)
{
	if (!session)
		return;
	session_pace_end(session);
	attach_close(session->attach);
	session_events_close(session->events);
	session_stacks_close(session);
	registry_reader_close(session->registry);
	target_close(session->target);
	if (session->epoll_fd >= 0)
		close(session->epoll_fd);
	view_fini(&session->view);
	replica_fini(&session->replica);
	for (uint32_t i = 0; i < session->strays_count; i++)
		free((void *)session->strays[i].batch.events);
	free(session->strays);
	free(session->tails);
	free(session->arenas);
	free(session);
}

/* ------------------------------------------------------------------ ticks */

void session_break_all(struct session *session)
{
	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		session->replica.arenas[i]->state = REPLICA_BROKEN;
	for (uint32_t i = 0; i < session->arenas_count; i++)
		session->arenas[i].retry_at_ns = 0;
}

/* Where events are not followed the heap is seen by walks alone, for a fiftieth of the time. */
static int walk_again(struct session *session)
{
	uint64_t begun_ns = session_clock_ns(), resyncs = session->replica.resyncs;
	int error;

	if (begun_ns < session->next_walk_ns)
		return 0;
	session_break_all(session);
	error = session_baseline(session);
	session->replica.resyncs = resyncs;
	session->next_walk_ns =
		begun_ns + REWALK_NS + REWALK_PAUSE * (session_clock_ns() - begun_ns);
	return error;
}

/* The process is no more: wait for its last words, apply everything. */
static int hear_last_words(struct session *session)
{
	struct timespec pause = {.tv_nsec = 2000000};
	int error = 0;

	for (int i = 0; i < LAST_WORDS_TRIES && !session->is_ending && !error; i++) {
		error = attach_drain(session->attach) < 0 ? -EIO : 0;
		if (!session->is_ending)
			nanosleep(&pause, NULL);
	}
	if (!session->is_ending)
		on_end(session, ATTACH_END_EXIT, 0);
	if (!error)
		error = session_follow(session);
	attach_disarm(session->attach);
	session->is_over = true;
	return error;
}

/* A walk is over, and what happened meanwhile is not applied yet. */
static bool is_settling(const struct session *session)
{
	for (uint32_t i = 0; i < session->replica.arenas_count; i++)
		if (session->replica.arenas[i]->state == REPLICA_SETTLING)
			return true;
	return false;
}

static int tick(struct session *session)
{
	int error;

	if (session->is_ending || target_is_gone(session->target))
		return hear_last_words(session);
	error = session_is_following(session) ? 0 : walk_again(session);
	if (!error)
		error = session_follow(session);
	if (!error && !session->is_ending && session->pace.since_ns == 0)
		error = session_baseline(session);
	if (!error && is_settling(session))
		error = session_follow(session);
	if (error == -ESRCH || session->is_ending)
		return hear_last_words(session);
	if (!error)
		registry_reader_marks(session->registry, on_mark, session);
	return error;
}

int session_tick(struct session *session, int timeout_ms)
{
	struct epoll_event event;
	int error;

	error = session_stacks_run(session);
	if (error)
		return error;
	if (session->is_over)
		return 1;
	if (timeout_ms > 0 && epoll_wait(session->epoll_fd, &event, 1, timeout_ms) < 0 &&
	    errno != EINTR)
		return -errno;
	error = tick(session);
	if (error)
		return error;
	move_view(session);
	error = session_pace(session);
	if (error && error != -ESRCH)
		return error;
	return session->is_over ? 1 : 0;
}

int session_wait_ms(const struct session *session, bool is_watched)
{
	return pace_wait_ms(&session->pace, is_watched);
}

int session_poll_fd(const struct session *session)
{
	return session->epoll_fd;
}

const struct view *session_view(const struct session *session)
{
	return &session->view;
}

const char *session_comm(const struct session *session)
{
	return target_comm(session->target);
}

uint64_t session_attach_ns(const struct session *session)
{
	return session->attach_duration_ns;
}
