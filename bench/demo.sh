#!/usr/bin/env bash
# demo.sh - a pretended server and the dashboard on it. `make demo` builds first and then runs this.
#
#	DEMO_SECONDS=N   end after N seconds (default: at Ctrl-C)
#	DEMO_LISTEN=A:P  where the dashboard listens (default 127.0.0.1:7070, or any free port when that one is taken)
#
# Ends only what it started.
set -euo pipefail

build=${1:-build}
listen=${DEMO_LISTEN:-127.0.0.1:7070}
seconds=${DEMO_SECONDS:-0}
pids=()

finish() {
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do
		kill -INT "$pid" 2>/dev/null || true
	done
	wait
}

is_taken() {
	(exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null
}

trap finish EXIT
trap 'exit 0' INT TERM
set -m # children in groups of their own: Ctrl-C reaches us alone, and we end them in order

if [ "$(id -u)" -ne 0 ] && [ ! -x "$(command -v sudo)" ]; then
	echo "demo: attaching needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE): run it as root" >&2
	exit 77
fi
[ -z "${DEMO_LISTEN:-}" ] && is_taken "$listen" && listen=127.0.0.1:0

"$build/server_sim" --pattern mixed --seconds 0 &
server=$!
pids+=("$server")
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo "$build/mmviz-bpf" -p "$server" --listen "$listen" &
collector=$!
pids=("$collector" "$server")

if [ "$seconds" != 0 ]; then
	sleep "$seconds" &
	timer=$!
	pids+=("$timer")
fi
status=0
wait -n "$collector" ${timer:+"$timer"} || status=$?
if ! kill -0 "$collector" 2>/dev/null && [ "$status" -ne 0 ]; then
	echo "demo: the collector ended with status $status" >&2
	exit "$status"
fi
exit 0
