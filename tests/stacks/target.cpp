/* SPDX-License-Identifier: MIT */
/*
 * target.cpp - a program that stops in places whose callers are hard to find.
 *
 * Reads commands, one a line. Most stop the process by SIGSTOP in the middle of a call; `steps` runs
 * between two int3, for a test that follows instruction by instruction. Built without frame
 * pointers, optimised, in several ways of linking.
 */
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#ifdef WITH_DLOPEN
#include <dlfcn.h>
#endif

#define NOINLINE __attribute__((noinline))

static volatile long sink;

NOINLINE static void stop()
{
	raise(SIGSTOP);
	sink = sink + 1;
}

namespace shapes
{
struct Visitor {
	virtual ~Visitor() = default;
	virtual long visit(long depth) = 0;
};

/* Inlined, and inlined into what is inlined. */
static inline long innermost(long value)
{
	if (value > 0)
		stop();
	return value * 3;
}

template <typename Number> static inline Number between(Number value)
{
	Number sum = innermost(value + 1);

	return sum + static_cast<Number>(sink);
}

template <typename Number> struct Square : Visitor {
	Number edge;

	explicit Square(Number wanted) : edge(wanted)
	{
	}
	NOINLINE long visit(long depth) override
	{
		char room[64];

		memset(room, static_cast<int>(depth), sizeof(room));
		sink = room[depth & 63];
		return depth == 0 ? between(static_cast<long>(edge)) + 1 : visit(depth - 1) + sink;
	}
};
} // namespace shapes

NOINLINE static void inlined()
{
	shapes::Square<int> square(7);
	shapes::Visitor *visitor = &square;
	auto through_lambda = [visitor](long depth) { return visitor->visit(depth) + sink; };

	sink = through_lambda(3);
}

/* ------------------------------------------------------------------ a signal's handler */

static void handler(int)
{
	stop();
	sink = sink + 1;
}

NOINLINE static void interrupted()
{
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	sink = sink + 1;
}

/* ------------------------------------------------------------------ instruction by instruction */

NOINLINE static long leaf(long value)
{
	return value * value + sink;
}

NOINLINE static long with_frame(const char *text)
{
	char copy[128];

	strncpy(copy, text, sizeof(copy) - 1);
	copy[sizeof(copy) - 1] = '\0';
	return static_cast<long>(strlen(copy)) + leaf(copy[0]);
}

static int compare(const void *a, const void *b)
{
	return static_cast<int>(leaf(*static_cast<const int *>(a)) -
				leaf(*static_cast<const int *>(b)));
}

NOINLINE static void with_tail_call(const char *text)
{
	sink = with_frame(text);
	sink = leaf(sink);
}

NOINLINE static void stepped()
{
	int numbers[] = {3, 1, 2};
	struct timespec now;

	with_tail_call(getenv("PATH"));
	qsort(numbers, 3, sizeof(int), compare);		     /* libc calls back */
	clock_gettime(CLOCK_MONOTONIC, &now);			     /* vdso */
	std::string text(static_cast<size_t>(40 + numbers[0]), 'x'); /* through another library */
	text += text;
	sink = static_cast<long>(text.size()) + now.tv_nsec;
}

NOINLINE static void steps()
{
	asm volatile("int3");
	stepped();
	asm volatile("int3");
}

/* ------------------------------------------------------------------ code made at run time */

/*
 * Keeps a frame, as compilers at run time do, and no call frame information:
 *
 *	push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret
 */
NOINLINE static void jitted()
{
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
	unsigned char *page =
		static_cast<unsigned char *>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char path[64];

	memcpy(page + 256, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", static_cast<int>(getpid()));
	FILE *map = fopen(path, "w");
	fprintf(map, "%lx 1000 whole page\n", reinterpret_cast<unsigned long>(page));
	fprintf(map, "%lx 8 Script:fib@1\n", reinterpret_cast<unsigned long>(page + 256));
	fclose(map);
	reinterpret_cast<void (*)(void (*)())>(page + 256)(inlined);
	sink = sink + 1;
}

#ifdef WITH_DLOPEN
NOINLINE static void loaded(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	if (library == nullptr) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	reinterpret_cast<long (*)(void (*)())>(dlsym(library, "library_entry"))(stop);
	sink = sink + 1;
	dlclose(library);
}
#endif

int main()
{
	char line[4096];

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != nullptr) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "inlined") == 0)
			inlined();
		else if (strcmp(line, "signal") == 0)
			interrupted();
		else if (strcmp(line, "steps") == 0)
			steps();
		else if (strcmp(line, "jit") == 0)
			jitted();
#ifdef WITH_DLOPEN
		else if (strncmp(line, "load ", 5) == 0)
			loaded(line + 5);
#endif
		puts("done");
		fflush(stdout);
	}
	return 0;
}
