/* SPDX-License-Identifier: MIT */
/*
 * symbols.c - resolves addresses by debug information, symbol table, perf map, in this order, and
 * remembers the answers.
 *
 * An answer is one block: place, frames, text. The cache is a hash table of such blocks with a list
 * in order of last use; the least recently used make room. An answer is void when a module has been
 * replaced (all are dropped), when names of a perf map may have changed, and, if it was "unknown",
 * when new mappings were read.
 */
#include "collect/symbols.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/demangle.h"
#include "collect/perf_map.h"
#include "collect/safe_text.h"
#include "collect/unit_index.h"

#define CACHE_BYTES_DEFAULT (32u << 20)
#define BUCKETS		    16384 /* power of two */
#define FRAMES_MAX	    64	  /* at one address */
#define NAME_BYTES	    2048
#define TEXT_BYTES	    (FRAMES_MAX * NAME_BYTES / 4)

struct answer {
	struct symbol_place place;
	struct answer *next_in_bucket;
	struct answer *newer, *older; /* by last use */
	size_t bytes;
	uint64_t version; /* of the perf map */
	bool is_of_file;  /* an ELF file says what is there, and no perf map */
};

struct symbols {
	struct modules *modules;
	struct perf_map *perf_map;
	uint64_t generation;
	struct answer *newest, *oldest;
	size_t cache_bytes_max;
	struct symbols_counters counters;
	struct answer *buckets[BUCKETS];
};

/* An answer under construction; text by its place in `text`. */
struct draft {
	struct symbol_place place;
	struct {
		uint32_t function, file, line;
		bool is_inlined;
	} frames[FRAMES_MAX];
	bool is_of_file;
	uint32_t text_bytes;
	char text[TEXT_BYTES]; /* text[0] is the empty one */
};

/* ------------------------------------------------------------------ drafting */

/* Make `text` safe and keep it; its place. What does not fit is cut off. */
static uint32_t keep_text(struct draft *draft, const char *text)
{
	size_t room = TEXT_BYTES - draft->text_bytes;
	uint32_t place = draft->text_bytes;

	if (text == NULL || text[0] == '\0' || room < 16)
		return 0;
	if (room > NAME_BYTES)
		room = NAME_BYTES;
	draft->text_bytes +=
		(uint32_t)safe_text(draft->text + place, room, text, strnlen(text, room)) + 1;
	return place;
}

static uint32_t keep_name(struct draft *draft, const char *mangled)
{
	char name[NAME_BYTES];

	if (mangled == NULL || mangled[0] == '\0')
		return 0;
	demangle(mangled, name, sizeof(name));
	return keep_text(draft, name);
}

static void keep_line(struct draft *draft, uint32_t frame, Dwarf_Die *unit, const char *file,
		      int line)
{
	char path[NAME_BYTES];
	Dwarf_Attribute attribute;
	const char *folder;

	if (file == NULL || line <= 0)
		return;
	folder = file[0] != '/' ? dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute))
				: NULL;
	snprintf(path, sizeof(path), "%s%s%s", folder != NULL ? folder : "",
		 folder != NULL ? "/" : "", file);
	draft->frames[frame].file = keep_text(draft, path);
	draft->frames[frame].line = (uint32_t)line;
}

/* ------------------------------------------------------------------ debug information */

static const char *die_text(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

/* The DIE that declares a function: what lies around it are its namespaces and classes. */
static void find_declaration(Dwarf_Die *die)
{
	static const unsigned links[] = {DW_AT_abstract_origin, DW_AT_specification};
	Dwarf_Attribute attribute;
	Dwarf_Die linked;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (dwarf_formref_die(dwarf_attr(die, links[i], &attribute), &linked) != NULL)
			*die = linked;
}

/* "shapes::Square::visit": for functions that were never given a symbol. */
static void qualified_name(Dwarf_Die *die, char *out, size_t out_bytes)
{
	Dwarf_Die declaration = *die, *scopes = NULL;
	size_t used = 0;
	int count;

	find_declaration(&declaration);
	count = dwarf_getscopes_die(&declaration, &scopes);
	out[0] = '\0';
	for (int i = count - 2; i >= 0 && used < out_bytes; i--) {
		const char *name = i > 0 ? dwarf_diename(&scopes[i]) : die_text(die, DW_AT_name);
		int length;

		if (dwarf_tag(&scopes[i]) == DW_TAG_lexical_block)
			continue;
		length = snprintf(out + used, out_bytes - used, "%s%s", used > 0 ? "::" : "",
				  name != NULL ? name : "(anonymous)");
		used += length > 0 ? (size_t)length : 0;
	}
	free(scopes);
}

static uint32_t keep_function(struct draft *draft, Dwarf_Die *die)
{
	const char *linkage = die_text(die, DW_AT_linkage_name);
	char name[NAME_BYTES];

	if (linkage == NULL)
		linkage = die_text(die, DW_AT_MIPS_linkage_name);
	if (linkage != NULL)
		return keep_name(draft, linkage);
	qualified_name(die, name, sizeof(name));
	return keep_text(draft, name);
}

static bool is_function(Dwarf_Die *die)
{
	return dwarf_tag(die) == DW_TAG_subprogram || dwarf_tag(die) == DW_TAG_inlined_subroutine;
}

/*
 * The innermost function at `pc` and what it lies in, up to the unit. dwarf_getscopes leaves an
 * inlined function through its definition, not through its caller: so only its first function
 * is taken, and then the way up through the tree.
 */
static int function_scopes(Dwarf_Die *unit, Dwarf_Addr pc, Dwarf_Die **out)
{
	Dwarf_Die *scopes = NULL;
	int count = dwarf_getscopes(unit, pc, &scopes), result = 0;

	for (int i = 0; i < count; i++)
		if (is_function(&scopes[i])) {
			result = dwarf_getscopes_die(&scopes[i], out);
			break;
		}
	free(scopes);
	return result;
}

/* Where an inlined function was called: the line of the frame around it. */
static void keep_call_site(struct draft *draft, uint32_t frame, Dwarf_Die *unit, Dwarf_Die *inlined)
{
	Dwarf_Attribute attribute;
	Dwarf_Word file = 0, line = 0;
	Dwarf_Files *files;
	size_t count;

	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) == 0 &&
	    dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) == 0 &&
	    line < INT32_MAX && dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
		keep_line(draft, frame, unit, dwarf_filesrc(files, file, NULL, NULL), (int)line);
}

static void draft_functions(struct draft *draft, Dwarf_Die *unit, Dwarf_Addr pc)
{
	Dwarf_Die *scopes = NULL;
	int count = function_scopes(unit, pc, &scopes);

	for (int i = 0; i < count && draft->place.frames_count < FRAMES_MAX; i++) {
		uint32_t frame = draft->place.frames_count;

		if (!is_function(&scopes[i]))
			continue;
		draft->frames[frame].function = keep_function(draft, &scopes[i]);
		draft->place.frames_count++;
		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
			break;
		draft->frames[frame].is_inlined = true;
		if (frame + 1 < FRAMES_MAX)
			keep_call_site(draft, frame + 1, unit, &scopes[i]);
	}
	free(scopes);
}

static void draft_dwarf(struct draft *draft, struct module *module, uint64_t addr)
{
	Dwarf_Addr bias;
	Dwarf_Die unit;
	Dwarf_Line *line;
	int number = 0;

	if (!unit_index_find(&module->units, module->dwfl, addr, &unit, &bias) ||
	    module->lacks_supplement)
		return;
	line = dwarf_getsrc_die(&unit, addr - bias);
	if (line != NULL && dwarf_lineno(line, &number) == 0)
		keep_line(draft, 0, &unit, dwarf_linesrc(line, NULL, NULL), number);
	draft_functions(draft, &unit, addr - bias);
	if (draft->place.frames_count > 0)
		draft->place.source = SYMBOL_DWARF;
}

/* ------------------------------------------------------------------ other sources */

/* The outermost function has its name from the symbol table when nothing else names it. */
static void draft_symbol(struct draft *draft, Dwfl_Module *module, uint64_t addr)
{
	uint32_t last = draft->place.frames_count > 0 ? draft->place.frames_count - 1 : 0;
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name;

	if (draft->frames[last].function != 0)
		return;
	name = dwfl_module_addrinfo(module, addr, &offset, &symbol, NULL, NULL, NULL);
	draft->frames[last].function = keep_name(draft, name);
	if (draft->frames[last].function == 0)
		return;
	draft->place.frames_count = last + 1;
	if (draft->place.source == SYMBOL_UNKNOWN)
		draft->place.source = SYMBOL_TABLE;
}

static void draft_perf_map(struct symbols *symbols, struct draft *draft, uint64_t addr)
{
	uint64_t start;
	const char *name = perf_map_find(symbols->perf_map, addr, &start);

	if (name == NULL)
		return;
	draft->frames[0].function = keep_text(draft, name);
	draft->place.frames_count = 1;
	draft->place.source = SYMBOL_PERF_MAP;
}

/* What nothing names is named by where it is. */
static void draft_offset(struct draft *draft, const struct module *module)
{
	char text[NAME_BYTES];
	const char *slash;

	if (draft->place.frames_count == 0)
		draft->place.frames_count = 1;
	for (uint32_t i = 0; i < draft->place.frames_count; i++) {
		if (draft->frames[i].function != 0)
			continue;
		slash = module != NULL ? strrchr(module->path, '/') : NULL;
		if (module != NULL)
			snprintf(text, sizeof(text), "%.256s+0x%lx",
				 slash != NULL ? slash + 1 : module->path,
				 draft->place.module_offset);
		else
			snprintf(text, sizeof(text), "0x%lx", draft->place.addr);
		draft->frames[i].function = keep_text(draft, text);
	}
}

static void draft_place(struct symbols *symbols, struct draft *draft, uint64_t addr)
{
	struct module *module = (struct module *)modules_find(symbols->modules, addr);

	draft->place.addr = addr;
	if (module != NULL) {
		draft->place.module = module->path;
		draft->place.build_id = module->build_id;
		draft->place.module_offset = addr - module->bias;
		draft->place.is_own = addr >= module->own_start && addr < module->own_end;
	}
	if (module != NULL && module->dwfl != NULL) {
		draft_dwarf(draft, module, addr);
		draft_symbol(draft, module->dwfl, addr);
	}
	draft->is_of_file = module != NULL && module->dwfl != NULL;
	if (!draft->is_of_file)
		draft_perf_map(symbols, draft, addr);
	draft_offset(draft, module);
}

/* ------------------------------------------------------------------ answers and their cache */

static struct answer **bucket_of(struct symbols *symbols, uint64_t addr)
{
	return &symbols->buckets[addr * 0x9e3779b97f4a7c15 >> 50];
}
_Static_assert(BUCKETS == 1 << (64 - 50), "bucket_of yields a bucket");

static struct answer *answer_make(const struct draft *draft)
{
	const char *module = draft->place.module != NULL ? draft->place.module : "";
	const char *build_id = draft->place.build_id != NULL ? draft->place.build_id : "";
	size_t module_bytes = strlen(module) + 1, build_id_bytes = strlen(build_id) + 1;
	size_t frames_bytes = draft->place.frames_count * sizeof(struct symbol_frame);
	size_t bytes = sizeof(struct answer) + frames_bytes + draft->text_bytes + module_bytes +
		       build_id_bytes;
	struct answer *answer = calloc(1, bytes);
	struct symbol_frame *frames;
	char *text;

	if (answer == NULL)
		return NULL;
	frames = (struct symbol_frame *)(answer + 1);
	text = (char *)frames + frames_bytes;
	memcpy(text, draft->text, draft->text_bytes);
	for (uint32_t i = 0; i < draft->place.frames_count; i++)
		frames[i] = (struct symbol_frame){
			.function = text + draft->frames[i].function,
			.file = text + draft->frames[i].file,
			.line = draft->frames[i].line,
			.is_inlined = draft->frames[i].is_inlined,
		};
	answer->place = draft->place;
	answer->place.frames = frames;
	text += draft->text_bytes;
	answer->place.module = memcpy(text, module, module_bytes);
	answer->place.build_id = memcpy(text + module_bytes, build_id, build_id_bytes);
	answer->is_of_file = draft->is_of_file;
	answer->bytes = bytes;
	return answer;
}

static void unlink_use(struct symbols *symbols, struct answer *answer)
{
	*(answer->newer != NULL ? &answer->newer->older : &symbols->newest) = answer->older;
	*(answer->older != NULL ? &answer->older->newer : &symbols->oldest) = answer->newer;
}

static void link_newest(struct symbols *symbols, struct answer *answer)
{
	answer->newer = NULL;
	answer->older = symbols->newest;
	*(symbols->newest != NULL ? &symbols->newest->newer : &symbols->oldest) = answer;
	symbols->newest = answer;
}

static void drop(struct symbols *symbols, struct answer *answer)
{
	struct answer **link = bucket_of(symbols, answer->place.addr);

	while (*link != answer)
		link = &(*link)->next_in_bucket;
	*link = answer->next_in_bucket;
	unlink_use(symbols, answer);
	symbols->counters.cached_count--;
	symbols->counters.cached_bytes -= answer->bytes;
	free(answer);
}

static void drop_all(struct symbols *symbols)
{
	while (symbols->oldest != NULL)
		drop(symbols, symbols->oldest);
}

static void keep(struct symbols *symbols, struct answer *answer)
{
	struct answer **bucket = bucket_of(symbols, answer->place.addr);

	answer->next_in_bucket = *bucket;
	*bucket = answer;
	link_newest(symbols, answer);
	symbols->counters.cached_count++;
	symbols->counters.cached_bytes += answer->bytes;
	while (symbols->counters.cached_bytes > symbols->cache_bytes_max &&
	       symbols->oldest != answer)
		drop(symbols, symbols->oldest);
}

static bool is_valid(struct symbols *symbols, const struct answer *answer)
{
	if (answer->is_of_file)
		return true;
	if (answer->version != perf_map_version(symbols->perf_map))
		return false;
	/* Is it a module's meanwhile? */
	return answer->place.module[0] != '\0' ||
	       modules_find(symbols->modules, answer->place.addr) == NULL;
}

static struct answer *find_answer(struct symbols *symbols, uint64_t addr)
{
	struct answer *answer;

	if (symbols->generation != modules_generation(symbols->modules)) {
		drop_all(symbols);
		symbols->generation = modules_generation(symbols->modules);
	}
	answer = *bucket_of(symbols, addr);
	while (answer != NULL && answer->place.addr != addr)
		answer = answer->next_in_bucket;
	if (answer == NULL || is_valid(symbols, answer))
		return answer;
	drop(symbols, answer);
	return NULL;
}

const struct symbol_place *symbols_resolve(struct symbols *symbols, uint64_t addr)
{
	struct answer *answer = find_answer(symbols, addr);
	struct draft *draft;

	if (answer != NULL) {
		unlink_use(symbols, answer);
		link_newest(symbols, answer);
		return &answer->place;
	}
	draft = calloc(1, sizeof(*draft));
	if (draft == NULL)
		return NULL;
	draft->text_bytes = 1;
	draft_place(symbols, draft, addr);
	answer = answer_make(draft);
	free(draft);
	if (answer == NULL)
		return NULL;
	answer->version = perf_map_version(symbols->perf_map);
	symbols->counters.resolved++;
	keep(symbols, answer);
	return &answer->place;
}

int symbols_open(struct modules *modules, size_t cache_bytes, struct symbols **out)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));

	if (symbols == NULL)
		return -ENOMEM;
	symbols->modules = modules;
	symbols->generation = modules_generation(modules);
	symbols->cache_bytes_max = cache_bytes != 0 ? cache_bytes : CACHE_BYTES_DEFAULT;
	symbols->perf_map = perf_map_open(modules_root_fd(modules), modules_inner_pid(modules),
					  modules_uid(modules));
	if (symbols->perf_map == NULL) {
		symbols_close(symbols);
		return -ENOMEM;
	}
	*out = symbols;
	return 0;
}

void symbols_close(struct symbols *symbols)
{
	if (symbols == NULL)
		return;
	drop_all(symbols);
	perf_map_close(symbols->perf_map);
	free(symbols);
}

void symbols_counters_read(const struct symbols *symbols, struct symbols_counters *out)
{
	*out = symbols->counters;
}
