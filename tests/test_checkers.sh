#!/usr/bin/env bash
# test_checkers.sh - memory checkers see blocks of an arena as they see malloc's: AddressSanitizer in the program, and
# Valgrind's memcheck. A program without a mistake is fine under both, each mistake is told, with and without guard bytes.
set -euo pipefail

build=${BUILD:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# tells PATTERN PROGRAM...: fails unless the program says the pattern.
tells() {
	local pattern=$1
	shift
	"$@" >"$log" 2>&1 || true
	grep -qaE "$pattern" "$log" || { cat "$log" && echo "FAILED: $* does not say: $pattern" && exit 1; }
}

# silent PROGRAM...: fails unless the program ends well and says no more than "done".
silent() {
	"$@" >"$log" 2>&1 || { cat "$log" && echo "FAILED: $*" && exit 1; }
	[ "$(cat "$log")" = "done" ] || { cat "$log" && echo "FAILED: $* is not silent" && exit 1; }
}

mistakes=(read-after-free write-after-free write-after-realloc write-after-reset overrun)
count=0

silent "$build/tests/checked_plain"
silent "$build/tests/checked_plain" none 1 guard
for program in checked_gcc checked_clang; do
	silent setarch -R "$build/tests/$program"
	silent setarch -R "$build/tests/$program" none 1 guard
	for mistake in "${mistakes[@]}" underrun; do
		for block in "16" "1001 guard" "4000" "100000 guard"; do
			# A large block grows where it is.
			[ "$mistake$block" != "write-after-realloc100000 guard" ] || continue
			# shellcheck disable=SC2086
			tells "AddressSanitizer: use-after-poison on address" \
				setarch -R "$build/tests/$program" "$mistake" $block
			count=$((count + 1))
		done
	done
done
echo "ok AddressSanitizer tells $count mistakes, and none where there is none"

command -v valgrind >/dev/null || { echo "valgrind is not installed" && exit 77; }
# A library built without its header would not know of it.
memcheck=(valgrind -q --error-exitcode=9 --leak-check=full "$build/tests/checked_plain")
count=0
silent "${memcheck[@]}"
silent "${memcheck[@]}" none 1 guard
tells "1,001 bytes in 1 blocks are definitely lost" "${memcheck[@]}" leak 1001
for mistake in "${mistakes[@]}"; do
	pattern="Invalid (read|write) of size 1"
	[ "$mistake" != overrun ] || pattern="0 bytes after a (recently re-allocated )?block of size 1,?001 alloc'd"
	guard=$([ $((count % 2)) -eq 0 ] || echo guard)
	# shellcheck disable=SC2086
	tells "$pattern" "${memcheck[@]}" "$mistake" 1001 $guard
	count=$((count + 1))
done
tells "Conditional jump or move depends on uninitialised" "${memcheck[@]}" uninitialised 1001
echo "ok memcheck tells $count mistakes, a leak and the use of uninitialised bytes, and none where there is none"
