/* SPDX-License-Identifier: MIT */
/*
 * lua_arena - the Lua 5.4 interpreter with an mmviz arena as its only memory.
 *
 * A real program that allocates in earnest: small strings, tables that grow by realloc, closures,
 * coroutines, and a garbage collector that frees in waves. Lua tells its allocator what a new
 * object is (in osize), which becomes the block's tag. Each script runs in a state of its own; with
 * --seconds the scripts run round and round.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <mmviz/mmviz.h>

#define CAPACITY_BYTES (4ULL << 30)

struct options {
	double seconds; /* 0: each script once */
	char **scripts;
	int scripts_count;
};

static volatile sig_atomic_t is_stopping;

/* ------------------------------------------------------------------ the allocator */

/* For a new object (ptr NULL) Lua passes its type in osize; 9 and 10 are the interpreter's own
 * types: upvalues and function prototypes. Arrays, stacks and buffers come as 0. */
static mmviz_tag tag_of_type(size_t type)
{
	switch (type) {
	case LUA_TSTRING:
		return MMVIZ_TAG("lua string");
	case LUA_TTABLE:
		return MMVIZ_TAG("lua table");
	case LUA_TFUNCTION:
		return MMVIZ_TAG("lua closure");
	case LUA_TUSERDATA:
		return MMVIZ_TAG("lua userdata");
	case LUA_TTHREAD:
		return MMVIZ_TAG("lua coroutine");
	case LUA_NUMTYPES:
		return MMVIZ_TAG("lua upvalue");
	case LUA_NUMTYPES + 1:
		return MMVIZ_TAG("lua prototype");
	default:
		return MMVIZ_TAG("lua array or buffer");
	}
}

static void *arena_alloc(void *arena, void *block, size_t old_bytes, size_t bytes)
{
	if (bytes == 0) {
		mmviz_free(arena, block);
		return NULL;
	}
	if (!block)
		return mmviz_alloc(arena, bytes, tag_of_type(old_bytes));
	return mmviz_realloc(arena, block, bytes, 0);
}

/* ------------------------------------------------------------------ scripts */

static void stop_hook(lua_State *lua, lua_Debug *debug)
{
	(void)debug;
	if (is_stopping)
		luaL_error(lua, "stopped");
}

/* 0, or -1 after a message. */
static int run_script(struct mmviz_arena *arena, const char *path)
{
	lua_State *lua = lua_newstate(arena_alloc, arena);
	int status;

	if (!lua) {
		fprintf(stderr, "lua_arena: no memory for a Lua state: the arena is full\n");
		return -1;
	}
	luaL_openlibs(lua);
	lua_sethook(lua, stop_hook, LUA_MASKCOUNT, 100000);
	mmviz_mark(path);
	status = luaL_loadfile(lua, path);
	if (status == LUA_OK)
		status = lua_pcall(lua, 0, 0, 0);
	if (status != LUA_OK && !is_stopping)
		fprintf(stderr, "lua_arena: %s\n", lua_tostring(lua, -1));
	lua_close(lua);
	return status == LUA_OK || is_stopping ? 0 : -1;
}

static int run_scripts(struct mmviz_arena *arena, const struct options *options)
{
	unsigned long runs = 0;

	do {
		for (int i = 0; i < options->scripts_count && !is_stopping; i++) {
			if (run_script(arena, options->scripts[i]) < 0)
				return EXIT_FAILURE;
			runs++;
		}
	} while (!is_stopping && options->seconds > 0);
	printf("%lu script runs\n", runs);
	return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------ the command */

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;

	switch (key) {
	case 's':
		options->seconds = strtod(argument, &end);
		if (end == argument || *end || !(options->seconds >= 0 && options->seconds <= 1e9))
			argp_error(state, "seconds '%s' is not a number from 0 to 1e9", argument);
		return 0;
	case ARGP_KEY_ARGS:
		options->scripts = state->argv + state->next;
		options->scripts_count = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no script; bench/lua/*.lua are made for this");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"seconds", 's', "S", 0, "run the scripts again until S seconds are over", 0},
	{0},
};

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.args_doc = "SCRIPT...",
	.doc = "lua_arena - run Lua scripts in an mmviz arena\v"
	       "EXAMPLES\n"
	       "  lua_arena bench/lua/json.lua\n"
	       "  lua_arena --seconds 60 bench/lua/*.lua",
};

/* The end of the time or Ctrl-C: the next hook ends the script that runs. */
static void stop(int signal)
{
	(void)signal;
	is_stopping = 1;
}

static void stop_after(double seconds)
{
	struct itimerval timer = {0};

	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
	setitimer(ITIMER_REAL, &timer, NULL); /* all zeros: never */
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct mmviz_arena *arena;
	struct sigaction action = {.sa_handler = stop};

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	stop_after(options.seconds);
	arena = mmviz_arena_create("lua", CAPACITY_BYTES);
	if (!arena) {
		fprintf(stderr, "lua_arena: cannot create an arena of %llu bytes: %s\n",
			(unsigned long long)CAPACITY_BYTES, strerror(errno));
		return EXIT_FAILURE;
	}
	fprintf(stderr, "lua_arena: pid %d\n", getpid());
	return run_scripts(arena, &options);
}
