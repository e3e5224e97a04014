/* SPDX-License-Identifier: MIT */
/*
 * allocating.cpp - allocates known numbers of bytes on two paths, optimised, inlined and without
 * frame pointers.
 *
 * Commands: keep N (blocks of 96 bytes), churn N (of 160, each freed at once), drop (what is kept).
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mmviz/mmviz.h>
#include <vector>

#define NOINLINE __attribute__((noinline))

static mmviz_arena *arena;

namespace paths
{
static inline void *inlined_alloc(size_t bytes)
{
	void *block = mmviz_alloc(arena, bytes, 0);

	if (block == nullptr)
		abort();
	return block;
}

template <size_t Bytes> struct Keeper {
	std::vector<void *> blocks;

	NOINLINE void keep(long count)
	{
		blocks.reserve(blocks.size() + static_cast<size_t>(count));
		while (count-- > 0)
			blocks.push_back(inlined_alloc(Bytes));
	}
	void drop()
	{
		for (void *block : blocks)
			mmviz_free(arena, block);
		blocks.clear();
	}
};

NOINLINE static void churn(long count)
{
	while (count-- > 0)
		mmviz_free(arena, inlined_alloc(160));
}
} // namespace paths

int main()
{
	paths::Keeper<96> keeper;
	char line[64];

	arena = mmviz_arena_create("stacks", 1UL << 30);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != nullptr) {
		if (strncmp(line, "keep ", 5) == 0)
			keeper.keep(atol(line + 5));
		else if (strncmp(line, "churn ", 6) == 0)
			paths::churn(atol(line + 6));
		else if (strncmp(line, "drop", 4) == 0)
			keeper.drop();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
