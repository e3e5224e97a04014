/* SPDX-License-Identifier: MIT */
/*
 * probes.c - the probe functions and their .note.stapsdt notes, in assembly.
 *
 * A note (systemtap's sys/sdt.h, version 3) holds the address of the nop, of .stapsdt.base and of
 * the semaphore, then provider, probe and argument descriptions, each NUL-terminated: "8@%rdi" is
 * an unsigned argument of 8 bytes in rdi. The semaphores lie at known offsets in the registry, so
 * that a reader finds the registry through any note.
 */
#include "probes.h"

#include <stddef.h>

#define TEXT_(x) #x
#define TEXT(x)	 TEXT_(x)

#if defined(__x86_64__)
#define ENTRY "endbr64\n"
#define A0    "8@%rdi"
#define A1    " 8@%rsi"
#define A2    " 8@%rdx"
#define A3_32 " 4@%ecx"
#define A4    " 8@%r8"
#elif defined(__aarch64__)
#define ENTRY "bti c\n"
#define A0    "8@x0"
#define A1    " 8@x1"
#define A2    " 8@x2"
#define A3_32 " 4@x3"
#define A4    " 8@x4"
#else
#error "mmviz knows the probe registers of x86-64 and aarch64 only"
#endif

#define PROBE(name, semaphore_offset, arguments)                                                   \
	__asm__(".pushsection .text.mmviz_probes,\"ax\",@progbits\n"                               \
		".globl mmviz_probe_" #name "\n"                                                   \
		".hidden mmviz_probe_" #name "\n"                                                  \
		".type mmviz_probe_" #name ",@function\n"                                          \
		".balign 16\n"                                                                     \
		"mmviz_probe_" #name ":\n"                                                         \
		".cfi_startproc\n" ENTRY "990:	nop\n"                                              \
		"	ret\n"                                                                           \
		".cfi_endproc\n"                                                                   \
		".size mmviz_probe_" #name ", . - mmviz_probe_" #name "\n"                         \
		".popsection\n"                                                                    \
		".pushsection .note.stapsdt,\"\",@note\n"                                          \
		"	.balign 4\n"                                                                     \
		"	.4byte 992f - 991f, 994f - 993f, 3\n"                                            \
		"991:	.asciz \"stapsdt\"\n"                                                        \
		"992:	.balign 4\n"                                                                 \
		"993:	.8byte 990b\n"                                                               \
		"	.8byte _.stapsdt.base\n"                                                         \
		"	.8byte registry_here + " TEXT(                                             \
			semaphore_offset) "\n"                                                     \
					  "	.asciz \"mmviz\"\n"                                    \
					  "	.asciz \"" #name "\"\n"                            \
					  "	.asciz \"" arguments "\"\n"                        \
					  "994:	.balign 4\n"                                       \
					  ".popsection\n")

/* Tools correct the notes' addresses by how far this section was moved after linking (prelink). */
__asm__(".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n"
	".weak _.stapsdt.base\n"
	".hidden _.stapsdt.base\n"
	"_.stapsdt.base: .space 1\n"
	".size _.stapsdt.base, 1\n"
	".popsection\n");

PROBE(alloc, 0, A0 A1 A2 A3_32 A4);
PROBE(sample, 2, A0 A1 A2 A3_32 A4);
PROBE(batch, 4, A0 A1);
PROBE(stack, 6, A0 A1 A2);
PROBE(free, 8, A0 A1 A2 A3_32 A4);
PROBE(sample_free, 10, A0 A1 A2 A3_32 A4);
PROBE(arena, 12, A0 A1 A2);
PROBE(mark, 14, A0);
PROBE(error, 88, A0 A1 A2);

/* The numbers above, once more, so that the compiler compares them with the ABI. */
_Static_assert(offsetof(struct mmviz_semaphores, alloc) == 0, "alloc");
_Static_assert(offsetof(struct mmviz_semaphores, sample) == 2, "sample");
_Static_assert(offsetof(struct mmviz_semaphores, batch) == 4, "batch");
_Static_assert(offsetof(struct mmviz_semaphores, stack) == 6, "stack");
_Static_assert(offsetof(struct mmviz_semaphores, free) == 8, "free");
_Static_assert(offsetof(struct mmviz_semaphores, sample_free) == 10, "sample_free");
_Static_assert(offsetof(struct mmviz_semaphores, arena) == 12, "arena");
_Static_assert(offsetof(struct mmviz_semaphores, mark) == 14, "mark");
_Static_assert(offsetof(struct mmviz_registry, error_semaphore) == 88, "error");
_Static_assert(offsetof(struct mmviz_registry, semaphores) == 0, "the registry begins with them");
