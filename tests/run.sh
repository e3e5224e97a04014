#!/usr/bin/env bash
# run.sh - every test, one line each, and the sum: `make test` builds first and then runs this.
#
#	tests/run.sh BUILD [--check] UNIT-TEST...
#
# --check: format and builds without a warning first. Unit tests (cmocka programs) come next, then tests/*.sh and tests/e2e/*.sh (0 fine, 77 skipped, else failed), then the
# tests of the dashboard (node --test). What a test says goes to BUILD/test-logs/NAME.log, and is printed when it fails.
# ONLY=PATTERN runs only what has a matching name. The last line is "N passed, N failed".
set -uo pipefail

build=$1
shift
is_check=
[ "${1:-}" != --check ] || { is_check=1 && shift; }
make=${MAKE:-make}
logs=$build/test-logs
passed=0 failed=0 skipped=0
mkdir -p "$logs"
export BUILD=$build

# count PATTERN LOG: the sum of the numbers that the pattern's group finds.
count() {
	sed -n "s/$1/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# tell NAME STATUS PASSED FAILED SECONDS: one line, and the log of what failed.
tell() {
	local name=$1 status=$2 good=$3 bad=$4 word=ok
	if [ "$status" -eq 77 ]; then
		skipped=$((skipped + 1))
		printf '  %-8s %s: %s\n' skip "$name" "$(tail -1 "$logs/$name.log")"
		return
	fi
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	passed=$((passed + good)) failed=$((failed + bad))
	[ "$bad" -eq 0 ] || word=FAILED
	printf '  %-8s %s (%d passed%s, %d s)\n' "$word" "$name" "$good" "$([ "$bad" -eq 0 ] || echo ", $bad failed")" "$5"
	[ "$bad" -eq 0 ] && return
	[ "$status" -ne 124 ] || echo "           no end within its time"
	sed 's/^/           /' "$logs/$name.log" | tail -60
}

# run NAME KIND SECONDS COMMAND...
run() {
	local name=$1 kind=$2 limit=$3 status=0 began=$SECONDS good bad=0 log=$logs/$1.log
	shift 3
	# shellcheck disable=SC2053
	[[ $name == ${ONLY:-*} ]] || return
	mkdir -p "$(dirname "$log")"
	timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
	case $kind in
	cmocka)
		good=$(count '^\[  PASSED  \] \([0-9]*\) test.*' "$log")
		bad=$(count '^\[  FAILED  \] \([0-9]*\) test.*' "$log")
		;;
	node)
		good=$(count '^. pass \([0-9]*\)$' "$log")
		bad=$(count '^. fail \([0-9]*\)$' "$log")
		;;
	*) good=$((status == 0)) ;;
	esac
	tell "$name" "$status" "$good" "$bad" $((SECONDS - began))
}

# Programs in BUILD/asan and BUILD/tsan are named after their folder, and run without address randomisation: the
# sanitizers' shadow memory has fixed places, which newer kernels may give to something else.
unit() {
	local name=${1#"$build"/}
	name=${name/tests\//}
	case $name in
	*/*) run "$name" cmocka 300 setarch -R "$1" ;;
	*) run "$name" cmocka 120 "$1" ;;
	esac
}

if [ "$is_check" ]; then
	run format script 60 "$make" format-check
	run warnings/gcc script 600 "$make" B="$build/gcc" CC=gcc WERROR=-Werror objects
	run warnings/clang script 600 "$make" B="$build/clang" CC=clang WERROR=-Werror objects
fi
for program in "$@"; do
	unit "$program"
done
for script in tests/*.sh tests/e2e/*.sh; do
	case $script in
	*/run.sh | */common.sh | */preloaded.sh) ;;
	*) run "$(basename "$script" .sh)" script 180 "$script" ;;
	esac
done
for folder in web/test tests/web; do
	compgen -G "$folder/*.test.mjs" >/dev/null &&
		run "${folder//\//_}" node 180 node --test --test-reporter=spec "$folder"/*.test.mjs
done
[ "$skipped" -eq 0 ] || echo "  ($skipped skipped)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
