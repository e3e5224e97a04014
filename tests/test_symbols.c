/* SPDX-License-Identifier: MIT */
/*
 * test_symbols.c - what lies at an address: against gdb, and for files that are stripped, deleted,
 * in another mount namespace, loaded late, made at run time, or hostile.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collect/demangle.h"
#include "collect/perf_map.h"
#include "collect/symbols.h"
#include "stacks/stopped.h"
#include "test.h"

#define FRAMES_MAX 128

struct scene {
	struct child child;
	struct modules *modules;
	struct symbols *symbols;
	struct unwind *unwind;
	struct unwind_frame frames[FRAMES_MAX];
	uint32_t count;
	char folder[64]; /* of this test's own files */
};

static void run_command(const char *format, ...)
{
	char command[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void folder_make(struct scene *scene)
{
	strcpy(scene->folder, "/tmp/mmviz-symbols-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
}

/* Look at a child that has stopped. */
static void scene_look(struct scene *scene)
{
	struct unwind_input input;

	stopped_capture(&scene->child, &input);
	assert_int_equal(modules_open(scene->child.pid, &scene->modules), 0);
	assert_int_equal(symbols_open(scene->modules, 0, &scene->symbols), 0);
	assert_int_equal(unwind_open(scene->modules, &scene->unwind), 0);
	scene->count = unwind_stack(scene->unwind, &input, scene->frames, FRAMES_MAX, NULL);
	assert_true(scene->count > 6);
	free((void *)input.stack);
}

static void scene_start(struct scene *scene, const char *path, const char *command)
{
	stopped_start(&scene->child, path, command);
	scene_look(scene);
}

static void scene_open(struct scene *scene, const char *program, const char *command)
{
	char path[256];

	*scene = (struct scene){0};
	snprintf(path, sizeof(path), BUILD_STACKS "%s", program);
	scene_start(scene, path, command);
}

static void scene_forget(struct scene *scene)
{
	unwind_close(scene->unwind);
	symbols_close(scene->symbols);
	modules_close(scene->modules);
}

static void scene_close(struct scene *scene)
{
	child_stop(&scene->child);
	scene_forget(scene);
	if (scene->folder[0] != '\0')
		run_command("rm -rf %s", scene->folder);
}

/* gdb names functions without parameters. */
static void bare_name(const char *name, char *out, size_t out_bytes)
{
	const char *end = strrchr(name, ')');
	int depth = 0;

	snprintf(out, out_bytes, "%s", name);
	if (end != NULL && end - name >= 9 && strcmp(end - 9, "operator()") == 0)
		return;
	for (const char *at = end; at != NULL && at > name; at--) {
		depth += (*at == ')') - (*at == '(');
		if (depth != 0)
			continue;
		snprintf(out, out_bytes, "%.*s", (int)(at - name), name);
		return;
	}
}

static const struct symbol_place *resolve(struct scene *scene, uint32_t frame)
{
	const struct symbol_place *place =
		symbols_resolve(scene->symbols, unwind_code_addr(&scene->frames[frame]));

	assert_non_null(place);
	assert_true(place->frames_count >= 1);
	return place;
}

/* The first frame that has the function, by its bare name; NULL without one. */
static const struct symbol_frame *find_function(struct scene *scene, const char *function,
						const struct symbol_place **out)
{
	char bare[512];

	for (uint32_t i = 0; i < scene->count; i++) {
		const struct symbol_place *place = resolve(scene, i);

		for (uint32_t k = 0; k < place->frames_count; k++) {
			bare_name(place->frames[k].function, bare, sizeof(bare));
			if (strcmp(bare, function) != 0)
				continue;
			if (out != NULL)
				*out = place;
			return &place->frames[k];
		}
	}
	return NULL;
}

static const struct symbol_frame *must_find(struct scene *scene, const char *function,
					    const struct symbol_place **out)
{
	const struct symbol_frame *frame = find_function(scene, function, out);

	if (frame == NULL)
		for (uint32_t i = 0; i < scene->count; i++)
			print_message("%s\n", resolve(scene, i)->frames[0].function);
	assert_non_null(frame);
	return frame;
}

static void assert_has_lines(struct scene *scene)
{
	const struct symbol_frame *frame = must_find(scene, "shapes::Square<int>::visit", NULL);

	assert_non_null(strstr(frame->file, "target.cpp"));
	assert_true(frame->line > 0);
}

/* ------------------------------------------------------------------ as gdb */

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* gcc's own names of templates say "long int". */
static void spell_as_gdb(char *name)
{
	char *found;

	while ((found = strstr(name, "long int")) != NULL)
		memmove(found + 4, found + 8, strlen(found + 8) + 1);
}

static bool is_same(const struct symbol_frame *ours, const struct gdb_frame *gdb)
{
	char bare[512], gdb_bare[512];
	size_t bytes, gdb_bytes;

	bare_name(ours->function, bare, sizeof(bare));
	bare_name(gdb->function, gdb_bare, sizeof(gdb_bare));
	spell_as_gdb(bare);
	bytes = strlen(bare);
	gdb_bytes = strlen(gdb_bare);
	/* gdb leaves out where a lambda is. */
	return bytes >= gdb_bytes && strcmp(bare + bytes - gdb_bytes, gdb_bare) == 0 &&
	       ours->line == gdb->line &&
	       (gdb->line == 0 || strcmp(last_name(ours->file), last_name(gdb->file)) == 0);
}

/* Inlined frames, names, files and lines; where gdb knows the file. Returns the inlined ones. */
static uint32_t compare_with_gdb(struct scene *scene)
{
	struct gdb_frame gdb[GDB_FRAMES_MAX];
	uint32_t count = stopped_ask_gdb(&scene->child, gdb), at = 0, inlined = 0, known = 0;

	for (uint32_t i = 0; i < scene->count; i++) {
		const struct symbol_place *place = resolve(scene, i);

		for (uint32_t k = 0; k < place->frames_count; k++, at++) {
			assert_true(at < count);
			if (gdb[at].line == 0)
				continue;
			if (!is_same(&place->frames[k], &gdb[at]) ||
			    place->frames[k].is_inlined != gdb[at].is_inlined)
				fail_msg("%s %s:%u, gdb says %s %s:%u", place->frames[k].function,
					 place->frames[k].file, place->frames[k].line,
					 gdb[at].function, gdb[at].file, gdb[at].line);
			known++;
			inlined += gdb[at].is_inlined;
		}
	}
	assert_int_equal(at, count);
	assert_true(known >= 8);
	return inlined;
}

static void compare_program(const char *program, uint32_t inlined_min)
{
	struct scene scene;

	scene_open(&scene, program, "inlined");
	assert_true(compare_with_gdb(&scene) >= inlined_min);
	scene_close(&scene);
}

static void test_inlined_functions_and_lines(void **state)
{
	(void)state;
	compare_program("target_pie", 3);
}

static void test_static_program_at_fixed_addresses(void **state)
{
	(void)state;
	compare_program("target_static", 3);
}

/* clang writes no .debug_aranges. */
static void test_program_of_clang(void **state)
{
	(void)state;
	compare_program("target_clang", 3);
}

static void test_lua_c_function(void **state)
{
	struct scene scene;

	(void)state;
	if (access(BUILD_STACKS "lua_host", X_OK) != 0) {
		print_message("liblua5.4-dev is missing: not tested; `make deps` gets it\n");
		skip();
	}
	stopped_start(&scene.child, BUILD_STACKS "lua_host", "go");
	scene.folder[0] = '\0';
	scene_look(&scene);
	assert_non_null(strstr(must_find(&scene, "l_stop", NULL)->file, "lua_host.c"));
	assert_non_null(strstr(must_find(&scene, "l_through", NULL)->file, "lua_host.c"));
	must_find(&scene, "lua_callk", NULL);
	scene_close(&scene);
}

/* ------------------------------------------------------------------ separate debug files */

/* A copy of the stripped program, with its debug file at `place` below the folder. */
static void start_stripped(struct scene *scene, const char *place)
{
	char path[256];

	*scene = (struct scene){0};
	folder_make(scene);
	run_command("cp " BUILD_STACKS "target_stripped %s/", scene->folder);
	if (place != NULL)
		run_command("mkdir -p $(dirname %s/%s) && cp " BUILD_STACKS
			    "separate/target_stripped.debug %s/%s",
			    scene->folder, place, scene->folder, place);
	snprintf(path, sizeof(path), "%s/target_stripped", scene->folder);
	scene_start(scene, path, "inlined");
}

static void test_debug_file_beside_the_program(void **state)
{
	static const char *const places[] = {"target_stripped.debug",
					     ".debug/target_stripped.debug"};
	struct scene scene;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		start_stripped(&scene, places[i]);
		assert_true(compare_with_gdb(&scene) >= 3);
		scene_close(&scene);
	}
}

static void test_without_symbols_there_is_module_and_offset(void **state)
{
	const struct symbol_place *place = NULL;
	char wanted[64];
	uint32_t own = 0;
	struct scene scene;

	(void)state;
	start_stripped(&scene, NULL);
	for (uint32_t i = 0; i < scene.count; i++) {
		place = resolve(&scene, i);
		if (strcmp(last_name(place->module), "target_stripped") != 0)
			continue;
		snprintf(wanted, sizeof(wanted), "target_stripped+0x%lx", place->module_offset);
		assert_string_equal(place->frames[0].function, wanted);
		assert_int_equal(place->source, SYMBOL_UNKNOWN);
		assert_int_equal(place->frames_count, 1);
		assert_int_equal(strlen(place->build_id), 40);
		own++;
	}
	assert_true(own >= 6);
	scene_close(&scene);
}

static void test_debug_file_of_another_build_is_not_taken(void **state)
{
	struct scene scene;

	(void)state;
	start_stripped(&scene, NULL);
	run_command("objcopy --only-keep-debug " BUILD_STACKS
		    "target_frame_pointers_cfi %s/target_stripped.debug",
		    scene.folder);
	assert_null(find_function(&scene, "shapes::Square<int>::visit", NULL));
	scene_close(&scene);
}

/* Without a build-id the link's checksum decides. */
static void test_checksum_of_a_debug_file(void **state)
{
	char path[256];

	(void)state;
	for (int is_spoiled = 0; is_spoiled < 2; is_spoiled++) {
		struct scene scene = {0};

		folder_make(&scene);
		run_command("cp " BUILD_STACKS "target_unnamed %s/whole && cd %s && "
			    "objcopy --only-keep-debug whole app.debug && "
			    "objcopy --strip-all --add-gnu-debuglink=app.debug whole app",
			    scene.folder, scene.folder);
		if (is_spoiled)
			run_command("printf x >>%s/app.debug", scene.folder);
		snprintf(path, sizeof(path), "%s/app", scene.folder);
		scene_start(&scene, path, "inlined");
		if (is_spoiled)
			assert_null(find_function(&scene, "shapes::Square<int>::visit", NULL));
		else
			assert_has_lines(&scene);
		assert_string_equal(resolve(&scene, scene.count - 1)->build_id, "");
		scene_close(&scene);
	}
}

/* ------------------------------------------------------------------ other namespaces, deleted files */

/*
 * Start target_stripped in a root of its own, on a file system that nobody else sees; its debug
 * file is at `place` there.
 */
static void start_contained(struct scene *scene, const char *place)
{
	char script[128];
	FILE *file;

	*scene = (struct scene){0};
	folder_make(scene);
	snprintf(script, sizeof(script), "%s/start", scene->folder);
	file = fopen(script, "w");
	fprintf(file,
		"#!/bin/sh\n"
		"exec unshare -m sh -ec 'r=%s/root; mkdir $r; mount -t tmpfs none $r\n"
		"mkdir -p $r/app $r/tmp $r/lib64 $r/lib $r/usr $r/proc $(dirname $r/%s)\n"
		"mount --bind /usr/lib $r/lib; mount --bind /lib64 $r/lib64\n"
		"cp " BUILD_STACKS "target_stripped $r/app/\n"
		"cp " BUILD_STACKS "separate/target_stripped.debug $r/%s\n"
		"exec chroot $r /app/target_stripped'\n",
		scene->folder, place, place);
	fclose(file);
	chmod(script, 0700);
	stopped_start(&scene->child, script, "inlined");
}

static void build_id_place(char *out, size_t out_bytes)
{
	struct scene scene;
	const struct symbol_place *place;

	scene_open(&scene, "target_pie", "inlined");
	must_find(&scene, "main", &place);
	snprintf(out, out_bytes, "usr/lib/debug/.build-id/%.2s/%s.debug", place->build_id,
		 place->build_id + 2);
	scene_close(&scene);
}

static bool may_mount(void)
{
	return system("unshare -m true 2>/dev/null") == 0;
}

static void test_program_in_a_container(void **state)
{
	char places[2][256] = {"usr/lib/debug/app/target_stripped.debug"};
	const struct symbol_place *place;

	(void)state;
	if (!may_mount()) {
		print_message("unshare -m is not permitted: run as root\n");
		skip();
	}
	build_id_place(places[1], sizeof(places[1]));
	for (size_t i = 0; i < 2; i++) {
		struct scene scene;

		start_contained(&scene, places[i]);
		scene_look(&scene);
		assert_has_lines(&scene);
		must_find(&scene, "main", &place);
		assert_non_null(strstr(place->module, "/app/target_stripped"));
		assert_non_null(strstr(resolve(&scene, 1)->frames[0].function, "raise"));
		scene_close(&scene);
	}
}

/* A link in the container cannot lead out of it. */
static void test_debug_link_does_not_leave_the_root(void **state)
{
	char debug[PATH_MAX];
	struct scene scene;

	(void)state;
	if (!may_mount()) {
		print_message("unshare -m is not permitted: run as root\n");
		skip();
	}
	assert_non_null(realpath(BUILD_STACKS "separate/target_stripped.debug", debug));
	start_contained(&scene, "unused");
	run_command("ln -s %s /proc/%d/root/app/target_stripped.debug", debug,
		    (int)scene.child.pid);
	scene_look(&scene);
	assert_null(find_function(&scene, "shapes::Square<int>::visit", NULL));
	scene_close(&scene);
}

static void test_deleted_program(void **state)
{
	const struct symbol_place *place;
	struct scene scene = {0};
	char path[256];

	(void)state;
	folder_make(&scene);
	run_command("cp " BUILD_STACKS "target_pie %s/gone", scene.folder);
	snprintf(path, sizeof(path), "%s/gone", scene.folder);
	stopped_start(&scene.child, path, "inlined");
	/* Another file in its place must not be taken for it. */
	run_command("rm %s && cp /bin/true %s", path, path);
	scene_look(&scene);
	assert_has_lines(&scene);
	must_find(&scene, "main", &place);
	assert_string_equal(place->module, path);
	assert_true(modules_find(scene.modules, place->addr)->is_deleted);
	scene_close(&scene);
}

static void test_after_the_end_of_the_target(void **state)
{
	struct scene scene = {0};
	char path[256];

	(void)state;
	folder_make(&scene);
	run_command("cp " BUILD_STACKS "target_stripped " BUILD_STACKS
		    "separate/target_stripped.debug %s/",
		    scene.folder);
	snprintf(path, sizeof(path), "%s/target_stripped", scene.folder);
	scene_start(&scene, path, "inlined");
	child_kill(&scene.child, SIGKILL);
	waitpid(scene.child.pid, NULL, 0);
	run_command("rm %s", path);
	assert_has_lines(&scene); /* nothing was resolved before */
	assert_non_null(strstr(resolve(&scene, 1)->frames[0].function, "raise"));
	fclose(scene.child.to);
	fclose(scene.child.from);
	scene_forget(&scene);
	run_command("rm -rf %s", scene.folder);
}

/* ------------------------------------------------------------------ loaded late, made at run time, vdso */

static void child_continue(struct child *child, const char *then)
{
	char line[64];

	child_kill(child, SIGCONT);
	if (then == NULL)
		return;
	assert_non_null(fgets(line, sizeof(line), child->from));
	assert_string_equal(line, then);
}

static void stop_at(struct child *child, const char *command)
{
	int status;

	child_tell(child, command);
	assert_int_equal(waitpid(child->pid, &status, WUNTRACED), child->pid);
	assert_true(WIFSTOPPED(status));
}

static void test_library_that_is_loaded_late_and_unloaded(void **state)
{
	char command[PATH_MAX + 8] = "load ", *path = command + 5;
	struct unwind_input input;
	const struct symbol_place *place;
	struct scene scene;
	uint32_t known;

	(void)state;
	assert_non_null(realpath(BUILD_STACKS "library.so", path));
	scene_open(&scene, "target_pie", "inlined");
	known = modules_count(scene.modules);
	child_continue(&scene.child, "done\n");
	stop_at(&scene.child, command);
	stopped_capture(&scene.child, &input);
	sleep_ms(120); /* the mappings are read ten times a second */
	scene.count = unwind_stack(scene.unwind, &input, scene.frames, FRAMES_MAX, NULL);
	free((void *)input.stack);
	assert_int_equal(modules_count(scene.modules), known + 1);
	child_continue(&scene.child, "done\n");
	assert_int_equal(modules_refresh(scene.modules), 0);
	/* Unloaded: what was seen in it stays known. */
	assert_non_null(strstr(must_find(&scene, "library_inner", &place)->file, "library.c"));
	assert_string_equal(place->module, path);
	must_find(&scene, "loaded", NULL);
	scene_close(&scene);
}

static void remove_perf_map(const struct scene *scene)
{
	run_command("rm -f /tmp/perf-%d.map", (int)scene->child.pid);
}

static void test_names_from_a_perf_map(void **state)
{
	const struct symbol_place *place;
	struct scene scene;
	uint64_t addr;

	(void)state;
	scene_open(&scene, "target_pie", "jit");
	must_find(&scene, "Script:fib@1", &place); /* the younger row of two that hold it */
	assert_int_equal(place->source, SYMBOL_PERF_MAP);
	assert_string_equal(place->module, "");
	addr = place->addr;
	place = symbols_resolve(scene.symbols, addr + 64);
	assert_string_equal(place->frames[0].function, "whole page");
	/* The code's memory is used for something else. */
	sleep_ms(120);
	run_command("echo '%lx 4 Script:\033[31mother' >>/tmp/perf-%d.map", addr, scene.child.pid);
	sleep_ms(120);
	place = symbols_resolve(scene.symbols, addr);
	assert_string_equal(place->frames[0].function, "Script:\\x1b[31mother");
	remove_perf_map(&scene);
	scene_close(&scene);
}

static void test_perf_map_of_somebody_else_is_not_believed(void **state)
{
	const struct symbol_place *place;
	struct scene scene;

	(void)state;
	scene_open(&scene, "target_pie", "jit");
	run_command("chown 65534 /tmp/perf-%d.map", (int)scene.child.pid);
	assert_null(find_function(&scene, "Script:fib@1", NULL));
	place = resolve(&scene, 0);
	for (uint32_t i = 0; i < scene.count && place->module[0] != '\0'; i++)
		place = resolve(&scene, i);
	assert_int_equal(place->source, SYMBOL_UNKNOWN);
	assert_int_equal(strncmp(place->frames[0].function, "0x", 2), 0);
	remove_perf_map(&scene);
	scene_close(&scene);
}

/* The map is named by the pid that the target knows of itself. */
static void test_perf_map_in_a_pid_namespace(void **state)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct scene scene;
	pid_t first;

	(void)state;
	if (unshare(CLONE_NEWPID) != 0) {
		close(own);
		print_message("unshare -p is not permitted: run as root\n");
		skip();
	}
	/* The first process of a namespace cannot stop itself; this one waits to be killed. */
	first = fork();
	if (first == 0) {
		pause();
		_exit(0);
	}
	child_start(&scene.child, BUILD_STACKS "target_pie");
	assert_int_equal(setns(own, CLONE_NEWPID), 0);
	close(own);
	stop_at(&scene.child, "jit");
	scene.folder[0] = '\0';
	scene_look(&scene);
	assert_int_equal(modules_inner_pid(scene.modules), 2);
	must_find(&scene, "Script:fib@1", NULL);
	run_command("rm /tmp/perf-2.map");
	scene_close(&scene);
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
}

static uint64_t vdso_symbol(const char *name)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
	const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);

	for (int i = 0; i < header->e_shnum; i++) {
		const Elf64_Sym *symbols = (const Elf64_Sym *)(image + sections[i].sh_offset);
		const char *names = image + sections[sections[i].sh_link].sh_offset;

		for (size_t k = 0; sections[i].sh_type == SHT_DYNSYM &&
				   k < sections[i].sh_size / sizeof(*symbols);
		     k++)
			if (strcmp(names + symbols[k].st_name, name) == 0)
				return (uint64_t)image + symbols[k].st_value;
	}
	return 0;
}

static void test_vdso(void **state)
{
	uint64_t addr = vdso_symbol("__vdso_clock_gettime");
	const struct symbol_place *place;
	struct modules *modules;
	struct symbols *symbols;

	(void)state;
	assert_int_not_equal(addr, 0);
	assert_int_equal(modules_open(getpid(), &modules), 0);
	assert_int_equal(symbols_open(modules, 0, &symbols), 0);
	place = symbols_resolve(symbols, addr);
	assert_string_equal(place->module, "[vdso]");
	assert_non_null(strstr(place->frames[0].function, "clock_gettime"));
	symbols_close(symbols);
	modules_close(modules);
}

/* ------------------------------------------------------------------ bounds, lies, silence */

static void test_cache_keeps_within_its_bound(void **state)
{
	struct symbols_counters counters;
	const struct module *module;
	struct symbols *small;
	struct scene scene;
	uint64_t start;

	(void)state;
	scene_open(&scene, "target_pie", "inlined");
	assert_int_equal(symbols_open(scene.modules, 20000, &small), 0);
	module = modules_find(scene.modules, unwind_code_addr(&scene.frames[5]));
	start = module->start;
	for (uint64_t round = 0; round < 3; round++)
		for (uint64_t addr = start; addr < start + 0x2000; addr += 16) {
			const struct symbol_place *a = symbols_resolve(small, addr);
			const struct symbol_place *b = symbols_resolve(scene.symbols, addr);

			assert_string_equal(a->frames[0].function, b->frames[0].function);
			assert_string_equal(a->frames[0].file, b->frames[0].file);
			assert_int_equal(a->frames[0].line, b->frames[0].line);
			symbols_counters_read(small, &counters);
			assert_true(counters.cached_bytes <= 20000);
		}
	assert_int_equal(counters.resolved, 3 * 0x200);
	assert_true(counters.cached_count > 10 && counters.cached_count < 200);
	symbols_counters_read(scene.symbols, &counters);
	assert_int_equal(counters.resolved, 0x200);
	symbols_close(small);
	scene_close(&scene);
}

static void test_names_are_demangled_and_bounded(void **state)
{
	static const char *const names[][2] = {
		{"_ZN6shapes6SquareIiE5visitEl", "shapes::Square<int>::visit(long)"},
		{"_ZN6shapes7betweenIlEET_S1_", "shapes::between<long>(long)"},
		{"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
		{"_RNvC6_123foo3bar", "123foo::bar"},
		{"main", "main"},
		{"_start", "_start"},
		{"_Zcut", "_Zcut"},
		{"", ""},
	};
	char bomb[4096] = "_Z1fSt4pairI", out[512];
	struct timespec before, after;
	size_t used = strlen(bomb), cut;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		demangle(names[i][0], out, sizeof(out));
		assert_string_equal(out, names[i][1]);
		cut = demangle(names[i][0], out, 4);
		assert_int_equal(cut, strlen(out));
		assert_int_equal(cut, strlen(names[i][1]) < 3 ? strlen(names[i][1]) : 3);
	}
	/* Each pair repeats the one before it twice: 2^60 names. */
	used += (size_t)sprintf(bomb + used, "iiES_IS0_S0_E");
	for (int i = 1; i < 60; i++) {
		const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
		char id[4] = {0};
		int n = i;

		if (n < 36)
			id[0] = digits[n];
		else
			id[0] = '1', id[1] = digits[n - 36];
		used += (size_t)sprintf(bomb + used, "S_IS%s_S%s_E", id, id);
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	used = demangle(bomb, out, sizeof(out));
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_int_equal(used, sizeof(out) - 1);
	assert_int_equal(strncmp(out, "f(std::pair<int, int>", 21), 0);
	assert_true(after.tv_sec - before.tv_sec <= 1);
}

/* Bytes changed at random, in a file that is mapped as code: nothing but an answer is promised. */
static void test_files_that_lie_do_no_harm(void **state)
{
	struct random random = {.state = random_seed()};
	int from = open(BUILD_STACKS "target_pie", O_RDONLY), named = 0;
	static unsigned char bytes[1 << 20], copy[1 << 20];
	ssize_t size = read(from, bytes, sizeof(bytes));

	(void)state;
	close(from);
	assert_true(size > 4096 && (size_t)size < sizeof(bytes));
	for (int round = 0; round < 300; round++) {
		int fd = memfd_create("liar", 0);
		struct modules *modules;
		struct symbols *symbols;
		char *text;

		memcpy(copy, bytes, (size_t)size);
		for (uint32_t i = random_below(&random, 24); i > 0; i--)
			copy[random_below(&random, 3) == 0
				     ? random_below(&random, 1024)
				     : random_below(&random, (uint32_t)size)] =
				(unsigned char)random_next(&random);
		assert_int_equal(write(fd, copy, (size_t)size), size);
		text = mmap(NULL, 0x2000, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0x2000);
		assert_true(text != MAP_FAILED);
		assert_int_equal(modules_open(getpid(), &modules), 0);
		assert_int_equal(symbols_open(modules, 0, &symbols), 0);
		for (uint64_t at = 0; at < 0x1000; at += 0x40) {
			const struct symbol_place *place =
				symbols_resolve(symbols, (uint64_t)text + at);

			assert_non_null(place);
			assert_true(place->frames_count >= 1 && place->frames[0].function[0]);
			named += place->source == SYMBOL_DWARF;
		}
		symbols_close(symbols);
		modules_close(modules);
		munmap(text, 0x2000);
		close(fd);
	}
	print_message("%d of %d places had debug information\n", named, 300 * 64);
	assert_true(named > 1000);
}

/* A server listens where debug information could be downloaded: nobody calls. */
static void test_nothing_is_downloaded(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
	struct scene scene;
	char url[64];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 4), 0);
	getsockname(listener, (struct sockaddr *)&address, &bytes);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(address.sin_port));
	setenv("DEBUGINFOD_URLS", url, 1);
	start_stripped(&scene, NULL);
	assert_null(find_function(&scene, "shapes::Square<int>::visit", NULL));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_not_equal(system("grep -q debuginfod /proc/$PPID/maps"), 0);
	unsetenv("DEBUGINFOD_URLS");
	close(listener);
	scene_close(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined_functions_and_lines),
		cmocka_unit_test(test_static_program_at_fixed_addresses),
		cmocka_unit_test(test_program_of_clang),
		cmocka_unit_test(test_lua_c_function),
		cmocka_unit_test(test_debug_file_beside_the_program),
		cmocka_unit_test(test_without_symbols_there_is_module_and_offset),
		cmocka_unit_test(test_debug_file_of_another_build_is_not_taken),
		cmocka_unit_test(test_checksum_of_a_debug_file),
		cmocka_unit_test(test_program_in_a_container),
		cmocka_unit_test(test_debug_link_does_not_leave_the_root),
		cmocka_unit_test(test_deleted_program),
		cmocka_unit_test(test_after_the_end_of_the_target),
		cmocka_unit_test(test_library_that_is_loaded_late_and_unloaded),
		cmocka_unit_test(test_names_from_a_perf_map),
		cmocka_unit_test(test_perf_map_of_somebody_else_is_not_believed),
		cmocka_unit_test(test_perf_map_in_a_pid_namespace),
		cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_cache_keeps_within_its_bound),
		cmocka_unit_test(test_names_are_demangled_and_bounded),
		cmocka_unit_test(test_files_that_lie_do_no_harm),
		cmocka_unit_test(test_nothing_is_downloaded),
	};

	alarm(110); /* a stop that does not come */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
