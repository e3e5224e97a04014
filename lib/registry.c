/* SPDX-License-Identifier: MIT */
/*
 * registry.c - see registry.h. The context table is an array in reserved space that grows in place
 * (readers keep its address); an open-addressing index of ids, at most half full, finds entries by
 * content.
 */
#define _GNU_SOURCE
#include "registry.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "arena.h"
#include "heap.h"
#include "keeper.h"
#include "os.h"
#include "probes.h"

struct mmviz_registry registry_here __attribute__((section(".probes"), aligned(64))) = {
	.magic = MMVIZ_REGISTRY_MAGIC,
	.abi_version = MMVIZ_ABI_VERSION,
	.registry_bytes = sizeof(struct mmviz_registry),
};
extern struct mmviz_registry mmviz_registry
	__attribute__((alias("registry_here"), visibility("default")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool lock_is_mine;

static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static void make_thread_key(void);

/* Whoever takes the lock, for a tag alone too, must find it free in a forked child. */
void registry_lock(void)
{
	pthread_once(&thread_once, make_thread_key);
	pthread_mutex_lock(&lock);
	lock_is_mine = true;
}

void registry_unlock(void)
{
	lock_is_mine = false;
	pthread_mutex_unlock(&lock);
}

bool registry_is_locked_here(void)
{
	return lock_is_mine;
}

/* ------------------------------------------------------------------ arenas */

int registry_arena_slot(void)
{
	for (int slot = 0; slot < (int)MMVIZ_ARENAS_MAX; slot++)
		if (!registry_here.arena_addr[slot])
			return slot;
	return -1;
}

uint32_t registry_arena_new_id(void)
{
	return ++registry_here.arenas_created;
}

struct mmviz_arena *registry_arena_at(unsigned slot)
{
	return (struct mmviz_arena *)__atomic_load_n(&registry_here.arena_addr[slot],
						     __ATOMIC_ACQUIRE);
}

/*
 * Where the arenas lie. Whoever looks for a block's arena may meet one that another thread is just
 * unmapping, so heads are not looked into. Both words are 0 between two arenas of a slot: a range
 * whose length is the same before and after its base was read is that of one arena.
 */
static struct {
	uint64_t base_addr, bytes;
} ranges[MMVIZ_ARENAS_MAX];

static void range_set(int slot, uint64_t base_addr, uint64_t bytes)
{
	__atomic_store_n(&ranges[slot].base_addr, base_addr, __ATOMIC_RELEASE);
	__atomic_store_n(&ranges[slot].bytes, bytes, __ATOMIC_RELEASE);
}

static void range_clear(int slot)
{
	__atomic_store_n(&ranges[slot].bytes, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&ranges[slot].base_addr, 0, __ATOMIC_RELEASE);
}

static bool range_has(unsigned slot, uint64_t addr)
{
	uint64_t bytes = __atomic_load_n(&ranges[slot].bytes, __ATOMIC_ACQUIRE);
	uint64_t base_addr = __atomic_load_n(&ranges[slot].base_addr, __ATOMIC_ACQUIRE);

	return addr - base_addr < bytes &&
	       __atomic_load_n(&ranges[slot].bytes, __ATOMIC_ACQUIRE) == bytes;
}

void registry_arena_publish(int slot, struct mmviz_arena *arena)
{
	range_set(slot, arena->head.base_addr, arena->head.capacity_bytes);
	__atomic_store_n(&registry_here.arena_addr[slot], (uint64_t)arena, __ATOMIC_RELEASE);
}

struct mmviz_arena *registry_arena_of(const void *address)
{
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (range_has(slot, (uint64_t)address))
			return registry_arena_at(slot);
	return NULL;
}

/* ------------------------------------------------------------------ threads */

struct thread_record {
	struct heap *heaps[MMVIZ_ARENAS_MAX];
	struct thread_record *next; /* in `threads`, or in `spare_records` */
	uint32_t leave_calls;	    /* of thread_leave, in this thread's end */
	uint32_t late_thread_id;    /* it came back after it had left: nobody will tell its end */
};

static struct heap *no_heaps[MMVIZ_ARENAS_MAX] = {[0 ... MMVIZ_ARENAS_MAX - 1] = &heap_none};
__thread struct heap **thread_heaps = no_heaps;
__thread struct heap *thread_current = &heap_none;

static struct thread_record *threads, *spare_records; /* by the lock */
static uint32_t late_records;			      /* of `threads` */
static pthread_key_t thread_key;
static bool thread_key_is_made;
static __thread bool thread_has_left;

void registry_arena_retract(int slot)
{
	range_clear(slot);
	__atomic_store_n(&registry_here.arena_addr[slot], 0, __ATOMIC_RELEASE);
	for (struct thread_record *thread = threads; thread; thread = thread->next)
		__atomic_store_n(&thread->heaps[slot], &heap_none, __ATOMIC_RELAXED);
}

static void forget_record(const struct thread_record *record)
{
	struct thread_record **link = &threads;

	while (*link != record)
		link = &(*link)->next;
	*link = record->next;
}

/* Caller locks. */
static void retire(struct thread_record *record)
{
	forget_record(record);
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (record->heaps[slot] != &heap_none)
			heap_abandon(record->heaps[slot]);
	record->next = spare_records;
	spare_records = record;
}

/*
 * The destructors of the program's own keys allocate and free too, and ours comes first in each
 * round: it asks for another one, and leaves in the last but one (the last is the sanitizers', after
 * which no instrumented code may run in the thread).
 */
static void thread_leave(void *argument)
{
	struct thread_record *record = argument;

	if (++record->leave_calls < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
	    pthread_setspecific(thread_key, record) == 0)
		return;
	thread_heaps = no_heaps;
	thread_current = &heap_none;
	thread_has_left = true;
	registry_lock();
	retire(record);
	registry_unlock();
	keeper_wake(); /* what this thread kept may be free now */
}

/* Threads that came back after they had left, and are gone by now. Caller locks. */
static void retire_late(void)
{
	struct thread_record *record = threads, *next;

	for (; late_records && record; record = next) {
		next = record->next;
		if (!record->late_thread_id || os_thread_exists(record->late_thread_id))
			continue;
		late_records--;
		retire(record);
	}
}

/* fork: hold every lock across it, so that the child finds whole books (lock order: registry, then
 * arenas by slot). */
static void fork_prepare(void)
{
	registry_lock();
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (registry_arena_at(slot))
			arena_lock(registry_arena_at(slot));
}

static void fork_release(void)
{
	for (unsigned slot = MMVIZ_ARENAS_MAX; slot-- > 0;)
		if (registry_arena_at(slot))
			arena_unlock(registry_arena_at(slot));
	registry_unlock();
}

/*
 * The child has one thread. Its own heaps go on with empty logs; the others may have stopped in
 * mid-operation and are never adopted, so what they cached is out of use in the child.
 */
static void fork_child(void)
{
	struct thread_record *mine = (struct thread_record *)thread_heaps;

	threads = thread_heaps == no_heaps ? NULL : mine;
	if (threads)
		mine->next = NULL;
	late_records = threads && mine->late_thread_id;
	if (late_records)
		mine->late_thread_id = os_thread_id();
	spare_records = NULL;
	keeper_forked();
	for (unsigned slot = 0; slot < MMVIZ_ARENAS_MAX; slot++)
		if (registry_arena_at(slot))
			heap_all_forked(registry_arena_at(slot), heap_mine(slot));
	fork_release();
}

static void make_thread_key(void)
{
	thread_key_is_made = pthread_key_create(&thread_key, thread_leave) == 0;
	pthread_atfork(fork_prepare, fork_release, fork_child);
}

/* Before there are threads: a fork that has begun does not see handlers that come later. */
__attribute__((constructor)) static void make_thread_key_early(void)
{
	pthread_once(&thread_once, make_thread_key);
}

/* A cleared record, in the list. Caller locks. NULL: no memory. */
static struct thread_record *record_take(void)
{
	struct thread_record *record = spare_records;

	if (record) {
		spare_records = record->next;
	} else {
		record = os_reserve(MMVIZ_UNIT_BYTES, MMVIZ_UNIT_BYTES);
		if (!record || os_commit(record, MMVIZ_UNIT_BYTES))
			return NULL;
	}
	*record = (struct thread_record){.next = threads};
	memcpy(record->heaps, no_heaps, sizeof(no_heaps));
	threads = record;
	return record;
}

int registry_thread_join(void)
{
	struct thread_record *record;

	if (thread_heaps != no_heaps)
		return 0;
	registry_lock();
	retire_late();
	record = record_take();
	if (record && thread_has_left) {
		record->late_thread_id = os_thread_id();
		late_records++;
	}
	registry_unlock();
	if (!record)
		return -ENOMEM;
	thread_heaps = record->heaps; /* before pthread_setspecific, which may call calloc */
	if (thread_has_left || (thread_key_is_made && !pthread_setspecific(thread_key, record)))
		return 0;
	thread_heaps = no_heaps;
	thread_current = &heap_none;
	registry_lock();
	retire(record);
	registry_unlock();
	return -EAGAIN;
}
_Static_assert(sizeof(struct thread_record) <= MMVIZ_UNIT_BYTES, "a thread's record is one page");

/* ------------------------------------------------------------------ contexts */

#define GROW_BYTES (1u << 16)

/* Space that grows in place: an array or a pool of text. */
struct growing {
	char *start;
	size_t used_bytes, committed_bytes, reserved_bytes;
};

static struct growing contexts = {.reserved_bytes = (size_t)MMVIZ_CONTEXTS_MAX *
						    sizeof(struct mmviz_context)};
static struct growing texts = {.reserved_bytes = 1ULL << 30};
static struct {
	uint32_t *ids; /* 0: empty */
	uint32_t size; /* a power of two */
} index_of_contexts;

/* In a process under a limit, so little that its arenas do not feel it. */
static void growing_reserve(struct growing *space)
{
	size_t room = os_address_room_bytes() / 32;

	while (space->reserved_bytes > room && space->reserved_bytes > GROW_BYTES)
		space->reserved_bytes /= 2;
	space->start = os_reserve(space->reserved_bytes, MMVIZ_UNIT_BYTES);
}

static void *growing_append(struct growing *space, size_t bytes)
{
	void *at;

	if (!space->start)
		growing_reserve(space);
	if (!space->start || bytes > space->reserved_bytes - space->used_bytes)
		return NULL;
	while (space->used_bytes + bytes > space->committed_bytes) {
		if (os_commit(space->start + space->committed_bytes, GROW_BYTES))
			return NULL;
		space->committed_bytes += GROW_BYTES;
	}
	at = space->start + space->used_bytes;
	space->used_bytes += bytes;
	return at;
}

static const struct mmviz_context *context_at(uint32_t id)
{
	return (const struct mmviz_context *)contexts.start + id;
}

/* FNV-1a, 64 bit (Fowler, Noll, Vo), over a name or over the bytes of an address. */
static uint64_t hash_bytes(const void *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ULL;
	return hash ^ hash >> 32;
}

static uint64_t hash_context(const struct mmviz_context *context)
{
	if (context->kind == MMVIZ_CONTEXT_TAG)
		return hash_bytes((const char *)context->value, context->length);
	return hash_bytes(&context->value, sizeof(context->value));
}

static bool same_context(const struct mmviz_context *a, const struct mmviz_context *b)
{
	if (a->kind != b->kind || a->length != b->length)
		return false;
	if (a->kind == MMVIZ_CONTEXT_TAG)
		return memcmp((const char *)a->value, (const char *)b->value, a->length) == 0;
	return a->value == b->value;
}

/* The slot of the index that holds an equal entry, or the empty one where it belongs. */
static uint32_t *index_slot(const struct mmviz_context *wanted)
{
	uint32_t mask = index_of_contexts.size - 1;
	uint32_t slot = (uint32_t)hash_context(wanted) & mask;

	while (index_of_contexts.ids[slot] &&
	       !same_context(context_at(index_of_contexts.ids[slot]), wanted))
		slot = (slot + 1) & mask;
	return &index_of_contexts.ids[slot];
}

static int index_grow(void)
{
	uint32_t size = index_of_contexts.size ? index_of_contexts.size * 2 : 4096;
	size_t bytes = (size_t)size * sizeof(uint32_t);
	uint32_t *ids = os_reserve(bytes, MMVIZ_UNIT_BYTES), *old = index_of_contexts.ids;

	if (!ids || os_commit(ids, bytes))
		return -ENOMEM;
	if (old)
		os_release(old, (size_t)index_of_contexts.size * sizeof(uint32_t));
	index_of_contexts.ids = ids;
	index_of_contexts.size = size;
	for (uint32_t id = 1; id < registry_here.contexts_count; id++)
		*index_slot(context_at(id)) = id;
	return 0;
}

/* Entry first, then the count: a reader that sees the count sees the entry. */
static uint32_t context_append(const struct mmviz_context *wanted)
{
	struct mmviz_context *entry;
	uint32_t id = registry_here.contexts_count;

	if (id >= MMVIZ_CONTEXTS_MAX)
		return 0;
	entry = growing_append(&contexts, sizeof(*entry));
	if (!entry)
		return 0;
	*entry = *wanted;
	if (wanted->kind == MMVIZ_CONTEXT_TAG) {
		char *text = growing_append(&texts, wanted->length + 1u);

		if (!text) {
			contexts.used_bytes -= sizeof(*entry);
			return 0;
		}
		memcpy(text, (const char *)wanted->value, wanted->length);
		text[wanted->length] = '\0';
		entry->value = (uint64_t)text;
	}
	registry_here.contexts_addr = (uint64_t)contexts.start;
	__atomic_store_n(&registry_here.contexts_count, id + 1, __ATOMIC_RELEASE);
	return id;
}

/* Caller locks. */
static uint32_t intern(const struct mmviz_context *wanted)
{
	static const struct mmviz_context none;
	uint32_t *slot, id;

	if (registry_here.contexts_count == 0)
		context_append(&none);
	if (registry_here.contexts_count * 2 >= index_of_contexts.size && index_grow())
		return 0;
	slot = index_slot(wanted);
	if (*slot)
		return *slot;
	id = context_append(wanted);
	*slot = id;
	return id;
}

uint32_t registry_intern_name(const char *name, size_t length)
{
	struct mmviz_context wanted = {(uint64_t)name, (uint32_t)length, MMVIZ_CONTEXT_TAG};
	uint32_t id;

	if (length > UINT16_MAX)
		wanted.length = UINT16_MAX;
	registry_lock();
	id = intern(&wanted);
	registry_unlock();
	return id;
}

uint32_t registry_intern_site(const void *return_address)
{
	struct mmviz_context wanted = {(uint64_t)return_address, 0, MMVIZ_CONTEXT_SITE};
	uint32_t id;

	registry_lock();
	id = intern(&wanted);
	registry_unlock();
	return id;
}

uint32_t registry_add_stack(const struct mmviz_stack *stack, uint32_t bytes)
{
	static const struct mmviz_context none;
	struct mmviz_context entry = {(uint64_t)stack, bytes, MMVIZ_CONTEXT_STACK};

	if (registry_here.contexts_count == 0)
		context_append(&none);
	return context_append(&entry);
}

struct mmviz_context registry_context(uint32_t id)
{
	if (id >= __atomic_load_n(&registry_here.contexts_count, __ATOMIC_ACQUIRE))
		return (struct mmviz_context){0};
	return *context_at(id);
}

struct mmviz_context registry_plain_context(uint32_t id)
{
	struct mmviz_context context = registry_context(id);

	if (context.kind == MMVIZ_CONTEXT_STACK)
		context = registry_context(((const struct mmviz_stack *)context.value)->context);
	return context;
}

const char *registry_context_name(uint32_t id)
{
	struct mmviz_context context = registry_plain_context(id);

	return context.kind == MMVIZ_CONTEXT_TAG ? (const char *)context.value : "";
}

void registry_mark(const char *text)
{
	struct mmviz_context wanted = {(uint64_t)text, (uint32_t)strnlen(text, UINT16_MAX),
				       MMVIZ_CONTEXT_TAG};
	uint64_t number;

	registry_lock();
	number = registry_here.marks_count;
	registry_here.marks[number % MMVIZ_MARKS_MAX] = (struct mmviz_mark_entry){
		.at_ns = os_now_ns(),
		.context = wanted.length ? intern(&wanted) : 0,
		.thread_id = os_thread_id(),
	};
	__atomic_store_n(&registry_here.marks_count, number + 1, __ATOMIC_RELEASE);
	registry_unlock();
	if (registry_here.semaphores.mark)
		mmviz_probe_mark(text);
}
