/* SPDX-License-Identifier: MIT */
/*
 * uprobe_multi.c - BPF_LINK_CREATE by hand.
 */
#include "collect/uprobe_multi.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The part of union bpf_attr that BPF_LINK_CREATE reads for this attach type (uapi, Linux 6.6). */
struct link_create {
	uint32_t prog_fd;	  /*  0 */
	uint32_t target_fd;	  /*  4 */
	uint32_t attach_type;	  /*  8 */
	uint32_t flags;		  /* 12 */
	uint64_t path;		  /* 16 pointer */
	uint64_t offsets;	  /* 24 pointer to cnt of them */
	uint64_t ref_ctr_offsets; /* 32 pointer to cnt of them, or 0 */
	uint64_t cookies;	  /* 40 */
	uint32_t count;		  /* 48 */
	uint32_t multi_flags;	  /* 52 */
	uint32_t pid;		  /* 56 */
	uint32_t reserved;	  /* 60 */
};
_Static_assert(sizeof(struct link_create) == 64, "as the kernel has it");

static int link_create(const struct link_create *request)
{
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, request, sizeof(*request));

	return fd < 0 ? -errno : fd;
}

int uprobe_multi_link(int prog_fd, const char *path, uint64_t offset, uint64_t semaphore_offset,
		      pid_t pid)
{
	struct link_create request = {
		.prog_fd = (uint32_t)prog_fd,
		.attach_type = UPROBE_MULTI_ATTACH_TYPE,
		.path = (uint64_t)path,
		.offsets = (uint64_t)&offset,
		.ref_ctr_offsets = (uint64_t)&semaphore_offset,
		.count = 1,
		.pid = (uint32_t)pid,
	};

	return link_create(&request);
}

static int load_empty_program(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options,
		    .expected_attach_type = (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "mmviz_try", "GPL", code,
			     sizeof(code) / sizeof(code[0]), &options);
}

/*
 * "/" is no file that can be probed: a kernel that knows the link says EBADF, others EINVAL. The
 * filter by process was wrong before the change that also made pid -1 an error: EINVAL. (Both tests
 * are those of later versions of libbpf.)
 */
bool uprobe_multi_is_supported(void)
{
	int prog_fd = load_empty_program();
	bool is_known, is_filter_right;

	if (prog_fd < 0)
		return false;
	is_known = uprobe_multi_link(prog_fd, "/", 0, 0, 0) == -EBADF;
	is_filter_right = uprobe_multi_link(prog_fd, "/", 0, 0, -1) == -EINVAL;
	close(prog_fd);
	return is_known && is_filter_right;
}
