/* SPDX-License-Identifier: MIT */
/*
 * elf_notes.h - the USDT probes that an ELF file declares in its .note.stapsdt notes.
 *
 * Knows ELF files only, no processes. The file is hostile input: every number in it is checked.
 */
#ifndef MMVIZ_COLLECT_ELF_NOTES_H
#define MMVIZ_COLLECT_ELF_NOTES_H

#include <stdint.h>

struct elf_probe {
	char name[16];
	uint64_t site_offset;	   /* file offset of the nop */
	uint64_t semaphore_offset; /* file offset of the semaphore */
	/* The semaphore's address minus the site's: the same wherever the file is mapped. */
	uint64_t semaphore_distance;
};

/*
 * Probes of `provider` in the file, at most `max`, in the file's order; a probe without a semaphore
 * or whose addresses lie outside of the file's segments is left out. Returns how many, 0 also when
 * the file is no 64-bit ELF file, or a negative errno: -ENOMEM, or why it cannot be read.
 */
int elf_notes_read(int fd, const char *provider, struct elf_probe *out, int max);

#endif
