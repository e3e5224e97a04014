#!/usr/bin/env bash
# heaptrack.sh - heaptrack as its users start it: every allocation with its stack, interpreted and compressed meanwhile by
# another process. See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

case ${1:-} in
check) need heaptrack ;;
run)
	begin "$2"
	heaptrack -o "$scratch/out" "${@:3}" >"$scratch/said" 2>"$scratch/err" || give_up "$scratch/err"
	cat "$scratch/said"
	# each allocation that did not leak was freed too
	awk '$1 == "allocations:" { calls += 2 * $2 } /leaked allocations:/ { calls -= $3 } END { print "traced", calls }' \
		"$scratch/said" "$scratch/err"
	;;
esac
