/* SPDX-License-Identifier: MIT */
/*
 * probes.h - the USDT probes, provider `mmviz`, and who listens to them.
 *
 * Every probe is one out-of-line function that is a plain 1-byte nop and a return: one site,
 * arguments in the registers of the C calling convention, no red zone in the way. (A 5-byte nop
 * would be patched into a call by newer kernels, which corrupts red zones and kills forked
 * children.) Call one only while its semaphore is raised.
 */
#ifndef MMVIZ_LIB_PROBES_H
#define MMVIZ_LIB_PROBES_H

#include <stdint.h>
#include <mmviz/abi.h>

#include "registry.h"

void mmviz_probe_alloc(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
		       const char *text);
void mmviz_probe_free(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
		      const char *text);
void mmviz_probe_batch(const struct mmviz_log *log, uint64_t bytes);
void mmviz_probe_sample(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
			uint64_t weight_bytes);
void mmviz_probe_sample_free(uint64_t arena_id, uint64_t address, uint64_t bytes, uint32_t context,
			     uint64_t weight_bytes);
void mmviz_probe_arena(uint64_t arena_id, uint64_t change, const char *name);
void mmviz_probe_mark(const char *text);
void mmviz_probe_error(uint64_t kind, const void *address, uint64_t arena_id);
void mmviz_probe_stack(uint64_t context, const struct mmviz_stack *stack, uint64_t frames_count);

/*
 * Who listens, in one load; read once in each operation, after its header stores (a compiler
 * barrier sees to that, the CPU's store order does the rest: rule 1 of the replica protocol).
 */
typedef uint64_t listeners_alloc; /* alloc | sample << 16 | batch << 32 | stack << 48 */
typedef uint64_t listeners_free;  /* batch | stack << 16 | free << 32 | sample_free << 48 */
typedef uint64_t __attribute__((may_alias, aligned(4))) listeners_word;

#ifdef MMVIZ_NO_PROBES
static inline listeners_alloc listeners_of_alloc(void)
{
	return 0;
}
static inline listeners_free listeners_of_free(void)
{
	return 0;
}
#else
static inline listeners_alloc listeners_of_alloc(void)
{
	__asm__ volatile("" ::: "memory");
	return *(const volatile listeners_word *)&registry_here.semaphores.alloc;
}
static inline listeners_free listeners_of_free(void)
{
	__asm__ volatile("" ::: "memory");
	return *(const volatile listeners_word *)&registry_here.semaphores.batch;
}
#endif

#define LISTENS_ALLOC(listeners)       ((uint16_t)(listeners))
#define LISTENS_SAMPLE(listeners)      ((uint16_t)((listeners) >> 16))
#define LISTENS_BATCH_ALLOC(listeners) ((uint16_t)((listeners) >> 32))
#define LISTENS_STACK(listeners)       ((uint16_t)((listeners) >> 48))
#define LISTENS_BATCH_FREE(listeners)  ((uint16_t)(listeners))
#define LISTENS_FREE(listeners)	       ((uint16_t)((listeners) >> 32))
#define LISTENS_SAMPLE_FREE(listeners) ((uint16_t)((listeners) >> 48))

#endif
