/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - one family after the other: type, unit, help, samples. Labels are names of arenas
 * only: never addresses, tags or stacks, whose number has no bound.
 */
#define _GNU_SOURCE
#include "export/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <mmviz/abi.h>

/* A family of one value, or of one value for each arena. */
struct family {
	const char *name, *unit, *help;
	size_t offset; /* of the uint64_t in struct view_totals or struct view_arena */
	bool is_counter;
};

#define TOTAL(member) offsetof(struct view_totals, member)
static const struct family of_target[] = {
	{"mmviz_heap_peak_bytes", "bytes", "Most bytes alive at one time since the attach",
	 TOTAL(peak_live_bytes), false},
	{"mmviz_allocations", NULL, "Blocks allocated since the attach", TOTAL(allocations), true},
	{"mmviz_allocated_bytes", "bytes", "Bytes allocated since the attach",
	 TOTAL(allocated_bytes), true},
	{"mmviz_frees", NULL, "Blocks freed since the attach", TOTAL(frees), true},
	{"mmviz_freed_bytes", "bytes", "Bytes freed since the attach", TOTAL(freed_bytes), true},
	{"mmviz_events_seen", NULL, "Events of the heap that were followed", TOTAL(events_seen),
	 true},
	{"mmviz_resyncs", NULL, "New baselines after losses", TOTAL(resyncs), true},
	{"mmviz_target_resident_bytes", "bytes", "Resident memory of the target",
	 TOTAL(resident_bytes), false},
	{"mmviz_collector_resident_bytes", "bytes", "Resident memory of mmviz-bpf",
	 TOTAL(collector_bytes), false},
	{"mmviz_ringbuf_used_bytes", "bytes", "Bytes that wait in the ring buffer",
	 TOTAL(ring_used_bytes), false},
	{"mmviz_ringbuf_bytes", "bytes", "Size of the ring buffer", TOTAL(ring_bytes), false},
};

#define ARENA(member) offsetof(struct view_arena, member)
static const struct family of_arena[] = {
	{"mmviz_heap_live_bytes", "bytes", "Bytes asked for and not freed (jemalloc: allocated)",
	 ARENA(live_bytes), false},
	{"mmviz_heap_live_blocks", NULL, "Blocks not freed", ARENA(live_blocks), false},
	{"mmviz_arena_mapped_bytes", "bytes", "Address space of the arena (jemalloc: mapped)",
	 ARENA(capacity_bytes), false},
	{"mmviz_arena_committed_bytes", "bytes", "Memory that the arena has asked the system for",
	 ARENA(committed_bytes), false},
	{"mmviz_arena_free_bytes", "bytes", "Bytes in no span and no block", ARENA(free_bytes),
	 false},
	{"mmviz_arena_largest_free_block_bytes", "bytes", "Longest run of free bytes",
	 ARENA(largest_free_bytes), false},
	{"mmviz_arena_header_bytes", "bytes", "Headers of live blocks (jemalloc: metadata)",
	 ARENA(header_bytes), false},
	{"mmviz_arena_padding_bytes", "bytes", "Bytes of live blocks beyond what was asked for",
	 ARENA(padding_bytes), false},
	{"mmviz_arena_cached_bytes", "bytes", "Freed cells kept for the next allocation",
	 ARENA(cached_bytes), false},
	{"mmviz_arena_metadata_bytes", "bytes", "Books of the arena (jemalloc: metadata)",
	 ARENA(meta_bytes), false},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t value_at(const void *base, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)base + offset, sizeof(value));
	return value;
}

static void put_head(FILE *out, const char *name, const char *type, const char *unit,
		     const char *help)
{
	fprintf(out, "# TYPE %s %s\n", name, type);
	if (unit != NULL)
		fprintf(out, "# UNIT %s %s\n", name, unit);
	fprintf(out, "# HELP %s %s.\n", name, help);
}

static void put_family_head(FILE *out, const struct family *family)
{
	put_head(out, family->name, family->is_counter ? "counter" : "gauge", family->unit,
		 family->help);
}

/* The arena's label; the text is escaped as the format wants it. */
static void put_arena_label(FILE *out, const struct view_arena *arena)
{
	fprintf(out, "{arena=\"");
	for (const char *at = arena->name; *at != '\0'; at++) {
		if (*at == '\\' || *at == '"')
			fputc('\\', out);
		fputc((unsigned char)*at < 0x20 ? ' ' : *at, out);
	}
	fprintf(out, "\",id=\"%" PRIu32 "\"}", arena->id);
}

static void put_arenas(FILE *out, const struct view_arena *arenas, uint32_t count)
{
	for (size_t f = 0; f < COUNT(of_arena); f++) {
		put_family_head(out, &of_arena[f]);
		for (uint32_t i = 0; i < count; i++) {
			if (arenas[i].is_gone)
				continue;
			fputs(of_arena[f].name, out);
			put_arena_label(out, &arenas[i]);
			fprintf(out, " %" PRIu64 "\n", value_at(&arenas[i], of_arena[f].offset));
		}
	}
	put_head(out, "mmviz_arena_fragmentation_ratio", "gauge", "ratio",
		 "1 - longest free run / all free bytes, below the frontier");
	for (uint32_t i = 0; i < count; i++) {
		if (arenas[i].is_gone)
			continue;
		fputs("mmviz_arena_fragmentation_ratio", out);
		put_arena_label(out, &arenas[i]);
		fprintf(out, " %.6f\n", arenas[i].fragmentation_ratio);
	}
}

static void put_totals(FILE *out, const struct view_totals *totals)
{
	for (size_t f = 0; f < COUNT(of_target); f++) {
		put_family_head(out, &of_target[f]);
		fprintf(out, "%s%s %" PRIu64 "\n", of_target[f].name,
			of_target[f].is_counter ? "_total" : "",
			value_at(totals, of_target[f].offset));
	}
	put_head(out, "mmviz_events_lost", "counter", NULL, "Events that were not followed");
	fprintf(out, "mmviz_events_lost_total %" PRIu64 "\n", totals->events_lost);
	put_head(out, "mmviz_target_up", "gauge", NULL, "1 while the target runs");
	fprintf(out, "mmviz_target_up %d\n", totals->target_state == VIEW_TARGET_LIVE);
	put_head(out, "mmviz_exact", "gauge", NULL, "1 while the picture is exact");
	fprintf(out, "mmviz_exact %d\n", totals->is_exact);
}

void export_metrics(FILE *out, const struct view *view, const char *version)
{
	struct view_arena *arenas = calloc(MMVIZ_ARENAS_MAX, sizeof(*arenas));
	struct view_totals totals;
	uint32_t count = arenas != NULL ? view_arenas(view, arenas, MMVIZ_ARENAS_MAX) : 0;

	view_totals(view, &totals);
	put_head(out, "mmviz_build", "info", NULL, "The program that answers");
	fprintf(out, "mmviz_build_info{version=\"%s\"} 1\n", version);
	put_totals(out, &totals);
	put_arenas(out, arenas, count < MMVIZ_ARENAS_MAX ? count : MMVIZ_ARENAS_MAX);
	fputs("# EOF\n", out);
	free(arenas);
}
