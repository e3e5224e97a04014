#!/usr/bin/env bash
# Nine probes with the right arguments, a bare one-byte nop behind each, and a semaphore in the registry: in a program
# with the archive in it, in the shared library, and in a stripped program.
set -euo pipefail

BUILD=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "$subject: $*" >&2
	exit 1
}

# The numbers of the table are the offsets of the semaphores in the registry.
case $(uname -m) in
x86_64)
	nop=90
	expected="alloc 0 8@%rdi 8@%rsi 8@%rdx 4@%ecx 8@%r8
sample 2 8@%rdi 8@%rsi 8@%rdx 4@%ecx 8@%r8
batch 4 8@%rdi 8@%rsi
stack 6 8@%rdi 8@%rsi 8@%rdx
free 8 8@%rdi 8@%rsi 8@%rdx 4@%ecx 8@%r8
sample_free 10 8@%rdi 8@%rsi 8@%rdx 4@%ecx 8@%r8
arena 12 8@%rdi 8@%rsi 8@%rdx
mark 14 8@%rdi
error 88 8@%rdi 8@%rsi 8@%rdx"
	;;
aarch64)
	nop=1f2003d5
	expected="alloc 0 8@x0 8@x1 8@x2 4@x3 8@x4
sample 2 8@x0 8@x1 8@x2 4@x3 8@x4
batch 4 8@x0 8@x1
stack 6 8@x0 8@x1 8@x2
free 8 8@x0 8@x1 8@x2 4@x3 8@x4
sample_free 10 8@x0 8@x1 8@x2 4@x3 8@x4
arena 12 8@x0 8@x1 8@x2
mark 14 8@x0
error 88 8@x0 8@x1 8@x2"
	;;
*)
	echo "no probes are known for $(uname -m)"
	exit 77
	;;
esac

# notes FILE: a line for each probe: name, location, base, semaphore, arguments.
notes() {
	readelf -nW "$1" | awk '
		/Provider:/ { provider = $NF }
		/Name:/ { name = $2 }
		/Location:/ { gsub(",", ""); location = $2; base = $4; semaphore = $6 }
		/Arguments:/ { sub(/.*Arguments: /, ""); if (provider == "mmviz") print name, location, base, semaphore, $0 }'
}

# bytes_at FILE ADDRESS COUNT: hexadecimal, of a loaded address.
bytes_at() {
	local offset
	offset=$(readelf -lW "$1" | awk -v wanted="$2" '
		function number(hex,   i, value) {
			for (i = 3; i <= length(hex); i++)
				value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
			return value
		}
		$1 == "LOAD" && number(wanted) >= number($3) && number(wanted) < number($3) + number($5) {
			print number($2) + number(wanted) - number($3) }')
	od -An -v -t x1 -j "$offset" -N "$3" "$1" | tr -d ' \n'
}

# check FILE [REGISTRY]: without the symbol, the first semaphore is taken for the registry's address.
check() {
	local file=$1 registry=${2:-} name location base semaphore arguments found=
	subject=$file
	[ "$registry" ] || registry=$(notes "$file" | awk '$1 == "alloc" { print $4 }')
	section=$(readelf -SW "$file" | awk '$0 ~ / \.stapsdt\.base / { sub(/.*PROGBITS */, ""); print $1 }')
	while read -r name location base semaphore arguments; do
		[ "$(bytes_at "$file" "$location" $((${#nop} / 2)))" = "$nop" ] ||
			fail "$name: $(bytes_at "$file" "$location" 4) at $location, not a nop of $((${#nop} / 2)) bytes"
		[ $((base)) -eq $((16#$section)) ] || fail "$name: base $base, .stapsdt.base is at $section"
		found+="$name $((semaphore - registry)) $arguments"$'\n'
	done < <(notes "$file")
	[ "$found" = "$expected"$'\n' ] || fail "probes are"$'\n'"$found"
	echo "ok $file"
}

symbol() {
	nm "$1" | awk '$3 == "mmviz_registry" { print "0x" $1 }'
}

check "$BUILD/tests/test_cxx" "$(symbol "$BUILD/tests/test_cxx")"
check "$BUILD/libmmviz.so" "$(symbol "$BUILD/libmmviz.so")"
strip -o "$scratch/stripped" "$BUILD/tests/test_cxx"
check "$scratch/stripped"
# The semaphores can be written, and nothing but the public API is visible.
subject=$BUILD/libmmviz.so
visible=$(nm -D --defined-only "$BUILD/libmmviz.so" | awk '{ print $3 }' | grep -v -e '^mmviz_' || true)
[ -z "$visible" ] || fail "symbols are visible that are no API: $visible"
nm -D "$BUILD/libmmviz.so" | grep -q ' [DB] mmviz_registry$' || fail "the registry is not writable data"
