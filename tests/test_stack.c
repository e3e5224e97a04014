/* SPDX-License-Identifier: MIT */
/*
 * test_stack.c - call stacks as contexts: right against backtrace() and a chain built by hand, in
 * threads, on other stacks, with any rbp; the table when it is full; fork.
 *
 * The semaphore is raised here as the kernel would. cmocka has no frame pointers, so the tests are
 * called with rbp 0: their stacks end there.
 */
#include "test.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <mmviz/mmviz.h>

#include "frames.h"
#include "registry.h"

#define NOINLINE	  __attribute__((noinline))
#define KEEP_FRAME()	  __asm__ volatile("" ::: "memory") /* no call before it is a jump */
#define ARENA_BYTES	  (1u << 30)
#define OTHER_STACK_BYTES (64u << 10)

/* Calls the function as if nobody had called us. */
void call_alone(void (*function)(void *), void *argument);
#if defined(__x86_64__)
__asm__(".text\n"
	".type call_alone,@function\n"
	"call_alone:\n"
	"	push %rbp\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	xor %ebp, %ebp\n"
	"	call *%rax\n"
	"	pop %rbp\n"
	"	ret\n"
	".size call_alone, . - call_alone\n");
#else
void call_alone(void (*function)(void *), void *argument)
{
	function(argument);
}
#endif

/* A test, by that name, whose body is called alone. */
#define ALONE(name)                                                                                \
	static void name##_body(void *state);                                                      \
	static void name(void **state)                                                             \
	{                                                                                          \
		call_alone(name##_body, state);                                                    \
	}                                                                                          \
	NOINLINE static void name##_body(void *state)

static struct mmviz_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = mmviz_arena_create("stack", ARENA_BYTES);
	registry_here.semaphores.stack = 1;
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	registry_here.semaphores = (struct mmviz_semaphores){0};
	registry_here.control_stacks_max = 0;
	mmviz_arena_destroy(arena);
	return 0;
}

static uint32_t context_of(const void *block)
{
	return mmviz_word_context(reveal((const struct mmviz_header *)block - 1, 16)->word);
}

static const struct mmviz_stack *stack_of(const void *block)
{
	struct mmviz_context context = registry_context(context_of(block));
	const struct mmviz_stack *stack = (const struct mmviz_stack *)context.value;

	must(block);
	must(context.kind == MMVIZ_CONTEXT_STACK);
	must(context.length == MMVIZ_STACK_HEAD_BYTES + 8 * stack->frames_count);
	must(stack->frames_count >= 1 && stack->frames_count <= MMVIZ_STACK_FRAMES_MAX);
	return stack;
}

/* ------------------------------------------------------------------ what backtrace says */

#define CHAIN_FRAMES 6

struct pair {
	void *block;
	void *trace[64];
	int trace_count;
};

typedef void *way_function(void);

NOINLINE static void chain(int depth, way_function *way, struct pair *pair)
{
	if (depth > 1) {
		chain(depth - 1, way, pair);
	} else {
		pair->trace_count = backtrace(pair->trace, 64);
		pair->block = way();
	}
	KEEP_FRAME();
}

/* The allocator is called from `way`, backtrace from its caller (through a sanitizer, if there is
 * one): the frames behind agree. */
static void must_agree(const struct pair *pair)
{
	const struct mmviz_stack *stack = stack_of(pair->block);

	int from = 1;

	while (from < 4 && (uint64_t)pair->trace[from] != stack->return_addr[2])
		from++;
	must(pair->trace_count >= CHAIN_FRAMES + from);
	must(stack->frames_count > CHAIN_FRAMES);
	for (int i = 0; i < CHAIN_FRAMES - 1; i++)
		must(stack->return_addr[2 + i] == (uint64_t)pair->trace[from + i]);
}

#define ALLOCATES(name, call)                                                                      \
	NOINLINE static void *name(void)                                                           \
	{                                                                                          \
		void *block = call;                                                                \
		KEEP_FRAME();                                                                      \
		return block;                                                                      \
	}
ALLOCATES(plain, mmviz_alloc(arena, 40, 0))
ALLOCATES(tagged, mmviz_alloc(arena, 40, mmviz_tag_intern("a tag")))
ALLOCATES(zeroed, mmviz_calloc(arena, 3, 40, mmviz_tag_intern("a tag")))
ALLOCATES(aligned, mmviz_alloc_aligned(arena, 64, 40, 0))
ALLOCATES(labelled, mmviz_alloc_labeled(arena, 40, "label"))
ALLOCATES(medium, mmviz_alloc(arena, 9000, 0))
ALLOCATES(large, mmviz_alloc(arena, 1 << 20, 0))
ALLOCATES(large_tagged, mmviz_calloc(arena, 1, 1 << 20, mmviz_tag_intern("a tag")))
ALLOCATES(from_nothing, mmviz_realloc(arena, NULL, 40, 0))

static way_function *const ways[] = {plain,  tagged, zeroed,	   aligned,	labelled,
				     medium, large,  large_tagged, from_nothing};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

ALONE(every_way_to_allocate_has_the_stack_that_backtrace_has)
{
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < WAYS; i++)
		for (int again = 0; again < 3;
		     again++) { /* by the slow way, then by the fast one */
			chain(CHAIN_FRAMES, ways[i], &pair);
			must_agree(&pair);
			mmviz_free(arena, pair.block);
		}
}

ALONE(one_stack_has_one_id_however_the_block_was_found)
{
	struct pair pair;
	uint32_t first;

	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		void *blocks[100];

		for (volatile int k = 0; k < 100; k++) {
			chain(CHAIN_FRAMES, ways[i], &pair);
			blocks[k] = pair.block;
			first = k ? first : context_of(pair.block);
			assert_int_equal(context_of(pair.block), first);
		}
		for (int k = 0; k < 100; k++)
			mmviz_free(arena, blocks[k]);
	}
}

ALONE(the_first_frame_is_the_call_itself)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		uint64_t addr = stack_of(ways[i]())->return_addr[0];

		assert_in_range(addr, (uint64_t)ways[i] + 1, (uint64_t)ways[i] + 200);
		assert_true(frames_is_return(addr));
	}
}

ALONE(a_stack_says_what_the_block_is_without_it)
{
	const void *tag = tagged(), *site = plain();
	struct mmviz_context context = registry_context(stack_of(tag)->context);

	(void)state;
	assert_int_equal(context.kind, MMVIZ_CONTEXT_TAG);
	assert_string_equal((const char *)context.value, "a tag");
	assert_string_equal(registry_context_name(context_of(tag)), "a tag");
	context = registry_context(stack_of(site)->context);
	assert_int_equal(context.kind, MMVIZ_CONTEXT_SITE);
	assert_int_equal(context.value, stack_of(site)->return_addr[0]);
	assert_string_equal(registry_context_name(context_of(site)), "");
}

ALONE(nobody_listens_no_stack)
{
	uint32_t count;
	struct mmviz_context context;

	(void)state;
	plain();
	registry_here.semaphores.stack = 0;
	count = registry_here.stacks_count;
	context = registry_context(context_of(plain()));
	assert_int_equal(context.kind, MMVIZ_CONTEXT_SITE);
	context = registry_context(context_of(tagged()));
	assert_int_equal(context.kind, MMVIZ_CONTEXT_TAG);
	assert_int_equal(registry_here.stacks_count, count);
}

ALONE(a_resized_block_keeps_its_stack_and_a_new_tag_brings_a_new_one)
{
	char *block = plain();
	uint32_t context = context_of(block);

	(void)state;
	block = mmviz_realloc(arena, block, 44, 0);
	assert_int_equal(context_of(block), context);
	block = mmviz_realloc(arena, block, 4000, 0);
	assert_int_equal(context_of(block), context);
	block = mmviz_realloc(arena, block, 1 << 20, 0);
	assert_int_equal(context_of(block), context);
	block = mmviz_realloc(arena, block, 4004, mmviz_tag_intern("later"));
	assert_string_equal(registry_context_name(stack_of(block)->context), "later");
	block = mmviz_realloc(arena, block, 4008, mmviz_tag_intern("last"));
	assert_string_equal(registry_context_name(stack_of(block)->context), "last");
}

NOINLINE static void *deeper(int depth)
{
	void *block = depth ? deeper(depth - 1) : plain();

	KEEP_FRAME();
	return block;
}

ALONE(a_deep_stack_keeps_its_inner_frames)
{
	const struct mmviz_stack *deep, *deepest;

	(void)state;
	deep = stack_of(deeper(200));
	deepest = stack_of(deeper(30000));
	assert_int_equal(deep->flags, MMVIZ_STACK_DEEP);
	assert_int_equal(deep->frames_count, MMVIZ_STACK_FRAMES_MAX);
	assert_ptr_equal(deep, deepest);
}

/* ------------------------------------------------------------------ threads */

struct worked {
	uint32_t context;
	const struct mmviz_stack *stack;
};

NOINLINE static void *work(void *argument)
{
	struct worked *worked = argument;
	struct pair pair;

	for (int i = 0; i < 1000; i++) {
		chain(CHAIN_FRAMES, ways[i % WAYS], &pair);
		must_agree(&pair);
		mmviz_free(arena, pair.block);
	}
	chain(CHAIN_FRAMES, plain, &pair);
	worked->context = context_of(pair.block);
	worked->stack = stack_of(pair.block);
	return NULL;
}

ALONE(threads_share_their_stacks)
{
	struct worked worked[8];
	pthread_t threads[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &worked[i]), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(worked[i].context, worked[0].context);
		/* way, chain, work, and what called it */
		assert_in_range(worked[i].stack->frames_count, CHAIN_FRAMES + 2, CHAIN_FRAMES + 6);
	}
}

/* ------------------------------------------------------------------ other stacks */

static const void *handler_block;

NOINLINE static void on_signal(int number)
{
	(void)number;
	handler_block = plain();
	KEEP_FRAME();
}

ALONE(on_an_alternate_signal_stack_the_handlers_frames_are_there)
{
	stack_t other = {.ss_sp = malloc(OTHER_STACK_BYTES), .ss_size = OTHER_STACK_BYTES}, old;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK}, before;
	const struct mmviz_stack *stack;

	(void)state;
	assert_int_equal(sigaltstack(&other, &old), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	for (int i = 0; i < 100; i++) {
		raise(SIGUSR1);
		stack = stack_of(handler_block);
		assert_true(stack->frames_count >= 2);
		assert_in_range(stack->return_addr[1], (uint64_t)on_signal,
				(uint64_t)on_signal + 200);
	}
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_int_equal(sigaltstack(&old, NULL), 0);
	free(other.ss_sp);
}

static ucontext_t main_context, coroutine_context;
static uint64_t coroutine_rbp; /* 0: as it is */
static void *coroutine_block;

#if defined(__x86_64__)
/* The allocator, called with this rbp. */
void *alloc_with_rbp(struct mmviz_arena *from, size_t bytes, uint64_t rbp);
extern const char alloc_with_rbp_site[];
__asm__(".text\n"
	".type alloc_with_rbp,@function\n"
	"	.skip 16, 0x90\n" /* so that no call ends here */
	"alloc_with_rbp:\n"
	"	push %rbp\n"
	"	mov %rdx, %rbp\n"
	"	xor %edx, %edx\n"
	"	call mmviz_alloc\n"
	"alloc_with_rbp_site:\n"
	"	pop %rbp\n"
	"	ret\n"
	".size alloc_with_rbp, . - alloc_with_rbp\n");
#endif

NOINLINE static void coroutine(void)
{
#if defined(__x86_64__)
	coroutine_block = coroutine_rbp ? alloc_with_rbp(arena, 40, coroutine_rbp) : plain();
#else
	coroutine_block = plain();
#endif
	KEEP_FRAME();
}

static const struct mmviz_stack *run_coroutine(char *stack)
{
	assert_int_equal(getcontext(&coroutine_context), 0);
	coroutine_context.uc_stack.ss_sp = stack;
	coroutine_context.uc_stack.ss_size = OTHER_STACK_BYTES;
	coroutine_context.uc_link = &main_context;
	makecontext(&coroutine_context, coroutine, 0);
	assert_int_equal(swapcontext(&main_context, &coroutine_context), 0);
	return stack_of(coroutine_block);
}

/* Nothing can be read behind the coroutine's stack, and other stacks lay where it lies. */
ALONE(coroutines_on_stacks_that_come_and_go_have_theirs)
{
	size_t bytes = OTHER_STACK_BYTES, hole = 4096;
	const struct mmviz_stack *stack;

	(void)state;
	for (int i = 0; i < 200; i++) {
		char *space =
			mmap(NULL, bytes * 2 + hole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *at = space + (i % 7) * 4096;

		assert_ptr_not_equal(space, MAP_FAILED);
		assert_int_equal(mprotect(at, bytes, PROT_READ | PROT_WRITE), 0);
		coroutine_rbp = 0;
		stack = run_coroutine(at);
		assert_true(stack->frames_count >= 2);
		assert_in_range(stack->return_addr[1], (uint64_t)coroutine,
				(uint64_t)coroutine + 200);
		for (uint64_t rbp = (uint64_t)at + bytes - 32; rbp < (uint64_t)at + bytes + 32;
		     rbp += 8) {
			coroutine_rbp = rbp;
			run_coroutine(at);
		}
		assert_int_equal(munmap(space, bytes * 2 + hole), 0);
	}
}

/* ------------------------------------------------------------------ any rbp */

#if defined(__x86_64__)
static void assert_stack_is_the_site(const void *block)
{
	assert_int_equal(stack_of(block)->frames_count, 1);
	assert_ptr_equal(stack_of(block)->return_addr[0], alloc_with_rbp_site);
}

ALONE(a_frame_pointer_that_is_none_ends_the_stack)
{
	char here[64] __attribute__((aligned(16))), *hole;
	uint64_t values[] = {0,
			     1,
			     8,
			     4096,
			     (uint64_t)here + 1,
			     (uint64_t)here - 8192, /* below the frame */
			     0x7fffffffe000,
			     0x7ffffffffff8,
			     0x800000000000,
			     0xffff800000000000,
			     UINT64_MAX,
			     UINT64_MAX - 7,
			     UINT64_MAX - 15,
			     0x8000000000000000,
			     (uint64_t)plain(),
			     (uint64_t)&registry_here,
			     (uint64_t)alloc_with_rbp};

	(void)state;
	hole = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(hole, MAP_FAILED);
	for (int way = 0; way < 2; way++) {
		size_t bytes = way ? 1 << 20 : 40;

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			assert_stack_is_the_site(alloc_with_rbp(arena, bytes, values[i]));
		for (uint64_t at = (uint64_t)hole; at < (uint64_t)hole + (1 << 20); at += 4096 - 8)
			assert_stack_is_the_site(alloc_with_rbp(arena, bytes, at));
	}
	munmap(hole, 1 << 20);
}

/* Frames on the stack whose words are not what they should be. */
ALONE(words_that_are_no_return_addresses_end_the_stack)
{
	static const unsigned char no_call[16];
	uint64_t frame[4] = {0}, values[] = {0,
					     5,
					     (uint64_t)frame,
					     (uint64_t)no_call + 8,
					     (uint64_t)plain() + 16,
					     0x123456789,
					     UINT64_MAX,
					     0x7ffffffffff0,
					     (uint64_t)alloc_with_rbp};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		frame[0] = 0;
		frame[1] = values[i];
		assert_stack_is_the_site(alloc_with_rbp(arena, 40, (uint64_t)frame));
	}
	/* A chain that leads back to itself, or down. */
	frame[1] = (uint64_t)alloc_with_rbp_site;
	for (int i = -2; i <= 0; i++) {
		frame[0] = (uint64_t)(frame + i);
		assert_int_equal(stack_of(alloc_with_rbp(arena, 40, (uint64_t)frame))->frames_count,
				 2);
	}
}

ALONE(the_outermost_frame_makes_a_stack_complete)
{
	uint64_t frame[2] = {0, stack_of(plain())->return_addr[0]};
	const struct mmviz_stack *stack = stack_of(alloc_with_rbp(arena, 72, (uint64_t)frame));

	(void)state;
	assert_int_equal(stack->frames_count, 2);
	assert_int_equal(stack->flags, MMVIZ_STACK_COMPLETE);
}

/* rbp points everywhere, and so does what it points to. */
ALONE(random_frame_pointers_do_no_harm)
{
	struct random random = {random_seed()};
	uint64_t words[64];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		void *block;

		for (int k = 0; k < 64; k++) {
			uint64_t bits = random_next(&random);

			words[k] = bits >> 60 < 8    ? (uint64_t)(words + (bits & 63))
				   : bits >> 60 < 12 ? (uint64_t)words + (bits & 0xffff)
				   : bits >> 60 < 14 ? (uint64_t)alloc_with_rbp_site
						     : bits;
		}
		block = alloc_with_rbp(arena, 40, words[i & 63]);
		assert_ptr_equal(stack_of(block)->return_addr[0], alloc_with_rbp_site);
		mmviz_free(arena, block);
	}
}
#endif

/* ------------------------------------------------------------------ a full table */

/* Two ways down at each step: 2^depth stacks. */
NOINLINE static void *left(uint32_t way, int depth);
NOINLINE static void *right(uint32_t way, int depth);

NOINLINE static void *step(uint32_t way, int depth)
{
	void *block;

	if (!depth)
		block = tagged();
	else if (way & 1)
		block = left(way >> 1, depth - 1);
	else
		block = right(way >> 1, depth - 1);
	KEEP_FRAME();
	return block;
}

NOINLINE static void *left(uint32_t way, int depth)
{
	void *block = step(way, depth);

	KEEP_FRAME();
	return block;
}

NOINLINE static void *right(uint32_t way, int depth)
{
	void *block = step(way, depth);

	KEEP_FRAME();
	return block;
}

ALONE(beyond_the_bound_blocks_keep_their_tag_and_are_counted)
{
	uint32_t before = registry_here.stacks_count, stacks = 0, tags = 0;
	uint64_t refused = registry_here.stacks_refused;

	(void)state;
	registry_here.control_stacks_max = before + 1000;
	for (volatile int again = 0; again < 2; again++) {
		stacks = tags = 0;
		for (volatile uint32_t way = 0; way < 2048; way++) {
			const void *block = step(way, 11);

			if (registry_context(context_of(block)).kind == MMVIZ_CONTEXT_STACK)
				stacks++;
			else
				tags++;
			assert_string_equal(registry_context_name(context_of(block)), "a tag");
		}
		assert_int_equal(stacks, 1000);
		assert_int_equal(tags, 1048);
	}
	assert_int_equal(registry_here.stacks_count, before + 1000);
	assert_int_equal(registry_here.stacks_refused, refused + 2 * 1048);
	registry_here.control_stacks_max = 0;
	assert_int_equal(registry_context(context_of(step(2047, 11))).kind, MMVIZ_CONTEXT_STACK);
}

ALONE(every_different_stack_has_an_id_of_its_own)
{
	uint32_t count = 1 << 14, *ids = calloc(count, sizeof(*ids)), most = 0;
	char *seen;

	(void)state;
	for (volatile uint32_t i = 0; i < 2 * count; i++) { /* twice, from one place */
		uint32_t way = i % count, id = context_of(step(way, 14));

		assert_int_equal(id, i < count ? id : ids[way]);
		ids[way] = id;
		most = id > most ? id : most;
	}
	seen = calloc(1, most + 1);
	for (uint32_t way = 0; way < count; way++) {
		assert_int_equal(seen[ids[way]], 0);
		seen[ids[way]] = 1;
	}
	free(seen);
	free(ids);
}

/* Many threads add the same stacks at once: each gets one id. */
static uint32_t raced[4][1024];

static void *race(void *argument)
{
	uint32_t *ids = argument;

	for (uint32_t way = 0; way < 1024; way++) {
		void *block = step(way, 12);

		ids[way] = context_of(block);
		mmviz_free(arena, block);
	}
	return NULL;
}

ALONE(threads_that_add_the_same_stacks_agree)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, raced[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(raced[0], raced[i], sizeof(raced[0]));
}

/* ------------------------------------------------------------------ fork */

static _Atomic bool adds_stacks;

static void *add_stacks(void *argument)
{
	(void)argument;
	for (uint32_t way = 0; adds_stacks; way++)
		mmviz_free(arena, step(way & 0xffff, 16));
	return NULL;
}

/* 0: all of them have ids. */
static int add_some(void)
{
	for (uint32_t way = 0; way < 64; way++)
		if (registry_context(context_of(step(way, 17))).kind != MMVIZ_CONTEXT_STACK)
			return 2;
	return 0;
}

ALONE(a_forked_child_knows_the_old_stacks_and_adds_new_ones)
{
	uint32_t known = 0;
	pthread_t thread;

	(void)state;
	adds_stacks = true;
	assert_int_equal(pthread_create(&thread, NULL, add_stacks, NULL), 0);
	for (volatile int i = 0; i < 30; i++) { /* one call of deeper for all rounds */
		pid_t child = i ? fork() : 0;
		uint32_t context;
		int status;

		if (!child) {
			alarm(i ? 10 : 0);
			context = context_of(deeper(3));
			if (i)
				_exit(context == known ? add_some() : 1);
			known = context;
			continue;
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	adds_stacks = false;
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(every_way_to_allocate_has_the_stack_that_backtrace_has),
		TEST(one_stack_has_one_id_however_the_block_was_found),
		TEST(the_first_frame_is_the_call_itself),
		TEST(a_stack_says_what_the_block_is_without_it),
		TEST(nobody_listens_no_stack),
		TEST(a_resized_block_keeps_its_stack_and_a_new_tag_brings_a_new_one),
		TEST(a_deep_stack_keeps_its_inner_frames),
		TEST(threads_share_their_stacks),
		TEST(on_an_alternate_signal_stack_the_handlers_frames_are_there),
		TEST(coroutines_on_stacks_that_come_and_go_have_theirs),
#if defined(__x86_64__)
		TEST(a_frame_pointer_that_is_none_ends_the_stack),
		TEST(words_that_are_no_return_addresses_end_the_stack),
		TEST(the_outermost_frame_makes_a_stack_complete),
		TEST(random_frame_pointers_do_no_harm),
#endif
		TEST(beyond_the_bound_blocks_keep_their_tag_and_are_counted),
		TEST(every_different_stack_has_an_id_of_its_own),
		TEST(threads_that_add_the_same_stacks_agree),
		TEST(a_forked_child_knows_the_old_stacks_and_adds_new_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
