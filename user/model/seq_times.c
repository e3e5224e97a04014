/* SPDX-License-Identifier: MIT */
/* seq_times.c - see seq_times.h. */
#include "model/seq_times.h"

#include <stdlib.h>

#define LEAST_STEP_NS 10000000u

void seq_times_fini(struct seq_times *times)
{
	free(times->points);
	*times = (struct seq_times){0};
}

static void thin(struct seq_times *times)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < times->count; i++)
		if (i >= SEQ_TIMES_MAX / 2 || i % 2 == 0)
			times->points[kept++] = times->points[i];
	times->count = kept;
}

void seq_times_note(struct seq_times *times, uint64_t seq, uint64_t ns)
{
	struct seq_time *last = times->count ? &times->points[times->count - 1] : NULL;

	if (last && (seq < last->seq || ns < last->ns + LEAST_STEP_NS))
		return;
	if (times->count >= 2 && seq == last->seq && seq == last[-1].seq) {
		last->ns = ns; /* it stands still: where that ends is what counts */
		return;
	}
	if (!times->points)
		times->points = malloc(SEQ_TIMES_MAX * sizeof(*times->points));
	if (!times->points)
		return;
	if (times->count == SEQ_TIMES_MAX)
		thin(times);
	times->points[times->count++] = (struct seq_time){seq, ns};
}

uint64_t seq_times_find(const struct seq_times *times, uint64_t seq)
{
	uint32_t low = 0, high = times->count; /* the first point whose seq is greater */
	const struct seq_time *after, *before;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (times->points[middle].seq > seq)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == 0)
		return 0;
	before = &times->points[low - 1];
	if (low == times->count)
		return before->ns;
	after = &times->points[low];
	return before->ns +
	       (uint64_t)((double)(after->ns - before->ns) * (double)(seq - before->seq) /
			  (double)(after->seq - before->seq));
}
