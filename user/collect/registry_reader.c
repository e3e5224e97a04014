/* SPDX-License-Identifier: MIT */
/*
 * registry_reader.c - follows the target's registry: slots -> arenas -> heaps; contexts; marks.
 *
 * The target publishes an object only when it is whole (release store of the address or the count),
 * so a reader never meets a half-made one; what it can meet is one that is unmapped or reused while
 * it is read. So a read that fails with EFAULT in the middle of an arena means "gone", not an
 * error, and every arena is known by its id, which is never used twice, not by its address.
 *
 * A stack is read with its context; its text is its tag's or site's, looked up when it is asked for:
 * so a context never leads to another one that is a stack, whatever the target says.
 *
 * Heaps are only ever appended to an arena's list, so a refresh starts at the youngest known one.
 */
#include "collect/registry_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/safe_text.h"

#define ARENAS_KNOWN_MAX     4096u  /* more than can be there at one time, and those just gone */
#define HEAPS_MAX	     65536u /* in one arena */
#define CONTEXT_NAME_BYTES   256u   /* of a name that are shown */
#define CHUNK_CONTEXTS	     1024u
#define CHUNKS_MAX	     (MMVIZ_CONTEXTS_MAX / CHUNK_CONTEXTS)
#define CHUNKS_EACH_REFRESH  4u		/* that a refresh reads at most */
#define STACKS_AT_ONCE_BYTES (1u << 20) /* of neighbours that are read together */

/* An arena, and where its list of heaps was left. */
struct known_arena {
	struct registry_arena arena; /* first: what registry_reader_arenas hands out */
	uint32_t heaps_room;
	uint64_t last_heap_addr; /* 0: no heap known */
	bool is_seen;		 /* by the refresh under way */
	bool is_published;	 /* its id was met by the refresh under way */
};

/* Contexts never move once they are read, and never change. */
struct chunk {
	uint32_t count; /* entries read */
	struct registry_context entries[CHUNK_CONTEXTS];
};

struct registry_reader {
	struct target *target;
	uint64_t registry_addr;
	struct registry_arena **arenas; /* by id; each the first member of a struct known_arena */
	uint32_t arenas_count, arenas_room;
	struct chunk *chunks[CHUNKS_MAX]; /* contexts by id; NULL: none read yet */
	uint32_t first_open_chunk;	  /* all before it are full */
	uint32_t contexts_count;	  /* that the target had at the last look */
	uint64_t marks_reported;
};

static struct known_arena *known(struct registry_arena *arena)
{
	return (struct known_arena *)arena;
}

static int read_registry(const struct registry_reader *reader, size_t offset, void *out,
			 size_t bytes)
{
	return target_read(reader->target, reader->registry_addr + offset, out, bytes);
}

/* ------------------------------------------------------------------ heaps */

/* Does [addr, addr + bytes) lie within the arena? */
static bool head_has(const struct mmviz_arena_head *head, uint64_t addr, uint64_t bytes)
{
	return bytes <= head->capacity_bytes &&
	       addr - head->base_addr <= head->capacity_bytes - bytes;
}

static int add_heap(struct known_arena *entry, const struct mmviz_heap_head *head, uint64_t addr)
{
	struct registry_arena *arena = &entry->arena;

	if (arena->heaps_count == entry->heaps_room) {
		uint32_t room = entry->heaps_room == 0 ? 8 : entry->heaps_room * 2;
		struct registry_heap *heaps = realloc(arena->heaps, room * sizeof(*heaps));

		if (heaps == NULL)
			return -ENOMEM;
		arena->heaps = heaps;
		entry->heaps_room = room;
	}
	arena->heaps[arena->heaps_count++] =
		(struct registry_heap){.id = head->id, .log_addr = head->log_addr};
	entry->last_heap_addr = addr;
	return 0;
}

/* A heap is what it says, is the next one, and its log lies in the arena. */
static bool heap_is_sound(const struct registry_arena *arena, const struct mmviz_heap_head *head)
{
	return head->magic == MMVIZ_HEAP_MAGIC && head->id == arena->heaps_count + 1 &&
	       head_has(&arena->head, head->log_addr, sizeof(struct mmviz_log));
}

/* Address of the first heap that is not known yet; 0: none. */
static int next_heap_addr(const struct registry_reader *reader, const struct known_arena *entry,
			  uint64_t *out)
{
	if (entry->last_heap_addr == 0) {
		*out = entry->arena.head.first_heap_addr;
		return 0;
	}
	return target_read(reader->target,
			   entry->last_heap_addr + offsetof(struct mmviz_heap_head, next_addr), out,
			   sizeof(*out));
}

static int refresh_heaps(const struct registry_reader *reader, struct known_arena *entry)
{
	struct mmviz_heap_head head;
	uint64_t addr;
	int error = next_heap_addr(reader, entry, &addr);

	while (error == 0 && addr != 0 && entry->arena.heaps_count < HEAPS_MAX) {
		if (!head_has(&entry->arena.head, addr, sizeof(head)))
			return -EFAULT;
		error = target_read(reader->target, addr, &head, sizeof(head));
		if (error == 0 && !heap_is_sound(&entry->arena, &head))
			error = -EFAULT;
		if (error == 0)
			error = add_heap(entry, &head, addr);
		addr = head.next_addr;
	}
	return error;
}

/* ------------------------------------------------------------------ arenas */

static bool shift_is_sound(unsigned shift)
{
	return shift >= MMVIZ_UNIT_SHIFT && shift < 32;
}

static bool arena_is_sound(const struct mmviz_arena_head *head, uint64_t addr)
{
	uint64_t units = head->capacity_bytes >> MMVIZ_UNIT_SHIFT;

	return head->magic == MMVIZ_ARENA_MAGIC && head->id != 0 && head->base_addr == addr &&
	       units != 0 && head->capacity_bytes <= MMVIZ_CAPACITY_MAX_BYTES &&
	       head->capacity_bytes % MMVIZ_UNIT_BYTES == 0 && head->frontier_units <= units &&
	       shift_is_sound(head->span_shift[0]) && shift_is_sound(head->span_shift[1]);
}

/* Index of the first known arena with an id that is not smaller. */
static uint32_t arena_index(const struct registry_reader *reader, uint32_t id)
{
	uint32_t low = 0, high = reader->arenas_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (reader->arenas[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int arenas_reserve_one(struct registry_reader *reader)
{
	uint32_t room = reader->arenas_room == 0 ? 16 : reader->arenas_room * 2;
	struct registry_arena **arenas;

	if (reader->arenas_count < reader->arenas_room)
		return 0;
	if (reader->arenas_count >= ARENAS_KNOWN_MAX)
		return -E2BIG;
	arenas = realloc(reader->arenas, room * sizeof(*arenas));
	if (arenas == NULL)
		return -ENOMEM;
	reader->arenas = arenas;
	reader->arenas_room = room;
	return 0;
}

/* The known arena with this id; a new one where there is none. */
static int find_or_add_arena(struct registry_reader *reader, uint32_t id, struct known_arena **out)
{
	uint32_t index = arena_index(reader, id);
	struct known_arena *entry;
	int error;

	if (index < reader->arenas_count && reader->arenas[index]->id == id) {
		*out = known(reader->arenas[index]);
		return 0;
	}
	error = arenas_reserve_one(reader);
	if (error != 0)
		return error;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	entry->arena.id = id;
	memmove(&reader->arenas[index + 1], &reader->arenas[index],
		(reader->arenas_count - index) * sizeof(reader->arenas[0]));
	reader->arenas[index] = &entry->arena;
	reader->arenas_count++;
	*out = entry;
	return 0;
}

/* EFAULT and unsound heads are those of an arena that is just being destroyed: it is not seen. */
static int refresh_arena(struct registry_reader *reader, uint64_t addr)
{
	struct mmviz_arena_head head;
	struct known_arena *entry;
	int error = target_read(reader->target, addr, &head, sizeof(head));

	if (error != 0 || !arena_is_sound(&head, addr))
		return error == -EFAULT ? 0 : error;
	error = find_or_add_arena(reader, head.id, &entry);
	if (error == 0)
		entry->is_published = true;
	if (error != 0 || entry->is_seen || entry->arena.is_gone)
		return error;
	entry->arena.head_addr = addr;
	entry->arena.head = head;
	safe_text(entry->arena.head.name, sizeof(head.name), head.name,
		  strnlen(head.name, sizeof(head.name)));
	error = refresh_heaps(reader, entry);
	entry->is_seen = error == 0;
	return error == -EFAULT ? 0 : error;
}

static void free_arena(struct registry_arena *arena)
{
	free(arena->heaps);
	free(known(arena));
}

/*
 * What was not seen is gone, and is forgotten at the next refresh: programs may make and destroy
 * arenas for ever. Not while its id is still published: what was found unsound once is not taken
 * up again.
 */
static void sort_out_arenas(struct registry_reader *reader)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < reader->arenas_count; i++) {
		struct registry_arena *arena = reader->arenas[i];

		if (arena->is_gone && !known(arena)->is_published) {
			free_arena(arena);
			continue;
		}
		arena->is_gone |= !known(arena)->is_seen;
		reader->arenas[kept++] = arena;
	}
	reader->arenas_count = kept;
}

static int refresh_arenas(struct registry_reader *reader)
{
	uint64_t slots[MMVIZ_ARENAS_MAX];
	int error = read_registry(reader, offsetof(struct mmviz_registry, arena_addr), slots,
				  sizeof(slots));

	for (uint32_t i = 0; i < reader->arenas_count; i++)
		known(reader->arenas[i])->is_seen = known(reader->arenas[i])->is_published = false;
	for (uint32_t i = 0; i < MMVIZ_ARENAS_MAX && error == 0; i++)
		if (slots[i] != 0)
			error = refresh_arena(reader, slots[i]);
	if (error == 0)
		sort_out_arenas(reader);
	return error;
}

/* ------------------------------------------------------------------ contexts */

/* `count` bytes of text at `addr`, made safe; NULL when it cannot be read. */
static char *read_name(const struct registry_reader *reader, uint64_t addr, uint32_t count)
{
	char raw[CONTEXT_NAME_BYTES + 1], text[sizeof(raw) * 4 + sizeof("\u2026")];
	size_t kept = count <= CONTEXT_NAME_BYTES ? count : CONTEXT_NAME_BYTES, length;

	/* One byte more than is shown: the name's NUL, or what tells where a character begins. */
	if (target_read(reader->target, addr, raw, kept + 1) != 0)
		return NULL;
	while (kept < count && kept > 0 && (raw[kept] & 0xc0) == 0x80)
		kept--;
	length = safe_text(text, sizeof(text), raw, kept);
	if (kept < count)
		strcpy(text + length, "\u2026");
	return strdup(text);
}

static char *describe_site(const struct registry_reader *reader, uint64_t addr)
{
	char place[320], text[336];

	target_describe_addr(reader->target, addr, place, sizeof(place));
	snprintf(text, sizeof(text), "%s%s", strncmp(place, "0x", 2) == 0 ? "site " : "", place);
	return strdup(text);
}

static char *describe(const struct registry_reader *reader, const struct mmviz_context *context)
{
	char text[64];

	switch (context->kind) {
	case MMVIZ_CONTEXT_NONE:
		return strdup("untagged");
	case MMVIZ_CONTEXT_TAG:
		return read_name(reader, context->value, context->length);
	case MMVIZ_CONTEXT_SITE:
		return describe_site(reader, context->value);
	default:
		snprintf(text, sizeof(text), "context 0x%" PRIx64, context->value);
		return strdup(text);
	}
}

/* ------------------------------------------------------------------ stacks */

/* The memory in which the stacks of a run of contexts lie side by side. */
struct stacks_memory {
	uint64_t addr;
	size_t bytes; /* 0: not read together */
	char *copy;
};

static bool stack_is_sound(const struct mmviz_context *context)
{
	return context->kind == MMVIZ_CONTEXT_STACK && context->length > MMVIZ_STACK_HEAD_BYTES &&
	       context->length <= sizeof(struct mmviz_stack);
}

static void read_neighbours(const struct registry_reader *reader,
			    const struct mmviz_context *contexts, uint32_t count,
			    struct stacks_memory *out)
{
	uint64_t from = UINT64_MAX, to = 0;

	*out = (struct stacks_memory){0};
	for (uint32_t i = 0; i < count; i++) {
		uint64_t end = contexts[i].value + contexts[i].length;

		if (!stack_is_sound(&contexts[i]) || end < contexts[i].value)
			continue;
		from = contexts[i].value < from ? contexts[i].value : from;
		to = end > to ? end : to;
	}
	if (from >= to || to - from > STACKS_AT_ONCE_BYTES)
		return;
	out->copy = malloc(to - from);
	if (out->copy == NULL || target_read(reader->target, from, out->copy, to - from) != 0)
		return;
	out->addr = from;
	out->bytes = to - from;
}

static int read_stack(const struct registry_reader *reader, const struct mmviz_context *context,
		      const struct stacks_memory *memory, struct mmviz_stack *out)
{
	uint64_t offset = context->value - memory->addr;

	if (offset >= memory->bytes || context->length > memory->bytes - offset)
		return target_read(reader->target, context->value, out, context->length);
	memcpy(out, memory->copy + offset, context->length);
	return 0;
}

/* A stack that cannot be read, or is none, is one without frames that counts as untagged. */
static int fill_stack(const struct registry_reader *reader, const struct mmviz_context *context,
		      uint32_t id, const struct stacks_memory *memory,
		      struct registry_context *entry)
{
	struct mmviz_stack stack;
	uint64_t *return_addr;
	size_t bytes;

	entry->base = 0;
	if (!stack_is_sound(context) || read_stack(reader, context, memory, &stack) != 0)
		return target_is_gone(reader->target) ? -ESRCH : 0;
	bytes = stack.frames_count * sizeof(uint64_t);
	if (stack.context >= id || bytes != context->length - MMVIZ_STACK_HEAD_BYTES)
		return 0;
	return_addr = malloc(bytes);
	if (return_addr == NULL)
		return -ENOMEM;
	memcpy(return_addr, stack.return_addr, bytes);
	entry->base = stack.context;
	entry->frames_count = stack.frames_count;
	entry->flags = stack.flags;
	entry->return_addr = return_addr;
	return 0;
}

/* ------------------------------------------------------------------ chunks of contexts */

static struct chunk *chunk_get(struct registry_reader *reader, uint32_t index)
{
	if (reader->chunks[index] == NULL)
		reader->chunks[index] = calloc(1, sizeof(struct chunk));
	return reader->chunks[index];
}

/* A name that cannot be read is an unknown context. */
static int chunk_append_one(const struct registry_reader *reader,
			    const struct mmviz_context *context, uint32_t id,
			    const struct stacks_memory *memory, struct registry_context *entry)
{
	*entry = (struct registry_context){.value = context->value, .base = id};
	if (context->kind <= MMVIZ_CONTEXT_STACK)
		entry->kind = (enum mmviz_context_kind)context->kind;
	if (entry->kind == MMVIZ_CONTEXT_STACK)
		return fill_stack(reader, context, id, memory, entry);
	entry->text = describe(reader, context);
	return entry->text == NULL && target_is_gone(reader->target) ? -ESRCH : 0;
}

/* Take over entries that are not read yet. */
static int chunk_append(struct registry_reader *reader, struct chunk *chunk, uint32_t first_id,
			const struct mmviz_context *contexts, uint32_t count)
{
	struct stacks_memory memory;
	int error = 0;

	read_neighbours(reader, contexts, count, &memory);
	for (uint32_t i = 0; i < count && error == 0; i++) {
		struct registry_context *entry = &chunk->entries[chunk->count];

		error = chunk_append_one(reader, &contexts[i], first_id + i, &memory, entry);
		chunk->count += error == 0;
	}
	free(memory.copy);
	return error;
}

/* Read what the target has by now of a chunk. */
static int chunk_read(struct registry_reader *reader, uint32_t index)
{
	struct mmviz_context contexts[CHUNK_CONTEXTS];
	struct chunk *chunk = chunk_get(reader, index);
	uint32_t first, end = (index + 1) * CHUNK_CONTEXTS;
	uint64_t table_addr;
	int error;

	if (chunk == NULL)
		return -ENOMEM;
	first = index * CHUNK_CONTEXTS + chunk->count;
	end = end < reader->contexts_count ? end : reader->contexts_count;
	if (first >= end)
		return 0;
	error = read_registry(reader, offsetof(struct mmviz_registry, contexts_addr), &table_addr,
			      sizeof(table_addr));
	if (error == 0)
		error = target_read(reader->target, table_addr + first * sizeof(contexts[0]),
				    contexts, (end - first) * sizeof(contexts[0]));
	return error != 0 ? error : chunk_append(reader, chunk, first, contexts, end - first);
}

static int contexts_count_read(struct registry_reader *reader)
{
	uint32_t count;
	int error = read_registry(reader, offsetof(struct mmviz_registry, contexts_count), &count,
				  sizeof(count));

	if (error == 0)
		reader->contexts_count = count < MMVIZ_CONTEXTS_MAX ? count : MMVIZ_CONTEXTS_MAX;
	return error;
}

/*
 * Read new contexts before they are asked for: when the target has ended it is too late. A table
 * that cannot be read (its address is a lie) leaves its contexts unknown, and nothing else.
 */
static int refresh_contexts(struct registry_reader *reader)
{
	int error = contexts_count_read(reader);

	for (uint32_t i = 0; i < CHUNKS_EACH_REFRESH && error == 0; i++) {
		uint32_t index = reader->first_open_chunk;

		if (index >= CHUNKS_MAX || index * CHUNK_CONTEXTS >= reader->contexts_count)
			break;
		error = chunk_read(reader, index);
		if (error == 0 && reader->chunks[index]->count == CHUNK_CONTEXTS)
			reader->first_open_chunk++;
	}
	return error == -EFAULT ? 0 : error;
}

static const struct registry_context untagged = {.text = "untagged"};
static const struct registry_context unknown = {.text = "unknown"};

/* The entry as it was read: a stack may have no text yet. */
static const struct registry_context *find_context(struct registry_reader *reader, uint32_t id)
{
	uint32_t index = id / CHUNK_CONTEXTS, within = id % CHUNK_CONTEXTS;
	const struct chunk *chunk;

	if (id == 0)
		return &untagged;
	if (id >= MMVIZ_CONTEXTS_MAX)
		return &unknown;
	chunk = reader->chunks[index];
	if (chunk == NULL || within >= chunk->count) {
		if (contexts_count_read(reader) != 0 || id >= reader->contexts_count ||
		    chunk_read(reader, index) != 0)
			return &unknown;
		chunk = reader->chunks[index];
	}
	if (within >= chunk->count || (chunk->entries[within].text == NULL &&
				       chunk->entries[within].kind != MMVIZ_CONTEXT_STACK))
		return &unknown;
	return &chunk->entries[within];
}

/* Its text is that of what it counts as, which cannot be a stack itself. */
static void name_stack(struct registry_reader *reader, struct registry_context *stack)
{
	const struct registry_context *base = find_context(reader, stack->base);

	if (base->kind == MMVIZ_CONTEXT_STACK) {
		stack->base = 0;
		base = &untagged;
	}
	stack->text = base->text;
}

const struct registry_context *registry_reader_context(struct registry_reader *reader, uint32_t id)
{
	const struct registry_context *context = find_context(reader, id);

	if (context->kind == MMVIZ_CONTEXT_STACK && context->text == NULL)
		name_stack(reader, (struct registry_context *)context);
	return context;
}

uint32_t registry_reader_base(struct registry_reader *reader, uint32_t id)
{
	const struct registry_context *context = registry_reader_context(reader, id);

	return context->kind == MMVIZ_CONTEXT_STACK ? context->base : id;
}

uint32_t registry_reader_contexts_known(const struct registry_reader *reader)
{
	const struct chunk *open = reader->first_open_chunk < CHUNKS_MAX
					   ? reader->chunks[reader->first_open_chunk]
					   : NULL;

	return reader->first_open_chunk * CHUNK_CONTEXTS + (open != NULL ? open->count : 0);
}

int registry_reader_stacks(struct registry_reader *reader, struct registry_stacks *out)
{
	struct registry_stacks stacks;
	int error = read_registry(reader, offsetof(struct mmviz_registry, stacks_count),
				  &stacks.count, sizeof(stacks.count));

	if (error == 0)
		error = read_registry(reader, offsetof(struct mmviz_registry, stacks_refused),
				      &stacks.refused, sizeof(stacks.refused));
	if (error == 0)
		*out = stacks;
	return error;
}

uint32_t registry_reader_contexts_count(const struct registry_reader *reader)
{
	return reader->contexts_count;
}

/* ------------------------------------------------------------------ marks */

int registry_reader_marks(struct registry_reader *reader,
			  void (*visit)(uint64_t at_ns, const char *text, void *context),
			  void *context)
{
	const size_t count_offset = offsetof(struct mmviz_registry, marks_count);
	struct mmviz_mark_entry marks[MMVIZ_MARKS_MAX];
	uint64_t count, later;
	int error = read_registry(reader, count_offset, &count, sizeof(count));

	if (error != 0 || count <= reader->marks_reported)
		return error;
	error = read_registry(reader, offsetof(struct mmviz_registry, marks), marks, sizeof(marks));
	if (error == 0)
		error = read_registry(reader, count_offset, &later, sizeof(later));
	if (error != 0)
		return error;
	/* Those that have been overwritten meanwhile, or are just being so, are lost. */
	if (later >= MMVIZ_MARKS_MAX && reader->marks_reported < later + 1 - MMVIZ_MARKS_MAX)
		reader->marks_reported = later + 1 - MMVIZ_MARKS_MAX;
	for (; reader->marks_reported < count; reader->marks_reported++) {
		const struct mmviz_mark_entry *mark =
			&marks[reader->marks_reported % MMVIZ_MARKS_MAX];

		visit(mark->at_ns, registry_reader_context(reader, mark->context)->text, context);
	}
	return 0;
}

/* ------------------------------------------------------------------ open, close */

int registry_reader_open(struct target *target, struct registry_reader **out)
{
	struct registry_reader *reader = calloc(1, sizeof(*reader));
	int error;

	if (reader == NULL)
		return -ENOMEM;
	reader->target = target;
	reader->registry_addr = target_registry_addr(target);
	error = registry_reader_refresh(reader);
	if (error != 0) {
		registry_reader_close(reader);
		return error;
	}
	*out = reader;
	return 0;
}

static void free_context(struct registry_context *context)
{
	if (context->kind != MMVIZ_CONTEXT_STACK)
		free((char *)context->text);
	free((uint64_t *)context->return_addr);
}

void registry_reader_close(struct registry_reader *reader)
{
	if (reader == NULL)
		return;
	for (uint32_t i = 0; i < reader->arenas_count; i++)
		free_arena(reader->arenas[i]);
	for (uint32_t i = 0; i < CHUNKS_MAX; i++) {
		if (reader->chunks[i] == NULL)
			continue;
		for (uint32_t k = 0; k < reader->chunks[i]->count; k++)
			free_context(&reader->chunks[i]->entries[k]);
		free(reader->chunks[i]);
	}
	free(reader->arenas);
	free(reader);
}

int registry_reader_refresh(struct registry_reader *reader)
{
	int error = refresh_arenas(reader);

	return error != 0 ? error : refresh_contexts(reader);
}

uint32_t registry_reader_arenas(const struct registry_reader *reader,
				const struct registry_arena ***out)
{
	*out = (const struct registry_arena **)reader->arenas;
	return reader->arenas_count;
}
