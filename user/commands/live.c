/* SPDX-License-Identifier: MIT */
/*
 * live.c - `mmviz-bpf -p PID`: attach, serve the dashboard, follow until told to stop.
 *
 * Joins session, web server and exports. Order: the web server first (it shall inherit nothing of
 * the target), then attach, then give up privileges; only then do bytes of the target decide what
 * happens. When the target ends, the last picture stays on the air.
 */
#define _GNU_SOURCE
#include "commands/live.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "commands/commands.h"
#include "export/events.h"
#include "export/exact_stacks.h"
#include "export/json.h"
#include "export/lifetimes.h"
#include "export/metrics.h"
#include "export/pprof.h"
#include "export/stacks.h"
#include "serve/sandbox.h"
#include "serve/server.h"
#include "session.h"

#define NS_PER_SECOND	 UINT64_C(1000000000)
#define NS_PER_MS	 UINT64_C(1000000)
#define VERIFY_FIRST_NS	 (2 * NS_PER_SECOND)
#define VERIFY_PERIOD_NS (60 * NS_PER_SECOND)
#define VERIFY_SHARE	 200  /* checking takes at most this part of the time */
#define STACKS_SHOWN_MAX 500  /* in a document that is asked for again and again */
#define STACKS_TOLD_MAX	 5000 /* in a profile */

struct live {
	struct options options;
	const struct live_hooks *hooks;
	struct server *server;
	struct session *session;
	struct server_target target;
	uint64_t end_ns;    /* CLOCK_MONOTONIC; UINT64_MAX: no end is set */
	uint64_t verify_ns; /* CLOCK_MONOTONIC of the next check */
	bool is_ended;	    /* the target */
};

static const struct options_spec spec = {
	.accepts = OPTION_PID | OPTION_SECONDS | OPTION_MODE | OPTION_STACKS | OPTION_LISTEN |
		   OPTION_JSON | OPTION_VERBOSITY | OPTION_ATTACH,
	.summary =
		"Attach to a process, follow every change of its heap and serve the picture as a "
		"web page. Ctrl-C detaches and leaves the process as it was. --json prints the "
		"summary as one line at the end.",
	.examples = "  sudo mmviz-bpf -p 4711\n"
		    "  sudo mmviz-bpf -p 4711 -d 10 --json -q\n"
		    "  sudo mmviz-bpf -p 4711 --listen 127.0.0.1:0 --token-file token\n",
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static const char *mode_name(enum attach_mode mode)
{
	static const char *const names[] = {
		[ATTACH_EXACT] = "exact", [ATTACH_SAMPLED] = "sampled", [ATTACH_EVENTS] = "events"};

	return names[mode];
}

static const char *version(void)
{
	return strrchr(argp_program_version, ' ') + 1;
}

/* ------------------------------------------------------------------ documents */

static int render_json(json_t *json, char **text, size_t *bytes)
{
	*text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (*text == NULL)
		return -ENOMEM;
	*bytes = strlen(*text);
	return 0;
}

static int render_summary(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;

	return render_json(export_json_summary(session_view(live->session), live->options.pid,
					       mode_name(live->options.mode)),
			   text, bytes);
}

static int render_snapshot(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;

	return render_json(export_json_snapshot(session_view(live->session), live->options.pid, 0),
			   text, bytes);
}

static int render_lifetimes(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;

	return render_json(export_json_lifetimes(session_view(live->session), live->options.pid),
			   text, bytes);
}

static int render_metrics(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;
	FILE *out = open_memstream(text, bytes);

	if (out == NULL)
		return -errno;
	export_metrics(out, session_view(live->session), version());
	return fclose(out) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------ events mode */

#define EVENTS_ON_PAGE	  120 /* as many as can be read between two messages, and scrolled through */
#define EVENTS_ROWS_SHOWN 60
#define EVENTS_LISTED	  1000

static struct export_events events_of(const struct live *live)
{
	return (struct export_events){
		.view = session_view(live->session),
		.events = session_events(live->session),
		.settings = session_events_settings(live->session),
		.is_waiting = session_events_is_waiting(live->session),
	};
}

static int render_events_page(void *context, char **text, size_t *bytes)
{
	const struct export_events from = events_of(context);

	if (from.events == NULL)
		return -ENODATA;
	return render_json(export_events(&from, EVENTS_ON_PAGE, EVENTS_ROWS_SHOWN), text, bytes);
}

static int render_other_mode(char **text, size_t *bytes)
{
	return render_json(json_pack("{s:s}", "error",
				     "this collector is not in events mode: start it with --mode "
				     "events"),
			   text, bytes);
}

static int render_events(void *context, char **text, size_t *bytes)
{
	const struct export_events from = events_of(context);

	if (from.events == NULL)
		return render_other_mode(text, bytes);
	return render_json(export_events(&from, EVENTS_LISTED, EVENTS_ROWS_MAX + 1), text, bytes);
}

static int render_events_lines(void *context, char **text, size_t *bytes)
{
	const struct export_events from = events_of(context);
	FILE *out;
	int error;

	if (from.events == NULL)
		return render_other_mode(text, bytes);
	out = open_memstream(text, bytes);
	if (out == NULL)
		return -errno;
	error = export_events_lines(out, &from);
	return fclose(out) == 0 ? error : -errno;
}

static const char *choose_events(void *context, const struct events_settings *settings)
{
	struct live *live = context;

	return session_events_choose(live->session, settings);
}

static int render_stacks(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;
	struct stack_view view;
	json_t *json;
	int error = session_stacks(live->session, STACKS_SHOWN_MAX, &view);

	if (error == -EOPNOTSUPP)
		return render_json(export_json_stacks_off(live->options.pid), text, bytes);
	if (error != 0)
		return error;
	json = export_json_stacks(&view, live->options.pid);
	session_stacks_free(&view);
	return json != NULL ? render_json(json, text, bytes) : -ENOMEM;
}

static int render_pprof(const struct live *live, enum pprof_shown shown, char **out, size_t *bytes)
{
	struct stack_view view = {.sample_bytes = live->options.sample_bytes};
	int error = session_stacks(live->session, STACKS_TOLD_MAX, &view);

	if (error != 0 && error != -EOPNOTSUPP) /* off: a profile without samples */
		return error;
	error = export_pprof(&view, shown, out, bytes);
	session_stacks_free(&view);
	return error;
}

static int render_pprof_heap(void *context, char **out, size_t *bytes)
{
	return render_pprof(context, PPROF_LIVE, out, bytes);
}

static int render_pprof_allocs(void *context, char **out, size_t *bytes)
{
	return render_pprof(context, PPROF_ALLOCATED, out, bytes);
}

static int render_exact_stacks(void *context, char **text, size_t *bytes)
{
	const struct live *live = context;
	struct exact_view view;
	json_t *json;
	int error = session_exact_stacks(live->session, STACKS_SHOWN_MAX, &view);

	if (error == -EOPNOTSUPP)
		return render_json(export_json_stacks_off(live->options.pid), text, bytes);
	if (error != 0)
		return error;
	json = export_json_exact_stacks(&view, live->options.pid);
	session_exact_stacks_free(&view);
	return json != NULL ? render_json(json, text, bytes) : -ENOMEM;
}

static int set_sample_bytes(void *context, uint64_t mean_bytes)
{
	const struct live *live = context;

	return session_set_sample_bytes(live->session, mean_bytes);
}

static const struct server_document documents[] = {
	{"/metrics", METRICS_CONTENT_TYPE, render_metrics},
	{"/api/v1/summary", "application/json", render_summary},
	{"/api/v1/snapshot", "application/json", render_snapshot},
	{"/api/v1/events", "application/json", render_events},
	{"/api/v1/events.ndjson", "application/x-ndjson", render_events_lines},
	{"/api/v1/lifetimes", "application/json", render_lifetimes},
	{"/api/v1/stacks", "application/json", render_stacks},
	{"/api/v1/stacks?kind=exact", "application/json", render_exact_stacks},
	{"/debug/pprof/heap", "application/octet-stream", render_pprof_heap},
	{"/debug/pprof/allocs", "application/octet-stream", render_pprof_allocs},
};

/* ------------------------------------------------------------------ what the user reads */

/* Standard output belongs to --json, or to a program that we have started. */
static FILE *talk(const struct live *live)
{
	return live->options.json || live->options.command ? stderr : stdout;
}

static void print_attached(const struct live *live)
{
	struct view_totals totals;

	if (live->options.verbosity < 0)
		return;
	view_totals(session_view(live->session), &totals);
	fprintf(talk(live),
		"Attached to %d (%s) in %" PRIu64 " ms: %" PRIu64 " blocks, %" PRIu64
		" bytes in %" PRIu32 " arena%s.\n%s\n",
		(int)live->options.pid, session_comm(live->session),
		session_attach_ns(live->session) / NS_PER_MS, totals.live_blocks, totals.live_bytes,
		totals.arenas, totals.arenas == 1 ? "" : "s", server_url(live->server));
	if (live->options.seconds > 0)
		fprintf(talk(live), "Ends after %g s, or with Ctrl-C.\n", live->options.seconds);
	else
		fprintf(talk(live), "Ctrl-C detaches.\n");
	fflush(talk(live));
}

static void describe_end(const struct view_totals *totals, char *out, size_t max)
{
	int status = totals->exit_code;

	if (totals->target_state == VIEW_TARGET_EXECED)
		snprintf(out, max, "The target has started another program (exec)");
	else if (WIFSIGNALED(status))
		snprintf(out, max, "The target was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(out, max, "The target has ended with status %d", WEXITSTATUS(status));
}

static void tell_target_end(struct live *live)
{
	struct view_totals totals;
	char text[128];

	live->is_ended = true;
	view_totals(session_view(live->session), &totals);
	describe_end(&totals, text, sizeof(text));
	server_notice(live->server, "warning", text);
	if (live->options.verbosity < 0)
		return;
	fprintf(talk(live), "%s; its last picture stays on %s%s.\n", text, server_url(live->server),
		live->options.seconds > 0 ? "" : " until Ctrl-C");
	if (live->options.command && totals.target_state == VIEW_TARGET_EXECED)
		fprintf(talk(live), "To follow that program, start it itself: mmviz-bpf run -- ITS "
				    "PATH. (A script in PATH may only look for the real one.)\n");
	fflush(talk(live));
}

/* In events mode what was told of what happened; the picture itself is from walks then. */
static void print_counts(const struct live *live)
{
	const struct events *events = session_events(live->session);
	struct view_totals totals;
	struct events_totals told;

	fprintf(talk(live), "%s: ", live->is_ended ? "Ended" : "Detached");
	view_totals(session_view(live->session), &totals);
	if (events != NULL) {
		events_totals(events, &told);
		fprintf(talk(live), "%" PRIu64 " of %" PRIu64 " events told, %" PRIu64 " dropped",
			told.counted.told, told.counted.hits, told.counted.dropped);
	} else {
		fprintf(talk(live), "%" PRIu64 " events seen, %" PRIu64 " lost", totals.events_seen,
			totals.events_lost);
	}
	fprintf(talk(live), "; %" PRIu64 " blocks, %" PRIu64 " bytes alive.\n", totals.live_blocks,
		totals.live_bytes);
}

static int print_end(const struct live *live)
{
	char *text;
	size_t bytes;
	int error;

	if (live->options.verbosity >= 0)
		print_counts(live);
	if (!live->options.json)
		return 0;
	error = render_summary((void *)(uintptr_t)live, &text, &bytes);
	if (error != 0)
		return error;
	puts(text);
	free(text);
	return 0;
}

/* ------------------------------------------------------------------ the loop */

static bool must_stop(const struct live *live)
{
	return command_stop || clock_ns(CLOCK_MONOTONIC) >= live->end_ns;
}

static int wait_ms(const struct live *live)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	uint64_t left_ms = now_ns < live->end_ns ? (live->end_ns - now_ns) / NS_PER_MS + 1 : 0;
	uint64_t tick_ms =
		(uint64_t)session_wait_ms(live->session, server_has_clients(live->server));

	return (int)(left_ms < tick_ms ? left_ms : tick_ms);
}

/* An end of the target is told once; the session then stays as it is. */
static int follow(struct live *live)
{
	int result = live->is_ended ? 0 : session_tick(live->session, 0);

	if (result == 1)
		tell_target_end(live);
	return result < 0 ? result : 0;
}

static void tell_difference(struct live *live, uint64_t places)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "The picture differs from a fresh walk of the heap in %" PRIu64
		 " places: do not trust it, and please report this",
		 places);
	server_notice(live->server, "error", text);
}

/* While somebody looks, the picture is compared with the heap itself now and then. */
static int verify_when_due(struct live *live)
{
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC), ended_ns, pause_ns;
	struct session_verdict verdict;
	uint64_t differences;
	int error;

	if (live->is_ended || live->options.mode != ATTACH_EXACT || begun_ns < live->verify_ns ||
	    !server_has_clients(live->server))
		return 0;
	error = session_verify(live->session, &verdict);
	ended_ns = clock_ns(CLOCK_MONOTONIC);
	pause_ns = VERIFY_SHARE * (ended_ns - begun_ns);
	live->verify_ns = ended_ns + (pause_ns > VERIFY_PERIOD_NS ? pause_ns : VERIFY_PERIOD_NS);
	if (error != 0)
		return error == -ESRCH ? 0 : error; /* the next tick tells the end */
	differences = verdict.missing + verdict.extra + verdict.different;
	if (differences > 0)
		tell_difference(live, differences);
	return 0;
}

static int run(struct live *live)
{
	struct pollfd ready[2] = {[1] = {.fd = session_poll_fd(live->session), .events = POLLIN}};
	int error = 0;

	while (error == 0 && !must_stop(live)) {
		ready[0] = server_poll(live->server);
		poll(ready, live->is_ended ? 1 : 2, wait_ms(live));
		error = verify_when_due(live);
		if (error == 0)
			error = follow(live);
		if (error == 0)
			error = server_service(live->server, session_view(live->session));
	}
	/* What the target did until it was let go of counts, wherever the signal met us. */
	return error == 0 ? follow(live) : error;
}

static int open_all(struct live *live)
{
	const struct server_options serve = {
		.listen = live->options.listen,
		.token_file = live->options.token_file,
		.no_token = live->options.no_token,
		.documents = documents,
		.documents_count = sizeof(documents) / sizeof(documents[0]),
		.documents_context = live,
		.render_events = render_events_page,
		.choose_events = choose_events,
		.set_sample_bytes = set_sample_bytes,
	};
	struct session_options session = {
		.attach = options_attach(&live->options),
		.events = live->options.events,
		.sample_bytes = live->options.stacks != STACKS_OFF ? live->options.sample_bytes : 0,
		.may_fall_back = true,
	};
	int error = server_open(&serve, &live->server);

	if (error == 0 && live->hooks->start)
		error = live->hooks->start(live->hooks->context, &live->options.pid);
	session.pid = live->options.pid;
	if (error == 0)
		error = session_open(&session, &live->session);
	if (error == 0)
		error = sandbox_drop_privileges();
	if (error != 0)
		return error;
	live->target = (struct server_target){
		.pid = live->options.pid,
		.comm = session_comm(live->session),
		.mode = mode_name(live->options.mode),
		.version = version(),
		.attached_at_ns = clock_ns(CLOCK_REALTIME),
	};
	live->verify_ns = clock_ns(CLOCK_MONOTONIC) + VERIFY_FIRST_NS;
	server_attached(live->server, &live->target);
	return 0;
}

int live_serve(const struct options *options, const struct live_hooks *hooks)
{
	struct live live = {.options = *options, .hooks = hooks, .end_ns = UINT64_MAX};
	int error = open_all(&live);

	if (error == 0) {
		if (live.options.seconds > 0)
			live.end_ns = clock_ns(CLOCK_MONOTONIC) +
				      (uint64_t)(live.options.seconds * (double)NS_PER_SECOND);
		print_attached(&live);
		if (hooks->attached)
			hooks->attached(hooks->context);
		error = run(&live);
	}
	if (error == 0)
		error = print_end(&live);
	server_close(live.server);
	if (live.session != NULL)
		session_close(live.session);
	return error;
}

int command_live(int argc, char **argv)
{
	const struct live_hooks none = {0};
	struct options options;

	options_parse(&spec, argc, argv, &options);
	return live_serve(&options, &none);
}
