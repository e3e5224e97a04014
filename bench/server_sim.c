/* SPDX-License-Identifier: MIT */
/*
 * server_sim - a pretended server: requests that allocate and free on mmviz arenas, for as long and
 * as fast as asked.
 *
 * main parses the options, starts the workers (sim/traffic.c), tells them the phase of the pattern
 * and stops them; each worker asks its pace (sim/pace.c) how many requests it may serve. Standard
 * output carries the result, standard error everything else.
 */
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mmviz/mmviz.h>

#include "sim/pace.h"
#include "sim/totals.h"
#include "sim/traffic.h"

#define THREADS_MAX	 256u
#define ARENAS_MAX	 256u
#define RATE_DEFAULT	 200000u
#define CAPACITY_DEFAULT (4ULL << 30)
#define TICK_NS		 (20L * 1000 * 1000)

struct options {
	enum pattern pattern;
	uint64_t requests_per_second; /* 0: as fast as it can */
	unsigned threads;
	double seconds; /* 0: until SIGINT or SIGTERM */
	double delay_seconds;
	double linger_seconds;
	unsigned arenas;
	uint64_t capacity_bytes;
	uint64_t live_blocks;
	const char *totals_path;
	bool is_json;
};

struct sim {
	struct options options;
	struct traffic *traffic;
	pthread_barrier_t workers_and_main;
	_Atomic unsigned phase;
	atomic_bool is_stopping;
};

struct worker_thread {
	struct sim *sim;
	unsigned index;
	pthread_t thread;
};

/* ------------------------------------------------------------------ options */

/* A number with an optional k, M or G (thousands), or Ki, Mi, Gi (1024s). */
static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
	static const char letters[] = "kMG";
	char *end;
	unsigned long long value;
	uint64_t unit = 1;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return false;
	if (*end) {
		const char *letter = strchr(letters, *end == 'K' ? 'k' : *end);
		uint64_t step = end[1] == 'i' ? 1024 : 1000;

		if (!letter || strcmp(end + 1, end[1] == 'i' ? "i" : "") != 0)
			return false;
		for (long i = letter - letters; i >= 0; i--)
			unit *= step;
	}
	if (value > most / unit)
		return false;
	*out = value * unit;
	return true;
}

enum option_key {
	OPTION_SHARED_TOTALS = 256,
	OPTION_LIVE_BLOCKS,
	OPTION_CAPACITY,
	OPTION_ARENAS,
	OPTION_DELAY,
	OPTION_LINGER,
	OPTION_JSON,
};

static uint64_t number_argument(const char *text, const char *what, uint64_t least, uint64_t most,
				struct argp_state *state)
{
	uint64_t value = 0;

	if (!parse_number(text, most, &value) || value < least)
		argp_error(state,
			   "%s '%s' is not a number from %llu to %llu (k, M, G, Ki, Mi, Gi "
			   "may follow)",
			   what, text, (unsigned long long)least, (unsigned long long)most);
	return value;
}

static double seconds_argument(const char *text, struct argp_state *state)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 1e9))
		argp_error(state, "seconds '%s' is not a number from 0 to 1e9", text);
	return seconds;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'p':
		if (pattern_parse(argument, &options->pattern) < 0)
			argp_error(state, "pattern '%s' is none of steady, burst, ramp, mixed",
				   argument);
		return 0;
	case 'r':
		options->requests_per_second =
			number_argument(argument, "rate", 0, 1000000000000, state);
		return 0;
	case 't':
		options->threads =
			(unsigned)number_argument(argument, "threads", 1, THREADS_MAX, state);
		return 0;
	case 's':
		options->seconds = seconds_argument(argument, state);
		return 0;
	case OPTION_DELAY:
		options->delay_seconds = seconds_argument(argument, state);
		return 0;
	case OPTION_LINGER:
		options->linger_seconds = seconds_argument(argument, state);
		return 0;
	case OPTION_SHARED_TOTALS:
		options->totals_path = argument;
		return 0;
	case OPTION_LIVE_BLOCKS:
		options->live_blocks =
			number_argument(argument, "live-blocks", 0, 1000000000, state);
		return 0;
	case OPTION_CAPACITY:
		options->capacity_bytes =
			number_argument(argument, "capacity", 1 << 16, 1ULL << 36, state);
		return 0;
	case OPTION_ARENAS:
		options->arenas =
			(unsigned)number_argument(argument, "arenas", 1, ARENAS_MAX, state);
		return 0;
	case OPTION_JSON:
		options->is_json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"pattern", 'p', "PATTERN", 0, "steady (default), burst, ramp or mixed", 0},
	{"rate", 'r', "N", 0, "requests/s over all threads; 0: as fast as it can (default 200k)",
	 0},
	{"threads", 't', "T", 0, "worker threads (default 2)", 0},
	{"seconds", 's', "S", 0, "end after S seconds; 0: at Ctrl-C (default)", 0},
	{"delay", OPTION_DELAY, "S", 0, "be quiet for S seconds before the first request", 0},
	{"linger", OPTION_LINGER, "S", 0,
	 "be quiet for S seconds, or until Ctrl-C, after the last request", 0},
	{"arenas", OPTION_ARENAS, "N", 0, "arenas: requests, sessions, cache, ... (default 3)", 0},
	{"capacity", OPTION_CAPACITY, "BYTES", 0, "address space of each arena (default 4Gi)", 0},
	{"live-blocks", OPTION_LIVE_BLOCKS, "N", 0, "live blocks made before the first request", 0},
	{"shared-totals", OPTION_SHARED_TOTALS, "FILE", 0,
	 "note each thread's totals in FILE after every operation (see bench/sim/totals.h)", 0},
	{"json", OPTION_JSON, NULL, 0, "end with one line of JSON", 0},
	{0},
};

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.doc = "server_sim - traffic of a pretended server on mmviz arenas\v"
	       "EXAMPLES\n"
	       "  server_sim --pattern mixed               something to look at\n"
	       "  server_sim --rate 0 --seconds 5 --json   how fast the machine is\n"
	       "  server_sim --live-blocks 1M --rate 1k    a large heap in quiet traffic\n"
	       "\n"
	       "Watch it from another terminal: sudo mmviz-bpf -p $(pidof server_sim)",
};

/* ------------------------------------------------------------------ running */

static void *worker_main(void *argument)
{
	const struct worker_thread *self = argument;
	struct sim *sim = self->sim;
	struct worker *worker = traffic_worker(sim->traffic, self->index);
	struct pace pace;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", self->index % 1000 + 1);
	pthread_setname_np(pthread_self(), name);
	worker_prefill(worker);
	pthread_barrier_wait(&sim->workers_and_main); /* the live blocks are there */
	pthread_barrier_wait(&sim->workers_and_main); /* traffic starts */
	pace_init(&pace, sim->options.pattern,
		  (double)sim->options.requests_per_second / sim->options.threads);
	while (!atomic_load_explicit(&sim->is_stopping, memory_order_relaxed))
		worker_serve(worker, pace_grant(&pace),
			     atomic_load_explicit(&sim->phase, memory_order_relaxed));
	return NULL;
}

static void mark_phase(const struct sim *sim, unsigned phase)
{
	if (sim->options.pattern == PATTERN_MIXED)
		mmviz_mark(traffic_phase_name(phase));
	else if (sim->options.pattern == PATTERN_BURST)
		mmviz_mark(phase == 0 ? "burst" : "silence");
	else
		mmviz_mark("traffic starts");
}

/* Until the time is over or a signal asks for the end: tell the workers their phase. */
static void conduct(struct sim *sim, const sigset_t *ends, uint64_t started_ns)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};
	const double most_ns = sim->options.seconds * 1e9;
	uint64_t elapsed_ns = 0;

	mark_phase(sim, 0);
	while (!sim->is_stopping && (most_ns == 0 || (double)elapsed_ns < most_ns)) {
		unsigned phase = pattern_phase(sim->options.pattern, elapsed_ns);

		if (atomic_exchange(&sim->phase, phase) != phase)
			mark_phase(sim, phase);
		if (sigtimedwait(ends, NULL, &tick) > 0)
			break;
		elapsed_ns = pace_clock_ns() - started_ns;
	}
	atomic_store(&sim->is_stopping, true);
}

/* True: a signal asked for the end. */
static bool wait_quietly(double seconds, const sigset_t *ends)
{
	struct timespec time = {.tv_sec = (time_t)seconds};

	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	return sigtimedwait(ends, NULL, &time) > 0;
}

static void linger(const struct options *options, const sigset_t *ends)
{
	if (options->linger_seconds == 0)
		return;
	fprintf(stderr, "server_sim: traffic has ended\n");
	wait_quietly(options->linger_seconds, ends);
}

static int start_workers(struct sim *sim, struct worker_thread *threads)
{
	int error = pthread_barrier_init(&sim->workers_and_main, NULL, sim->options.threads + 1);

	for (unsigned i = 0; i < sim->options.threads && !error; i++) {
		threads[i] = (struct worker_thread){.sim = sim, .index = i};
		error = pthread_create(&threads[i].thread, NULL, worker_main, &threads[i]);
	}
	return -error;
}

static void announce(const struct options *options)
{
	char rate[32] = "as fast as it can";

	if (options->requests_per_second)
		snprintf(rate, sizeof(rate), "%llu requests/s",
			 (unsigned long long)options->requests_per_second);
	fprintf(stderr, "server_sim: pid %d, %s traffic, %u thread%s, %s\n", getpid(),
		pattern_name(options->pattern), options->threads, options->threads == 1 ? "" : "s",
		rate);
}

static void report(const struct options *options, struct traffic_counters served, uint64_t events,
		   double seconds)
{
	if (options->is_json)
		printf("{\"pattern\":\"%s\",\"threads\":%u,\"seconds\":%.3f,\"requests\":%llu,"
		       "\"requests_per_second\":%.0f,\"operations_per_second\":%.0f,"
		       "\"events\":%llu}\n",
		       pattern_name(options->pattern), options->threads, seconds,
		       (unsigned long long)served.requests, (double)served.requests / seconds,
		       (double)served.operations / seconds, (unsigned long long)events);
	else
		printf("%llu requests in %.1f s: %.2f M requests/s, %.2f M memory operations/s\n",
		       (unsigned long long)served.requests, seconds,
		       (double)served.requests / seconds / 1e6,
		       (double)served.operations / seconds / 1e6);
}

static int run(struct sim *sim, const sigset_t *ends)
{
	struct worker_thread threads[THREADS_MAX];
	struct traffic_counters before, served;
	uint64_t started_ns, events_before;
	double seconds;
	int error = start_workers(sim, threads);

	if (error) {
		fprintf(stderr, "server_sim: cannot start %u threads: %s; try fewer (--threads)\n",
			sim->options.threads, strerror(-error));
		return EXIT_FAILURE;
	}
	pthread_barrier_wait(&sim->workers_and_main);
	announce(&sim->options);
	before = traffic_count(sim->traffic);
	events_before = traffic_events(sim->traffic);
	if (wait_quietly(sim->options.delay_seconds, ends))
		atomic_store(&sim->is_stopping, true);
	pthread_barrier_wait(&sim->workers_and_main);
	started_ns = pace_clock_ns();
	conduct(sim, ends, started_ns);
	for (unsigned i = 0; i < sim->options.threads; i++)
		pthread_join(threads[i].thread, NULL);
	seconds = (double)(pace_clock_ns() - started_ns) / 1e9;
	served = traffic_count(sim->traffic);
	served.operations -= before.operations;
	linger(&sim->options, ends);
	report(&sim->options, served, traffic_events(sim->traffic) - events_before, seconds);
	if (!served.refused)
		return EXIT_SUCCESS;
	fprintf(stderr,
		"server_sim: %llu allocations found their arena full; give it more "
		"(--capacity)\n",
		(unsigned long long)served.refused);
	return EXIT_FAILURE;
}

static int set_up(struct sim *sim)
{
	const struct options *options = &sim->options;
	struct traffic_options traffic = {
		.threads = options->threads,
		.arenas = options->arenas,
		.capacity_bytes = options->capacity_bytes,
		.live_blocks = options->live_blocks,
		.is_mixed = options->pattern == PATTERN_MIXED,
	};
	int error = 0;

	if (options->totals_path)
		error = totals_create(options->totals_path, options->threads, options->arenas,
				      &traffic.totals);
	if (error) {
		fprintf(stderr, "server_sim: cannot create %s: %s\n", options->totals_path,
			strerror(-error));
		return error;
	}
	error = traffic_create(&traffic, &sim->traffic);
	if (error)
		fprintf(stderr,
			"server_sim: cannot create %u arenas of %llu bytes: %s; try less "
			"(--arenas, --capacity)\n",
			options->arenas, (unsigned long long)options->capacity_bytes,
			strerror(-error));
	return error;
}

int main(int argc, char **argv)
{
	static struct sim sim = {
		.options = {.pattern = PATTERN_STEADY,
			    .requests_per_second = RATE_DEFAULT,
			    .threads = 2,
			    .arenas = 3,
			    .capacity_bytes = CAPACITY_DEFAULT},
	};
	sigset_t ends;

	argp_parse(&argp, argc, argv, 0, NULL, &sim.options);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before the workers start: they inherit it */
	if (set_up(&sim) < 0)
		return EXIT_FAILURE;
	return run(&sim, &ends);
}
