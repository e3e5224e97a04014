#!/usr/bin/env bash
# deps.sh - install what is missing, and nothing else.
#
#	bench/deps.sh [build|all|bench|programs]
#
# `build` is what the build and the demo need, `all` adds tests and other allocators, `bench` the tracers of others as well, `programs` is what
# bench/programs runs. Checks look for the thing itself (a
# command, a pkg-config module, a library), so that it does not matter where it came from. Where neither apt-get nor
# dnf is at hand, says what is missing.
set -euo pipefail

apt_missing=() dnf_missing=() names_missing=()

have_command() {
	[ -x "$(PATH=$PATH:/usr/sbin:/sbin command -v "$1" || true)" ]
}

have_module() {
	pkg-config --exists "$1" 2>/dev/null
}

have_library() {
	compgen -G "/usr/lib*/$1" >/dev/null || compgen -G "/usr/lib/*/$1" >/dev/null || [ -e "/usr/local/lib/$1" ]
}

# The tests of the distribution's python3 are a package for each version of it.
have_python_tests() {
	/usr/bin/python3 -c "import $1" 2>/dev/null
}

python_tests_package() {
	/usr/bin/python3 -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])' 2>/dev/null || echo python3
}

# need KIND NAME DEBIAN-PACKAGE FEDORA-PACKAGE
need() {
	"have_$1" "$2" && return
	names_missing+=("$2")
	apt_missing+=("$3")
	dnf_missing+=("$4")
}

check_build() {
	need command cc gcc gcc
	need command clang clang clang
	need command objcopy binutils binutils
	need command bpftool bpftool bpftool
	need command pkg-config pkg-config pkgconf-pkg-config
	need command node nodejs nodejs
	need command npm npm npm
	need module libbpf libbpf-dev libbpf-devel
	need module libelf libelf-dev elfutils-libelf-devel
	need module libdw libdw-dev elfutils-devel
	need library libiberty.a libiberty-dev binutils-devel
	need module zlib zlib1g-dev zlib-devel
	need module libwebsockets libwebsockets-dev libwebsockets-devel
	need command protoc-c protobuf-c-compiler protobuf-c-compiler
	need module libprotobuf-c libprotobuf-c-dev protobuf-c-devel
	need module jansson libjansson-dev jansson-devel
	need module libseccomp libseccomp-dev libseccomp-devel
	need module libcap libcap-dev libcap-devel
}

check_all() {
	check_build
	need command g++ g++ gcc-c++
	need command bpftrace bpftrace bpftrace
	need command curl curl curl
	need command jq jq jq
	need command gdb gdb gdb
	need module cmocka libcmocka-dev libcmocka-devel
	need command sqlite3 sqlite3 sqlite
	need command redis-server redis-server redis
	need python_tests test.test_json "$(python_tests_package)" python3-test
	have_module lua || need module lua5.4 liblua5.4-dev lua-devel
	need library libmimalloc.so.2 libmimalloc2.0 mimalloc
	need library libjemalloc.so.2 libjemalloc2 jemalloc
	need library libtcmalloc_minimal.so.4 libtcmalloc-minimal4 gperftools-libs
	need library libtcmalloc.so.4 libgoogle-perftools4 gperftools-libs
	need library libtbbmalloc_proxy.so.2 libtbbmalloc2 tbb
	need command valgrind valgrind valgrind
}

# What `make bench` compares us with, beyond allocators.
check_bench() {
	check_all
	need command heaptrack heaptrack heaptrack
	need command uftrace uftrace uftrace
	need command lttng-sessiond lttng-tools lttng-tools
	need library liblttng-ust-libc-wrapper.so.1 liblttng-ust1 lttng-ust
	need command babeltrace2 babeltrace2 babeltrace2
}

have_python_tests() {
	/usr/bin/python3 -c "import test.test_json, test.test_re, test.test_dict" 2>/dev/null
}

# redis-tools has the server's executable too, without a service that starts by itself.
check_programs() {
	need command redis-benchmark redis-tools redis
	need command sqlite3 sqlite3 sqlite
	need command /usr/bin/python3 python3 python3
	need python_tests "python3's test suite" libpython3-testsuite python3-test
	need command git git git-core
	need command g++ g++ gcc-c++
	need library libmimalloc.so.2 libmimalloc2.0 mimalloc
	need library libjemalloc.so.2 libjemalloc2 jemalloc
	need library libtcmalloc_minimal.so.4 libtcmalloc-minimal4 gperftools-libs
	need library libtbbmalloc_proxy.so.2 libtbbmalloc2 tbb
}

check() {
	apt_missing=() dnf_missing=() names_missing=()
	"check_$1"
	[ ${#names_missing[@]} -eq 0 ]
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "deps: run this as root: $*" >&2
		return 1
	fi
}

install_missing() {
	echo "deps: missing: ${names_missing[*]}"
	if command -v apt-get >/dev/null; then
		as_root apt-get update -q
		as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends "${apt_missing[@]}"
	elif command -v dnf >/dev/null; then
		as_root dnf install -q -y "${dnf_missing[@]}"
	else
		echo "deps: no apt-get and no dnf here: please install what is named above" >&2
		return 1
	fi
}

group=${1:-all}
case $group in
build | all | bench | programs) ;;
*)
	echo "usage: bench/deps.sh [build|all|bench|programs]" >&2
	exit 64
	;;
esac
check "$group" && exit
install_missing
if ! check "$group"; then
	echo "deps: still missing after the installation: ${names_missing[*]}" >&2
	exit 1
fi
