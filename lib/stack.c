/* SPDX-License-Identifier: MIT */
/* stack.c - see stack.h. */
#include "stack.h"

#include <errno.h>
#include <string.h>

#include "frames.h"
#include "likely.h"
#include "os.h"
#include "probes.h"
#include "registry.h"

#define SHIFT_FIRST  12u
#define SHIFT_LAST   19u
#define RECORDS_STEP (1u << 16) /* bytes that are committed at a time */
#define HASH_FACTOR  0x9e3779b97f4a7c15ULL
_Static_assert(1u << SHIFT_LAST >= 2 * MMVIZ_STACKS_MAX, "no table is more than half full");

struct slot {
	uint64_t hash;
	uint32_t id;	 /* stored last; 0: empty */
	uint32_t record; /* offset in `records`, in steps of 8 bytes */
};

/* As small as it can be, to stay in the cache. */
struct table {
	uint64_t shift; /* log2 of how many slots */
	struct slot slots[];
};

/* Stored when it is whole. Those before stay where they are: somebody may be searching there. */
static struct table *table_now;
static struct {
	char *start;
	size_t used_bytes, committed_bytes, reserved_bytes;
} records; /* by the registry's lock */

/* ------------------------------------------------------------------ find */

static uint64_t hash_of(uint32_t context, const struct frames *frames)
{
	return (frames->hash ^ context) * HASH_FACTOR;
}

hot_inline bool is_same(const struct mmviz_stack *stack, uint32_t context,
			const struct frames *frames)
{
	if (stack->context != context || stack->frames_count != frames->count)
		return false;
	for (uint32_t i = 0; i < frames->count; i++)
		if (stack->return_addr[i] != frames->return_addr[i])
			return false;
	return true;
}

static const struct mmviz_stack *record_of(const struct slot *slot)
{
	return (const struct mmviz_stack *)(records.start + (size_t)slot->record * 8);
}

/* The slot with this stack, or the empty one where it belongs. */
hot_inline struct slot *find(struct table *table, uint64_t hash, uint32_t context,
			     const struct frames *frames, uint32_t *id)
{
	uint64_t mask = (1ULL << table->shift) - 1, at = hash >> (64 - table->shift);
	struct slot *slots = table->slots;

	for (;; at = (at + 1) & mask) {
		*id = __atomic_load_n(&slots[at].id, __ATOMIC_ACQUIRE);
		if (!*id ||
		    (slots[at].hash == hash && is_same(record_of(&slots[at]), context, frames)))
			return &slots[at];
	}
}

/* 0: it is not there. */
hot_inline uint32_t find_id(uint32_t context, const struct frames *frames)
{
	struct table *table = __atomic_load_n(&table_now, __ATOMIC_ACQUIRE);
	uint32_t id = 0;

	if (likely(table))
		find(table, hash_of(context, frames), context, frames, &id);
	return id;
}

/* ------------------------------------------------------------------ add */

/* In a process under a limit, records take so little that arenas do not feel it. */
static int records_reserve(void)
{
	size_t room = os_address_room_bytes() / 32;

	if (records.start)
		return 0;
	records.reserved_bytes = (size_t)MMVIZ_STACKS_MAX * sizeof(struct mmviz_stack);
	while (records.reserved_bytes > room)
		records.reserved_bytes /= 2;
	records.start = os_reserve(records.reserved_bytes, MMVIZ_UNIT_BYTES);
	return records.start ? 0 : -ENOMEM;
}

static void copy_slots(struct table *to, const struct table *from)
{
	uint64_t mask = (1ULL << to->shift) - 1;

	for (uint64_t i = 0; i < 1ULL << from->shift; i++) {
		uint64_t at = from->slots[i].hash >> (64 - to->shift);

		if (!from->slots[i].id)
			continue;
		while (to->slots[at].id)
			at = (at + 1) & mask;
		to->slots[at] = from->slots[i];
	}
}

/* Another table, four times as large: so all that were left take a third of it. */
static int table_grow(void)
{
	uint64_t shift = table_now ? table_now->shift + 2 : SHIFT_FIRST;
	struct table *table;
	size_t bytes;

	if (records_reserve())
		return -ENOMEM;
	shift = shift < SHIFT_LAST ? shift : SHIFT_LAST;
	bytes = (sizeof(*table) + (sizeof(struct slot) << shift) + MMVIZ_UNIT_BYTES - 1) &
		~(size_t)(MMVIZ_UNIT_BYTES - 1);
	table = bytes <= os_address_room_bytes() / 32 ? os_reserve(bytes, MMVIZ_UNIT_BYTES) : NULL;
	if (!table || os_commit(table, bytes))
		return -ENOMEM;
	table->shift = shift;
	if (table_now)
		copy_slots(table, table_now);
	__atomic_store_n(&table_now, table, __ATOMIC_RELEASE);
	return 0;
}

/* There is a table with room for one more. */
static bool has_slot(void)
{
	bool is_half_full =
		!table_now || registry_here.stacks_count >= 1u << (table_now->shift - 1);

	return !is_half_full || table_grow() == 0;
}

/* Room for a record, which is taken by adding its bytes to records.used_bytes. NULL: none. */
static struct mmviz_stack *record_room(size_t bytes)
{
	if (bytes > records.reserved_bytes - records.used_bytes)
		return NULL;
	while (records.used_bytes + bytes > records.committed_bytes) {
		if (os_commit(records.start + records.committed_bytes, RECORDS_STEP))
			return NULL;
		records.committed_bytes += RECORDS_STEP;
	}
	return (struct mmviz_stack *)(records.start + records.used_bytes);
}

static bool is_full(void)
{
	uint32_t asked = *(volatile uint32_t *)&registry_here.control_stacks_max;
	uint32_t most = asked && asked < MMVIZ_STACKS_MAX ? asked : MMVIZ_STACKS_MAX;

	return __atomic_load_n(&registry_here.stacks_count, __ATOMIC_RELAXED) >= most;
}

/* The new id; 0: no room. Caller locks. */
static uint32_t add(uint32_t context, const struct frames *frames, const struct mmviz_stack **out)
{
	size_t frames_bytes = frames->count * sizeof(uint64_t);
	size_t bytes = MMVIZ_STACK_HEAD_BYTES + frames_bytes;
	uint64_t hash = hash_of(context, frames);
	struct mmviz_stack *stack;
	struct slot *slot;
	uint32_t id;

	if (is_full() || !has_slot())
		return 0;
	slot = find(table_now, hash, context, frames, &id);
	if (id)
		return id; /* another thread was faster */
	stack = record_room(bytes);
	if (!stack)
		return 0;
	stack->context = context;
	stack->frames_count = (uint16_t)frames->count;
	stack->flags = frames->flags;
	memcpy(stack->return_addr, frames->return_addr, frames_bytes);
	id = registry_add_stack(stack, (uint32_t)bytes);
	if (!id)
		return 0;
	slot->hash = hash;
	slot->record = (uint32_t)(records.used_bytes / 8);
	records.used_bytes += bytes;
	__atomic_store_n(&registry_here.stacks_count, registry_here.stacks_count + 1,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&slot->id, id, __ATOMIC_RELEASE);
	*out = stack;
	return id;
}

/* A stack that is not known as it stands. */
__attribute__((noinline)) static uint32_t context_slow(uint32_t context, struct frames *frames)
{
	const struct mmviz_stack *added = NULL;
	uint32_t id, known = 1;
	int saved = errno;

	if (registry_context(context).kind == MMVIZ_CONTEXT_STACK || registry_is_locked_here())
		return context;
	while (known < frames->count && frames_is_return(frames->return_addr[known]))
		known++;
	if (known < frames->count)
		frames_cut(frames, known);
	id = find_id(context, frames);
	if (!id && !is_full()) {
		registry_lock();
		id = add(context, frames, &added);
		registry_unlock();
	}
	if (added && registry_here.semaphores.stack)
		mmviz_probe_stack(id, added, frames->count);
	if (!id)
		__atomic_fetch_add(&registry_here.stacks_refused, 1, __ATOMIC_RELAXED);
	errno = saved;
	return id ? id : context;
}

uint32_t stack_context(uint32_t context, const void *site)
{
	struct frames frames;
	uint32_t id;

	frames_walk(__builtin_frame_address(0), site, &frames);
	id = find_id(context, &frames);
	return likely(id) ? id : context_slow(context, &frames);
}
