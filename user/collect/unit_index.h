/* SPDX-License-Identifier: MIT */
/*
 * unit_index.h - which compilation unit of a module's debug information holds an address.
 */
#ifndef MMVIZ_COLLECT_UNIT_INDEX_H
#define MMVIZ_COLLECT_UNIT_INDEX_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>

struct unit_index;

/*
 * The unit's DIE, and what is to be subtracted from addresses for it. Asks libdwfl first, which knows
 * units that are in .debug_aranges only; clang writes none. What those leave out is indexed at the
 * first address that needs it, in *index.
 */
bool unit_index_find(struct unit_index **index, Dwfl_Module *module, Dwarf_Addr addr,
		     Dwarf_Die *unit, Dwarf_Addr *bias);
void unit_index_free(struct unit_index *index); /* NULL is fine */

#endif
