/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - a queue, a thread, a table.
 *
 *	stacks_take -> queue -> thread: unwind -> table        (lock: queue; then table)
 *	                                names, when the queue is empty
 *
 * The queue is a list of copies, bounded in bytes: at STACK_BYTES_MAX samples are queued without
 * their stack. The end of a block is never left out but for want of memory: what was freed would
 * stay live for ever.
 *
 * Modules, unwinder and symbols belong to the thread alone. Names of an address are found once, at
 * the first stack that has it, and kept: they tell what was there when the sample was taken.
 */
#define _GNU_SOURCE
#include "collect/stacks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/unwind.h"

#define STACK_BYTES_MAX (64u << 20) /* as much as a full ring */
#define DEPTH_MAX	128
#define RED_ZONE_BYTES	128
#define PLACES_MAX	(256u << 10)
#define CACHE_BYTES	(1u << 20) /* of symbols: the places here are the cache */

struct item {
	struct item *next;
	struct stack_sample sample;
	bool is_free, is_reset;
	uint64_t registers[UNWIND_REGISTERS];
	uint64_t stack_addr;
	size_t stack_bytes;
	char stack[];
};

/* An address and its names, once they are found. */
struct place {
	uint64_t addr;
	struct place *next_in_bucket, *next_unnamed;
	uint32_t frames_count; /* 0: not found yet */
	struct stacks_frame *frames;
};
#define PLACE_BUCKETS 16384

struct stacks {
	pthread_t thread;
	bool is_started;

	pthread_mutex_t queue_lock;
	pthread_cond_t queue_filled, queue_drained;
	struct item *first, **last;
	size_t queued_bytes;
	bool is_busy, is_closing;
	uint64_t samples, lost;

	pthread_mutex_t table_lock;
	struct stack_table *table;
	uint64_t without_stack;
	struct place *places[PLACE_BUCKETS];
	uint32_t places_count, unnamed_count;

	/* Of the thread: */
	struct place *first_unnamed, **last_unnamed;
	struct modules *modules;
	struct unwind *unwind;
	struct symbols *symbols;
};

/* ------------------------------------------------------------------ the queue */

static void put(struct stacks *stacks, struct item *item)
{
	pthread_mutex_lock(&stacks->queue_lock);
	item->next = NULL;
	*stacks->last = item;
	stacks->last = &item->next;
	__atomic_fetch_add(&stacks->queued_bytes, item->stack_bytes, __ATOMIC_RELAXED);
	stacks->samples += !item->is_free && !item->is_reset;
	pthread_cond_signal(&stacks->queue_filled);
	pthread_mutex_unlock(&stacks->queue_lock);
}

/* From the red zone on: what lies below it is dead. */
static size_t live_part(const struct attach_sample *sample, uint64_t *addr)
{
	uint64_t from, end = sample->stack_addr + sample->stack_bytes;

	if (sample->registers == NULL)
		return 0;
	from = sample->registers[UNWIND_RSP] - RED_ZONE_BYTES;
	if (from < sample->stack_addr || from > end)
		from = sample->stack_addr;
	*addr = from;
	return end - from;
}

void stacks_take(struct stacks *stacks, const struct attach_sample *sample, uint64_t mean_bytes)
{
	uint64_t from = 0;
	size_t bytes = live_part(sample, &from);
	struct item *item;

	/* Without the lock: meanwhile it can only get smaller. */
	if (__atomic_load_n(&stacks->queued_bytes, __ATOMIC_RELAXED) + bytes > STACK_BYTES_MAX)
		bytes = 0;
	item = malloc(sizeof(*item) + bytes);
	if (item == NULL) {
		__atomic_fetch_add(&stacks->lost, 1, __ATOMIC_RELAXED);
		return;
	}
	item->sample = (struct stack_sample){
		.addr = sample->addr,
		.arena_id = sample->arena_id,
		.weight_bytes = sample->weight_bytes,
		.mean_bytes = mean_bytes,
	};
	item->is_free = sample->is_free;
	item->is_reset = false;
	item->stack_bytes = bytes;
	item->stack_addr = from;
	if (bytes > 0) {
		memcpy(item->registers, sample->registers, sizeof(item->registers));
		memcpy(item->stack, (const char *)sample->stack + (from - sample->stack_addr),
		       bytes);
	}
	put(stacks, item);
}

void stacks_reset_arena(struct stacks *stacks, uint32_t arena_id)
{
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL) {
		__atomic_fetch_add(&stacks->lost, 1, __ATOMIC_RELAXED);
		return;
	}
	item->is_reset = true;
	item->sample.arena_id = arena_id;
	put(stacks, item);
}

/* ------------------------------------------------------------------ names */

static struct place *find_place(struct stacks *stacks, uint64_t addr)
{
	struct place *place = stacks->places[addr * 0x9e3779b97f4a7c15 >> 50];

	while (place != NULL && place->addr != addr)
		place = place->next_in_bucket;
	return place;
}

/* Under the table's lock. */
static void want_name(struct stacks *stacks, uint64_t addr)
{
	struct place **bucket = &stacks->places[addr * 0x9e3779b97f4a7c15 >> 50];
	struct place *place;

	if (find_place(stacks, addr) != NULL || stacks->places_count == PLACES_MAX)
		return;
	place = calloc(1, sizeof(*place));
	if (place == NULL)
		return;
	place->addr = addr;
	place->next_in_bucket = *bucket;
	*bucket = place;
	*stacks->last_unnamed = place;
	stacks->last_unnamed = &place->next_unnamed;
	stacks->places_count++;
	stacks->unnamed_count++;
}

static char *append(char **text, const char *from)
{
	char *start = *text;

	*text = stpcpy(start, from) + 1;
	return start;
}

/* A copy of an answer in one block: frames, then text. NULL: no memory. */
static struct stacks_frame *copy_frames(const struct symbol_place *place)
{
	size_t bytes = place->frames_count * sizeof(struct stacks_frame) + strlen(place->module) +
		       strlen(place->build_id) + 2;
	struct stacks_frame *frames;
	char *text, *module, *build_id;

	for (uint32_t i = 0; i < place->frames_count; i++)
		bytes += strlen(place->frames[i].function) + strlen(place->frames[i].file) + 2;
	frames = malloc(bytes);
	if (frames == NULL)
		return NULL;
	text = (char *)(frames + place->frames_count);
	module = append(&text, place->module);
	build_id = append(&text, place->build_id);
	for (uint32_t i = 0; i < place->frames_count; i++)
		frames[i] = (struct stacks_frame){
			.addr = place->addr,
			.function = append(&text, place->frames[i].function),
			.file = append(&text, place->frames[i].file),
			.module = module,
			.build_id = build_id,
			.module_offset = place->module_offset,
			.line = place->frames[i].line,
			.is_inlined = place->frames[i].is_inlined,
		};
	return frames;
}

/* Name one address. The slow part happens without a lock: only this thread changes places. */
static void name_next(struct stacks *stacks)
{
	struct place *place = stacks->first_unnamed;
	const struct symbol_place *answer = symbols_resolve(stacks->symbols, place->addr);
	struct stacks_frame *frames = answer != NULL ? copy_frames(answer) : NULL;

	pthread_mutex_lock(&stacks->table_lock);
	stacks->first_unnamed = place->next_unnamed;
	if (stacks->first_unnamed == NULL)
		stacks->last_unnamed = &stacks->first_unnamed;
	stacks->unnamed_count--;
	place->frames = frames;
	place->frames_count = frames != NULL ? answer->frames_count : 0;
	pthread_mutex_unlock(&stacks->table_lock);
}

/* ------------------------------------------------------------------ the thread */

static uint32_t unwind_item(struct stacks *stacks, const struct item *item, uint64_t *addrs,
			    bool *is_complete)
{
	struct unwind_frame frames[DEPTH_MAX];
	struct unwind_input input = {
		.stack_addr = item->stack_addr,
		.stack = item->stack,
		.stack_bytes = item->stack_bytes,
	};
	uint32_t count;

	memcpy(input.registers, item->registers, sizeof(input.registers));
	count = unwind_stack(stacks->unwind, &input, frames, DEPTH_MAX, is_complete);
	for (uint32_t i = 0; i < count; i++)
		addrs[i] = unwind_code_addr(&frames[i]);
	return count;
}

static void handle(struct stacks *stacks, struct item *item)
{
	uint64_t addrs[DEPTH_MAX];
	bool is_complete = false;
	uint32_t depth = item->stack_bytes > 0 ? unwind_item(stacks, item, addrs, &is_complete) : 0;

	pthread_mutex_lock(&stacks->table_lock);
	if (item->is_reset) {
		stack_table_reset_arena(stacks->table, item->sample.arena_id);
	} else if (item->is_free) {
		stack_table_free(stacks->table, item->sample.addr);
	} else {
		item->sample.stack_id =
			stack_table_intern(stacks->table, addrs, depth, is_complete);
		stack_table_alloc(stacks->table, &item->sample);
		stacks->without_stack += depth == 0;
		for (uint32_t i = 0; i < depth; i++)
			want_name(stacks, addrs[i]);
	}
	pthread_mutex_unlock(&stacks->table_lock);
}

/* The next item, or NULL: then there is a name to be found, or the end has come. */
static struct item *next_item(struct stacks *stacks, bool *is_end)
{
	struct item *item;

	pthread_mutex_lock(&stacks->queue_lock);
	while (stacks->first == NULL && stacks->first_unnamed == NULL && !stacks->is_closing) {
		stacks->is_busy = false;
		pthread_cond_broadcast(&stacks->queue_drained);
		pthread_cond_wait(&stacks->queue_filled, &stacks->queue_lock);
	}
	stacks->is_busy = true;
	*is_end = stacks->is_closing;
	item = stacks->first;
	if (item != NULL) {
		stacks->first = item->next;
		if (stacks->first == NULL)
			stacks->last = &stacks->first;
		__atomic_fetch_sub(&stacks->queued_bytes, item->stack_bytes, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&stacks->queue_lock);
	return item;
}

static void *work(void *context)
{
	struct stacks *stacks = context;
	bool is_end = false;

	while (!is_end) {
		struct item *item = next_item(stacks, &is_end);

		if (item != NULL)
			handle(stacks, item);
		else if (stacks->first_unnamed != NULL && !is_end)
			name_next(stacks);
		free(item);
	}
	return NULL;
}

void stacks_finish(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->queue_lock);
	while (stacks->first != NULL || stacks->is_busy)
		pthread_cond_wait(&stacks->queue_drained, &stacks->queue_lock);
	pthread_mutex_unlock(&stacks->queue_lock);
}

/* ------------------------------------------------------------------ open, close */

static int open_parts(struct stacks *stacks, pid_t pid)
{
	int error = modules_open(pid, &stacks->modules);

	if (error == 0)
		error = unwind_open(stacks->modules, &stacks->unwind);
	if (error == 0)
		error = symbols_open(stacks->modules, CACHE_BYTES, &stacks->symbols);
	if (error == 0) {
		stacks->table = stack_table_create();
		error = stacks->table != NULL ? 0 : -ENOMEM;
	}
	return error;
}

int stacks_open(pid_t pid, struct stacks **out)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	int error;

	if (stacks == NULL)
		return -ENOMEM;
	stacks->last = &stacks->first;
	stacks->last_unnamed = &stacks->first_unnamed;
	stacks->is_busy = true;
	pthread_mutex_init(&stacks->queue_lock, NULL);
	pthread_mutex_init(&stacks->table_lock, NULL);
	pthread_cond_init(&stacks->queue_filled, NULL);
	pthread_cond_init(&stacks->queue_drained, NULL);
	error = open_parts(stacks, pid);
	if (error == 0)
		error = -pthread_create(&stacks->thread, NULL, work, stacks);
	if (error != 0) {
		stacks_close(stacks);
		return error;
	}
	stacks->is_started = true;
	*out = stacks;
	return 0;
}

static void stop_thread(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->queue_lock);
	stacks->is_closing = true;
	pthread_cond_signal(&stacks->queue_filled);
	pthread_mutex_unlock(&stacks->queue_lock);
	pthread_join(stacks->thread, NULL);
}

static void free_places(struct stacks *stacks)
{
	for (uint32_t i = 0; i < PLACE_BUCKETS; i++)
		for (struct place *place = stacks->places[i], *next; place != NULL; place = next) {
			next = place->next_in_bucket;
			free(place->frames);
			free(place);
		}
}

void stacks_close(struct stacks *stacks)
{
	if (stacks == NULL)
		return;
	if (stacks->is_started)
		stop_thread(stacks);
	for (struct item *item = stacks->first, *next; item != NULL; item = next) {
		next = item->next;
		free(item);
	}
	free_places(stacks);
	stack_table_destroy(stacks->table);
	symbols_close(stacks->symbols);
	unwind_close(stacks->unwind);
	modules_close(stacks->modules);
	pthread_mutex_destroy(&stacks->queue_lock);
	pthread_mutex_destroy(&stacks->table_lock);
	pthread_cond_destroy(&stacks->queue_filled);
	pthread_cond_destroy(&stacks->queue_drained);
	free(stacks);
}

/* ------------------------------------------------------------------ snapshots */

static uint32_t frames_of(struct stacks *stacks, uint64_t addr, struct stacks_frame *out)
{
	const struct place *place = find_place(stacks, addr);

	if (place == NULL || place->frames_count == 0) {
		if (out != NULL)
			*out = (struct stacks_frame){.addr = addr,
						     .function = "?",
						     .file = "",
						     .module = "",
						     .build_id = ""};
		return 1;
	}
	if (out != NULL)
		memcpy(out, place->frames, place->frames_count * sizeof(*out));
	return place->frames_count;
}

/* Does the frame belong to the library's own way from its public function to the probe? */
static bool is_library(const struct stacks_frame *frame)
{
	static const char *const own[] = {
		"sample_alloc",	 "tell_alloc",		 "block_born",	 "alloc_wish",
		"alloc_general", "block_alloc",		 "block_calloc", "block_alloc_aligned",
		"block_realloc", "block_alloc_labelled", "fast_alloc",	 "realloc_by_move",
	};
	const char *slash = strrchr(frame->module, '/');

	if (slash != NULL && strncmp(slash + 1, "libmmviz", 8) == 0)
		return true;
	if (strncmp(frame->function, "mmviz_", 6) == 0)
		return true;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(frame->function, own[i]) == 0)
			return true;
	return false;
}

/* The first frame is the probe's. In a stripped program the library's have no names: they stay. */
static uint32_t library_frames(const struct stacks_frame *frames, uint32_t count)
{
	uint32_t own = 1;

	while (own < count && is_library(&frames[own]))
		own++;
	return own < count ? own : 0;
}

static size_t count_frames(struct stacks *stacks)
{
	size_t total = 0;

	for (uint32_t id = 0; id < stack_table_count(stacks->table); id++) {
		const struct stack_row *row = stack_table_row(stacks->table, id);

		for (uint32_t i = 0; i < row->depth; i++)
			total += frames_of(stacks, row->addrs[i], NULL);
	}
	return total;
}

static void fill_row(struct stacks *stacks, uint32_t id, struct stacks_frame **frames,
		     struct stacks_row *out)
{
	const struct stack_row *row = stack_table_row(stacks->table, id);
	struct stacks_frame *first = *frames;
	uint32_t own;

	for (uint32_t i = 0; i < row->depth; i++)
		*frames += frames_of(stacks, row->addrs[i], *frames);
	own = library_frames(first, (uint32_t)(*frames - first));
	*out = (struct stacks_row){
		.id = id,
		.is_complete = row->is_complete,
		.allocated = row->allocated,
		.live = row->live,
		.frames_count = (uint32_t)(*frames - first) - own,
		.frames = first + own,
	};
}

/* Names outlive the snapshot: places are freed by stacks_close only. */
int stacks_snapshot(struct stacks *stacks, struct stacks_snapshot *out)
{
	struct stacks_snapshot snapshot = {0};
	struct stacks_frame *frames;

	pthread_mutex_lock(&stacks->table_lock);
	snapshot.rows_count = stack_table_count(stacks->table);
	snapshot.rows = calloc(snapshot.rows_count, sizeof(*snapshot.rows));
	snapshot.frames = frames = calloc(count_frames(stacks) + 1, sizeof(*frames));
	for (uint32_t id = 0; snapshot.rows != NULL && frames != NULL && id < snapshot.rows_count;
	     id++)
		fill_row(stacks, id, &frames, &snapshot.rows[id]);
	snapshot.untracked = stack_table_untracked(stacks->table);
	snapshot.without_stack = stacks->without_stack;
	snapshot.unnamed = stacks->unnamed_count;
	pthread_mutex_unlock(&stacks->table_lock);
	pthread_mutex_lock(&stacks->queue_lock);
	snapshot.samples = stacks->samples;
	pthread_mutex_unlock(&stacks->queue_lock);
	snapshot.lost = __atomic_load_n(&stacks->lost, __ATOMIC_RELAXED);
	if (snapshot.rows == NULL || snapshot.frames == NULL) {
		stacks_snapshot_free(&snapshot);
		return -ENOMEM;
	}
	*out = snapshot;
	return 0;
}

void stacks_snapshot_free(struct stacks_snapshot *snapshot)
{
	free(snapshot->rows);
	free(snapshot->frames);
	*snapshot = (struct stacks_snapshot){0};
}
