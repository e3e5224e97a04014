#!/usr/bin/env bash
# uftrace.sh - uftrace's records of the calls of malloc and free that go through the program's PLT, with size and address.
# See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

case ${1:-} in
check) need uftrace ;;
run)
	begin "$2"
	uftrace record --force --no-event --no-pager -d "$scratch/data" -F malloc -F free -A 'malloc@arg1' -R 'malloc@retval/x' \
		-A 'free@arg1/x' "${@:3}" 2>"$scratch/err" || give_up "$scratch/err"
	uftrace report --no-pager -d "$scratch/data" 2>>"$scratch/err" |
		awk '$NF == "malloc" || $NF == "free" { sum += $(NF - 1) } END { print "traced", sum + 0 }'
	awk '/LOST/ { for (i = 1; i <= NF; i++) if ($i ~ /^[0-9]+$/) sum += $i } END { print "dropped", sum + 0 }' "$scratch/err"
	;;
esac
