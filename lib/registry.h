/* SPDX-License-Identifier: MIT */
/*
 * registry.h - the one global object of the library: what a reader in another process starts from.
 *
 * Owns the registry, the context table (tags, call sites), the marks, and the list of threads with
 * their heaps. Every entry is whole before the count or slot that publishes it is stored (release;
 * a reader's acquire is its remote read of the count before the entry). Nothing is ever moved or
 * taken back but arena slots, cleared before the arena is unmapped. One lock for all of it, taken
 * before any arena's lock.
 */
#ifndef MMVIZ_LIB_REGISTRY_H
#define MMVIZ_LIB_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

struct heap;

/* The public symbol `mmviz_registry`, by a name that no other copy of the library can take over. */
extern struct mmviz_registry registry_here __attribute__((visibility("hidden")));

void registry_lock(void);
void registry_unlock(void);
bool registry_is_locked_here(void); /* by the calling thread */

/* ------------------------------------------------------------------ arenas */

/* A free slot, or -1. Caller locks. */
int registry_arena_slot(void);
/* Publish a whole arena. Caller locks. */
void registry_arena_publish(int slot, struct mmviz_arena *arena);
/* Clear the slot here and in every thread's table. Caller locks. */
void registry_arena_retract(int slot);
struct mmviz_arena *registry_arena_at(unsigned slot);	    /* NULL: empty */
struct mmviz_arena *registry_arena_of(const void *address); /* that holds the address, or NULL */
uint32_t registry_arena_new_id(void);			    /* caller locks */

/* ------------------------------------------------------------------ threads */

/*
 * The calling thread's heap of each arena, by slot. A thread without one sees a table of NULLs, so
 * that the fast path has one test only.
 */
extern __thread struct heap **thread_heaps
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * One of them, or heap_none: that from which malloc comes (preload.c). Whoever sets it has looked it
 * up in the table; it is heap_none again when the thread leaves.
 */
extern __thread struct heap *thread_current
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Give the calling thread a table of its own; its heaps go to their arenas' pools when it ends. 0
 * or -errno. */
int registry_thread_join(void);

/* ------------------------------------------------------------------ contexts */

/* The id of a name or of a call site; 0 if the table is full or memory is short. */
uint32_t registry_intern_name(const char *name, size_t length);
uint32_t registry_intern_site(const void *return_address);
/* A new id for a stack whose `bytes` stay where they are; 0 if the table is full. Caller locks. */
uint32_t registry_add_stack(const struct mmviz_stack *stack, uint32_t bytes);
/* What an id means; a zero entry for ids never given. */
struct mmviz_context registry_context(uint32_t id);
/* The same, of a stack the context that it stands for. */
struct mmviz_context registry_plain_context(uint32_t id);
const char *registry_context_name(uint32_t id); /* its tag; "" without one */

/* A mark; caller does not lock. */
void registry_mark(const char *text);

#endif
