/* SPDX-License-Identifier: MIT */
/*
 * modules.c - keeps a table of ELF images equal to /proc/PID/maps, and a Dwfl that knows the same.
 *
 * Identity: device, inode and bias; a file can be mapped more than once. Bias and extent come from
 * the program headers, not from the mappings, so that text that was split or moved to huge pages
 * stays one module.
 *
 * /proc/PID is opened once, so a reused pid reads as gone. The files of an exec'd target must not
 * be taken for those of its past: the open maps file belongs to the past's memory and reads empty
 * then, so it is read once more after the files were opened.
 *
 * Files up to READ_BYTES_MAX are read, not mapped: one that is truncated under our hands is a short
 * read then, not a SIGBUS. Larger ones would cost their size in memory, and are mapped.
 */
#define _GNU_SOURCE
#include "collect/modules.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/debug_file.h"
#include "collect/mapped_file.h"
#include "collect/maps.h"
#include "collect/retry.h"
#include "collect/safe_text.h"
#include "collect/unit_index.h"

#define MODULES_MAX	   1024
#define READ_BYTES_MAX	   (256u << 20)
#define VDSO_BYTES_MAX	   (64u << 10)
#define PAGE_BYTES	   4096ull
#define SEGMENTS_MAX	   64
#define OWN_SECTION	   "mmviz_text" /* as in the Makefile */
#define PATH_BYTES	   4200
#define BUILD_ID_BYTES_MAX 64

struct entry {
	struct module module; /* first: a module is its entry */
	struct modules *owner;
	struct mapping identity; /* device and inode; no path */
	char *path;		 /* as in maps, for the search of a debug file */
	int fd;
	int debug_fd; /* found by build-id when the module was first seen; -1: not, or given away */
	Elf *elf;     /* until libdwfl takes it */
	void *image;
	bool is_replaced;
	struct {
		uint64_t addr, bytes,
			offset; /* read-only segments, in the target and in the file */
	} segments[SEGMENTS_MAX];
	size_t segments_count;
	char build_id[2 * BUILD_ID_BYTES_MAX + 1];
	char safe_path[];
};

struct modules {
	int proc_fd, maps_fd, mem_fd, root_fd;
	char root_path[PATH_BYTES]; /* as the kernel names it */
	pid_t inner_pid;
	uid_t uid;
	struct maps maps;
	struct entry **entries; /* in order of start */
	size_t count, room;
	uint64_t generation;
	struct retry retry;
	Dwfl *dwfl;
};

/* ------------------------------------------------------------------ what libdwfl asks for */

static int give_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	struct entry *entry = *userdata;

	(void)module, (void)name, (void)base;
	if (entry == NULL || entry->elf == NULL)
		return -1;
	*elf = entry->elf; /* libdwfl ends it, and never learns the descriptor */
	*file_name = strdup(entry->path);
	entry->elf = NULL;
	return -1;
}

/* libdwfl asks for the supplement of debug information (dwz) in the same way as for the debug
 * information: it has that already then, and a name other than the link's. */
static bool is_supplement(Dwfl_Module *module, const char *name)
{
	GElf_Addr bias;
	GElf_Word crc;
	Elf *elf = dwfl_module_getelf(module, &bias);
	const char *link = elf != NULL ? dwelf_elf_gnu_debuglink(elf, &crc) : NULL;

	return name != NULL && (link == NULL || strcmp(link, name) != 0);
}

/* The kernel names files from the root of the target's mounts, also if it has changed its root. */
static const char *rooted_path(const struct modules *modules, const char *path)
{
	size_t length = strlen(modules->root_path);

	return length > 1 && strncmp(path, modules->root_path, length) == 0 && path[length] == '/'
		       ? path + length
		       : path;
}

static int give_debug_file(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			   const char *file_name, const char *link, GElf_Word crc, char **out_name)
{
	struct entry *entry = *userdata;
	struct debug_wanted wanted = {.root_fd = entry->owner->root_fd,
				      .rooted_path = rooted_path(entry->owner, entry->path),
				      .path = entry->path};
	Dwarf_Addr dwarf_bias;
	GElf_Addr id_addr;
	const void *id = NULL;
	const char *ignored;
	ssize_t bytes;
	int fd;

	(void)name, (void)base, (void)file_name, (void)out_name;
	if (entry->debug_fd >= 0 && !is_supplement(module, link)) {
		fd = entry->debug_fd;
		entry->debug_fd = -1;
		return fd;
	}
	if (is_supplement(module, link)) {
		Dwarf *dwarf = dwfl_module_getdwarf(module, &dwarf_bias);

		bytes = dwarf != NULL ? dwelf_dwarf_gnu_debugaltlink(dwarf, &ignored, &id) : 0;
	} else {
		bytes = dwfl_module_build_id(module, (const unsigned char **)&id, &id_addr);
		wanted.link = link;
		wanted.link_crc = crc;
	}
	if (bytes > 0) {
		wanted.build_id = id;
		wanted.build_id_bytes = (size_t)bytes;
	}
	fd = debug_file_open(&wanted);
	if (fd < 0 && is_supplement(module, link))
		entry->module.lacks_supplement = true;
	return fd;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = give_elf,
	.find_debuginfo = give_debug_file,
};

/* ------------------------------------------------------------------ one module */

static void entry_free(struct entry *entry)
{
	if (entry == NULL)
		return;
	unit_index_free(entry->module.units);
	elf_end(entry->elf);
	if (entry->fd >= 0)
		close(entry->fd);
	if (entry->debug_fd >= 0)
		close(entry->debug_fd);
	free(entry->image);
	free(entry->path);
	free(entry);
}

static struct entry *entry_new(struct modules *modules, const struct mapping *mapping)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(mapping->path), suffix = sizeof(deleted) - 1;
	size_t room = 4 * length + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + room);

	if (entry == NULL)
		return NULL;
	entry->fd = entry->debug_fd = -1;
	entry->owner = modules;
	entry->identity = *mapping;
	entry->identity.path = NULL;
	entry->module.is_deleted =
		length > suffix && strcmp(mapping->path + length - suffix, deleted) == 0;
	if (entry->module.is_deleted)
		length -= suffix;
	entry->path = strndup(mapping->path, length);
	safe_text(entry->safe_path, room, mapping->path, length);
	entry->module.path = entry->safe_path;
	entry->module.build_id = entry->build_id;
	if (entry->path == NULL) {
		entry_free(entry);
		return NULL;
	}
	return entry;
}

/* Without an ELF file the mapping itself is all that is known. */
static void entry_guess_extent(struct entry *entry)
{
	entry->module.start = entry->identity.start;
	entry->module.end = entry->identity.end;
	entry->module.bias = entry->identity.start - entry->identity.offset;
}

/* The vdso has no file: its image is copied from the target. */
static Elf *copy_image(struct entry *entry)
{
	uint64_t bytes = entry->identity.end - entry->identity.start;

	if (bytes > VDSO_BYTES_MAX || (entry->image = malloc(bytes)) == NULL ||
	    pread(entry->owner->mem_fd, entry->image, bytes, (off_t)entry->identity.start) !=
		    (ssize_t)bytes)
		return NULL;
	return elf_memory(entry->image, bytes);
}

static Elf *open_elf(struct entry *entry, const struct mapping *mapping, const char *executable)
{
	struct stat status;

	if (mapping->inode == 0)
		return copy_image(entry);
	entry->fd = mapped_file_open(entry->owner->proc_fd, mapping,
				     strcmp(mapping->path, executable) == 0);
	if (entry->fd < 0 && entry->owner->root_fd >= 0) /* privileges were given up */
		entry->fd = rooted_mapped_file_open(
			entry->owner->root_fd, rooted_path(entry->owner, mapping->path), mapping);
	if (entry->fd < 0 || fstat(entry->fd, &status) != 0)
		return NULL;
	return elf_begin(entry->fd, status.st_size <= READ_BYTES_MAX ? ELF_C_READ : ELF_C_READ_MMAP,
			 NULL);
}

static bool is_program(Elf *elf)
{
	GElf_Ehdr header;

	return elf != NULL && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) != NULL &&
	       header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
	       header.e_machine == EM_X86_64 &&
	       (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

static void note_segment(struct entry *entry, const GElf_Phdr *segment)
{
	if ((segment->p_flags & PF_W) != 0 || entry->segments_count == SEGMENTS_MAX)
		return;
	entry->segments[entry->segments_count].addr = entry->module.bias + segment->p_vaddr;
	entry->segments[entry->segments_count].bytes = segment->p_filesz;
	entry->segments[entry->segments_count++].offset = segment->p_offset;
}

/* The bias by the segment that `mapping` is a part of, then the extent of all segments. */
static bool measure(struct entry *entry, Elf *elf)
{
	uint64_t low = UINT64_MAX, high = 0, bias = 0;
	uint64_t offset = entry->identity.offset;
	bool is_found = false;
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD)
			continue;
		if (low == UINT64_MAX) /* as libdwfl does: the first counts */
			low = segment.p_vaddr & -(segment.p_align ? segment.p_align : 1);
		if (segment.p_vaddr + segment.p_memsz > high)
			high = segment.p_vaddr + segment.p_memsz;
		if (is_found || (segment.p_flags & PF_X) == 0 ||
		    offset - (segment.p_offset & -PAGE_BYTES) >=
			    segment.p_filesz + segment.p_offset % PAGE_BYTES)
			continue;
		bias = entry->identity.start - (offset - segment.p_offset + segment.p_vaddr);
		is_found = true;
	}
	if (!is_found || high <= low || (bias + low) % PAGE_BYTES != 0)
		return false;
	entry->module.bias = bias;
	entry->module.start = bias + low;
	entry->module.end = (bias + high + PAGE_BYTES - 1) & -PAGE_BYTES;
	if (entry->module.start > entry->identity.start || entry->module.end < entry->identity.end)
		return false;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &segment) != NULL && segment.p_type == PT_LOAD)
			note_segment(entry, &segment);
	return true;
}

static void read_build_id(struct entry *entry)
{
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(entry->elf, &id);

	for (ssize_t i = 0; i < bytes && i < BUILD_ID_BYTES_MAX; i++)
		sprintf(entry->build_id + 2 * i, "%02x", ((const unsigned char *)id)[i]);
}

/*
 * While we may: later, without privileges, it may be out of reach. One that can only be told by its
 * checksum is looked for when it is wanted, since all of it must be read.
 */
static void find_debug_file(struct entry *entry)
{
	struct debug_wanted wanted = {.root_fd = entry->owner->root_fd,
				      .rooted_path = rooted_path(entry->owner, entry->path),
				      .path = entry->path};
	GElf_Word crc;
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(entry->elf, &id);

	if (bytes <= 0 || entry->identity.inode == 0)
		return;
	wanted.build_id = id;
	wanted.build_id_bytes = (size_t)bytes;
	wanted.link = dwelf_elf_gnu_debuglink(entry->elf, &crc);
	wanted.link_crc = wanted.link != NULL ? crc : 0;
	entry->debug_fd = debug_file_open(&wanted);
}

/* The library has a section of its own for its code, which stripping leaves. */
static void find_own_code(struct entry *entry)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(entry->elf, &names) != 0)
		return;
	while ((section = elf_nextscn(entry->elf, section)) != NULL) {
		const char *name = gelf_getshdr(section, &header) != NULL
					   ? elf_strptr(entry->elf, names, header.sh_name)
					   : NULL;

		if (name == NULL || strcmp(name, OWN_SECTION) != 0 ||
		    (header.sh_flags & SHF_EXECINSTR) == 0)
			continue;
		entry->module.own_start = entry->module.bias + header.sh_addr;
		entry->module.own_end = entry->module.own_start + header.sh_size;
		return;
	}
}

static struct entry *entry_open(struct modules *modules, const struct mapping *mapping,
				const char *executable)
{
	struct entry *entry = entry_new(modules, mapping);
	Elf *elf;

	if (entry == NULL)
		return NULL;
	elf = open_elf(entry, mapping, executable);
	if (is_program(elf) && measure(entry, elf)) {
		entry->elf = elf;
		read_build_id(entry);
		find_debug_file(entry);
		find_own_code(entry);
		return entry;
	}
	elf_end(elf);
	entry_guess_extent(entry);
	return entry;
}

/* ------------------------------------------------------------------ the table */

static struct entry *find_entry(const struct modules *modules, uint64_t addr)
{
	size_t low = 0, high = modules->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (addr < modules->entries[middle]->module.start)
			high = middle;
		else if (addr >= modules->entries[middle]->module.end)
			low = middle + 1;
		else
			return modules->entries[middle];
	}
	return NULL;
}

static bool is_known(const struct modules *modules, const struct mapping *mapping)
{
	const struct entry *entry = find_entry(modules, mapping->start);

	return entry != NULL && mapping_is_same_file(&entry->identity, mapping) &&
	       mapping->end <= entry->module.end;
}

static int by_start(const void *a, const void *b)
{
	const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;

	return left->module.start < right->module.start ? -1
							: left->module.start > right->module.start;
}

/* Take the new entries in. Older ones that they overlap have been unmapped. */
static void merge(struct modules *modules, struct entry **fresh, size_t fresh_count)
{
	size_t kept = 0;

	for (size_t i = 0; i < fresh_count; i++)
		for (size_t k = 0; k < modules->count; k++) {
			struct entry *old = modules->entries[k];

			if (old->module.start < fresh[i]->module.end &&
			    fresh[i]->module.start < old->module.end)
				old->is_replaced = true;
		}
	memcpy(modules->entries + modules->count, fresh, fresh_count * sizeof(*fresh));
	modules->count += fresh_count;
	qsort(modules->entries, modules->count, sizeof(*modules->entries), by_start);
	/* libdwfl forgets what is not reported again; only then may it be freed. */
	dwfl_report_begin(modules->dwfl);
	for (size_t i = 0; i < modules->count; i++) {
		struct entry *entry = modules->entries[i];
		char name[64];
		void **userdata;

		if (entry->is_replaced || (entry->elf == NULL && entry->module.dwfl == NULL))
			continue;
		snprintf(name, sizeof(name), "%p", (void *)entry);
		entry->module.dwfl = dwfl_report_module(modules->dwfl, name, entry->module.start,
							entry->module.end);
		if (entry->module.dwfl != NULL) {
			dwfl_module_info(entry->module.dwfl, &userdata, NULL, NULL, NULL, NULL,
					 NULL, NULL);
			*userdata = entry;
		}
	}
	dwfl_report_end(modules->dwfl, NULL, NULL);
	for (size_t i = 0; i < modules->count; i++) {
		if (modules->entries[i]->is_replaced) {
			entry_free(modules->entries[i]);
			modules->generation++;
		} else {
			modules->entries[kept++] = modules->entries[i];
		}
	}
	modules->count = kept;
}

static bool is_image(const struct mapping *mapping)
{
	return mapping->is_executable &&
	       (mapping->inode != 0 || strcmp(mapping->path, "[vdso]") == 0);
}

/* Two mappings of one new file: the first one's module holds both. */
static bool is_among(struct entry *const *fresh, size_t count, const struct mapping *mapping)
{
	for (size_t i = 0; i < count; i++)
		if (mapping_is_same_file(&fresh[i]->identity, mapping) &&
		    mapping->start >= fresh[i]->module.start &&
		    mapping->end <= fresh[i]->module.end)
			return true;
	return false;
}

static size_t open_new(struct modules *modules, const struct maps *maps, struct entry **fresh)
{
	char executable[PATH_BYTES];
	ssize_t length = readlinkat(modules->proc_fd, "exe", executable, sizeof(executable) - 1);
	size_t count = 0;

	executable[length < 0 ? 0 : length] = '\0';
	for (size_t i = 0; i < maps->count && modules->count + count < MODULES_MAX; i++) {
		const struct mapping *mapping = &maps->rows[i];

		if (!is_image(mapping) || is_known(modules, mapping) ||
		    is_among(fresh, count, mapping))
			continue;
		fresh[count] = entry_open(modules, mapping, executable);
		count += fresh[count] != NULL;
	}
	return count;
}

static bool is_readable_still(const struct modules *modules)
{
	char byte;

	return pread(modules->maps_fd, &byte, 1, 0) == 1;
}

/* Read the mappings and take in what is new; *found says whether something was. */
static int refresh(struct modules *modules, bool *found)
{
	struct entry **fresh;
	struct maps maps;
	size_t count;
	int error = maps_read(modules->maps_fd, &maps);

	*found = false;
	if (error != 0)
		return error;
	fresh = calloc(MODULES_MAX, sizeof(struct entry *));
	if (fresh == NULL) {
		maps_free(&maps);
		return -ENOMEM;
	}
	count = open_new(modules, &maps, fresh);
	if (!is_readable_still(modules)) {
		for (size_t i = 0; i < count; i++)
			entry_free(fresh[i]);
		maps_free(&maps);
		free(fresh);
		return -ESRCH;
	}
	*found = count > 0 || maps.count != modules->maps.count;
	maps_free(&modules->maps);
	modules->maps = maps;
	if (count > 0)
		merge(modules, fresh, count);
	free(fresh);
	return 0;
}

int modules_refresh(struct modules *modules)
{
	bool found;
	int error = refresh(modules, &found);

	retry_note(&modules->retry, !found);
	return error;
}

/* ------------------------------------------------------------------ open, close */

static void read_inner_pid(struct modules *modules, pid_t pid)
{
	char line[256];
	int fd = openat(modules->proc_fd, "status", O_RDONLY | O_CLOEXEC);
	FILE *status = fd >= 0 ? fdopen(fd, "r") : NULL;

	modules->inner_pid = pid;
	while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
		const char *last = strrchr(line, '\t');

		if (strncmp(line, "NSpid:", 6) == 0 && last != NULL)
			modules->inner_pid = (pid_t)atoi(last + 1);
		else if (strncmp(line, "Uid:", 4) == 0)
			modules->uid = (uid_t)strtoul(line + 4, NULL, 10);
	}
	if (status != NULL)
		fclose(status);
}

static int open_files(struct modules *modules, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	modules->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (modules->proc_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	modules->maps_fd = openat(modules->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	if (modules->maps_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	modules->mem_fd = openat(modules->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	modules->root_fd = openat(modules->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Zeroed before, and longer than any answer: it ends. */
	if (readlinkat(modules->proc_fd, "root", modules->root_path, PATH_BYTES - 1) < 0)
		modules->root_path[0] = '\0';
	read_inner_pid(modules, pid);
	return 0;
}

int modules_open(pid_t pid, struct modules **out)
{
	struct modules *modules = calloc(1, sizeof(*modules));
	int error;

	if (modules == NULL)
		return -ENOMEM;
	modules->proc_fd = modules->maps_fd = modules->mem_fd = modules->root_fd = -1;
	error = elf_version(EV_CURRENT) != EV_NONE ? open_files(modules, pid) : -ENOTSUP;
	if (error == 0) {
		modules->dwfl = dwfl_begin(&callbacks);
		modules->entries = calloc(MODULES_MAX, sizeof(struct entry *));
		error = modules->dwfl != NULL && modules->entries != NULL ? modules_refresh(modules)
									  : -ENOMEM;
	}
	if (error != 0) {
		modules_close(modules);
		return error;
	}
	*out = modules;
	return 0;
}

void modules_close(struct modules *modules)
{
	if (modules == NULL)
		return;
	int fds[] = {modules->proc_fd, modules->maps_fd, modules->mem_fd, modules->root_fd};

	if (modules->dwfl != NULL)
		dwfl_end(modules->dwfl);
	for (size_t i = 0; i < modules->count; i++)
		entry_free(modules->entries[i]);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	maps_free(&modules->maps);
	free(modules->entries);
	free(modules);
}

/* ------------------------------------------------------------------ questions */

const struct module *modules_find(struct modules *modules, uint64_t addr)
{
	struct entry *entry = find_entry(modules, addr);

	if (entry == NULL && !modules_is_code(modules, addr))
		return NULL;
	entry = find_entry(modules, addr);
	return entry != NULL ? &entry->module : NULL;
}

bool modules_is_code(struct modules *modules, uint64_t addr)
{
	const struct mapping *mapping = maps_find(&modules->maps, addr);

	if ((mapping == NULL || !mapping->is_executable) && retry_is_due(&modules->retry)) {
		modules_refresh(modules);
		mapping = maps_find(&modules->maps, addr);
	}
	/* What was unmapped since stays code: the address comes from when it was. */
	return (mapping != NULL && mapping->is_executable) || find_entry(modules, addr) != NULL;
}

int modules_read(struct modules *modules, uint64_t addr, void *out, size_t bytes)
{
	const struct entry *entry = find_entry(modules, addr);

	for (size_t i = 0; entry != NULL && i < entry->segments_count; i++) {
		uint64_t into = addr - entry->segments[i].addr, left = entry->segments[i].bytes;
		uint64_t place = entry->segments[i].offset + into;

		if (into >= left || bytes > left - into)
			continue;
		if (entry->image != NULL) {
			uint64_t image_bytes = entry->identity.end - entry->identity.start;

			if (place >= image_bytes || bytes > image_bytes - place)
				return -EFAULT;
			memcpy(out, (char *)entry->image + place, bytes);
			return 0;
		}
		return pread(entry->fd, out, bytes, (off_t)place) == (ssize_t)bytes ? 0 : -EFAULT;
	}
	return -EFAULT;
}

uint32_t modules_count(const struct modules *modules)
{
	return (uint32_t)modules->count;
}

uint64_t modules_generation(const struct modules *modules)
{
	return modules->generation;
}

Dwfl *modules_dwfl(const struct modules *modules)
{
	return modules->dwfl;
}

int modules_root_fd(const struct modules *modules)
{
	return modules->root_fd;
}

pid_t modules_inner_pid(const struct modules *modules)
{
	return modules->inner_pid;
}

uid_t modules_uid(const struct modules *modules)
{
	return modules->uid;
}
