/* SPDX-License-Identifier: MIT */
/*
 * test_cxx.cpp - the public headers in C++, linked to the archive and to the shared library.
 *
 * A program of its own, without cmocka; says what cmocka would say, for tests/run.sh.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include <mmviz/abi.h>
#include <mmviz/inspect.h>
#include <mmviz/mmviz.h>

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			std::printf("[  ERROR   ] --- %s:%d: %s\n", __FILE__, __LINE__,            \
				    #condition);                                                   \
			std::printf("[  FAILED  ] 1 test(s)\n");                                   \
			std::exit(1);                                                              \
		}                                                                                  \
	} while (0)

extern "C" struct mmviz_registry mmviz_registry;

/* An allocator for the standard containers. */
template <typename T> struct arena_allocator {
	using value_type = T;
	mmviz_arena *arena;

	explicit arena_allocator(mmviz_arena *a) : arena(a)
	{
	}
	template <typename U> arena_allocator(const arena_allocator<U> &other) : arena(other.arena)
	{
	}
	T *allocate(std::size_t count)
	{
		void *block = mmviz_alloc(arena, count * sizeof(T), MMVIZ_TAG("std::vector"));

		if (!block)
			throw std::bad_alloc();
		return static_cast<T *>(block);
	}
	void deallocate(T *block, std::size_t)
	{
		mmviz_free(arena, block);
	}
	bool operator==(const arena_allocator &other) const
	{
		return arena == other.arena;
	}
	bool operator!=(const arena_allocator &other) const
	{
		return arena != other.arena;
	}
};

struct request {
	char kind;
	long id;
	char flag;
};

static int count_block(const mmviz_block *block, void *context)
{
	MUST(std::strcmp(block->tag, "std::vector") == 0);
	++*static_cast<int *>(context);
	return 0;
}

static void test_containers_live_in_an_arena()
{
	mmviz_arena *arena = mmviz_arena_create("c++", 16u << 20);
	int blocks = 0;

	{
		std::vector<int, arena_allocator<int>> numbers{arena_allocator<int>(arena)};

		for (int i = 0; i < 100000; i++)
			numbers.push_back(i);
		MUST(numbers[99999] == 99999);
		MUST(mmviz_arena_walk(arena, count_block, &blocks) == 0);
		MUST(blocks == 1);
	}
	mmviz_stats stats;
	MUST(mmviz_arena_stats(arena, &stats) == 0);
	MUST(stats.live_blocks == 0);
	MUST(mmviz_arena_check(arena) == 0);
	mmviz_arena_destroy(arena);
}

static void test_options_errors_and_names()
{
	mmviz_arena_options options = {};

	options.options_bytes = sizeof(options);
	options.name = "options";
	options.capacity_bytes = 1u << 20;
	options.flags = MMVIZ_GUARD_BYTES | MMVIZ_SINGLE_THREADED;
	mmviz_arena *arena = mmviz_arena_create_with(&options);
	MUST(arena);
	void *block = mmviz_alloc_labeled(arena, 10, "label");
	block = mmviz_realloc(arena, block, 1000, mmviz_tag_intern("tag"));
	MUST(mmviz_usable_bytes(block) >= 1000);
	mmviz_free(arena, block);
	mmviz_arena_destroy(arena);
	mmviz_mark("c++");
	MUST(MMVIZ_TAG("tag") == mmviz_tag_intern("tag"));
	MUST(std::strcmp(mmviz_tag_name(MMVIZ_TAG("tag")), "tag") == 0);
	MUST(mmviz_registry.magic == MMVIZ_REGISTRY_MAGIC);
}

static void test_inspect()
{
	const mmviz_layout *layout = MMVIZ_INSPECT(request, kind, id, flag);
	mmviz_layout_summary summary;

	mmviz_layout_summarise(layout, &summary);
	MUST(std::strcmp(layout->type, "request") == 0);
	MUST(summary.hole_bytes == 7);
	MUST(summary.tail_bytes == 7);
}

int main()
{
	test_containers_live_in_an_arena();
	test_options_errors_and_names();
	test_inspect();
	std::printf("[  PASSED  ] 3 test(s).\n");
}
