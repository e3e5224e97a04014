/* SPDX-License-Identifier: MIT */
/* unit_index.c - see unit_index.h. Ranges of units do not overlap; where they do, some unit that
 * holds the address is not found, and the address has no source line. */
#include "collect/unit_index.h"

#include <stdint.h>
#include <stdlib.h>

#define RANGES_MAX (4u << 20)

struct range {
	Dwarf_Addr begin, end; /* in the file */
	Dwarf_Off unit;
};
struct unit_index {
	struct range *ranges; /* in order of begin */
	size_t count, room;
};

static bool add(struct unit_index *index, const struct range *range)
{
	if (index->count == index->room) {
		size_t room = index->room == 0 ? 256 : index->room * 2;
		struct range *ranges =
			room <= RANGES_MAX ? realloc(index->ranges, room * sizeof(*ranges)) : NULL;

		if (ranges == NULL)
			return false;
		index->ranges = ranges;
		index->room = room;
	}
	index->ranges[index->count++] = *range;
	return true;
}

static int by_begin(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	return left->begin < right->begin ? -1 : left->begin > right->begin;
}

static struct unit_index *build(Dwarf *dwarf)
{
	struct unit_index *index = calloc(1, sizeof(*index));
	Dwarf_CU *cursor = NULL;
	bool is_room = index != NULL;
	Dwarf_Die die;

	while (is_room && dwarf_get_units(dwarf, cursor, &cursor, NULL, NULL, &die, NULL) == 0) {
		struct range range = {.unit = dwarf_dieoffset(&die)};
		ptrdiff_t next = 0;
		Dwarf_Addr base;

		while (is_room &&
		       (next = dwarf_ranges(&die, next, &base, &range.begin, &range.end)) > 0)
			is_room = range.end <= range.begin || add(index, &range);
	}
	if (index != NULL && index->count > 1)
		qsort(index->ranges, index->count, sizeof(*index->ranges), by_begin);
	return index;
}

static const struct range *find(const struct unit_index *index, Dwarf_Addr addr)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (addr < index->ranges[middle].begin)
			high = middle;
		else if (addr >= index->ranges[middle].end)
			low = middle + 1;
		else
			return &index->ranges[middle];
	}
	return NULL;
}

bool unit_index_find(struct unit_index **index, Dwfl_Module *module, Dwarf_Addr addr,
		     Dwarf_Die *unit, Dwarf_Addr *bias)
{
	Dwarf *dwarf = dwfl_module_getdwarf(module, bias);
	Dwarf_Die *listed = dwarf != NULL ? dwfl_module_addrdie(module, addr, bias) : NULL;
	const struct range *range;

	if (listed != NULL) {
		*unit = *listed;
		return true;
	}
	if (dwarf == NULL)
		return false;
	if (*index == NULL)
		*index = build(dwarf);
	range = *index != NULL ? find(*index, addr - *bias) : NULL;
	return range != NULL && dwarf_offdie(dwarf, range->unit, unit) != NULL;
}

void unit_index_free(struct unit_index *index)
{
	if (index == NULL)
		return;
	free(index->ranges);
	free(index);
}
