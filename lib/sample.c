/* SPDX-License-Identifier: MIT */
/* sample.c - see sample.h. */
#include "sample.h"

#include "probes.h"

#define PERIOD_DEFAULT_BYTES (512u << 10)

uint64_t sample_period_bytes(void)
{
	uint64_t period = registry_here.control_sample_bytes;

	return period ? period : PERIOD_DEFAULT_BYTES;
}

/* xorshift64* (Marsaglia 2003, Vigna 2016). */
static uint64_t next_random(struct heap *heap)
{
	heap->random ^= heap->random >> 12;
	heap->random ^= heap->random << 25;
	heap->random ^= heap->random >> 27;
	return heap->random * 0x2545f4914f6cdd1dULL;
}

/* -ln(u) for u in (0, 1], in 16.16 fixed point, without libm: u = 2^-k * m; ln m by a quadratic,
 * good to 0.5 %. */
static uint64_t exponential_16(uint64_t random)
{
	uint64_t bits = random >> 11 | 1; /* 53 bits */
	unsigned leading = (unsigned)__builtin_clzl(bits) - 11;
	uint64_t m = (bits << leading >> (53 - 17)) &
		     0xffff; /* u = 2^-(leading + 1) * (1 + m / 65536) */
	uint64_t log2_m =
		m + (m * (65536 - m) >> 16) * 22543 / 65536; /* log2(1 + x) = x + 0.344 x (1 - x) */

	return ((uint64_t)(leading + 1) * 65536 - log2_m) * 45426 >> 16; /* times ln 2 */
}

static int64_t next_distance(struct heap *heap)
{
	return (int64_t)((sample_period_bytes() >> 4) * exponential_16(next_random(heap)) >> 12);
}

uint64_t sample_weight(struct heap *heap, uint64_t bytes)
{
	uint64_t weight = 0;

	if (!heap->sample_countdown_bytes)
		heap->sample_countdown_bytes = next_distance(heap) + 1;
	heap->sample_countdown_bytes -= (int64_t)bytes;
	while (heap->sample_countdown_bytes <= 0) {
		heap->sample_countdown_bytes += next_distance(heap) + 1;
		weight += sample_period_bytes();
	}
	return weight;
}

/* Whether a sampled block lies in this block's head's part of the span. */
static bool is_any_sampled(const struct heap *heap, const struct mmviz_header *header)
{
	uint64_t part_addr = (uint64_t)header >> heap->small_shift << heap->small_shift;
	const uint64_t *words = &heap->sampled[span_bit_word(heap_place(heap, (void *)part_addr))];
	uint32_t count = 1u << (heap->small_shift - MMVIZ_PLACE_SHIFT - 6);

	for (uint32_t i = 0; i < count; i++)
		if (__atomic_load_n(&words[i], __ATOMIC_RELAXED))
			return true;
	return false;
}

bool sample_ended(struct heap *heap, const struct mmviz_header *header)
{
	struct mmviz_span *head = heap_head(heap, header + 1);

	if (!(head->flags & SPAN_SAMPLED) || !heap_take_sampled(heap, heap_place(heap, header)))
		return false;
	if (!is_any_sampled(heap, header))
		head->flags &= (uint8_t)~SPAN_SAMPLED;
	return true;
}

void sample_alloc(struct heap *heap, struct mmviz_header *header)
{
	uint64_t bytes = mmviz_word_bytes(header->word), weight = sample_weight(heap, bytes);

	if (!weight) {
		sample_ended(heap, header); /* left from a block whose end nobody listened to */
		return;
	}
	heap_set_sampled(heap, heap_place(heap, header));
	heap_head(heap, header + 1)->flags |= SPAN_SAMPLED;
	mmviz_probe_sample(heap->log.arena_id, (uint64_t)(header + 1), bytes,
			   mmviz_word_context(header->word), weight);
}
