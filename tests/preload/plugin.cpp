// SPDX-License-Identifier: MIT
// plugin.cpp - a C++ library that is loaded and unloaded: objects with constructors and destructors, thread-local ones
// too, a string that is allocated before main would be, blocks that it leaves to its host and blocks that it takes from it.
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

namespace
{

struct table {
	std::map<int, std::string> rows;
	table()
	{
		for (int i = 0; i < 50; i++)
			rows[i] = std::string(static_cast<size_t>(i) * 9, 'x');
	}
	~table()
	{
		if (rows[49].size() != 49 * 9)
			abort();
	}
};

table everybodys;
thread_local std::unique_ptr<table> mine;

} // namespace

extern "C" void *plugin_make(size_t bytes)
{
	unsigned char *block = static_cast<unsigned char *>(malloc(bytes));

	if (!mine)
		mine = std::make_unique<table>();
	for (size_t i = 0; i < bytes; i++)
		block[i] = static_cast<unsigned char>(12 + i * 7);
	return block;
}

extern "C" void plugin_take(void *block)
{
	free(block);
}
