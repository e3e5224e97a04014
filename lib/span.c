/* SPDX-License-Identifier: MIT */
/* span.c - see span.h. */
#include "span.h"

const uint64_t span_check_factor = MMVIZ_CHECK_FACTOR;

#define STEPS_OF(size_class, first, last) [first... last] = size_class
/* One class of each of a doubling's eight; `step`: its length in 16 bytes. */
#define DOUBLING(group, step)                                                                      \
	STEPS_OF(group * 8 + 0, 8 * step, 9 * step - 1),                                           \
		STEPS_OF(group * 8 + 1, 9 * step, 10 * step - 1),                                  \
		STEPS_OF(group * 8 + 2, 10 * step, 11 * step - 1),                                 \
		STEPS_OF(group * 8 + 3, 11 * step, 12 * step - 1),                                 \
		STEPS_OF(group * 8 + 4, 12 * step, 13 * step - 1),                                 \
		STEPS_OF(group * 8 + 5, 13 * step, 14 * step - 1),                                 \
		STEPS_OF(group * 8 + 6, 14 * step, 15 * step - 1),                                 \
		STEPS_OF(group * 8 + 7, 15 * step, 16 * step - 1)

const uint8_t span_classes[2048] = {
	0,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	DOUBLING(1, 1),
	DOUBLING(2, 2),
	DOUBLING(3, 4),
	DOUBLING(4, 8),
	DOUBLING(5, 16),
	DOUBLING(6, 32),
	DOUBLING(7, 64),
	DOUBLING(8, 128),
};

#define EIGHT_OF(shift)                                                                            \
	9u << (shift), 10u << (shift), 11u << (shift), 12u << (shift), 13u << (shift),             \
		14u << (shift), 15u << (shift), 16u << (shift)
#define OF_TABLE_CLASSES                                                                           \
	16, 32, 48, 64, 80, 96, 112, 128, EIGHT_OF(4), EIGHT_OF(5), EIGHT_OF(6), EIGHT_OF(7),      \
		EIGHT_OF(8), EIGHT_OF(9), EIGHT_OF(10), EIGHT_OF(11)

const uint32_t span_magazine_payloads[SPAN_MAGAZINES] = {
	OF_TABLE_CLASSES, OF_TABLE_CLASSES, OF_TABLE_CLASSES, EIGHT_OF(12),
	EIGHT_OF(13),	  EIGHT_OF(14),	    EIGHT_OF(15),     EIGHT_OF(16),
};

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
		.start_addr = (uint64_t)start,
	};
}
