/* SPDX-License-Identifier: MIT */
/*
 * events.c - a ring of events, and sums in windows of a second; see events.h.
 *
 * Each row has one sum for the second under way and one for each of the last WINDOWS seconds. When
 * a second is over its sums take the place of the oldest. Rows that said nothing in all windows are
 * given up then, so that threads which come and go find room.
 *
 *	rate = sum over windows / their seconds
 */
#include "model/events.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SECOND 1000000000ull
#define WINDOWS	      4
#define SLOTS	      (2 * EVENTS_ROWS_MAX) /* of the index: never more than half full */
#define NO_ROW	      UINT16_MAX

struct sums {
	double allocations, allocations_variance;
	double bytes, bytes_variance;
	double frees;
};
struct row {
	uint64_t key;
	struct sums now, past[WINDOWS];
	char comm[EVENTS_COMM_BYTES];
};
struct table {
	struct row *rows; /* EVENTS_ROWS_MAX and one for the others */
	uint32_t count;	  /* without the one for the others, which is rows[EVENTS_ROWS_MAX] */
	uint16_t index[SLOTS];
};
struct events {
	struct event *ring; /* number n lies at n % EVENTS_KEPT */
	uint64_t newest;
	uint64_t
		forgotten; /* the newest that is not listed any more, since other settings chose it */
	struct table tables[EVENTS_TABLES];
	struct row all;
	struct events_counted counted, counted_past[WINDOWS], counted_at_start;
	uint64_t started_ns; /* the second under way; 0: none yet */
	double seconds[WINDOWS];
	uint32_t oldest; /* of the windows: the next to be overwritten */
};

const struct events_settings events_everything = {
	.sample = 1, .max_bytes = EVENTS_BLOCK_MAX, .tag_id = EVENTS_ANY_TAG};

/* ------------------------------------------------------------------ settings */

const char *events_settings_check(const struct events_settings *settings)
{
	if (settings->is_by_bytes > 1)
		return "sampling is by count or by bytes";
	if (settings->sample == 0 || settings->sample > EVENTS_SAMPLE_MAX)
		return "sample is a whole number from 1 to 1073741824";
	if (settings->min_bytes > EVENTS_BLOCK_MAX || settings->max_bytes > EVENTS_BLOCK_MAX)
		return "min_bytes and max_bytes are at most 68719476736";
	if (settings->min_bytes > settings->max_bytes)
		return "min_bytes is greater than max_bytes: nothing would ever pass";
	if (memchr(settings->tag, '\0', sizeof(settings->tag)) == NULL)
		return "the name of a tag has at most 127 bytes here; give its number as tag_id";
	if (settings->tag[0] != '\0' && settings->tag_id != EVENTS_ANY_TAG)
		return "a tag is given by its name or by its number, not by both";
	return NULL;
}

/* ------------------------------------------------------------------ tables */

static uint32_t slot_of(uint64_t key)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 40) % SLOTS;
}

static void index_row(struct table *table, uint16_t row)
{
	uint32_t slot = slot_of(table->rows[row].key);

	while (table->index[slot] != NO_ROW)
		slot = (slot + 1) % SLOTS;
	table->index[slot] = row;
}

static struct row *find_row(struct table *table, uint64_t key)
{
	uint32_t slot = slot_of(key);

	for (; table->index[slot] != NO_ROW; slot = (slot + 1) % SLOTS)
		if (table->rows[table->index[slot]].key == key)
			return &table->rows[table->index[slot]];
	if (table->count == EVENTS_ROWS_MAX)
		return &table->rows[EVENTS_ROWS_MAX];
	table->rows[table->count] = (struct row){.key = key};
	table->index[slot] = (uint16_t)table->count;
	return &table->rows[table->count++];
}

static void empty_table(struct table *table)
{
	table->count = 0;
	memset(table->index, 0xff, sizeof(table->index));
	table->rows[EVENTS_ROWS_MAX] = (struct row){.key = EVENTS_OTHERS};
}

static bool has_spoken(const struct row *row)
{
	for (size_t i = 0; i < WINDOWS; i++)
		if (row->past[i].allocations + row->past[i].frees > 0)
			return true;
	return false;
}

static void close_second(struct row *row, uint32_t window)
{
	row->past[window] = row->now;
	row->now = (struct sums){0};
}

static void close_seconds(struct table *table, uint32_t window)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->count; i++) {
		close_second(&table->rows[i], window);
		if (has_spoken(&table->rows[i]))
			table->rows[kept++] = table->rows[i];
	}
	close_second(&table->rows[EVENTS_ROWS_MAX], window);
	table->count = kept;
	memset(table->index, 0xff, sizeof(table->index));
	for (uint32_t i = 0; i < kept; i++)
		index_row(table, (uint16_t)i);
}

static void sum_up(struct sums *sums, const struct event *event)
{
	double weight = event->weight, bytes = (double)event->bytes;
	double variance = weight * (weight - 1);

	if (event->is_free) {
		sums->frees += weight;
		return;
	}
	sums->allocations += weight;
	sums->allocations_variance += variance;
	sums->bytes += weight * bytes;
	sums->bytes_variance += variance * bytes * bytes;
}

/* 0 for no bytes and for one, then 1 for 2, 2 for 3 and 4, 3 for 5 to 8 ... */
static uint64_t size_key(uint64_t bytes)
{
	return bytes <= 1 ? 0 : 64 - (uint64_t)__builtin_clzll(bytes - 1);
}

/* ------------------------------------------------------------------ what comes in */

void events_add(struct events *events, const struct event *event)
{
	struct table *tables = events->tables;
	struct row *thread = find_row(&tables[EVENTS_BY_THREAD], event->thread_id);
	struct event *kept = &events->ring[++events->newest % EVENTS_KEPT];

	*kept = *event;
	kept->number = events->newest;
	memcpy(thread->comm, event->comm, sizeof(thread->comm));
	sum_up(&thread->now, event);
	sum_up(&find_row(&tables[EVENTS_BY_TAG], event->context)->now, event);
	sum_up(&find_row(&tables[EVENTS_BY_SIZE], size_key(event->bytes))->now, event);
	sum_up(&events->all.now, event);
}

static struct events_counted difference(const struct events_counted *after,
					const struct events_counted *before)
{
	return (struct events_counted){
		.hits = after->hits - before->hits,
		.allocations = after->allocations - before->allocations,
		.allocated_bytes = after->allocated_bytes - before->allocated_bytes,
		.told = after->told - before->told,
		.dropped = after->dropped - before->dropped,
	};
}

void events_tick(struct events *events, uint64_t monotonic_ns, const struct events_counted *counted)
{
	uint32_t window = events->oldest;

	events->counted = *counted;
	if (events->started_ns == 0) {
		events->started_ns = monotonic_ns;
		events->counted_at_start = *counted;
	}
	if (monotonic_ns - events->started_ns < NS_PER_SECOND)
		return;
	events->seconds[window] = (double)(monotonic_ns - events->started_ns) / NS_PER_SECOND;
	events->counted_past[window] = difference(counted, &events->counted_at_start);
	for (size_t by = 0; by < EVENTS_TABLES; by++)
		close_seconds(&events->tables[by], window);
	close_second(&events->all, window);
	events->oldest = (window + 1) % WINDOWS;
	events->started_ns = monotonic_ns;
	events->counted_at_start = *counted;
}

void events_restart(struct events *events)
{
	for (size_t by = 0; by < EVENTS_TABLES; by++)
		empty_table(&events->tables[by]);
	events->all = (struct row){0};
	memset(events->seconds, 0, sizeof(events->seconds));
	memset(events->counted_past, 0, sizeof(events->counted_past));
	events->started_ns = 0;
	events->forgotten = events->newest;
}

/* ------------------------------------------------------------------ what is asked */

uint32_t events_newest(const struct events *events, struct event *out, uint32_t max)
{
	uint64_t listed = events->newest - events->forgotten;
	uint64_t kept = listed < EVENTS_KEPT ? listed : EVENTS_KEPT;
	uint32_t count = max < kept ? max : (uint32_t)kept;

	for (uint32_t i = 0; i < count; i++)
		out[i] = events->ring[(events->newest - i) % EVENTS_KEPT];
	return count;
}

static double window_seconds(const struct events *events)
{
	double sum = 0;

	for (size_t i = 0; i < WINDOWS; i++)
		sum += events->seconds[i];
	return sum;
}

static struct events_rate rate_of(const struct row *row, double seconds)
{
	struct events_rate rate = {.key = row->key};
	double allocations_variance = 0, bytes_variance = 0;

	memcpy(rate.comm, row->comm, sizeof(rate.comm));
	if (seconds <= 0)
		return rate;
	for (size_t i = 0; i < WINDOWS; i++) {
		rate.allocations += row->past[i].allocations / seconds;
		rate.bytes += row->past[i].bytes / seconds;
		rate.frees += row->past[i].frees / seconds;
		allocations_variance += row->past[i].allocations_variance;
		bytes_variance += row->past[i].bytes_variance;
	}
	rate.allocations_error = sqrt(allocations_variance) / seconds;
	rate.bytes_error = sqrt(bytes_variance) / seconds;
	return rate;
}

static int more_first(const void *a, const void *b)
{
	const struct events_rate *one = a, *other = b;
	double more = one->allocations + one->frees * 1e-6;
	double than = other->allocations + other->frees * 1e-6;

	if (more != than)
		return more > than ? -1 : 1;
	return one->key < other->key ? -1 : 1;
}

uint32_t events_rates(const struct events *events, enum events_by by, struct events_rate *out,
		      uint32_t max)
{
	const struct table *table = &events->tables[by];
	const struct row *others = &table->rows[EVENTS_ROWS_MAX];
	double seconds = window_seconds(events);
	struct events_rate rates[EVENTS_ROWS_MAX + 1];
	uint32_t count = 0;

	for (uint32_t i = 0; i < table->count; i++)
		if (has_spoken(&table->rows[i]))
			rates[count++] = rate_of(&table->rows[i], seconds);
	if (has_spoken(others))
		rates[count++] = rate_of(others, seconds);
	qsort(rates, count, sizeof(rates[0]), more_first);
	count = count < max ? count : max;
	memcpy(out, rates, count * sizeof(rates[0]));
	return count;
}

static uint64_t by_second(uint64_t sum, double seconds)
{
	return seconds > 0 ? (uint64_t)llround((double)sum / seconds) : 0;
}

void events_totals(const struct events *events, struct events_totals *out)
{
	double seconds = window_seconds(events);
	struct events_counted sum = {0};

	for (size_t i = 0; i < WINDOWS; i++) {
		const struct events_counted *past = &events->counted_past[i];

		sum.hits += past->hits;
		sum.allocations += past->allocations;
		sum.allocated_bytes += past->allocated_bytes;
		sum.told += past->told;
		sum.dropped += past->dropped;
	}
	*out = (struct events_totals){
		.newest = events->newest,
		.counted = events->counted,
		.a_second = {.hits = by_second(sum.hits, seconds),
			     .allocations = by_second(sum.allocations, seconds),
			     .allocated_bytes = by_second(sum.allocated_bytes, seconds),
			     .told = by_second(sum.told, seconds),
			     .dropped = by_second(sum.dropped, seconds)},
		.all = rate_of(&events->all, seconds),
		.window_s = seconds,
	};
}

/* ------------------------------------------------------------------ open, close */

int events_open(struct events **out)
{
	struct events *events = calloc(1, sizeof(*events));
	bool is_complete = events != NULL;

	if (events != NULL) {
		events->ring = calloc(EVENTS_KEPT, sizeof(*events->ring));
		is_complete = events->ring != NULL;
		for (size_t by = 0; by < EVENTS_TABLES; by++) {
			events->tables[by].rows = calloc(EVENTS_ROWS_MAX + 1, sizeof(struct row));
			is_complete = is_complete && events->tables[by].rows != NULL;
		}
	}
	if (!is_complete) {
		events_close(events);
		return -ENOMEM;
	}
	events_restart(events);
	*out = events;
	return 0;
}

void events_close(struct events *events)
{
	if (events == NULL)
		return;
	for (size_t by = 0; by < EVENTS_TABLES; by++)
		free(events->tables[by].rows);
	free(events->ring);
	free(events);
}
