#!/usr/bin/env bash
# Nowhere to write: a full file system or a full device is an error that says which, whatever the command and the format;
# it is never an empty success.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"

mkdir "$scratch/full"
mount -t tmpfs -o size=64k tmpfs "$scratch/full" || skip "no tmpfs can be mounted here"
trap 'status=$?; set +e; umount -l "$scratch/full"; (exit $status); finish' EXIT

# refused WHERE COMMAND...: it fails with 1 and names WHERE.
refused() {
	local where=$1 status=0
	shift
	timeout 20 "$@" 2>"$scratch/err" || status=$?
	[ "$status" -eq 1 ] || fail "$*: status $status: $(cat "$scratch/err")"
	grep -Eq "$where.*No space left on device" "$scratch/err" || fail "$*: it said: $(cat "$scratch/err")"
}

start_target fault_target
tell b 20000
for format in json ndjson csv; do
	case $format in
	json) tell a 200 ;; # a row each
	esac
	refused "$scratch/full/heap" "$mm" snapshot -p "$target" --format $format -o "$scratch/full/heap"
	refused "standard output" "$mm" snapshot -p "$target" --format $format >/dev/full
done
refused "standard output" "$mm" list >/dev/full # the target is in it
refused "standard output" "$mm" list --json >/dev/full
refused "standard output" "$mm" doctor >/dev/full
refused "standard output" "$mm" verify -p "$target" --rounds 1 >/dev/full
refused "standard output" "$mm" verify -p "$target" --rounds 1 --json >/dev/full
refused "standard output" "$mm" -p "$target" -d 0.2 --json --listen 127.0.0.1:0 >/dev/full
refused "standard output" "$mm" -p "$target" -d 0.2 --listen 127.0.0.1:0 >/dev/full
becomes_silent "$target" "after all of this"
is_unharmed "after all of this"
end_target
echo "ok $test_name"
