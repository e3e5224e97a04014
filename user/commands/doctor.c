/* SPDX-License-Identifier: MIT */
/*
 * doctor.c - `mmviz-bpf doctor`: what this machine lacks, and the command that mends it.
 *
 * Each check tries the thing itself where that is possible, and only reads settings where it is
 * not. A check is a function that fills one finding; the table at the end names them all.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include "collect/uprobe_multi.h"
#include "commands/commands.h"
#include "commands/options.h"

#define RING_BYTES (64u << 20)

static const struct options_spec spec = {
	.accepts = OPTION_JSON | OPTION_VERBOSITY,
	.summary = "Check whether this machine lets mmviz-bpf attach, and say what mends what does "
		   "not. Exits 0 when attaching is possible, 1 when it is not.",
	.examples =
		"  sudo mmviz-bpf doctor\n"
		"  sudo mmviz-bpf doctor --json | jq '.checks[] | select(.verdict != \"fine\")'\n",
};

enum verdict { FINE, NOTE, BAD };
static const char *const verdict_names[] = {"fine", "note", "bad"};

struct finding {
	enum verdict verdict;
	char what[256];
	char remedy[256]; /* "" when nothing is to be done */
};

__attribute__((format(printf, 3, 4))) static void say(struct finding *out, enum verdict verdict,
						      const char *format, ...)
{
	va_list arguments;

	out->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(out->what, sizeof(out->what), format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void mend(struct finding *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out->remedy, sizeof(out->remedy), format, arguments);
	va_end(arguments);
}

/* The first line of a small file; false when it cannot be read. */
static bool read_line(const char *path, char *out, size_t out_bytes)
{
	FILE *file = fopen(path, "re");
	bool has = file != NULL && fgets(out, (int)out_bytes, file) != NULL;

	if (file != NULL)
		fclose(file);
	if (has)
		out[strcspn(out, "\n")] = '\0';
	return has;
}

static bool kernel_is_at_least(int major, int minor)
{
	struct utsname name;
	int has_major = 0, has_minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &has_major, &has_minor);
	return has_major > major || (has_major == major && has_minor >= minor);
}

/* ------------------------------------------------------------------ the checks */

static bool has_capability(cap_value_t capability)
{
	cap_t all = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (all != NULL)
		cap_get_flag(all, capability, CAP_EFFECTIVE, &value);
	cap_free(all);
	return value == CAP_SET;
}

static void check_privileges(struct finding *out)
{
	bool is_admin = has_capability(CAP_SYS_ADMIN);
	bool has_bpf = is_admin || has_capability(CAP_BPF);
	bool has_perfmon = is_admin || has_capability(CAP_PERFMON);
	bool has_ptrace = has_capability(CAP_SYS_PTRACE);

	if (!has_bpf || !has_perfmon) {
		say(out, BAD, "CAP_BPF%s and CAP_PERFMON%s are needed", has_bpf ? " (there)" : "",
		    has_perfmon ? " (there)" : "");
		mend(out, "sudo mmviz-bpf doctor");
	} else if (!has_ptrace) {
		say(out, NOTE, "without CAP_SYS_PTRACE only your own processes can be attached");
		mend(out, "sudo mmviz-bpf ...");
	} else {
		say(out, FINE, "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE are there");
	}
}

static void check_btf(struct finding *out)
{
	const char *path = "/sys/kernel/btf/vmlinux";

	if (access(path, R_OK) == 0) {
		say(out, FINE, "%s is readable", path);
		return;
	}
	say(out, BAD, "%s: %s", path, strerror(errno));
	mend(out, access("/sys/kernel", F_OK) != 0
			  ? "mount -t sysfs sysfs /sys"
			  : "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (all distribution "
			    "kernels since 2021)");
}

static void check_program(struct finding *out)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "mmviz_try", "GPL", code,
			       sizeof(code) / sizeof(code[0]), NULL);

	if (fd >= 0) {
		close(fd);
		say(out, FINE, "the kernel takes BPF programs on probes");
		return;
	}
	say(out, BAD, "loading a BPF program: %s", strerror(-fd));
	if (fd == -EPERM)
		mend(out, geteuid() != 0 ? "sudo mmviz-bpf doctor"
					 : "docker run --cap-add BPF --cap-add PERFMON --cap-add "
					   "SYS_PTRACE --security-opt seccomp=unconfined ...");
	else
		mend(out, "boot a kernel built with CONFIG_BPF_SYSCALL=y and CONFIG_UPROBES=y");
}

static void check_uprobe_multi(struct finding *out)
{
	if (uprobe_multi_is_supported()) {
		say(out, FINE, "uprobe_multi links, filtered by process");
		return;
	}
	if (has_capability(CAP_SYS_ADMIN)) {
		say(out, NOTE,
		    "no uprobe_multi links: the perf path is used, detaching takes about "
		    "0.1 s a probe");
		mend(out, "boot Linux 6.10 or newer");
		return;
	}
	say(out, BAD, "no uprobe_multi links, and the perf path needs CAP_SYS_ADMIN");
	mend(out, "sudo mmviz-bpf ...");
}

static void check_perf(struct finding *out)
{
	char text[32];

	if (!read_line("/proc/sys/kernel/perf_event_paranoid", text, sizeof(text))) {
		say(out, NOTE,
		    "no perf events: the fallback for kernels without uprobe_multi is "
		    "missing");
		return;
	}
	if (atoi(text) < 3 || has_capability(CAP_SYS_ADMIN) || uprobe_multi_is_supported()) {
		say(out, FINE, "perf_event_paranoid is %s: no hindrance", text);
		return;
	}
	say(out, BAD, "perf_event_paranoid is %s", text);
	mend(out, "sudo sysctl kernel.perf_event_paranoid=2");
}

static void check_ring(struct finding *out)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "mmviz_try", 0, 0, RING_BYTES, NULL);

	if (fd >= 0) {
		close(fd);
		say(out, FINE, "a ring buffer of %u MiB", RING_BYTES >> 20);
		return;
	}
	say(out, BAD, "a ring buffer of %u MiB: %s", RING_BYTES >> 20, strerror(-fd));
	if (fd == -EPERM && geteuid() != 0)
		mend(out, "sudo mmviz-bpf doctor");
	else if (fd == -EPERM || fd == -ENOMEM)
		mend(out, "ulimit -l unlimited");
	else
		mend(out, "boot Linux 5.8 or newer");
}

static bool btf_has_tracepoint(const struct btf *btf, const char *name)
{
	return btf != NULL && btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) > 0;
}

static void check_end(struct finding *out)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has_exit = btf_has_tracepoint(btf, "btf_trace_sched_process_exit");
	bool has_exec = btf_has_tracepoint(btf, "btf_trace_sched_prepare_exec");

	btf__free(btf);
	if (!has_exit) {
		say(out, BAD, "no tracepoint sched_process_exit");
		mend(out, "boot a kernel built with CONFIG_TRACEPOINTS=y and BTF");
	} else if (!has_exec || !kernel_is_at_least(6, 16)) {
		say(out, NOTE,
		    "before Linux %s the events of the last moments of a target that %s "
		    "are lost",
		    has_exec ? "6.16" : "6.10", has_exec ? "is killed" : "execs");
		mend(out, "boot Linux 6.16 or newer");
	} else {
		say(out, FINE, "the last events of a target that ends can be read");
	}
}

/* Yama 3 forbids everybody to open another process's memory until the next boot. */
static void check_memory(struct finding *out)
{
	char text[32];

	if (read_line("/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) && text[0] == '3') {
		say(out, BAD, "Yama's ptrace_scope is 3: no process may read another one's memory");
		mend(out, "remove kernel.yama.ptrace_scope=3 from /etc/sysctl.d and reboot");
	} else if (access("/proc/self/mem", R_OK) != 0) {
		say(out, BAD, "/proc/self/mem: %s", strerror(errno));
		mend(out, "mount -t proc proc /proc");
	} else {
		say(out, FINE, "the memory of other processes can be read");
	}
}

static void check_lockdown(struct finding *out)
{
	char text[64];

	if (!read_line("/sys/kernel/security/lockdown", text, sizeof(text)) ||
	    strstr(text, "[confidentiality]") == NULL) {
		say(out, FINE, "the kernel is not locked down against tracing");
		return;
	}
	say(out, BAD, "kernel lockdown is 'confidentiality': tracing is forbidden");
	mend(out, "boot with lockdown=integrity, or without Secure Boot");
}

/* ------------------------------------------------------------------ kernel configuration */

static gzFile open_kernel_config(void)
{
	struct utsname name;
	char path[sizeof(name.release) + 16];
	gzFile file = gzopen("/proc/config.gz", "re");

	if (file != NULL)
		return file;
	uname(&name);
	snprintf(path, sizeof(path), "/boot/config-%s", name.release);
	return gzopen(path, "re"); /* also reads plain text */
}

static void check_config(struct finding *out)
{
	static const char *const wanted[] = {"CONFIG_BPF_SYSCALL=y\n", "CONFIG_BPF_EVENTS=y\n",
					     "CONFIG_UPROBES=y\n", "CONFIG_DEBUG_INFO_BTF=y\n"};
	enum { WANTED = sizeof(wanted) / sizeof(wanted[0]) };
	bool has[WANTED] = {false};
	char line[512];
	gzFile file = open_kernel_config();

	if (file == NULL) {
		say(out, NOTE,
		    "the kernel's configuration cannot be read; the other checks have "
		    "tried what it would say");
		return;
	}
	while (gzgets(file, line, sizeof(line)) != NULL)
		for (int i = 0; i < WANTED; i++)
			has[i] |= strcmp(line, wanted[i]) == 0;
	gzclose(file);
	say(out, FINE, "BPF_SYSCALL, BPF_EVENTS, UPROBES and DEBUG_INFO_BTF are built in");
	for (int i = 0; i < WANTED; i++)
		if (!has[i]) {
			say(out, BAD, "%.*s is missing", (int)strcspn(wanted[i], "\n"), wanted[i]);
			mend(out, "boot a kernel that has it");
		}
}

/* ------------------------------------------------------------------ the report */

static const struct {
	const char *name;
	void (*check)(struct finding *out);
} checks[] = {
	{"privileges", check_privileges},
	{"memory", check_memory},
	{"btf", check_btf},
	{"bpf", check_program},
	{"uprobes", check_uprobe_multi},
	{"perf", check_perf},
	{"ring", check_ring},
	{"end", check_end},
	{"lockdown", check_lockdown},
	{"config", check_config},
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static void print_table(const struct finding *findings)
{
	for (size_t i = 0; i < CHECKS; i++) {
		printf("%-5s %-10s %s\n", verdict_names[findings[i].verdict], checks[i].name,
		       findings[i].what);
		if (findings[i].remedy[0] != '\0')
			printf("%-16s -> %s\n", "", findings[i].remedy);
	}
}

static void print_json(const struct finding *findings, bool is_attachable)
{
	json_t *rows = json_array(), *all;

	for (size_t i = 0; i < CHECKS; i++)
		json_array_append_new(
			rows, json_pack("{s:s, s:s, s:s, s:s}", "name", checks[i].name, "verdict",
					verdict_names[findings[i].verdict], "what",
					findings[i].what, "remedy", findings[i].remedy));
	all = json_pack("{s:i, s:b, s:o}", "version", 1, "attachable", is_attachable, "checks",
			rows);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

static int keep_quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

int command_doctor(int argc, char **argv)
{
	struct finding findings[CHECKS] = {0};
	struct options options;
	bool is_attachable = true;

	options_parse(&spec, argc, argv, &options);
	libbpf_set_print(keep_quiet);
	for (size_t i = 0; i < CHECKS; i++) {
		checks[i].check(&findings[i]);
		is_attachable &= findings[i].verdict != BAD;
	}
	if (options.json)
		print_json(findings, is_attachable);
	else
		print_table(findings);
	if (is_attachable)
		return 0;
	fprintf(stderr, "mmviz-bpf: attaching is not possible on this machine as it is\n");
	return -ENOTSUP;
}
