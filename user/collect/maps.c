/* SPDX-License-Identifier: MIT */
/*
 * maps.c - reads /proc/PID/maps in one go and parses it in place.
 *
 * A line: 55d0c0de1000-55d0c0de5000 r-xp 00001000 08:02 1234       /usr/bin/name
 */
#include "collect/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES_MAX (256u << 20)
#define TEXT_BYTES_MIN (64u << 10)

static int text_read(int fd, char **out)
{
	size_t room = TEXT_BYTES_MIN, used = 0;
	char *text = malloc(room);
	ssize_t got;

	while (text != NULL && (got = pread(fd, text + used, room - used - 1, (off_t)used)) != 0) {
		if (got < 0) {
			int error = -errno;

			free(text);
			return error;
		}
		used += (size_t)got;
		if (room - used > TEXT_BYTES_MIN / 2)
			continue;
		room *= 2;
		char *bigger = room <= TEXT_BYTES_MAX ? realloc(text, room) : NULL;

		if (bigger == NULL)
			free(text);
		text = bigger;
	}
	if (text == NULL)
		return -ENOMEM;
	text[used] = '\0';
	*out = text;
	return used == 0 ? -ESRCH : 0;
}

static bool line_parse(char *line, struct mapping *out)
{
	char executable;
	int path = 0;

	if (sscanf(line, "%lx-%lx %*c%*c%c%*c %lx %x:%x %lu %n", &out->start, &out->end,
		   &executable, &out->offset, &out->dev_major, &out->dev_minor, &out->inode,
		   &path) != 7 ||
	    path == 0)
		return false;
	out->is_executable = executable == 'x';
	out->path = line + path;
	return true;
}

static size_t count_lines(const char *text)
{
	size_t lines = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		lines++;
		text++;
	}
	return lines;
}

int maps_read(int fd, struct maps *out)
{
	struct maps maps = {0};
	char *save = NULL;
	int error = text_read(fd, &maps.text);

	if (error == 0) {
		maps.rows = calloc(count_lines(maps.text) + 1, sizeof(*maps.rows));
		error = maps.rows == NULL ? -ENOMEM : 0;
	}
	if (error != 0) {
		maps_free(&maps);
		return error;
	}
	for (char *line = strtok_r(maps.text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		if (line_parse(line, &maps.rows[maps.count]))
			maps.count++;
	*out = maps;
	return 0;
}

void maps_free(struct maps *maps)
{
	free(maps->rows);
	free(maps->text);
	*maps = (struct maps){0};
}

const struct mapping *maps_find(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mapping *row = &maps->rows[middle];

		if (addr < row->start)
			high = middle;
		else if (addr >= row->end)
			low = middle + 1;
		else
			return row;
	}
	return NULL;
}

bool mapping_is_same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

uint64_t maps_file_base(const struct maps *maps, const struct mapping *mapping)
{
	for (size_t i = 0; i < maps->count; i++)
		if (mapping_is_same_file(&maps->rows[i], mapping))
			return maps->rows[i].start;
	return mapping->start;
}
