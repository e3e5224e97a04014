/* SPDX-License-Identifier: MIT */
/* lifetimes.c - sums over arenas, and the view of them; see lifetimes.h. */
#include "model/lifetimes.h"

#include <stdlib.h>

#include "model/view_state.h"

#define CARRY_AT 0x40000000u

void lifetimes_add(struct lifetime_sums *sum, const struct lifetimes *part)
{
	for (uint32_t i = 0; i < LIFETIME_COUNTERS; i++)
		sum->deaths[i] += part->deaths[i];
}

void lifetimes_add_sums(struct lifetime_sums *sum, const struct lifetime_sums *part)
{
	for (uint32_t i = 0; i < LIFETIME_COUNTERS; i++)
		sum->deaths[i] += part->deaths[i];
}

void lifetimes_carry(struct lifetimes *counts, struct lifetime_sums *sums)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < LIFETIME_COUNTERS; i++)
		most = counts->deaths[i] > most ? counts->deaths[i] : most;
	if (most < CARRY_AT)
		return;
	lifetimes_add(sums, counts);
	*counts = (struct lifetimes){0};
}

/* ------------------------------------------------------------------ the view */

struct row {
	uint64_t deaths;
	uint64_t live_blocks;
	struct lifetime_sums lifetimes;
	uint32_t id;
};
struct rows {
	const struct view *view;
	struct row *rows; /* by context id; those with neither deaths nor blocks are empty */
	uint32_t count;
};

static uint32_t contexts_end(const struct totals *totals)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < totals->listed_count; i++)
		if (totals->listed[i] >= end)
			end = totals->listed[i] + 1;
	return end;
}

static uint64_t deaths_of(const struct lifetime_sums *lifetimes)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LIFETIME_COUNTERS; i++)
		sum += lifetimes->deaths[i];
	return sum;
}

static void add_totals(struct rows *rows, const struct totals *totals)
{
	for (uint32_t i = 0; i < totals->listed_count; i++) {
		uint32_t id = totals->listed[i], base = view_base(rows->view, id);
		struct row *row = &rows->rows[base < id ? base : id];

		row->id = base < id ? base : id;
		row->live_blocks += totals->contexts[id].live_blocks;
		lifetimes_add(&row->lifetimes, &totals->lifetimes[id]);
		lifetimes_add_sums(&row->lifetimes, &totals->lifetime_sums[id]);
	}
}

/* The parts that the question is about: one arena, or all and those that are gone. */
static uint32_t parts_of(const struct view *view, uint32_t arena_id, const struct totals **out)
{
	const struct replica *replica = view->replica;
	uint32_t count = 0;

	if (arena_id == 0)
		out[count++] = &replica->past;
	for (uint32_t i = 0; i < replica->arenas_count; i++)
		if (arena_id == 0 || replica->arenas[i]->id == arena_id)
			out[count++] = &replica->arenas[i]->table.totals;
	return count;
}

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	if (a->deaths != b->deaths)
		return a->deaths < b->deaths ? 1 : -1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static bool collect_rows(const struct totals *const *parts, uint32_t parts_count, struct rows *out)
{
	for (uint32_t i = 0; i < parts_count; i++)
		if (contexts_end(parts[i]) > out->count)
			out->count = contexts_end(parts[i]);
	out->rows = calloc(out->count + 1, sizeof(*out->rows));
	if (!out->rows)
		return false;
	for (uint32_t i = 0; i < parts_count; i++)
		add_totals(out, parts[i]);
	for (uint32_t i = 0; i < out->count; i++)
		out->rows[i].deaths = deaths_of(&out->rows[i].lifetimes);
	qsort(out->rows, out->count, sizeof(*out->rows), compare_rows);
	return true;
}

static void add_to(struct view_lifetimes *out, const struct row *row)
{
	out->live_blocks += row->live_blocks;
	out->older += row->lifetimes.deaths[LIFETIME_OLDER];
	for (uint32_t i = 0; i < VIEW_LIFETIME_BUCKETS; i++)
		out->deaths[i] += row->lifetimes.deaths[i];
}

uint32_t view_lifetimes(const struct view *view, uint32_t arena_id, struct view_lifetimes *all,
			struct view_lifetimes *out, uint32_t max)
{
	const struct totals **parts = calloc(view->replica->arenas_count + 1, sizeof(*parts));
	struct rows rows = {.view = view};
	uint32_t copied = 0;

	*all = (struct view_lifetimes){0};
	if (!parts || !collect_rows(parts, parts_of(view, arena_id, parts), &rows)) {
		free(parts);
		return 0;
	}
	for (uint32_t i = 0; i < rows.count; i++) {
		const struct row *row = &rows.rows[i];

		add_to(all, row);
		if (copied == max || (row->deaths == 0 && row->live_blocks == 0))
			continue;
		out[copied] = (struct view_lifetimes){.id = row->id};
		out[copied].text =
			view->names.describe(view->names.context, row->id, &out[copied].kind);
		add_to(&out[copied++], row);
	}
	free(rows.rows);
	free(parts);
	return copied;
}
