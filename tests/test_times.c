/* SPDX-License-Identifier: MIT */
/*
 * test_times.c - times that no clock was read for, against the truth of a real target (root).
 *
 * The target is this program again. It notes in shared memory when it allocated and freed, with a
 * clock of its own; the collector follows it, and what it says of births, lifetimes and of what is
 * new is compared.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmviz/mmviz.h>

#include "model/view.h"
#include "random.h"
#include "session.h"

#define TRUTHS 20000u
#define CHURN  40u /* allocations and frees for each block that is noted */
#define TAGS   4u
#define MS     1000000ull

/* What the target says, in memory that both see. */
struct truth {
	uint64_t addr, before_ns, after_ns; /* CLOCK_REALTIME, around the allocation */
};
struct told {
	_Atomic char command; /* 0: done */
	_Atomic uint64_t at_ns;
	uint32_t count;
	uint64_t seed;
	struct truth truths[TRUTHS];
	/* Deaths by power of two of their age: those that cannot be in another one if times are
	 * good to a millisecond, and all. */
	uint64_t sure[TAGS][VIEW_LIFETIME_BUCKETS], deaths[TAGS];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------ the target */

static void sleep_ns(uint64_t ns)
{
	nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

/* As fast as it can: every forty-first block is noted, and stays. */
static void allocate_under_load(struct told *told, struct mmviz_arena *arena)
{
	void *blocks[CHURN] = {0};
	struct random random = {told->seed};

	for (told->count = 0; told->count < TRUTHS; told->count++) {
		struct truth *truth = &told->truths[told->count];

		for (uint32_t i = 0; i < CHURN; i++) {
			uint32_t pick = random_below(&random, CHURN);

			mmviz_free(arena, blocks[pick]);
			blocks[pick] = mmviz_alloc(arena, 16 + random_below(&random, 200), 0);
		}
		truth->before_ns = clock_ns(CLOCK_REALTIME);
		truth->addr = (uint64_t)mmviz_alloc(arena, 64, 0);
		truth->after_ns = clock_ns(CLOCK_REALTIME);
	}
}

static unsigned log2_of(uint64_t value)
{
	return 63u - (unsigned)__builtin_clzll(value | 1);
}

struct living {
	void *block;
	uint64_t born_before_ns, born_after_ns, due_ns;
	uint32_t tag;
};

static void end_life(struct told *told, struct mmviz_arena *arena, struct living *living)
{
	uint64_t before_ns = clock_ns(CLOCK_REALTIME), after_ns, least_ns, most_ns;

	mmviz_free(arena, living->block);
	after_ns = clock_ns(CLOCK_REALTIME);
	least_ns = before_ns - living->born_after_ns;
	most_ns = after_ns - living->born_before_ns;
	told->deaths[living->tag]++;
	least_ns = least_ns > 2 * MS ? least_ns - 2 * MS : 0;
	if (log2_of(least_ns) == log2_of(most_ns + 2 * MS))
		told->sure[living->tag][log2_of(most_ns)]++;
	living->block = NULL;
}

/* Lives from 4 to 400 ms, while other blocks keep the log moving. */
static void live_and_die(struct told *told, struct mmviz_arena *arena)
{
	static const char *const names[TAGS] = {"brief", "short", "medium", "long"};
	static const uint64_t lives_ms[TAGS] = {6, 24, 96, 384};
	struct living living[64] = {0};
	struct random random = {told->seed};
	uint64_t end_ns = clock_ns(CLOCK_REALTIME) + 2500 * MS;
	bool has_ended = false, is_living = true;

	while (is_living) {
		is_living = !has_ended;
		for (uint32_t i = 0; i < 64; i++) {
			uint64_t now_ns = clock_ns(CLOCK_REALTIME);

			mmviz_free(arena, mmviz_alloc(arena, 100, 0));
			has_ended = now_ns > end_ns;
			if (living[i].block && now_ns >= living[i].due_ns)
				end_life(told, arena, &living[i]);
			is_living |= living[i].block != NULL;
			if (living[i].block || has_ended || random_below(&random, 20))
				continue;
			living[i].tag = random_below(&random, TAGS);
			living[i].due_ns = now_ns + lives_ms[living[i].tag] * MS *
							    (90 + random_below(&random, 20)) / 100;
			living[i].born_before_ns = clock_ns(CLOCK_REALTIME);
			living[i].block =
				mmviz_alloc(arena, 32 + i, mmviz_tag_intern(names[living[i].tag]));
			living[i].born_after_ns = clock_ns(CLOCK_REALTIME);
		}
		sleep_ns(MS / 4);
	}
}

static _Noreturn void target_main(struct told *told)
{
	struct mmviz_arena *arena = mmviz_arena_create("timed", 256u << 20);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mmviz_alloc(arena, 10, 0);
	for (;;) {
		char command = told->command;

		if (command == 'l')
			allocate_under_load(told, arena);
		if (command == 'd')
			live_and_die(told, arena);
		if (command == 'i') {
			mmviz_alloc(arena, 100, 0);
			told->at_ns = clock_ns(CLOCK_MONOTONIC);
		}
		told->command = 0;
		while (!told->command)
			sleep_ns(MS / 2);
	}
}

/* ------------------------------------------------------------------ its other end */

struct fixture {
	struct told *told;
	pid_t pid;
	struct session *session;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct session_options options = {0};

	if (geteuid() != 0)
		return 0;
	fixture.told = mmap(NULL, sizeof(*fixture.told), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(fixture.told != MAP_FAILED);
	fixture.told->seed = random_seed();
	fixture.told->command = 'x';
	fixture.pid = fork();
	if (fixture.pid == 0)
		target_main(fixture.told);
	while (fixture.told->command)
		sleep_ns(MS);
	options.pid = fixture.pid;
	must(session_open(&options, &fixture.session) == 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		return 0;
	session_close(fixture->session);
	kill(fixture->pid, SIGKILL);
	waitpid(fixture->pid, NULL, 0);
	munmap(fixture->told, sizeof(*fixture->told));
	return 0;
}

static void tick(struct fixture *fixture)
{
	assert_int_equal(session_tick(fixture->session, session_wait_ms(fixture->session, false)),
			 0);
}

/* Let it do this, and follow. */
static void carry_out(struct fixture *fixture, char command)
{
	struct view_totals totals;

	fixture->told->command = command;
	while (fixture->told->command)
		tick(fixture);
	tick(fixture);
	view_totals(session_view(fixture->session), &totals);
	assert_int_equal(totals.events_lost, 0);
	assert_true(totals.is_exact);
}

/* ------------------------------------------------------------------ tests */

static struct view_block *seen;
static uint32_t seen_count;

static int see_block(const struct view_block *block, void *context)
{
	(void)context;
	assert_true(seen_count < 2 * TRUTHS);
	seen[seen_count++] = *block;
	return 0;
}

static int compare_addr(const void *left, const void *right)
{
	const struct view_block *a = left, *b = right;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int compare_error(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static void births_under_load_are_true_to_a_millisecond_and_in_order(void **state)
{
	struct fixture *fixture = *state;
	const struct told *told;
	static uint64_t errors[TRUTHS];
	uint64_t last_ns = 0;

	if (!fixture)
		skip();
	told = fixture->told;
	carry_out(fixture, 'l');
	seen = calloc(2 * TRUTHS, sizeof(*seen));
	seen_count = 0;
	view_each_live(session_view(fixture->session), see_block, NULL);
	qsort(seen, seen_count, sizeof(*seen), compare_addr);
	for (uint32_t i = 0; i < TRUTHS; i++) {
		const struct truth *truth = &told->truths[i];
		const struct view_block *block =
			bsearch(&(struct view_block){.addr = truth->addr}, seen, seen_count,
				sizeof(*seen), compare_addr);

		assert_non_null(block);
		assert_false(block->is_older_than_attach);
		assert_true(block->born_at_ns >= last_ns); /* one heap: in order of its events */
		last_ns = block->born_at_ns;
		errors[i] = 0;
		if (block->born_at_ns < truth->before_ns)
			errors[i] = truth->before_ns - block->born_at_ns;
		else if (block->born_at_ns > truth->after_ns)
			errors[i] = block->born_at_ns - truth->after_ns;
	}
	qsort(errors, TRUTHS, sizeof(*errors), compare_error);
	print_message(
		"%u births in %.0f ms: off by %.3f ms at most, 99 of 100 by %.3f, median %.3f\n",
		TRUTHS,
		(double)(told->truths[TRUTHS - 1].after_ns - told->truths[0].before_ns) / 1e6,
		(double)errors[TRUTHS - 1] / 1e6, (double)errors[TRUTHS * 99 / 100] / 1e6,
		(double)errors[TRUTHS / 2] / 1e6);
	assert_true(errors[TRUTHS / 2] < MS / 4);
	/* The rest: preempted within a batch. On a machine that does nothing else it is 99 of 100. */
	assert_true(errors[TRUTHS * 95 / 100] <= MS);
	free(seen);
}

/* Nothing else happens, and no log gets full: its tail is read. */
static void an_event_of_an_idle_target_is_seen_within_50_ms(void **state)
{
	struct fixture *fixture = *state;
	struct view_totals totals;
	uint64_t worst_ns = 0, blocks;
	uint32_t late = 0;

	if (!fixture)
		skip();
	for (int i = 0; i < 20; i++) {
		uint64_t ns;

		for (int t = 0; t < 3; t++)
			tick(fixture);
		view_totals(session_view(fixture->session), &totals);
		blocks = totals.live_blocks;
		sleep_ns((uint64_t)(i % 7) * MS);
		fixture->told->command = 'i';
		do {
			tick(fixture);
			view_totals(session_view(fixture->session), &totals);
		} while (totals.live_blocks == blocks);
		while (fixture->told->command)
			sleep_ns(MS);
		ns = clock_ns(CLOCK_MONOTONIC) - fixture->told->at_ns;
		worst_ns = ns > worst_ns ? ns : worst_ns;
		late += ns > 50 * MS;
	}
	print_message("seen after %.1f ms at most; later than 50: %u of 20\n",
		      (double)worst_ns / 1e6, late);
	assert_true(late <= 2); /* others want the CPUs, too */
}

static void lifetimes_are_those_of_the_target(void **state)
{
	struct fixture *fixture = *state;
	struct view_lifetimes all, rows[64];
	uint64_t deaths = 0, sure = 0, found = 0;
	uint32_t count;

	if (!fixture)
		skip();
	carry_out(fixture, 'd');
	count = view_lifetimes(session_view(fixture->session), 0, &all, rows, 64);
	for (uint32_t i = 0; i < count; i++) {
		static const char *const names[TAGS] = {"brief", "short", "medium", "long"};
		uint64_t sum = 0;

		for (uint32_t tag = 0; tag < TAGS; tag++) {
			if (strcmp(rows[i].text, names[tag]) != 0)
				continue;
			for (uint32_t b = 0; b < VIEW_LIFETIME_BUCKETS; b++) {
				sum += rows[i].deaths[b];
				sure += fixture->told->sure[tag][b];
				found += rows[i].deaths[b] < fixture->told->sure[tag][b]
						 ? rows[i].deaths[b]
						 : fixture->told->sure[tag][b];
			}
			assert_int_equal(sum, fixture->told->deaths[tag]);
			assert_int_equal(rows[i].older, 0);
			deaths += sum;
		}
	}
	print_message("%llu deaths; of %llu that are not near a power of two, %llu are in theirs\n",
		      (unsigned long long)deaths, (unsigned long long)sure,
		      (unsigned long long)found);
	assert_true(deaths > 500 && sure > deaths / 2);
	assert_true(found >= sure - sure / 10); /* the rest: preempted within a batch */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_of_an_idle_target_is_seen_within_50_ms),
		cmocka_unit_test(births_under_load_are_true_to_a_millisecond_and_in_order),
		cmocka_unit_test(lifetimes_are_those_of_the_target),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
