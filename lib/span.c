/* SPDX-License-Identifier: MIT */
/* span.c - see span.h. */
#include "span.h"

void span_init(struct mmviz_span *span, const struct span_kind *kind, void *start,
	       uint32_t owner_heap)
{
	*span = (struct mmviz_span){
		.owner_heap = owner_heap,
		.units = kind->bytes >> MMVIZ_UNIT_SHIFT,
		.first_header_bytes = mmviz_span_first_header_bytes(kind->shape),
		.cell_bytes = mmviz_cell_bytes(kind->size_class, kind->shape),
		.cells = mmviz_span_cells(kind->bytes, kind->size_class, kind->shape),
		.size_class = (uint8_t)kind->size_class,
		.shape = (uint8_t)kind->shape,
		.fit = (uint8_t)kind->fit,
		.magazine = kind->shape * MMVIZ_CLASSES + kind->size_class,
		.start_addr = (uint64_t)start,
	};
}
