# mmviz: everything is built under build/, nothing elsewhere (but web/node_modules). `make help` lists the targets.

CC        ?= gcc
CXX       ?= g++
CLANG     ?= clang
BPFTOOL   ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
NPM       ?= npm
OBJCOPY   ?= objcopy
PROTOC    ?= protoc-c
PKGCONFIG ?= pkg-config
PREFIX    ?= /usr/local
DESTDIR   ?=
B         := build

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)';)

OPT      ?= -O2 -g
WERROR   ?= $(if $(CI),-Werror)
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(WERROR)
CFLAGS_C := -std=gnu11 $(OPT) $(WARN) -fno-omit-frame-pointer -MMD -MP -Ilib/include
LIB_CFLAGS  := $(CFLAGS_C) -momit-leaf-frame-pointer -Wconversion -Ilib -fPIC -fvisibility=hidden -ftls-model=initial-exec
# Last of all flags: the library may touch what it poisons for the program (lib/poison.h).
LIB_OPEN    := -fno-sanitize=address
USER_CFLAGS = $(CFLAGS_C) -Iuser -Ibpf -I$(B)/gen
BPF_CFLAGS  := -target bpf -O2 -g -Wall -Wextra -Wno-unused-parameter $(WERROR) -Ivmlinux -Ilib/include -I/usr/include/$(shell $(CC) -print-multiarch) -D__TARGET_ARCH_x86

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps demo test check bench fuzz install uninstall format clean help

LIB_SRC := lib/os.c lib/extent_tree.c lib/registry.c lib/probes.c lib/arena.c lib/change.c lib/large.c lib/purge.c lib/keeper.c lib/span.c lib/heap.c lib/log.c \
           lib/sample.c lib/walk.c lib/check.c lib/error.c lib/poison.c lib/inspect.c lib/frames.c lib/stack.c lib/tell.c lib/alloc.c lib/free.c lib/realloc.c lib/mmviz.c

USER_COLLECT_SRC := user/collect/target.c user/collect/elf_notes.c user/collect/mapped_file.c user/collect/probe_file.c user/collect/maps.c user/collect/safe_text.c user/collect/attach.c user/collect/uprobe_multi.c user/collect/link_keeper.c user/collect/registry_reader.c user/collect/log_reader.c user/collect/walk.c user/collect/stop.c \
                    user/collect/modules.c user/collect/debug_file.c user/collect/unit_index.c user/collect/demangle.c user/collect/perf_map.c user/collect/symbols.c user/collect/unwind.c user/collect/unwind_memo.c \
                    user/collect/stack_table.c user/collect/stacks.c
USER_MODEL_SRC   := user/model/cell_pool.c user/model/totals.c user/model/block_table.c user/model/block_table_check.c user/model/walked.c \
                    user/model/lifetimes.c user/model/seq_times.c user/model/pending.c user/model/event_queue.c user/model/apply.c \
                    user/model/replica.c user/model/compare.c user/model/timeline.c user/model/heap_map.c user/model/view.c \
                    user/model/events.c
USER_EXPORT_SRC  := user/export/json.c user/export/events.c user/export/lifetimes.c user/export/blocks.c user/export/metrics.c user/export/stacks.c user/export/exact_stacks.c user/export/folded.c user/export/pprof.c
USER_SERVE_SRC   := user/serve/server.c user/serve/publisher.c user/serve/wire.c user/serve/access.c user/serve/channel.c user/serve/sandbox.c \
                    user/serve/web/web.c user/serve/web/http.c user/serve/web/socket.c user/serve/web/request.c user/serve/web/assets.c
USER_COMMAND_SRC := user/commands/options.c user/commands/live.c user/commands/run.c user/commands/launch.c user/commands/carrier.c user/commands/snapshot.c user/commands/report.c user/commands/verify.c user/commands/list.c user/commands/doctor.c
USER_SESSION_SRC := user/exact_stacks.c user/session.c user/session_events.c user/follow.c user/baseline.c user/pace.c user/fallback.c user/verify.c user/picture.c user/session_stacks.c
USER_SRC := user/main.c $(USER_SESSION_SRC) $(USER_COLLECT_SRC) $(USER_MODEL_SRC) $(USER_EXPORT_SRC) $(USER_SERVE_SRC) $(USER_COMMAND_SRC)

# A build of its own with wide races and rules that can be left out: make B=build/chaos CHAOS=1 (lib/chaos.h).
ifdef CHAOS
LIB_SRC += lib/chaos.c
CFLAGS  += -DMMVIZ_CHAOS
endif

PRELOAD_SRC := lib/preload.c lib/preload_arenas.c lib/preload_fork.c lib/preload_cxx.c lib/preload_dlopen.c lib/preload_run.c
PRELOAD_OBJ := $(PRELOAD_SRC:%.c=$(B)/%.o)
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o)
USER_OBJ := $(USER_SRC:%.c=$(B)/%.o)

all: $(B)/libmmviz.a $(B)/libmmviz.so $(B)/libmmviz-preload.so $(B)/mmviz-bpf $(B)/server_sim ## build the libraries, the collector and the simulator (default)

# ---------------------------------------------------------------- library
$(LIB_OBJ) $(PRELOAD_OBJ): $(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(LIB_CFLAGS) $(CFLAGS) $(LIB_OPEN) -c -o $@ $<
	$(Q)$(OBJCOPY) $(LIB_SECTIONS) $@
# Code of the library, in a section of its own also in programs: its frames are left out of their stacks.
LIB_SECTIONS := $(foreach part,.text .text.unlikely .text.hot .text.startup .text.exit,--rename-section $(part)=mmviz_text)

$(B)/libmmviz.a: $(LIB_OBJ)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^
$(B)/libmmviz.so: $(LIB_OBJ) lib/mmviz.map
	$(call say,LD,$@)$(CC) -shared -Wl,-soname,libmmviz.so.1 -Wl,-z,defs,-z,nodelete $(LDFLAGS) -Wl,--version-script=lib/mmviz.map -o $@ $(LIB_OBJ) -pthread
# malloc for programs that know nothing of mmviz. No builtins: its functions are what they would become. Its names
# are bound to itself (-Bsymbolic), but for the C++ operators that a program may replace (preload.dynamic).
$(PRELOAD_OBJ): LIB_CFLAGS += -fno-builtin -fsemantic-interposition
PRELOAD_LINK := -Wl,-z,defs,-z,now,-z,initfirst,-z,nodelete,-Bsymbolic
$(B)/libmmviz-preload.so: $(LIB_OBJ) $(PRELOAD_OBJ) lib/preload.map lib/preload.dynamic
	$(call say,LD,$@)$(CC) -shared $(PRELOAD_LINK) -Wl,--version-script=lib/preload.map,--dynamic-list=lib/preload.dynamic \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(PRELOAD_OBJ) -pthread -ldl

# ---------------------------------------------------------------- BPF
$(B)/gen/mmviz.bpf.o: bpf/mmviz.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/mmviz.skel.h: $(B)/gen/mmviz.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name mmviz_bpf > $@

# ---------------------------------------------------------------- collector
USER_LIBS = -lbpf -ldw -lelf -liberty -lz -lwebsockets -ljansson -lprotobuf-c -lseccomp -lcap -lm
$(USER_OBJ): $(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) $(CFLAGS) -c -o $@ $<
$(B)/user/collect/attach.o: $(B)/gen/mmviz.skel.h
$(B)/user/commands/launch.o: USER_CFLAGS += -DMMVIZ_LIBDIR='"$(LIBDIR)"'
# pprof's format; its code is made, not ours: no warnings are asked for.
$(B)/gen/pprof.pb-c.c: user/export/pprof.proto
	@mkdir -p $(@D)
	$(call say,PROTO,$<)$(PROTOC) --proto_path=$(<D) --c_out=$(@D) $<
$(B)/gen/pprof.pb-c.o: $(B)/gen/pprof.pb-c.c
	$(call say,CC,$<)$(CC) -O2 -g -I$(@D) -c -o $@ $<
$(B)/user/export/pprof.o: $(B)/gen/pprof.pb-c.c
# The dashboard's files, in the binary.
$(B)/gen/assets_table.S: user/serve/web/embed.sh $(B)/web/dist/index.html
	@mkdir -p $(@D)
	$(call say,EMBED,$@)sh $< $(B)/web/dist $@
$(B)/gen/assets_table.o: $(B)/gen/assets_table.S
	$(call say,AS,$<)$(CC) -c -o $@ $<
$(B)/mmviz-bpf: $(USER_OBJ) $(B)/gen/assets_table.o $(B)/gen/pprof.pb-c.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(USER_LIBS)

# ---------------------------------------------------------------- simulators and benchmarks
BENCH_CFLAGS = $(CFLAGS_C) -D_GNU_SOURCE -Ibench -Ilib
SIM_OBJ   := $(B)/bench/server_sim.o $(B)/bench/sim/pace.o $(B)/bench/sim/totals.o $(B)/bench/sim/traffic.o
ALLOC_SRC := bench/alloc/bench_alloc.c bench/alloc/lanes.c bench/alloc/memory.c bench/alloc/workloads.c
MMVIZ_ALLOC_OBJ  := $(ALLOC_SRC:%.c=$(B)/mmviz/%.o)
MALLOC_ALLOC_OBJ := $(ALLOC_SRC:%.c=$(B)/malloc/%.o)
PLT_ALLOC_OBJ    := $(ALLOC_SRC:%.c=$(B)/plt/%.o)
NONE_ALLOC_OBJ   := $(ALLOC_SRC:%.c=$(B)/none/%.o)
RAW_OBJ   := $(LIB_SRC:%.c=$(B)/raw/%.o)
COMPARE_OBJ := $(patsubst %,$(B)/bench/compare/%.o,compare contender crowd figures footprint instructions machine report rounds) \
               $(B)/malloc/bench/alloc/workloads.o
BENCH_PROGRAMS := $(B)/bench/alloc_mmviz $(B)/bench/alloc_raw $(B)/bench/alloc_malloc $(B)/bench/alloc_none $(B)/bench/alloc_plt \
                  $(B)/bench/compare_allocators $(B)/bench/compare_tracers \
                  $(B)/bench/tree $(B)/bench/log $(B)/bench/stacks $(B)/bench/replica

$(B)/bench/%.o: bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BENCH_CFLAGS) $(CFLAGS) -c -o $@ $<
$(B)/bench/lua_arena.o: BENCH_CFLAGS += $(shell $(PKGCONFIG) --cflags lua5.4 2>/dev/null || $(PKGCONFIG) --cflags lua 2>/dev/null)
$(B)/mmviz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BENCH_CFLAGS) -DBENCH_MMVIZ $(CFLAGS) -c -o $@ $<
$(B)/malloc/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BENCH_CFLAGS) -fno-plt $(CFLAGS) -c -o $@ $<
$(B)/plt/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BENCH_CFLAGS) -fplt $(CFLAGS) -c -o $@ $<
$(B)/none/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BENCH_CFLAGS) -DBENCH_NONE $(CFLAGS) -c -o $@ $<
$(RAW_OBJ): $(B)/raw/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(LIB_CFLAGS) -DMMVIZ_NO_PROBES $(CFLAGS) $(LIB_OPEN) -c -o $@ $<
$(B)/raw/libmmviz.a: $(RAW_OBJ)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^

$(B)/server_sim: $(SIM_OBJ) $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread
$(B)/lua_arena: $(B)/bench/lua_arena.o $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKGCONFIG) --libs lua5.4 2>/dev/null || $(PKGCONFIG) --libs lua) -pthread
$(B)/bench/alloc_mmviz: $(MMVIZ_ALLOC_OBJ) $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread
$(B)/bench/alloc_raw: $(MMVIZ_ALLOC_OBJ) $(B)/raw/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread
$(B)/bench/alloc_malloc: $(MALLOC_ALLOC_OBJ)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread
$(B)/bench/alloc_none: $(NONE_ALLOC_OBJ)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread
$(B)/bench/alloc_plt: $(PLT_ALLOC_OBJ)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -Wl,-z,lazy -o $@ $^ -pthread
$(B)/bench/compare_tracers: $(patsubst %,$(B)/bench/%.o,tracers/tracers compare/contender compare/figures compare/machine compare/rounds) \
                            $(B)/malloc/bench/alloc/workloads.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^
$(B)/bench/compare_allocators: $(COMPARE_OBJ)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^
$(B)/bench/tree: $(B)/bench/micro/bench_tree.o $(B)/bench/compare/machine.o $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^
$(B)/bench/log: $(B)/bench/micro/bench_log.o $(B)/bench/compare/machine.o $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread

$(B)/bench/stacks: $(B)/bench/micro/bench_stacks.o $(B)/bench/compare/machine.o $(B)/libmmviz.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -pthread

$(B)/bench/micro/bench_replica.o: BENCH_CFLAGS += -Iuser
$(B)/bench/replica: $(B)/bench/micro/bench_replica.o $(B)/bench/compare/machine.o $(USER_MODEL_SRC:%.c=$(B)/%.o)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ -lm

bench: $(BENCH_PROGRAMS) $(B)/libmmviz-preload.so $(B)/mmviz-bpf $(B)/server_sim ## measure everything, side by side with other allocators and tracers (QUICK=1: in a minute; PEERS='NAME=PATH ...': more of them)
	$(Q)bench/deps.sh bench || echo "bench: goes on without them"
	$(Q)PEERS='$(PEERS)' bench/run.sh $(B) $(if $(QUICK),quick)

.PHONY: bench-instructions
bench-instructions: $(BENCH_PROGRAMS) $(B)/libmmviz-preload.so ## instructions for an allocation and its free, by allocator (callgrind; the same on a busy machine)
	$(Q)$(B)/bench/compare_allocators --build $(B) --instructions $(PEERS:%=--peer %) \
		>$(B)/bench/instructions.txt; status=$$?; cat $(B)/bench/instructions.txt; exit $$status

# Targets of the fault tests: linked with the library, or loading it late: shared, or as a copy of their own.
FAULT_TARGETS := $(addprefix $(B)/tests/fault_,target host linked_twice plugin.so plugin_copy.so)
FAULT_CFLAGS = $(CFLAGS_C) -D_GNU_SOURCE -Itests $(CFLAGS)
FAULT_BUILD = $(call say,LD,$@)$(CC) $(FAULT_CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c,$^)
$(FAULT_TARGETS): $(B)/libmmviz.a $(B)/libmmviz.so | $(B)/tests/libmmviz.so.1
$(B)/tests/fault_target: tests/faults/target.c tests/faults/work.c
	$(FAULT_BUILD) $(B)/libmmviz.a -pthread
$(B)/tests/fault_host: tests/faults/target.c
	$(FAULT_BUILD) -pthread
$(B)/tests/fault_plugin.so: tests/faults/work.c
	$(FAULT_BUILD) -shared -fPIC $(B)/libmmviz.so -Wl,-rpath,'$$ORIGIN' -pthread
$(B)/tests/fault_plugin_copy.so: tests/faults/work.c
	$(FAULT_BUILD) -shared -fPIC -Wl,-Bsymbolic,-z,nodelete $(B)/libmmviz.a -pthread
$(B)/tests/fault_linked_twice: tests/faults/target.c tests/faults/work.c | $(B)/tests/fault_plugin.so
	$(FAULT_BUILD) $(B)/libmmviz.a -Wl,--no-as-needed $(B)/libmmviz.so -Wl,-rpath,'$$ORIGIN' -pthread

# Unmodified programs under each allocator.
$(B)/bench/measure: $(B)/bench/programs/measure.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^
$(B)/bench/compare_programs: $(patsubst %,$(B)/bench/%.o,programs/programs compare/contender compare/figures compare/machine compare/rounds)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^
.PHONY: bench-programs
bench-programs: $(B)/bench/measure $(B)/bench/compare_programs $(B)/libmmviz-preload.so ## redis, sqlite, python, git, g++ under each allocator (RUNS=9; QUICK=1)
	$(Q)bench/deps.sh programs
	$(Q)$(B)/bench/compare_programs --build $(B) --runs $(or $(RUNS),$(if $(QUICK),1,5)) $(if $(QUICK),--quick) $(PEERS:%=--peer %) \
		>$(B)/bench/programs.txt; status=$$?; cat $(B)/bench/programs.txt; exit $$status

PRELOAD_TESTS := $(addprefix $(B)/tests/preload/,semantics life plugin.so operators operators_replaced own_malloc own_malloc_by_name mistakes stress crowd)
E2E_NEEDS = $(STACK_TARGETS) $(B)/mmviz-bpf $(B)/server_sim $(B)/lua_arena $(B)/libmmviz-preload.so $(PRELOAD_TESTS) $(B)/tests/attach_target_static $(FAULT_TARGETS)
.PHONY: test-e2e soak
test-e2e: $(E2E_NEEDS) chaos ## test the collector on real traffic: replica and walk equal, kills, lost events (root)
	$(Q)BUILD=$(B) tests/e2e/run.sh
soak: $(E2E_NEEDS) chaos $(B)/tests/test_stress $(B)/tests/test_session_stacks ## the long form of test-e2e and of the stress, twenty minutes (SOAK_SECONDS=60: shorter)
	$(Q)LONG=1 $(B)/tests/test_stress
	$(Q)LONG=1 $(B)/tests/test_session_stacks
	$(Q)BUILD=$(B) LONG=1 tests/e2e/run.sh

deps: ## install what is missing (Debian, Ubuntu, Fedora; named elsewhere)
	$(Q)bench/deps.sh bench

demo: ## a pretended server and the dashboard on it (DEMO_SECONDS=N ends by itself)
	$(Q)bench/deps.sh build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bench/demo.sh $(B)

# ---------------------------------------------------------------- dashboard
# The collector embeds every file of $(B)/web/dist.
WEB_SRC := $(wildcard web/src/* web/src/*/*.ts web/src/*/*.tsx) web/build.mjs web/tsconfig.json
.PHONY: web test-web
web: $(B)/web/dist/index.html ## build the dashboard into build/web/dist
web/node_modules/.package-lock.json: web/package-lock.json web/package.json web/.npmrc
	$(call say,NPM,web/node_modules)$(NPM) ci --prefix web --ignore-scripts --silent && touch $@
$(B)/web/dist/index.html: $(WEB_SRC) web/node_modules/.package-lock.json
	$(call say,WEB,$(@D))cd web && npx --no-install tsc --noEmit && node build.mjs $(abspath $(@D))
test-web: web $(B)/mmviz-bpf $(B)/server_sim ## test the dashboard: its pure side, then the page against the real collector
	$(Q)node --test web/test/*.test.mjs
	$(Q)BUILD=$(B) node --test tests/web/*.test.mjs

# ---------------------------------------------------------------- tests of the web server
SERVE_TESTS := $(B)/tests/test_wire $(B)/tests/test_access $(B)/tests/test_channel $(B)/tests/test_request $(B)/tests/test_sandbox $(B)/tests/test_export
$(B)/tests/test_wire: tests/test_wire.c $(B)/user/serve/wire.o
$(B)/tests/test_access: tests/test_access.c $(B)/user/serve/access.o
$(B)/tests/test_channel: tests/test_channel.c $(B)/user/serve/channel.o
$(B)/tests/test_request: tests/test_request.c $(B)/user/serve/web/request.o
$(B)/tests/test_sandbox: tests/test_sandbox.c $(B)/user/serve/sandbox.o
$(B)/tests/test_export: tests/test_export.c $(B)/user/export/json.o $(B)/user/export/metrics.o $(B)/user/export/stacks.o $(B)/user/export/exact_stacks.o $(B)/user/export/folded.o $(B)/user/export/pprof.o $(B)/gen/pprof.pb-c.o
$(SERVE_TESTS):
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o,$^) -lcmocka -ljansson -lprotobuf-c -lz -lm -lseccomp -lcap
.PHONY: test-serve
test-serve: $(SERVE_TESTS) $(B)/mmviz-bpf $(B)/server_sim ## test the web server: its parts, then the process against server_sim (root)
	$(Q)for test in $(SERVE_TESTS); do $$test || exit 1; done
	$(Q)for test in tests/e2e/serve_*.sh; do BUILD=$(B) $$test || [ $$? -eq 77 ] || exit 1; done

# ---------------------------------------------------------------- tests of user/collect
ATTACH_TARGETS := $(addprefix $(B)/tests/attach_target,_nopie _pie _shared _static _static_pie _stripped)
$(ATTACH_TARGETS): $(B)/tests/attach_target%: tests/attach_target.c $(B)/libmmviz.a $(B)/libmmviz.so
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS_C) $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $< $(TARGET_LINK) -pthread
$(B)/tests/attach_target_nopie: TARGET_LINK = -no-pie $(B)/libmmviz.a
$(B)/tests/attach_target_pie: TARGET_LINK = -pie -fPIE $(B)/libmmviz.a
$(B)/tests/libmmviz.so.1: $(B)/libmmviz.so
	@mkdir -p $(@D) && ln -sf ../libmmviz.so $@
$(B)/tests/attach_target_shared: $(B)/tests/libmmviz.so.1
$(B)/tests/attach_target_shared: TARGET_LINK = $(B)/libmmviz.so -Wl,-rpath,'$$ORIGIN'
$(B)/tests/attach_target_static: TARGET_LINK = -static $(B)/libmmviz.a
$(B)/tests/attach_target_static_pie: TARGET_LINK = -static-pie -fPIE $(B)/libmmviz.a
$(B)/tests/attach_target_stripped: TARGET_LINK = -pie -fPIE -s $(B)/libmmviz.a

COLLECT_TESTS := $(addprefix $(B)/tests/test_,elf_notes safe_text registry_reader walk attach attach_events)
COLLECT_OBJ := $(addprefix $(B)/user/collect/,target.o elf_notes.o mapped_file.o probe_file.o maps.o safe_text.o attach.o uprobe_multi.o link_keeper.o registry_reader.o walk.o)
$(COLLECT_TESTS): $(B)/tests/%: tests/%.c tests/child.c $(COLLECT_OBJ) | $(ATTACH_TARGETS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $< tests/child.c $(COLLECT_OBJ) -lcmocka -lbpf -lelf -lz -lm

# Stacks and symbols: programs whose callers are hard to find, and what gdb says about them.
STACKS := $(B)/tests/stacks
STACK_FLAGS := -O2 -g -fomit-frame-pointer
HAVE_LUA := $(shell $(PKGCONFIG) --exists lua5.4 && echo lua5.4 || { $(PKGCONFIG) --exists lua && echo lua; })
STACK_TARGETS := $(addprefix $(STACKS)/,target_pie target_static target_stripped target_frame_pointers target_frame_pointers_cfi target_clang target_unnamed allocating allocating_stripped allocating_bare library.so $(if $(HAVE_LUA),lua_host lua_allocating))
$(STACKS)/target_pie: STACK_LINK = -pie -fPIE -DWITH_DLOPEN -Wl,-z,lazy
$(STACKS)/target_static: STACK_LINK = -static -no-pie
$(STACKS)/target_frame_pointers: STACK_LINK = -g0 -fno-exceptions -fno-rtti -fno-omit-frame-pointer -fno-asynchronous-unwind-tables
$(STACKS)/target_frame_pointers_cfi: STACK_LINK = -fno-exceptions -fno-rtti -fno-omit-frame-pointer
$(STACKS)/target_unnamed: STACK_LINK = -Wl,--build-id=none
$(STACKS)/target_clang: STACK_CXX = $(CLANG)++
$(STACKS)/target_%: tests/stacks/target.cpp
	@mkdir -p $(@D)
	$(call say,LD,$@)$(or $(STACK_CXX),$(CXX)) $(STACK_FLAGS) $(STACK_LINK) -o $@ $<
$(STACKS)/target_stripped: $(STACKS)/target_pie
	@mkdir -p $(@D)/separate
	$(call say,STRIP,$@)objcopy --only-keep-debug $< $(@D)/separate/target_stripped.debug && \
		objcopy --strip-all --add-gnu-debuglink=$(@D)/separate/target_stripped.debug $< $@
$(STACKS)/library.so: tests/stacks/library.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(STACK_FLAGS) -shared -fPIC -o $@ $<
$(STACKS)/lua_host: tests/stacks/lua_host.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(STACK_FLAGS) $(shell $(PKGCONFIG) --cflags $(HAVE_LUA)) -o $@ $< $(shell $(PKGCONFIG) --libs $(HAVE_LUA))

$(STACKS)/allocating: tests/stacks/allocating.cpp $(B)/libmmviz.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CXX) $(STACK_FLAGS) -Ilib/include $(LDFLAGS) -o $@ $^ -pthread
# Its debug information where gdb looks, too.
$(STACKS)/allocating_stripped: $(STACKS)/allocating
	@mkdir -p $(@D)/.debug
	$(call say,STRIP,$@)objcopy --only-keep-debug $< $(@D)/.debug/allocating_stripped.debug && \
		objcopy --strip-all --add-gnu-debuglink=$(@D)/.debug/allocating_stripped.debug $< $@
# Without any.
$(STACKS)/allocating_bare: $(STACKS)/allocating
	$(call say,STRIP,$@)objcopy --strip-all $< $@
$(STACKS)/lua_allocating: tests/stacks/lua_allocating.c $(B)/libmmviz.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(STACK_FLAGS) -Ilib/include $(shell $(PKGCONFIG) --cflags $(HAVE_LUA)) $(LDFLAGS) -o $@ $^ $(shell $(PKGCONFIG) --libs $(HAVE_LUA)) -pthread

STACK_TESTS := $(addprefix $(B)/tests/test_,unwind symbols)
STACK_OBJ   := $(addprefix $(B)/user/collect/,maps.o safe_text.o mapped_file.o modules.o debug_file.o unit_index.o demangle.o perf_map.o symbols.o unwind.o unwind_memo.o)
STACK_LIBS  := -lcmocka -ldw -lelf -liberty -lz
$(STACK_TESTS): $(B)/tests/%: tests/%.c tests/child.c tests/stacks/stopped.c $(STACK_OBJ) | $(STACK_TARGETS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) $(STACK_LIBS)
$(B)/tests/test_stacks: tests/test_stacks.c tests/child.c $(USER_COLLECT_SRC:%.c=$(B)/%.o) | $(STACK_TARGETS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) $(STACK_LIBS) -lbpf -lm -pthread
$(STACKS)/measure: tests/stacks/measure.c tests/child.c tests/stacks/stopped.c $(STACK_OBJ) | $(STACK_TARGETS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) $(STACK_LIBS)
COLLECT_TESTS += $(STACK_TESTS) $(B)/tests/test_stacks
.PHONY: test-collect measure-stacks
measure-stacks: $(STACKS)/measure ## symbols and unwound stacks a second
	$(Q)$<
test-collect: $(COLLECT_TESTS) $(B)/mmviz-bpf ## test how a process is found, read and attached (root)
	$(Q)for test in $(COLLECT_TESTS); do $$test || exit 1; done
	$(Q)BUILD=$(B) tests/e2e/run.sh attach_cli

# ---------------------------------------------------------------- tests of user/model
MODEL_SRC   := $(filter-out user/model/view.c user/model/heap_map.c user/model/timeline.c,$(USER_MODEL_SRC))
MODEL_TESTS := $(addprefix $(B)/tests/test_,block_table view replica replica_rules lifetimes pace events)
MODEL_BUILD = $(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) -lcmocka -lm
$(B)/tests/test_block_table: tests/test_block_table.c $(MODEL_SRC:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(MODEL_BUILD)
$(B)/tests/test_events: tests/test_events.c $(B)/user/model/events.o
	@mkdir -p $(@D)
	$(MODEL_BUILD)
$(B)/tests/test_view: tests/test_view.c $(USER_MODEL_SRC:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(MODEL_BUILD)
$(B)/tests/test_replica: tests/test_replica.c tests/heap_sim.c $(MODEL_SRC:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(MODEL_BUILD)
$(B)/tests/test_lifetimes: tests/test_lifetimes.c $(USER_MODEL_SRC:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(MODEL_BUILD)
$(B)/tests/test_pace: tests/test_pace.c $(B)/user/pace.o
	@mkdir -p $(@D)
	$(MODEL_BUILD)
# The same rounds with each rule of the replica protocol left out in turn: they must fail.
$(B)/tests/test_replica_rules: tests/test_replica.c tests/heap_sim.c $(MODEL_SRC)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(USER_CFLAGS) -Itests -DMMVIZ_CHAOS $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c,$^) -lcmocka -lm
# A target and its collector in one program (root).
MODEL_TESTS += $(B)/tests/test_session $(B)/tests/test_session_stacks $(B)/tests/test_times
SESSION_OBJ := $(patsubst %.c,$(B)/%.o,$(USER_SESSION_SRC) $(USER_COLLECT_SRC) $(USER_MODEL_SRC))
$(B)/tests/test_session: tests/test_session.c tests/ops.c $(SESSION_OBJ) $(B)/libmmviz.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests -D_GNU_SOURCE $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) -lcmocka $(USER_LIBS) -pthread
$(B)/tests/test_session_stacks: tests/test_session_stacks.c tests/child.c $(SESSION_OBJ) | $(STACK_TARGETS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) -lcmocka $(USER_LIBS) -pthread
$(B)/tests/test_times: tests/test_times.c $(SESSION_OBJ) $(B)/libmmviz.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -Itests -D_GNU_SOURCE $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) -lcmocka $(USER_LIBS) -pthread
.PHONY: test-model
test-model: $(MODEL_TESTS) ## test the replica and its views
	$(Q)for test in $(MODEL_TESTS); do $$test || exit 1; done

# ---------------------------------------------------------------- tests of the preload library
PRELOAD_CFLAGS = $(CFLAGS_C) -fno-builtin $(CFLAGS) -MF $@.d $(LDFLAGS)
$(PRELOAD_TESTS): | $(B)/libmmviz-preload.so
$(addprefix $(B)/tests/preload/,semantics life mistakes stress crowd own_malloc): $(B)/%: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(PRELOAD_CFLAGS) -o $@ $< -pthread -ldl -Wl,-rpath,'$$ORIGIN'
$(B)/tests/preload/own_malloc_by_name: tests/preload/own_malloc.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(PRELOAD_CFLAGS) -DBY_NAME -o $@ $<
$(addprefix $(B)/tests/preload/,operators operators_replaced): tests/preload/operators.cpp tests/preload/check.h
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(CXX) $(OPT) -std=c++17 -Wall -Wextra -fno-builtin $(if $(findstring replaced,$@),-DREPLACED -Wno-sized-deallocation) -o $@ $< -pthread
$(B)/tests/preload/plugin.so: tests/preload/plugin.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(OPT) -std=c++17 -Wall -Wextra -shared -fPIC -o $@ $<
.PHONY: test-preload
test-preload: $(E2E_NEEDS) ## test malloc for unmodified programs, and mmviz-bpf run (LONG=1: big programs)
	$(Q)for test in tests/e2e/preload_*.sh tests/e2e/run_*.sh; do BUILD=$(B) $$test || [ $$? -eq 77 ] || exit 1; done

# ---------------------------------------------------------------- tests of the library, and all tests
TEST_CFLAGS = $(CFLAGS_C) -D_GNU_SOURCE -Itests -Ilib
LIB_TESTS := $(addprefix $(B)/tests/test_,extent_tree arena block errors large_heaps mistakes reuse log heap large registry inspect stack stress)
CXX_TESTS := $(B)/tests/test_cxx $(B)/tests/test_cxx_shared
UNIT_TESTS = $(LIB_TESTS) $(CXX_TESTS) $(COLLECT_TESTS) $(MODEL_TESTS) $(SERVE_TESTS)

$(LIB_TESTS:=.o) $(addprefix $(B)/tests/,ops.o spy.o log_reader.o): $(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TEST_CFLAGS) $(CFLAGS) -c -o $@ $<
$(LIB_TESTS): %: %.o
	$(call say,LD,$@)$(CC) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka -pthread
$(LIB_TESTS): $(B)/libmmviz.a
$(B)/tests/test_arena $(B)/tests/test_block: $(B)/tests/ops.o
# Reports name functions: their symbols are there, and no call is a jump.
$(B)/tests/test_errors: TEST_LDFLAGS := -rdynamic
$(B)/tests/test_errors.o: TEST_CFLAGS += -fno-optimize-sibling-calls
$(B)/tests/test_log: $(addprefix $(B)/tests/,ops.o spy.o log_reader.o)
$(B)/tests/test_cxx.o: tests/test_cxx.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(OPT) -Wall -Wextra -Wshadow $(WERROR) -MMD -MP -Ilib/include $(CFLAGS) -c -o $@ $<
$(B)/tests/test_cxx: $(B)/tests/test_cxx.o $(B)/libmmviz.a
	$(call say,LD,$@)$(CXX) $(LDFLAGS) -o $@ $^ -pthread
$(B)/tests/test_cxx_shared: $(B)/tests/test_cxx.o $(B)/libmmviz.so
	@ln -sf libmmviz.so $(B)/libmmviz.so.1
	$(call say,LD,$@)$(CXX) $(LDFLAGS) -o $@ $^ -Wl,-rpath,'$$ORIGIN/..' -pthread

# A program with mistakes, for tests/test_checkers.sh: as it is, and with AddressSanitizer by gcc and by clang, whose
# functions lie in a library and in the program.
CHECKED := $(addprefix $(B)/tests/checked,_plain _gcc _clang)
$(CHECKED): tests/checked.c $(B)/libmmviz.a $(B)/libmmviz.so
	@mkdir -p $(@D)
	@ln -sf libmmviz.so $(B)/libmmviz.so.1
	$(call say,CC,$@)$(CHECKED_CC) -std=gnu11 -O1 -g -Wall -Wextra -Ilib/include -o $@ $< $(CHECKED_LINK) -pthread
$(B)/tests/checked_plain: CHECKED_CC = $(CC)
$(B)/tests/checked_gcc: CHECKED_CC = $(CC) -fsanitize=address
$(B)/tests/checked_clang: CHECKED_CC = $(CLANG) -fsanitize=address
$(CHECKED): CHECKED_LINK = $(B)/libmmviz.a
$(B)/tests/checked_clang: CHECKED_LINK = $(B)/libmmviz.so -Wl,-rpath,'$$ORIGIN/..'
unit-tests: $(CHECKED)

# Everything again under the fuzzer's clang: its own objects, with its coverage and the sanitizers.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_OBJ   := $(patsubst %.c,$(B)/fuzz/%.o,$(LIB_SRC) tests/ops.c tests/fuzz/fuzz_ops.c)
$(FUZZ_OBJ): $(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)$(CLANG) $(TEST_CFLAGS) -Wno-macro-redefined -O1 $(FUZZ_FLAGS) $(if $(filter lib/%,$<),$(LIB_OPEN)) -c -o $@ $<
$(B)/fuzz/fuzz_ops: $(FUZZ_OBJ)
	$(call say,LD,$@)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ -pthread
fuzz: $(B)/fuzz/fuzz_ops ## random operation streams, guided by coverage, for FUZZ_SECONDS
	@mkdir -p $(B)/fuzz/corpus
	$(Q)$(B)/fuzz/fuzz_ops -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -rss_limit_mb=2048 -artifact_prefix=$(B)/fuzz/ $(B)/fuzz/corpus

# The target of tests/e2e/chaos.sh, and everything for it.
$(B)/churn: tests/e2e/churn.c $(B)/libmmviz.a
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TEST_CFLAGS) $(CFLAGS) -MF $@.d $(LDFLAGS) -o $@ $^ -pthread
chaos:
	$(Q)$(MAKE) --no-print-directory B=$(B)/chaos CHAOS=1 $(B)/chaos/churn $(B)/chaos/mmviz-bpf

# The library's tests under the sanitizers, each in a build of its own: build/asan, build/tsan (those with threads).
ASAN_TESTS := $(patsubst $(B)/%,$(B)/asan/%,$(filter-out %/test_large_heaps %/test_mistakes,$(LIB_TESTS)))
TSAN_TESTS := $(addprefix $(B)/tsan/tests/test_,heap large registry errors large_heaps mistakes stack stress)
ASAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
.PHONY: chaos unit-tests asan-tests tsan-tests objects format-check
unit-tests: $(UNIT_TESTS) $(PRELOAD_TESTS)
objects: $(LIB_OBJ) $(PRELOAD_OBJ) $(USER_OBJ)
asan-tests:
	$(Q)$(MAKE) --no-print-directory B=$(B)/asan OPT='-O1 -g' CFLAGS='$(ASAN_FLAGS)' LDFLAGS='$(ASAN_FLAGS)' $(ASAN_TESTS)
tsan-tests:
	$(Q)$(MAKE) --no-print-directory B=$(B)/tsan OPT='-O1 -g' CFLAGS=-fsanitize=thread LDFLAGS=-fsanitize=thread $(TSAN_TESTS)

NO_TESTS = { echo "  FAILED   the build"; echo "0 passed, 1 failed"; exit 1; }
test: ## every test: units, end to end (root), dashboard; the last line sums up (ONLY='test_*': some of them)
	$(Q)bench/deps.sh all && $(MAKE) --no-print-directory all unit-tests chaos $(E2E_NEEDS) || $(NO_TESTS)
	+$(Q)tests/run.sh $(B) $(UNIT_TESTS)
check: ## what CI runs: format, no warnings from gcc and clang, sanitizers, layers, and every test
	$(Q)bench/deps.sh all && $(MAKE) --no-print-directory all unit-tests asan-tests tsan-tests chaos $(E2E_NEEDS) || $(NO_TESTS)
	+$(Q)MAKE='$(MAKE)' tests/run.sh $(B) --check $(UNIT_TESTS) $(ASAN_TESTS) $(TSAN_TESTS)

FORMATTED = $(shell find lib bpf user bench tests \( -name '*.[ch]' -o -name '*.cpp' \))
PRETTIER = cd web && npx --no-install prettier --log-level warn --config package.json . ../tests/web
format: web/node_modules/.package-lock.json ## format every C file and the dashboard
	$(Q)clang-format -i $(FORMATTED)
	$(Q)$(PRETTIER) --write
format-check: web/node_modules/.package-lock.json
	$(Q)clang-format --dry-run -Werror $(FORMATTED)
	$(Q)$(PRETTIER) --check

# ---------------------------------------------------------------- install
VERSION := 0.1.0
INSTALL ?= install
LIBDIR  ?= $(PREFIX)/lib
MAN     := $(wildcard man/*.[1-8])
install: all ## the collector, libraries, headers, mmviz.pc, man pages, completions (PREFIX, DESTDIR)
	$(Q)$(INSTALL) -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(LIBDIR)/pkgconfig $(PREFIX)/include/mmviz)
	$(Q)$(INSTALL) -m 755 $(B)/mmviz-bpf $(DESTDIR)$(PREFIX)/bin
	$(Q)$(INSTALL) -m 644 $(B)/libmmviz.a $(DESTDIR)$(LIBDIR)
	$(Q)$(INSTALL) -m 755 $(B)/libmmviz.so $(DESTDIR)$(LIBDIR)/libmmviz.so.$(VERSION)
	$(Q)ln -sf libmmviz.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libmmviz.so.1
	$(Q)ln -sf libmmviz.so.1 $(DESTDIR)$(LIBDIR)/libmmviz.so
	$(Q)$(INSTALL) -m 755 $(B)/libmmviz-preload.so $(DESTDIR)$(LIBDIR)
	$(Q)$(INSTALL) -m 644 lib/include/mmviz/*.h $(DESTDIR)$(PREFIX)/include/mmviz
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'Name: mmviz' 'Description: arenas whose blocks can be watched from outside' \
		'Version: $(VERSION)' 'Libs: -L$(LIBDIR) -lmmviz -pthread' 'Cflags: -I$${prefix}/include' \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/mmviz.pc
	$(Q)for page in $(MAN); do $(INSTALL) -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	$(Q)[ ! -e completions/mmviz-bpf.bash ] || $(INSTALL) -D -m 644 completions/mmviz-bpf.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mmviz-bpf
	$(Q)[ ! -e completions/_mmviz-bpf ] || $(INSTALL) -D -m 644 completions/_mmviz-bpf $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mmviz-bpf
uninstall: ## take away what install put there
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/mmviz-bpf $(DESTDIR)$(LIBDIR)/libmmviz* $(DESTDIR)$(LIBDIR)/pkgconfig/mmviz.pc \
		$(foreach page,$(MAN),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mmviz-bpf $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mmviz-bpf
	$(Q)rm -rf $(DESTDIR)$(PREFIX)/include/mmviz

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove build/
	$(Q)rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
