/* SPDX-License-Identifier: MIT */
/*
 * vmlinux.h - only the kernel types that the BPF programs touch.
 *
 * preserve_access_index lets libbpf find each member's real place on the kernel it loads on
 * (CO-RE), so the order, the size and the other members do not matter here. `struct pt_regs` is the
 * context of a uprobe, part of the user ABI, and stands as it is.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __s32 int32_t;
typedef unsigned long uint64_t;
typedef _Bool bool;
#define true 1
#define false 0

enum {
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_ANY = 0,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_F_USER_STACK = 256,
};

struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

struct pt_regs { /* x86-64 */
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to exit */
	int group_exit_code;
};

struct task_struct {
	int exit_code;
	struct signal_struct *signal;
};

#pragma clang attribute pop

#endif
