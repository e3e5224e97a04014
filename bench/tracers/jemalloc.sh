#!/usr/bin/env bash
# jemalloc.sh - jemalloc, $PRELOAD, with its sampling profiler: a stack for each 512 KiB on the average; the profile written at
# the end proves that it was on. What it leaves out is its purpose, and no loss. See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

case ${1:-} in
check) ;;
run)
	begin "$2"
	MALLOC_CONF=prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:$scratch/profile LD_PRELOAD=$PRELOAD "${@:3}"
	cat "$scratch"/profile.* >"$scratch/profiles" 2>/dev/null || true
	grep -q '^heap_v2/524288' "$scratch/profiles" || {
		echo "jemalloc wrote no profile: it was built without one" >&2
		exit 1
	}
	;;
esac
