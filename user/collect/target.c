/* SPDX-License-Identifier: MIT */
/*
 * target.c - one process: found, identified, readable.
 *
 * Owns the files through which the target is seen. Each of them is bound to one process or to one
 * address space when it is opened, so that no later read can meet another process that has got the
 * same pid: pidfd and /proc/PID/status belong to the process, /proc/PID/mem and maps to the address
 * space, the ELF file to its inode. The probes' file is kept open and named /proc/self/fd/N:
 * whoever attaches to that path gets the file that was checked, also when it is deleted, in another
 * mount namespace, or when the target has exec'd meanwhile.
 *
 * Must not know what the probes are for. All bytes from the target are checked before use.
 */
#define _GNU_SOURCE
#include "collect/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mmviz/abi.h>

#include "collect/maps.h"
#include "collect/probe_file.h"
#include "collect/safe_text.h"

struct target {
	pid_t pid;
	int pidfd, mem_fd, maps_fd, status_fd, probes_fd;
	char comm[64];
	char probe_path[32];
	uint64_t registry_addr;
	struct target_probe probes[TARGET_PROBES_MAX];
	int probes_count;
	struct maps maps; /* as last read by target_describe_addr */
};

/* Where in the registry the semaphore of a probe lies. */
static const struct {
	const char *name;
	size_t offset;
} semaphores[] = {
	{"alloc", offsetof(struct mmviz_semaphores, alloc)},
	{"sample", offsetof(struct mmviz_semaphores, sample)},
	{"batch", offsetof(struct mmviz_semaphores, batch)},
	{"stack", offsetof(struct mmviz_semaphores, stack)},
	{"free", offsetof(struct mmviz_semaphores, free)},
	{"sample_free", offsetof(struct mmviz_semaphores, sample_free)},
	{"arena", offsetof(struct mmviz_semaphores, arena)},
	{"mark", offsetof(struct mmviz_semaphores, mark)},
	{"error", offsetof(struct mmviz_registry, error_semaphore)},
};

/* ------------------------------------------------------------------ errors */

__attribute__((format(printf, 3, 4))) static int refuse(pid_t pid, int error, const char *format,
							...)
{
	va_list arguments;

	fprintf(stderr, "mmviz-bpf: process %d: ", (int)pid);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return error;
}

static int refuse_errno(pid_t pid, int error, const char *what)
{
	if (error == -ENOENT || error == -ESRCH)
		return refuse(pid, -ESRCH, "it ended while it was being opened");
	if (error != -EPERM && error != -EACCES)
		return refuse(pid, error, "%s: %s", what, strerror(-error));
	if (geteuid() != 0)
		return refuse(pid, error,
			      "%s: not permitted; run mmviz-bpf as root: sudo mmviz-bpf ...", what);
	return refuse(
		pid, error,
		"%s: not permitted even for root; a container or a security module forbids it "
		"(CAP_SYS_PTRACE is needed)",
		what);
}

/* ------------------------------------------------------------------ /proc */

static int open_proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The text behind "name:" in /proc/PID/status; 0, -ENOENT, or -ESRCH. */
static int status_field(int status_fd, const char *name, char *out, size_t out_bytes)
{
	char text[8192], key[32];
	ssize_t got = pread(status_fd, text, sizeof(text) - 1, 0);
	const char *found;

	if (got <= 0)
		return -ESRCH;
	text[got] = '\0';
	snprintf(key, sizeof(key), "\n%s:", name);
	found = strstr(text, key);
	if (found == NULL)
		return -ENOENT;
	found += strlen(key) + strspn(found + strlen(key), "\t ");
	snprintf(out, out_bytes, "%.*s", (int)strcspn(found, "\n"), found);
	return 0;
}

static uint64_t status_number(const struct target *target, const char *name)
{
	char value[32];

	return status_field(target->status_fd, name, value, sizeof(value)) == 0
		       ? strtoull(value, NULL, 10)
		       : 0;
}

static void read_comm(pid_t pid, char *out, size_t out_bytes)
{
	char raw[64];
	int fd = open_proc(pid, "comm", O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, raw, sizeof(raw));

	if (fd >= 0)
		close(fd);
	if (got > 0 && raw[got - 1] == '\n')
		got--;
	safe_text(out, out_bytes, raw, got < 0 ? 0 : (size_t)got);
}

/* ------------------------------------------------------------------ probes and registry */

/* The executable mapping of the file that holds file offset `offset`. */
static const struct mapping *site_mapping(const struct maps *maps, const struct mapping *file,
					  uint64_t offset)
{
	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *row = &maps->rows[i];

		if (row->is_executable && mapping_is_same_file(row, file) &&
		    offset - row->offset < row->end - row->start)
			return row;
	}
	return NULL;
}

static uint64_t site_addr(const struct mapping *row, const struct elf_probe *probe)
{
	return row->start + (probe->site_offset - row->offset);
}

/* Where the registry lies, as this probe's semaphore tells; 0: it does not. */
static uint64_t registry_addr_by(const struct elf_probe *probe, uint64_t addr)
{
	for (size_t i = 0; i < sizeof(semaphores) / sizeof(semaphores[0]); i++)
		if (strcmp(semaphores[i].name, probe->name) == 0)
			return addr + probe->semaphore_distance - semaphores[i].offset;
	return 0;
}

/* Take over a probe and learn the registry's address from its semaphore. */
static int take_probe(struct target *target, const struct maps *maps,
		      const struct probe_file *found, const struct elf_probe *probe)
{
	const struct mapping *row = site_mapping(maps, found->mapping, probe->site_offset);
	struct target_probe *out = &target->probes[target->probes_count];
	uint64_t registry;

	if (row == NULL)
		return -EPROTO;
	strcpy(out->name, probe->name);
	out->file_offset = probe->site_offset;
	out->semaphore_offset = probe->semaphore_offset;
	out->addr = site_addr(row, probe);
	target->probes_count++;
	registry = registry_addr_by(probe, out->addr);
	if (registry == 0)
		return 0;
	if (target->registry_addr != 0 && target->registry_addr != registry)
		return -EPROTO;
	target->registry_addr = registry;
	return 0;
}

static int check_registry(const struct target *target)
{
	struct {
		uint64_t magic;
		uint32_t abi_version, registry_bytes;
	} head;
	int error =
		target_read(target, target->registry_addr + offsetof(struct mmviz_registry, magic),
			    &head, sizeof(head));

	if (error != 0)
		return refuse_errno(target->pid, error, "reading the registry of libmmviz");
	if (head.magic != MMVIZ_REGISTRY_MAGIC)
		return refuse(target->pid, -EPROTO,
			      "it has mmviz probes, but no registry where they point; it was built "
			      "with another version of libmmviz: rebuild it with this one");
	if (head.abi_version != MMVIZ_ABI_VERSION ||
	    head.registry_bytes != sizeof(struct mmviz_registry))
		return refuse(target->pid, -EPROTO,
			      "its libmmviz speaks ABI version %u, this mmviz-bpf %u: rebuild the "
			      "program with this libmmviz, or use the mmviz-bpf that came with it",
			      head.abi_version, MMVIZ_ABI_VERSION);
	return 0;
}

static int take_found(struct target *target, const struct maps *maps,
		      const struct probe_file *found)
{
	target->probes_fd = found->fd;
	snprintf(target->probe_path, sizeof(target->probe_path), "/proc/self/fd/%d", found->fd);
	for (int i = 0; i < found->count; i++)
		if (take_probe(target, maps, found, &found->probes[i]) != 0)
			return refuse(
				target->pid, -EPROTO,
				"the mmviz probes of %s do not fit together; it was built with "
				"another version of libmmviz: rebuild it with this one",
				found->mapping->path);
	if (target->registry_addr == 0)
		return refuse(target->pid, -EPROTO, "it has none of the probes that mmviz knows");
	return check_registry(target);
}

/* ------------------------------------------------------------------ copies of the library */

/* Arenas that were made through the copy of the library in this file. */
static uint32_t arenas_created_in(const struct target *target, const struct maps *maps,
				  const struct probe_file *found)
{
	const struct mapping *row =
		site_mapping(maps, found->mapping, found->probes[0].site_offset);
	struct mmviz_registry head;
	uint64_t registry_addr;

	if (row == NULL)
		return 0;
	registry_addr = registry_addr_by(&found->probes[0], site_addr(row, &found->probes[0]));
	if (registry_addr == 0 ||
	    target_read(target, registry_addr, &head, offsetof(struct mmviz_registry, marks_count)))
		return 0;
	return head.magic == MMVIZ_REGISTRY_MAGIC ? head.arenas_created : 0;
}

static void warn_of_copy(const struct target *target, const struct probe_file *copy,
			 uint32_t arenas)
{
	char path[4096];

	safe_text(path, sizeof(path), copy->mapping->path, strlen(copy->mapping->path));
	fprintf(stderr,
		"mmviz-bpf: process %d: warning: it has a further copy of libmmviz, in %s, which "
		"made %" PRIu32 " arena%s: they are not shown. Link all of its parts with the same "
		"libmmviz.so\n",
		(int)target->pid, path, arenas, arenas == 1 ? "" : "s");
}

/*
 * A program may hold the library several times: linked into it, shared, in a plugin. One copy can
 * be followed: the first that has arenas, else the first.
 */
static int choose_copy(const struct target *target, const struct maps *maps,
		       struct probe_file_cache *cache, struct probe_file *chosen)
{
	uint32_t arenas = arenas_created_in(target, maps, chosen), more;
	struct probe_file other;
	int error = probe_file_pass_over(cache, chosen);

	while (error == 0 && probe_file_find(target->pid, maps, cache, &other) == 0) {
		error = probe_file_pass_over(cache, &other);
		more = arenas_created_in(target, maps, &other);
		if (more != 0 && arenas != 0)
			warn_of_copy(target, &other, more);
		if (more != 0 && arenas == 0) {
			close(chosen->fd);
			*chosen = other;
			arenas = more;
		} else {
			close(other.fd);
		}
	}
	if (error != 0)
		close(chosen->fd);
	return error;
}

static int find_probes(struct target *target)
{
	struct probe_file_cache cache = {0};
	struct maps maps;
	struct probe_file found;
	int error = maps_read(target->maps_fd, &maps);

	if (error != 0)
		return refuse_errno(target->pid, error, "reading /proc/PID/maps");
	error = probe_file_find(target->pid, &maps, &cache, &found);
	if (error == 0)
		error = choose_copy(target, &maps, &cache, &found);
	if (error == 0)
		error = take_found(target, &maps, &found);
	else if (error == -ENODATA)
		refuse(target->pid, error,
		       "'%s' has no mmviz probes; link it with libmmviz. `mmviz-bpf list` shows "
		       "the "
		       "processes that have them",
		       target->comm);
	else
		refuse_errno(target->pid, error, "looking for its probes");
	free(cache.rows);
	maps_free(&maps);
	return error;
}

/* ------------------------------------------------------------------ open, close */

static int open_pidfd(struct target *target)
{
	char path[64], leader[32] = "";
	int fd;

	target->pidfd = (int)syscall(SYS_pidfd_open, target->pid, 0);
	if (target->pidfd >= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)target->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		status_field(fd, "Tgid", leader, sizeof(leader));
		close(fd);
	}
	if (leader[0] != '\0' && atoi(leader) != target->pid)
		return refuse(target->pid, -ESRCH, "this is a thread; its process is %s: -p %s",
			      leader, leader);
	return refuse(target->pid, -ESRCH,
		      "there is no such process; `mmviz-bpf list` shows what can be looked at");
}

/* A process without memory of its own has ended and waits for its parent, or is a kernel thread. */
static int refuse_without_memory(const struct target *target)
{
	char state[32] = "";

	status_field(target->status_fd, "State", state, sizeof(state));
	if (state[0] == 'Z' && status_number(target, "Threads") > 1)
		return refuse(target->pid, -ESRCH,
			      "its main thread has ended while others run on; the kernel cannot "
			      "attach to such a process");
	if (state[0] == 'Z' || state[0] == 'X' || state[0] == '\0')
		return refuse(target->pid, -ESRCH, "it has ended");
	return refuse(target->pid, -ENODATA, "'%s' is a kernel thread: it has no heap",
		      target->comm);
}

static int open_files(struct target *target)
{
	struct {
		const char *name;
		int flags, *fd;
	} files[] = {
		{"status", O_RDONLY, &target->status_fd},
		{"mem", O_RDWR, &target->mem_fd},
		{"maps", O_RDONLY, &target->maps_fd},
	};
	char byte;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char what[64];
		int fd = open_proc(target->pid, files[i].name, files[i].flags);

		if (fd == -ESRCH && target->status_fd >= 0)
			return refuse_without_memory(target);
		snprintf(what, sizeof(what), "opening /proc/%d/%s", (int)target->pid,
			 files[i].name);
		if (fd < 0)
			return refuse_errno(target->pid, fd, what);
		*files[i].fd = fd;
	}
	if (pread(target->mem_fd, &byte, 1, 0) == 0)
		return refuse_without_memory(target);
	return 0;
}

int target_open(pid_t pid, struct target **out)
{
	struct target *target = calloc(1, sizeof(*target));
	int error;

	if (target == NULL)
		return refuse(pid, -ENOMEM, "out of memory");
	target->pid = pid;
	target->pidfd = target->mem_fd = target->maps_fd = -1;
	target->status_fd = target->probes_fd = -1;
	error = open_pidfd(target);
	if (error == 0) {
		read_comm(pid, target->comm, sizeof(target->comm));
		error = open_files(target);
	}
	if (error == 0)
		error = find_probes(target);
	if (error != 0) {
		target_close(target);
		return error;
	}
	*out = target;
	return 0;
}

void target_close(struct target *target)
{
	if (target == NULL)
		return;
	int fds[] = {target->pidfd, target->mem_fd, target->maps_fd, target->status_fd,
		     target->probes_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	maps_free(&target->maps);
	free(target);
}

/* ------------------------------------------------------------------ questions */

pid_t target_pid(const struct target *target)
{
	return target->pid;
}

const char *target_comm(const struct target *target)
{
	return target->comm;
}

const char *target_probe_path(const struct target *target)
{
	return target->probe_path;
}

uint64_t target_registry_addr(const struct target *target)
{
	return target->registry_addr;
}

int target_pidfd(const struct target *target)
{
	return target->pidfd;
}

int target_probe_find(const struct target *target, const char *name, struct target_probe *out)
{
	for (int i = 0; i < target->probes_count; i++)
		if (strcmp(target->probes[i].name, name) == 0) {
			*out = target->probes[i];
			return 0;
		}
	return -ENOENT;
}

bool target_is_gone(const struct target *target)
{
	struct pollfd exit = {.fd = target->pidfd, .events = POLLIN};
	char byte;

	return poll(&exit, 1, 0) > 0 ||
	       target_read(target, target->registry_addr, &byte, 1) == -ESRCH;
}

unsigned target_thread_count(const struct target *target)
{
	return target_is_gone(target) ? 0 : (unsigned)status_number(target, "Threads");
}

uint64_t target_resident_bytes(const struct target *target)
{
	return target_is_gone(target) ? 0 : status_number(target, "VmRSS") * 1024;
}

/* ------------------------------------------------------------------ memory */

int target_read(const struct target *target, uint64_t addr, void *out, size_t bytes)
{
	char *to = out;

	if (addr > INT64_MAX || bytes > INT64_MAX - addr)
		return -EFAULT;
	while (bytes > 0) {
		ssize_t got = pread(target->mem_fd, to, bytes, (off_t)addr);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? -ESRCH : -EFAULT;
		to += got;
		addr += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return 0;
}

int target_write_control(const struct target *target, size_t registry_offset, const void *value,
			 size_t bytes)
{
	const size_t begin = offsetof(struct mmviz_registry, control_log_events);
	const size_t end = offsetof(struct mmviz_registry, stacks_count);
	ssize_t put;

	if (registry_offset < begin || bytes > end - begin || registry_offset > end - bytes)
		return -EINVAL;
	put = pwrite(target->mem_fd, value, bytes,
		     (off_t)(target->registry_addr + registry_offset));
	if (put < 0)
		return errno == EIO ? -EFAULT : -errno;
	return (size_t)put == bytes ? 0 : -ESRCH;
}

void target_describe_addr(struct target *target, uint64_t addr, char *out, size_t out_bytes)
{
	const struct mapping *mapping = maps_find(&target->maps, addr);
	const char *name, *deleted;
	struct maps maps;
	char safe[256];

	if (mapping == NULL && maps_read(target->maps_fd, &maps) == 0) {
		maps_free(&target->maps);
		target->maps = maps;
		mapping = maps_find(&target->maps, addr);
	}
	if (mapping == NULL || mapping->inode == 0) {
		snprintf(out, out_bytes, "0x%lx", addr);
		return;
	}
	name = strrchr(mapping->path, '/');
	name = name != NULL ? name + 1 : mapping->path;
	deleted = strstr(name, " (deleted)");
	safe_text(safe, sizeof(safe), name,
		  deleted != NULL ? (size_t)(deleted - name) : strlen(name));
	snprintf(out, out_bytes, "%s+0x%lx", safe, addr - maps_file_base(&target->maps, mapping));
}

/* ------------------------------------------------------------------ every process */

struct each {
	int (*visit)(pid_t pid, const char *comm, const char *path, void *context);
	void *context;
	struct probe_file_cache cache;
};

/* Processes that end meanwhile, or that we may not look at, are no error here. */
static int each_process(struct each *each, pid_t pid)
{
	struct maps maps;
	struct probe_file found;
	char comm[64], path[4096];
	int result, fd = open_proc(pid, "maps", O_RDONLY);

	if (fd < 0)
		return 0;
	result = maps_read(fd, &maps);
	close(fd);
	if (result != 0)
		return 0;
	result = probe_file_find(pid, &maps, &each->cache, &found);
	if (result == 0) {
		close(found.fd);
		read_comm(pid, comm, sizeof(comm));
		safe_text(path, sizeof(path), found.mapping->path, strlen(found.mapping->path));
		result = each->visit(pid, comm, path, each->context);
	} else if (result == -ENODATA) {
		result = 0;
	}
	maps_free(&maps);
	return result;
}

int target_each(int (*visit)(pid_t pid, const char *comm, const char *path, void *context),
		void *context)
{
	struct each each = {.visit = visit, .context = context};
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int result = 0;

	if (proc == NULL) {
		result = -errno;
		fprintf(stderr,
			"mmviz-bpf: /proc cannot be read: %s; mount it: mount -t proc proc /proc\n",
			strerror(-result));
		return result;
	}
	while (result == 0 && (entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			result = each_process(&each, (pid_t)atoi(entry->d_name));
	closedir(proc);
	free(each.cache.rows);
	return result;
}
