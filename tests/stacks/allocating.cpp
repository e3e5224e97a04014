/* SPDX-License-Identifier: MIT */
/*
 * allocating.cpp - allocates known numbers of bytes on two paths, optimised, inlined and without
 * frame pointers.
 *
 * Commands: keep N (blocks of 96 bytes), churn N (of 160, each freed at once), mixed SEED (of many
 * sizes; some are freed, the truth is told), gulp N (of 1 MiB, each freed at once), jit N (by code that is made at run time), drop (what
 * is kept), reset (the arena).
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mmviz/mmviz.h>
#include <random>
#include <sys/mman.h>
#include <unistd.h>
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

NOINLINE static void gulp(long count)
{
	while (count-- > 0)
		mmviz_free(arena, inlined_alloc(1 << 20));
}

/* Sizes from a word to beyond the sampler's mean; half of the blocks are freed, in any order. */
struct Mixed {
	std::vector<std::pair<void *, size_t>> blocks;

	NOINLINE void make(std::mt19937_64 &random, long count)
	{
		while (count-- > 0) {
			size_t bytes = size_t(16) << random() % 10;

			bytes += random() % bytes;
			blocks.emplace_back(inlined_alloc(bytes), bytes);
		}
	}
	void drop()
	{
		for (auto &block : blocks)
			mmviz_free(arena, block.first);
		blocks.clear();
	}
	void run(unsigned long seed)
	{
		std::mt19937_64 random(seed);
		size_t allocated = 0, live = 0;

		make(random, 4000);
		for (auto &block : blocks)
			allocated += block.second;
		for (size_t i = 0; i < blocks.size(); i++)
			std::swap(blocks[i], blocks[random() % blocks.size()]);
		size_t left = blocks.size() / 2, made = blocks.size();
		for (size_t i = left; i < made; i++)
			mmviz_free(arena, blocks[i].first);
		blocks.resize(left);
		for (auto &block : blocks)
			live += block.second;
		printf("%zu bytes in %zu blocks allocated, %zu in %zu live\n", allocated, made,
		       live, left);
	}
};

extern "C" NOINLINE void *from_jit(size_t bytes)
{
	return inlined_alloc(bytes);
}

/* push rbp; mov rbp, rsp; mov edi, 200; mov rax, from_jit; call rax; pop rbp; ret - and the map
 * that tells profilers what it is called. */
NOINLINE static void jit(long count)
{
	unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xbf, 200, 0, 0,    0,	  0x48, 0xb8, 0,
				0,    0,    0,	  0,	0,    0,   0, 0xff, 0xd0, 0x5d, 0xc3};
	auto *made = static_cast<unsigned char *>(
		mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	auto *callee = &from_jit;
	char path[64];

	memcpy(code + 11, &callee, 8);
	memcpy(made, code, sizeof(code));
	mprotect(made, 4096, PROT_READ | PROT_EXEC);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	if (FILE *map = fopen(path, "w")) {
		fprintf(map, "%lx %zx made_at_run_time\n", (unsigned long)made, sizeof(code));
		fclose(map);
	}
	while (count-- > 0)
		reinterpret_cast<void *(*)()>(made)();
}
} // namespace paths

int main()
{
	paths::Keeper<96> keeper;
	paths::Mixed mixed;
	char line[64];

	arena = mmviz_arena_create("stacks", 1UL << 30);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != nullptr) {
		if (strncmp(line, "keep ", 5) == 0)
			keeper.keep(atol(line + 5));
		else if (strncmp(line, "churn ", 6) == 0)
			paths::churn(atol(line + 6));
		else if (strncmp(line, "gulp ", 5) == 0)
			paths::gulp(atol(line + 5));
		else if (strncmp(line, "mixed ", 6) == 0)
			mixed.run(strtoul(line + 6, nullptr, 10));
		else if (strncmp(line, "jit ", 4) == 0)
			paths::jit(atol(line + 4));
		else if (strncmp(line, "drop", 4) == 0)
			keeper.drop(), mixed.drop();
		else if (strncmp(line, "reset", 5) == 0) {
			keeper.blocks.clear(), mixed.blocks.clear();
			mmviz_arena_reset(arena);
		}
		puts("done");
		fflush(stdout);
	}
	return 0;
}
