/* SPDX-License-Identifier: MIT */
/* span.c - see span.h. */
#include "span.h"

void span_init(struct mmviz_span *span, const struct span_kind *kind, uint32_t owner_heap)
{
	uint32_t front = mmviz_shape_front_bytes(kind->shape);
	uint32_t cell = mmviz_cell_bytes(kind->size_class, kind->shape);

	*span = (struct mmviz_span){
		.owner_heap = owner_heap,
		.units = kind->bytes >> MMVIZ_UNIT_SHIFT,
		.first_header_bytes = MMVIZ_SPAN_HEAD_BYTES + front - MMVIZ_HEADER_BYTES,
		.cell_bytes = cell,
		.cells = (kind->bytes - MMVIZ_SPAN_HEAD_BYTES) / cell,
		.size_class = (uint8_t)kind->size_class,
		.shape = (uint8_t)kind->shape,
		.fit = (uint8_t)kind->fit,
	};
}
