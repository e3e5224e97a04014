#!/usr/bin/env bash
# lttng.sh - LTTng-UST's events of malloc and free (size and address, no stacks), by its wrapper library $PRELOAD, written to
# files by a session daemon of our own: LTTNG_HOME is ours, and root, whose daemon is the machine's, gets a /run of its own.
# Buffers of 32 MiB a core, so that next to nothing is discarded. See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

daemon=''

stop() {
	[ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null || true
	rm -rf "$scratch"
}

# The daemon answers.
start() {
	lttng-sessiond --no-kernel >"$scratch/daemon" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		lttng list >/dev/null 2>&1 && return
		kill -0 "$daemon" 2>/dev/null || give_up "$scratch/daemon"
		sleep 0.05
	done
	give_up "$scratch/daemon"
}

session() {
	lttng create bench --output="$scratch/trace"
	lttng enable-channel --userspace --subbuf-size=4M --num-subbuf=8 calls
	lttng enable-event --userspace --channel=calls lttng_ust_libc:malloc,lttng_ust_libc:free
	lttng start
}

case ${1:-} in
check)
	need lttng lttng-sessiond babeltrace2
	[ "$(id -u)" -ne 0 ] || unshare --mount true 2>/dev/null || missing "no mount namespaces here"
	;;
run)
	if [ "$(id -u)" -eq 0 ] && [ -z "${OWN_RUN:-}" ]; then
		exec env OWN_RUN=1 unshare --mount --propagation private "$0" "$@"
	fi
	[ -z "${OWN_RUN:-}" ] || mount -t tmpfs tmpfs /run
	begin "$2"
	trap stop EXIT
	export LTTNG_HOME=$scratch
	start
	session >"$scratch/said" 2>&1 || give_up "$scratch/said"
	LD_PRELOAD=$PRELOAD "${@:3}"
	lttng stop >"$scratch/said" 2>&1 || give_up "$scratch/said"
	lttng list bench | awk '/Discarded events:/ { sum += $3 } END { print "dropped", sum + 0 }'
	lttng destroy bench >/dev/null
	babeltrace2 "$scratch/trace" --component=sink.utils.counter --params=step=+0 |
		awk '/Event messages/ { print "traced", $1 }' | tail -1
	;;
esac
