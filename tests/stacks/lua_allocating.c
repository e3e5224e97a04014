/* SPDX-License-Identifier: MIT */
/* lua_allocating.c - a C function that allocates, called by Lua: "keep N", blocks of 96 bytes. */
#include <lauxlib.h>
#include <lualib.h>
#include <mmviz/mmviz.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mmviz_arena *arena;

static int l_keep(lua_State *state)
{
	if (mmviz_alloc(arena, 96, 0) == NULL)
		return luaL_error(state, "out of memory");
	return 0;
}

int main(void)
{
	char line[64], script[256];
	lua_State *state = luaL_newstate();

	arena = mmviz_arena_create("lua", 1UL << 30);
	luaL_openlibs(state);
	lua_register(state, "keep", l_keep);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		snprintf(script, sizeof(script),
			 "local function inner() keep() return 1 end\n"
			 "local function outer() local y = inner() return y end\n"
			 "for i = 1, %ld do outer() end\n",
			 strncmp(line, "keep ", 5) == 0 ? atol(line + 5) : 0);
		if (luaL_dostring(state, script) != LUA_OK)
			fprintf(stderr, "%s\n", lua_tostring(state, -1));
		puts("done");
		fflush(stdout);
	}
	lua_close(state);
	return 0;
}
