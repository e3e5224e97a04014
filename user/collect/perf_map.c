/* SPDX-License-Identifier: MIT */
/*
 * perf_map.c - reads lines "START SIZE name", START and SIZE hexadecimal, as they are appended.
 *
 * Rows are in order of (start, age). Code moves and its memory is used again, so rows overlap; the
 * youngest that holds an address counts. The widest row bounds how far to look back.
 *
 * The file is taken only if it belongs to the target's owner or to root: others can write to /tmp,
 * too. It stays open, so that it can be read to its end when the target has ended.
 */
#define _GNU_SOURCE
#include "collect/perf_map.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/mapped_file.h"
#include "collect/retry.h"

#define FILE_BYTES_MAX (64u << 20)
#define CHUNK_BYTES    65536
#define CODE_BYTES_MAX (16u << 20) /* of one row: longer ones are no code */

struct row {
	uint64_t start;
	uint32_t bytes;
	uint32_t age;  /* counts up */
	uint32_t name; /* index in names */
};
struct perf_map {
	int root_fd, fd;
	pid_t inner_pid;
	uid_t owner;
	off_t read_bytes; /* whole lines of the file that have been taken */
	struct row *rows;
	size_t count, room;
	char *names;
	size_t names_bytes, names_room;
	uint32_t widest_bytes;
	uint64_t version;
	struct retry retry;
};

struct perf_map *perf_map_open(int root_fd, pid_t inner_pid, uid_t owner)
{
	struct perf_map *map = calloc(1, sizeof(*map));

	if (map != NULL) {
		map->root_fd = root_fd;
		map->inner_pid = inner_pid;
		map->owner = owner;
		map->fd = -1;
	}
	return map;
}

void perf_map_close(struct perf_map *map)
{
	if (map == NULL)
		return;
	if (map->fd >= 0)
		close(map->fd);
	free(map->rows);
	free(map->names);
	free(map);
}

static void open_file(struct perf_map *map)
{
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)map->inner_pid);
	map->fd = map->root_fd >= 0 ? rooted_file_open(map->root_fd, path) : -1;
	if (map->fd < 0)
		return;
	if (fstat(map->fd, &status) == 0 && (status.st_uid == map->owner || status.st_uid == 0))
		return;
	close(map->fd);
	map->fd = -1;
}

/* Make room for `more` elements behind `count`. */
static bool reserve(void **array, size_t *room, size_t count, size_t more, size_t element_bytes)
{
	size_t wanted = *room == 0 ? 1024 : *room;
	void *bigger;

	if (count + more <= *room)
		return true;
	while (wanted < count + more)
		wanted *= 2;
	bigger = realloc(*array, wanted * element_bytes);
	if (bigger == NULL)
		return false;
	*array = bigger;
	*room = wanted;
	return true;
}

static void take_line(struct perf_map *map, const char *line, size_t length)
{
	char *cursor;
	struct row row = {.start = strtoull(line, &cursor, 16), .age = (uint32_t)map->count};
	uint64_t bytes = strtoull(cursor, &cursor, 16);
	size_t name_bytes;

	while (cursor < line + length && *cursor == ' ')
		cursor++;
	name_bytes = (size_t)(line + length - cursor) + 1;
	if (cursor >= line + length || bytes == 0 || bytes > CODE_BYTES_MAX ||
	    !reserve((void **)&map->names, &map->names_room, map->names_bytes, name_bytes, 1) ||
	    !reserve((void **)&map->rows, &map->room, map->count, 1, sizeof(row)))
		return;
	row.bytes = (uint32_t)bytes;
	row.name = (uint32_t)map->names_bytes;
	memcpy(map->names + map->names_bytes, cursor, name_bytes - 1);
	map->names[map->names_bytes + name_bytes - 1] = '\0';
	map->names_bytes += name_bytes;
	map->rows[map->count++] = row;
	if (row.bytes > map->widest_bytes)
		map->widest_bytes = row.bytes;
}

/* Take the whole lines of a chunk; returns their bytes. A line that fills a chunk is skipped. */
static size_t take_lines(struct perf_map *map, char *chunk, size_t bytes)
{
	char *line = chunk, *end;

	while ((end = memchr(line, '\n', (size_t)(chunk + bytes - line))) != NULL) {
		*end = '\0';
		take_line(map, line, (size_t)(end - line));
		line = end + 1;
	}
	return line == chunk && bytes == CHUNK_BYTES ? bytes : (size_t)(line - chunk);
}

static int by_start_and_age(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return left->age < right->age ? -1 : left->age > right->age;
}

/* A file that has become shorter was begun anew: what it said is void. */
static void forget_if_truncated(struct perf_map *map)
{
	struct stat status;

	if (fstat(map->fd, &status) == 0 && status.st_size >= map->read_bytes)
		return;
	map->read_bytes = 0;
	map->count = map->names_bytes = 0;
	map->widest_bytes = 0;
}

static bool refresh(struct perf_map *map)
{
	size_t before = map->count, taken = 1;
	char *chunk;
	ssize_t got;

	if (map->fd < 0)
		open_file(map);
	if (map->fd < 0)
		return false;
	forget_if_truncated(map);
	chunk = malloc(CHUNK_BYTES + 1);
	while (chunk != NULL && taken > 0 && map->read_bytes < FILE_BYTES_MAX &&
	       (got = pread(map->fd, chunk, CHUNK_BYTES, map->read_bytes)) > 0) {
		chunk[got] = '\0';
		taken = take_lines(map, chunk, (size_t)got);
		map->read_bytes += (off_t)taken;
	}
	free(chunk);
	if (map->count == before)
		return false;
	qsort(map->rows, map->count, sizeof(*map->rows), by_start_and_age);
	map->version++;
	return true;
}

static const struct row *find(const struct perf_map *map, uint64_t addr)
{
	const struct row *best = NULL;
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->rows[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	while (low-- > 0 && addr - map->rows[low].start < map->widest_bytes)
		if (addr - map->rows[low].start < map->rows[low].bytes &&
		    (best == NULL || map->rows[low].age > best->age))
			best = &map->rows[low];
	return best;
}

static void refresh_when_due(struct perf_map *map)
{
	if (retry_is_due(&map->retry))
		retry_note(&map->retry, !refresh(map));
}

const char *perf_map_find(struct perf_map *map, uint64_t addr, uint64_t *start)
{
	const struct row *row;

	refresh_when_due(map);
	row = find(map, addr);
	if (row == NULL)
		return NULL;
	*start = row->start;
	return map->names + row->name;
}

uint64_t perf_map_version(struct perf_map *map)
{
	refresh_when_due(map);
	return map->version;
}
