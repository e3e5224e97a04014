#!/usr/bin/env bash
# malloc for programs that know nothing of mmviz: every program of tests/preload behaves under libmmviz-preload.so as it
# does under glibc's malloc.
. "$(dirname "$0")/common.sh"

library=$(realpath "$BUILD/libmmviz-preload.so")
programs=$BUILD/tests/preload

# both PROGRAM ARGUMENT...: runs as it is, then preloaded, and says the same.
both() {
	local name=$1
	shift
	timeout 60 "$programs/$name" "$@" >"$scratch/plain" 2>&1 || fail "$name $*, not preloaded: $(cat "$scratch/plain")"
	LD_PRELOAD=$library timeout 60 "$programs/$name" "$@" >"$scratch/preloaded" 2>&1 ||
		fail "$name $*: status $?: $(cat "$scratch/preloaded")"
	grep -q '^ok' "$scratch/preloaded" || fail "$name $* says nothing"
	cmp -s "$scratch/plain" "$scratch/preloaded" || fail "$name $* differs: $(diff "$scratch/plain" "$scratch/preloaded")"
	sed "s/^ok/  $name:/" "$scratch/preloaded"
}

echo "the same as without"
both semantics
both life "$(realpath "$programs/plugin.so")"
both operators
both operators_replaced
both own_malloc
both own_malloc_by_name

echo "only what is meant to be is exported"
foreign=$(nm -D --defined-only "$library" | awk '{ print $3 }' |
	grep -Evx 'mmviz_.*|_Z(nw|na|dl|da).*|(__libc_|__posix_)?(malloc|calloc|realloc|free|memalign|valloc|pvalloc)|cfree|reallocarray|posix_memalign|aligned_alloc|malloc_(usable_size|trim|stats|info)|mallopt|mallinfo2?|dlopen' || true)
[ -z "$foreign" ] || fail "exported: $foreign"
nm -D "$library" | grep -q __tls_get_addr && fail "thread-local data is not in the static block"

rounds=50000
[ -z "$LONG" ] || rounds=1000000
echo "threads, until the arena's own check"
LD_PRELOAD=$library timeout 100 "$programs/stress" 8 "$rounds" >"$scratch/out" 2>&1 || fail "stress: $(cat "$scratch/out")"
grep -q 'arena 0 is whole' "$scratch/out" || fail "the arena was not checked: $(cat "$scratch/out")"
sed 's/^/  /' "$scratch/out"

# crowded LIMIT MEBIBYTES ARENAS: under ulimit -v LIMIT, a program holds so much, in at least so many arenas.
crowded() {
	local arenas
	(ulimit -v "$1" && LD_PRELOAD=$library exec timeout 60 "$programs/crowd" "$2") >"$scratch/out" 2>&1 ||
		fail "ulimit -v $1, $2 MiB: $(cat "$scratch/out")"
	arenas=$(sed -n 's/^ok \([0-9]*\) arenas/\1/p' "$scratch/out")
	[ "$arenas" -ge "$3" ] || fail "ulimit -v $1, $2 MiB: $arenas arenas"
	echo "  ulimit -v $1, $2 MiB held: $arenas arenas"
}

echo "limits, and more than one arena"
crowded 400000 240 2
crowded 100000 50 2
crowded 40000 10 1
crowded 20000 3 1
(ulimit -d 100000 && LD_PRELOAD=$library exec "$programs/crowd" 70) >"$scratch/out" 2>&1 || fail "ulimit -d: $(cat "$scratch/out")"

# mistake NAME TEXT: the program is ended by SIGABRT, and the message says TEXT.
mistake() {
	local status=0
	{ LD_PRELOAD=$library "$programs/mistakes" "$1"; } >"$scratch/out" 2>"$scratch/err" || status=$?
	[ "$status" -eq 134 ] || fail "mistake $1: status $status"
	grep -Eq "^mmviz: $2: .*0x[0-9a-f]+.* in arena 'malloc'" "$scratch/err" || fail "mistake $1: $(cat "$scratch/err")"
	grep -q 'found by the code at 0x' "$scratch/err" || fail "mistake $1, no site: $(cat "$scratch/err")"
	echo "  $1: $(head -1 "$scratch/err" | cut -c1-80)"
}

echo "mistakes are named, and end the program"
LD_PRELOAD=$library "$programs/mistakes" none || fail "a program without mistakes ends with $?"
mistake double "double free"
mistake inner "not a block of this arena"
mistake odd "not a block of this arena"
mistake stack "not a block of this arena"
mistake realloc "not a block of this arena"
mistake header "header overwritten"

# late LINES COMMAND...: ends by SIGABRT after so many lines for a double free; if it has come to none, both calls are named.
late() {
	local status=0 lines=$1
	shift
	{ "$@" late; } >"$scratch/out" 2>"$scratch/err" || status=$?
	[ "$status" -eq 134 ] || fail "$* late: status $status: $(cat "$scratch/out" "$scratch/err")"
	[ "$(wc -l <"$scratch/out")" -eq "$lines" ] || fail "$* late: $(cat "$scratch/out")"
	grep -q "^mmviz: double free: .* in arena 'malloc'" "$scratch/err" || fail "$* late: $(cat "$scratch/err")"
	[ "$lines" -gt 0 ] || [ "$(grep -Ec '(freed first|found) by the code at 0x.* \(.*(mistakes|setuid)' "$scratch/err")" -eq 2 ] ||
		fail "$* late, not both calls: $(cat "$scratch/err")"
	echo "  late, after $lines lines: $(head -1 "$scratch/err" | cut -c1-80)"
}

echo "in large heaps, at the latest when the memory would be given out; with MMVIZ_CHECKED_FREES at once"
late 1 env LD_PRELOAD="$library" "$programs/mistakes"
late 0 env LD_PRELOAD="$library" MMVIZ_CHECKED_FREES=1 "$programs/mistakes"

echo "set-uid programs"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	cp "$programs/mistakes" "$scratch/setuid"
	chmod 755 "$scratch" && chown 65533 "$scratch/setuid" && chmod 4755 "$scratch/setuid"
	# The dynamic linker leaves the library out; in a trusted folder it would ignore MMVIZ_RUN.
	LD_PRELOAD=$library MMVIZ_RUN=0:1:0:x setpriv --reuid=65534 --clear-groups "$scratch/setuid" none 2>"$scratch/err" ||
		fail "a set-uid program ends with $?: $(cat "$scratch/err")"
	# Linked with it, it carries the library, which does as if there were no variable.
	cp "$library" "$scratch/lib.so" && rm "$scratch/setuid"
	"${CC:-cc}" -fno-builtin -o "$scratch/setuid" tests/preload/mistakes.c "$scratch/lib.so" -Wl,-rpath,"$scratch" ||
		fail "no program that is linked with the library"
	chown 65533 "$scratch/setuid" && chmod 4755 "$scratch/setuid"
	late 0 env MMVIZ_CHECKED_FREES=1 setpriv --reuid=65533 --clear-groups "$scratch/setuid"
	late 1 env MMVIZ_CHECKED_FREES=1 setpriv --reuid=65534 --clear-groups "$scratch/setuid"
fi
echo "ok $test_name"
