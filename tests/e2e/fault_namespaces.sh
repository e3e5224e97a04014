#!/usr/bin/env bash
# Targets behind walls: in namespaces of their own (pid, mounts, users), in a chroot, run by another user, from a file
# that has been deleted. Each is listed, walked and followed from outside; and its children know nothing of it.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"
need_command unshare
need_command setpriv
rest_rounds=2

chmod 711 "$scratch"
mkdir "$scratch/root" "$scratch/root/proc" "$scratch/private"
cp "$BUILD/tests/fault_target" "$scratch/root/target"
ldd "$BUILD/tests/fault_target" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$scratch/root$(dirname "$library")"
	cp "$library" "$scratch/root$library"
done
cp "$BUILD/tests/fault_target" "$scratch/deleted"

# start_walled COMMAND...: as start_target; the target is the last of the children that the command has.
start_walled() {
	local child
	rm -f "$scratch/commands" "$scratch/answers"
	mkfifo "$scratch/commands" "$scratch/answers"
	"$@" <"$scratch/commands" >"$scratch/answers" 2>"$scratch/target.err" &
	wall=$!
	started_pids+=("$wall")
	exec 8>"$scratch/commands" 9<"$scratch/answers"
	read -r -t 20 answer <&9 || fail "$* did not start: $(cat "$scratch/target.err")"
	target=$wall
	while child=$(pgrep -P "$target") && [ "$child" ]; do
		target=$child
	done
	[ "$target" = "$wall" ] || started_pids+=("$target")
}

# looked_at WHAT
looked_at() {
	tell w 2 || fail "$1: the target does not answer"
	"$mm" list --json 2>/dev/null | jq -e ".processes[] | select(.pid == $target)" >/dev/null || fail "$1: it is not listed"
	"$mm" snapshot -p "$target" >"$scratch/snapshot" || fail "$1: no snapshot"
	[ "$(jq '[.arenas[].live_blocks] | add' "$scratch/snapshot")" -ge 2000 ] || fail "$1: the snapshot is wrong"
	verified_at_rest "$target" "$1"
	start_collector "$target"
	sleep 0.1
	kill -KILL "$target" # its last words must come through
	for _ in $(seq 100); do
		is_running "$target" || break
		sleep 0.02
	done
	sleep 0.2
	stop_collector
	grep -q 'ended by signal 9' "$scratch/collector.err" || fail "$1: its end was not told: $(cat "$scratch/collector.err")"
	[ "$(summary .events_lost)" = 0 ] && [ "$(summary .exact)" = true ] || fail "$1: its last picture is not exact"
	exec 8>&- 9<&-
	{ reap "$wall" || true; } 2>/dev/null
	echo "  $1: equal, $compared blocks compared; its end was told"
}

program=$BUILD/tests/fault_target
start_walled unshare -p -f --mount-proc "$program"
[ "${answer#ready }" = 1 ] || fail "it is not the first in its pid namespace: $answer"
looked_at "pid namespace"
start_walled chroot "$scratch/root" /target
looked_at "chroot"
start_walled unshare -m sh -c "mount -t tmpfs tmpfs '$scratch/private' && cp '$program' '$scratch/private/target' &&
	exec '$scratch/private/target'"
[ ! -e "$scratch/private/target" ] || fail "the mount is not private"
looked_at "private mounts"
start_walled unshare -U -r "$program"
looked_at "user namespace"
start_walled unshare -U -r -p -f -m -n -u -i --mount-proc chroot "$scratch/root" /target
looked_at "all of them, in a chroot"
start_walled setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$scratch/root/target"
looked_at "another user"
start_walled "$scratch/deleted"
rm "$scratch/deleted"
looked_at "deleted program"

echo "  and a collector in the same pid namespace"
unshare -p -f --mount-proc bash -c "'$BUILD/server_sim' --rate 100k 2>/dev/null >/dev/null & sleep 0.3
	'$mm' verify -p \$! --rounds 1 && '$mm' -p \$! -d 0.4 --listen 127.0.0.1:0 & collector=\$!; sleep 0.7; kill -KILL %1; wait \$collector" >"$scratch/out" 2>&1 ||
	fail "a collector inside: $(cat "$scratch/out")"
grep -q ': equal' "$scratch/out" && grep -q 'Detached\|ended by signal 9' "$scratch/out" || fail "a collector inside: $(cat "$scratch/out")"
echo "ok $test_name"
