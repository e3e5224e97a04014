// SPDX-License-Identifier: MIT
// operators.cpp - C++'s operators new and delete in all their forms, exceptions when memory is short, and containers
// in threads. With -DREPLACED the program brings its own basic operators: every derived form must end in them.
#include "check.h"

#include <cstdint>
#include <cstdlib>
#include <list>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

// Hidden from the compiler, which may leave out a new whose block nobody uses.
static const size_t far_too_much = static_cast<size_t>(PTRDIFF_MAX) - 100;
static volatile size_t too_much = far_too_much;
static void *volatile block;

static long news, deletes;

#ifdef REPLACED
// Their blocks are not malloc's: whoever frees one without asking us fails.
static volatile size_t front = 64;

static void *mark(void *block)
{
	if (!block)
		throw std::bad_alloc();
	news++;
	return static_cast<char *>(block) + front;
}

void *operator new(size_t bytes)
{
	return mark(bytes > far_too_much - 1000 ? nullptr : malloc(bytes + front));
}
void *operator new(size_t bytes, std::align_val_t alignment)
{
	size_t wanted = static_cast<size_t>(alignment);
	return mark(bytes > far_too_much - 1000 || wanted > front
			    ? nullptr
			    : aligned_alloc(front, (bytes + front + 63) & ~size_t{63}));
}
void operator delete(void *block) noexcept
{
	if (!block)
		return;
	deletes++;
	free(static_cast<char *>(block) - front);
}
void operator delete(void *block, std::align_val_t) noexcept
{
	operator delete(block);
}
#endif

struct alignas(64) wide {
	char bytes[192];
};

static bool is_aligned(const void *block, size_t alignment)
{
	return reinterpret_cast<uintptr_t>(block) % alignment == 0;
}

static void every_form_of_new_meets_every_form_of_delete()
{
	const std::align_val_t line{64};
	long before = news - deletes;

	for (size_t bytes = 0; bytes < 100000; bytes = bytes * 3 + 1) {
		operator delete(operator new(bytes));
		operator delete(operator new(bytes), bytes);
		operator delete(operator new(bytes, std::nothrow));
		operator delete(operator new(bytes), std::nothrow);
		operator delete[](operator new[](bytes));
		operator delete[](operator new[](bytes), bytes);
		operator delete[](operator new[](bytes, std::nothrow));
		operator delete[](operator new[](bytes), std::nothrow);
		operator delete(operator new(bytes, line), line);
		operator delete(operator new(bytes, line), bytes, line);
		operator delete(operator new(bytes, line, std::nothrow), line);
		operator delete(operator new(bytes, line), line, std::nothrow);
		operator delete[](operator new[](bytes, line), line);
		operator delete[](operator new[](bytes, line), bytes, line);
		operator delete[](operator new[](bytes, line, std::nothrow), line);
		operator delete[](operator new[](bytes, line), line, std::nothrow);
	}
	operator delete(nullptr);
	CHECK(news - deletes == before);
}

static void aligned_types_are_aligned()
{
	for (int i = 0; i < 200; i++) {
		wide *one = new wide, *array = new wide[7];

		CHECK(is_aligned(one, 64) && is_aligned(array, 64));
		delete one;
		delete[] array;
	}
}

template <typename Call> static bool throws(Call call)
{
	try {
		call();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void too_much_throws()
{
	const std::align_val_t line{64};

	CHECK(throws([] { block = operator new(too_much); }));
	CHECK(throws([] { block = operator new[](too_much); }));
	CHECK(throws([=] { block = operator new(too_much, line); }));
	CHECK(throws([=] { block = operator new[](too_much, line); }));
	CHECK(throws([] { std::string text(too_much / 4, 'x'); }));
	CHECK(!(block = operator new(too_much, std::nothrow)));
	CHECK(!(block = operator new[](too_much, std::nothrow)));
	CHECK(!(block = operator new(too_much, line, std::nothrow)));
	CHECK(!(block = operator new[](too_much, line, std::nothrow)));
}

#ifndef REPLACED
static int handler_calls;

static void new_handlers_are_asked()
{
	std::set_new_handler([] {
		if (++handler_calls % 3 == 0)
			throw std::bad_alloc();
	});
	CHECK(throws([] { block = operator new(too_much); }));
	CHECK(handler_calls == 3);
	CHECK(!(block = operator new(too_much, std::nothrow)));
	CHECK(handler_calls == 6);
	std::set_new_handler(nullptr);
}

static void malloc_and_new_share_the_heap()
{
	operator delete(malloc(100));
	free(operator new(100));
	free(operator new (100, std::align_val_t{128}));
}
#else
static void derived_forms_end_in_the_replaced_ones()
{
	long before = news;

	delete[] new char[10];
	operator delete (operator new(10, std::nothrow), size_t{10});
	delete new wide;
	CHECK(news == before + 3 && news == deletes);
}
#endif

static void fill_containers(int seed)
{
	std::map<std::string, std::vector<std::string>> table;
	std::list<std::string> order;

	for (int i = 0; i < 3000; i++) {
		std::string key = "key " + std::to_string((i * 7919 + seed) % 1000);

		table[key].push_back(std::string(static_cast<size_t>(i % 200), 'a'));
		order.push_back(key);
		if (i % 3 == 0)
			order.pop_front();
	}
	for (auto &row : table)
		for (auto &text : row.second)
			CHECK(text.find_first_not_of('a') == std::string::npos);
	CHECK(order.size() == 2000);
}

static void containers_work_in_threads()
{
#ifdef REPLACED
	fill_containers(1); // whose counters are for one thread
#else
	std::vector<std::thread> threads;

	for (int i = 0; i < 8; i++)
		threads.emplace_back(fill_containers, i);
	for (auto &thread : threads)
		thread.join();
#endif
}

struct in_thread {
	std::string text = std::string(1000, 'y');
	~in_thread()
	{
		CHECK(text.size() == 1000);
		std::vector<std::string> more(100, text);
		CHECK(more[99] == text);
	}
};
static thread_local in_thread mine;

static void thread_local_objects_allocate_when_they_end()
{
#ifndef REPLACED
	for (int i = 0; i < 200; i++)
		std::thread([] { CHECK(mine.text[0] == 'y'); }).join();
#endif
}

int main()
{
	BEHAVIOUR(every_form_of_new_meets_every_form_of_delete);
	BEHAVIOUR(aligned_types_are_aligned);
	BEHAVIOUR(too_much_throws);
#ifndef REPLACED
	BEHAVIOUR(new_handlers_are_asked);
	BEHAVIOUR(malloc_and_new_share_the_heap);
#else
	BEHAVIOUR(derived_forms_end_in_the_replaced_ones);
#endif
	BEHAVIOUR(containers_work_in_threads);
	BEHAVIOUR(thread_local_objects_allocate_when_they_end);
	return 0;
}
