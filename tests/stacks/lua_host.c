/* SPDX-License-Identifier: MIT */
/* lua_host.c - Lua calls a C function that calls Lua that calls a C function that stops. */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int l_stop(lua_State *state)
{
	lua_Integer value = luaL_checkinteger(state, 1);

	raise(SIGSTOP);
	lua_pushinteger(state, value + 1);
	return 1;
}

static int l_through(lua_State *state)
{
	lua_pushvalue(state, 1);
	lua_pushinteger(state, 41);
	lua_call(state, 1, 1);
	return 1;
}

int main(void)
{
	char line[256];
	lua_State *state = luaL_newstate();

	luaL_openlibs(state);
	lua_register(state, "stop", l_stop);
	lua_register(state, "through", l_through);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (luaL_dostring(state,
				  "local function inner(x) return (stop(x)) + 1 end\n"
				  "local function outer() local y = through(inner); return y end\n"
				  "for i = 1, 1 do local z = outer() end\n") != LUA_OK)
			fprintf(stderr, "%s\n", lua_tostring(state, -1));
		puts("done");
		fflush(stdout);
	}
	lua_close(state);
	return 0;
}
