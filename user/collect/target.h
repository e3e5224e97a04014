/* SPDX-License-Identifier: MIT */
/*
 * target.h - one process that is looked at: its identity, its memory, its end.
 *
 * Owns a pidfd and an open /proc/PID/mem (bound to this address space: after exec or exit it reads
 * 0 bytes, it never reads another process). Knows nothing of probes, logs and replicas. One thread.
 */
#ifndef MMVIZ_COLLECT_TARGET_H
#define MMVIZ_COLLECT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct target;

/* Where the library's probes and registry were found in the target. */
struct target_probe {
	char name[16];		   /* "alloc", "batch", ... */
	uint64_t file_offset;	   /* of the nop, in path */
	uint64_t semaphore_offset; /* file offset of the semaphore (ref_ctr_offset) */
	uint64_t addr;		   /* of the nop, in the target */
};
#define TARGET_PROBES_MAX 16

/*
 * Open process `pid`, find the mapped ELF file (executable or shared object, also deleted or in
 * another mount namespace) that holds the provider `mmviz`, and its registry; check magic and ABI
 * version. Reports its own errors on stderr (what, why, remedy) and returns a negative errno:
 * -ESRCH no such process, -ENODATA no mmviz probes, -EPROTO wrong ABI version, -EPERM/-EACCES not
 * permitted.
 */
int target_open(pid_t pid, struct target **out);
void target_close(struct target *target);

pid_t target_pid(const struct target *target);
const char *target_comm(const struct target *target); /* as of target_open */
const char *
target_probe_path(const struct target *target); /* openable path of the ELF file with the probes */
uint64_t target_registry_addr(const struct target *target);
int target_probe_find(const struct target *target, const char *name,
		      struct target_probe *out); /* -ENOENT */
int target_pidfd(const struct target *target);	 /* polls readable when the process has ended */
bool target_is_gone(
	const struct target *target); /* exited or exec'd: its memory is not readable any more */
unsigned target_thread_count(const struct target *target);   /* 0 when gone */
uint64_t target_resident_bytes(const struct target *target); /* VmRSS; 0 when gone */

/* Read exactly `bytes` at `addr`. 0, -EFAULT (unmapped, or only part of it is mapped), -ESRCH
 * (target is gone). */
int target_read(const struct target *target, uint64_t addr, void *out, size_t bytes);
/* Write a control word of the registry, the only place of the target that mmviz ever writes. */
int target_write_control(const struct target *target, size_t registry_offset, const void *value,
			 size_t bytes);

/* Where an address lies: "server_sim+0x1234" (module and offset from its base) or "0x55d0c0de1234".
 * Always fills `out`. */
void target_describe_addr(struct target *target, uint64_t addr, char *out, size_t out_bytes);

/* For `list`: call `visit` for every process with mmviz probes that we may look at. */
int target_each(int (*visit)(pid_t pid, const char *comm, const char *path, void *context),
		void *context);

#endif
