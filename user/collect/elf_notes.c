/* SPDX-License-Identifier: MIT */
/*
 * elf_notes.c - reads .note.stapsdt with libelf.
 *
 * A note's description (https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation):
 *
 *	| site 8 | base 8 | semaphore 8 | provider \0 | name \0 | arguments \0 |
 *
 * Addresses are those of link time. `base` is the link address of the section .stapsdt.base: when
 * the section is found elsewhere now (prelink moved the file), all three move with it. Sections are
 * read with pread, never mapped: a file that shrinks meanwhile is a short read, not a SIGBUS.
 */
#include "collect/elf_notes.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define NOTE_STAPSDT 3
#define NOTE_NAME    "stapsdt"

struct note {
	uint64_t site, base, semaphore;
	const char *provider, *name;
};

/* The string at *cursor, and *cursor behind it; NULL when it does not end before `end`. */
static const char *take_string(const char **cursor, const char *end)
{
	const char *text = *cursor;
	const char *nul = memchr(text, '\0', (size_t)(end - text));

	if (nul == NULL)
		return NULL;
	*cursor = nul + 1;
	return text;
}

static bool note_parse(const char *desc, size_t bytes, struct note *out)
{
	const char *cursor = desc + 3 * sizeof(uint64_t), *end = desc + bytes;

	if (bytes < 3 * sizeof(uint64_t))
		return false;
	memcpy(&out->site, desc, sizeof(uint64_t));
	memcpy(&out->base, desc + 8, sizeof(uint64_t));
	memcpy(&out->semaphore, desc + 16, sizeof(uint64_t));
	out->provider = take_string(&cursor, end);
	if (out->provider == NULL)
		return false;
	out->name = take_string(&cursor, end);
	return out->name != NULL;
}

/* Link address of .stapsdt.base; 0 without one. */
static uint64_t base_section_address(Elf *elf)
{
	Elf_Scn *section = NULL;
	size_t names;
	GElf_Shdr header;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return 0;
	while ((section = elf_nextscn(elf, section)) != NULL) {
		const char *name;

		if (gelf_getshdr(section, &header) == NULL)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name != NULL && strcmp(name, ".stapsdt.base") == 0)
			return header.sh_addr;
	}
	return 0;
}

/* File offset of link address `address`, if a segment of the file holds it. */
static bool address_to_offset(Elf *elf, uint64_t address, uint64_t *out)
{
	size_t count;
	GElf_Phdr segment;

	if (elf_getphdrnum(elf, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD)
			continue;
		if (address - segment.p_vaddr >= segment.p_filesz)
			continue;
		*out = address - segment.p_vaddr + segment.p_offset;
		return true;
	}
	return false;
}

static bool probe_make(Elf *elf, const struct note *note, uint64_t base, struct elf_probe *out)
{
	uint64_t moved = base != 0 ? base - note->base : 0;

	if (note->semaphore == 0 || strlen(note->name) >= sizeof(out->name))
		return false;
	if (!address_to_offset(elf, note->site + moved, &out->site_offset) ||
	    !address_to_offset(elf, note->semaphore + moved, &out->semaphore_offset))
		return false;
	strcpy(out->name, note->name);
	out->semaphore_distance = note->semaphore - note->site;
	return true;
}

/* Append the provider's probes among the notes of one section. Returns the new count. */
static int collect_notes(Elf *elf, Elf_Data *data, const char *provider, struct elf_probe *out,
			 int count, int max)
{
	uint64_t base = base_section_address(elf);
	size_t offset = 0, next, name_offset, desc_offset;
	GElf_Nhdr header;
	struct note note;

	while (count < max &&
	       (next = gelf_getnote(data, offset, &header, &name_offset, &desc_offset)) > 0) {
		const char *bytes = data->d_buf;

		offset = next;
		if (header.n_type != NOTE_STAPSDT || header.n_namesz != sizeof(NOTE_NAME) ||
		    memcmp(bytes + name_offset, NOTE_NAME, sizeof(NOTE_NAME)) != 0)
			continue;
		if (note_parse(bytes + desc_offset, header.n_descsz, &note) &&
		    strcmp(note.provider, provider) == 0 &&
		    probe_make(elf, &note, base, &out[count]))
			count++;
	}
	return count;
}

static int collect_sections(Elf *elf, const char *provider, struct elf_probe *out, int max)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	Elf_Data *data;
	int count = 0;

	while ((section = elf_nextscn(elf, section)) != NULL) {
		if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_NOTE)
			continue;
		data = elf_getdata(section, NULL);
		if (data != NULL && data->d_buf != NULL)
			count = collect_notes(elf, data, provider, out, count, max);
	}
	return count;
}

static bool is_elf64_little_endian(Elf *elf)
{
	GElf_Ehdr header;

	return elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) != NULL &&
	       header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB;
}

int elf_notes_read(int fd, const char *provider, struct elf_probe *out, int max)
{
	char magic[SELFMAG];
	ssize_t got;
	Elf *elf;
	int count = 0;

	got = pread(fd, magic, sizeof(magic), 0);
	if (got < 0)
		return -errno;
	if (got != sizeof(magic) || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return 0;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOTSUP;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf == NULL)
		return -ENOMEM;
	if (is_elf64_little_endian(elf))
		count = collect_sections(elf, provider, out, max);
	elf_end(elf);
	return count;
}
