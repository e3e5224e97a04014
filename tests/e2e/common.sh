# shellcheck shell=bash
# common.sh - what the end-to-end tests share; sourced, never run.
#
# A test prints what it checks and exits 0 (fine), 1 (failed) or 77 (skipped, with the reason). It ends only processes
# that it started. Environment: BUILD (default build), LONG=1 for the long form.

set -euo pipefail

BUILD=${BUILD:-build}
LONG=${LONG:-}
test_name=$(basename "$0" .sh)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mmviz-$test_name.XXXXXX")
started_pids=()

finish() {
	local status=$?
	trap - EXIT
	for pid in "${started_pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
		echo "FAIL $test_name; its files are in $scratch" >&2
	else
		rm -rf "$scratch"
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
	echo "  $*" >&2
	exit 1
}

skip() {
	echo "skip $test_name: $*"
	exit 77
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "attaching needs root"
}

need_command() {
	command -v "$1" >/dev/null || skip "no $1 here; make deps installs it"
}

# start_sim ARGUMENT...: server_sim in the background; $sim is its pid; its live blocks are there.
start_sim() {
	"$BUILD/server_sim" "$@" >"$scratch/sim.out" 2>"$scratch/sim.err" &
	sim=$!
	started_pids+=("$sim")
	for _ in $(seq 600); do
		grep -q "pid $sim" "$scratch/sim.err" && return
		kill -0 "$sim" 2>/dev/null || fail "server_sim $* did not start: $(cat "$scratch/sim.err")"
		sleep 0.05
	done
	fail "server_sim $* was not ready within 30 s"
}

# reap PID: wait for a child and strike it off the list; its status is the result.
reap() {
	local kept=() pid status=0
	wait "$1" 2>/dev/null || status=$?
	for pid in "${started_pids[@]}"; do
		[ "$pid" = "$1" ] || kept+=("$pid")
	done
	started_pids=("${kept[@]}")
	return "$status"
}

# stop_sim: ends it in good order.
stop_sim() {
	kill -INT "$sim"
	reap "$sim" || fail "server_sim failed: $(cat "$scratch/sim.err")"
}

# hold PID: SIGSTOP, and back when every thread has stopped. The thread that takes the signal stops the others when it
# gets a CPU: under load they run on for tens of milliseconds.
hold() {
	kill -STOP "$1"
	for _ in $(seq 1000); do
		awk '/^State:/ && $2 != "T" { running++ } END { exit running > 0 }' "/proc/$1/task/"*/status 2>/dev/null && return
		sleep 0.005
	done
	fail "process $1 did not stop within 5 s"
}

# start_collector PID ARGUMENT...: the live collector; $collector is its pid, its picture is there.
start_collector() {
	local target=$1
	shift
	: >"$scratch/collector.err"
	"$BUILD/mmviz-bpf" -p "$target" --json --listen 127.0.0.1:0 --no-token "$@" \
		>"$scratch/summary.json" 2>"$scratch/collector.err" &
	collector=$!
	started_pids+=("$collector")
	for _ in $(seq 600); do
		grep -q '^Attached' "$scratch/collector.err" && return
		kill -0 "$collector" 2>/dev/null || fail "mmviz-bpf did not attach: $(cat "$scratch/collector.err")"
		sleep 0.05
	done
	fail "mmviz-bpf was not attached within 30 s: $(cat "$scratch/collector.err")"
}

# end_tracer PID: Ctrl-C for a bpftrace. It forgets one that comes while it attaches, and then gets another one.
end_tracer() {
	for _ in $(seq 10); do
		kill -INT "$1" 2>/dev/null || break
		for _ in $(seq 30); do
			kill -0 "$1" 2>/dev/null || break 2
			sleep 0.1
		done
	done
	kill -KILL "$1" 2>/dev/null || true
	reap "$1" || true # one that is ended by a signal says so
}

# stop_collector: Ctrl-C; its summary is in $scratch/summary.json then.
stop_collector() {
	kill -INT "$collector"
	reap "$collector" || fail "mmviz-bpf ended with status $?: $(cat "$scratch/collector.err")"
}

# summary FILTER: a value of the last collector's summary.
summary() {
	jq -r "$1" "$scratch/summary.json"
}

# semaphores PID: the eight counters of its probes, one line.
semaphores() {
	local offset base
	offset=$((16#$(nm "/proc/$1/exe" | awk '$3 == "mmviz_registry" { print $1 }')))
	base=$((16#$(head -1 "/proc/$1/maps" | cut -d- -f1)))
	readelf -h "/proc/$1/exe" | grep -q 'Type: *EXEC' && base=0
	dd if="/proc/$1/mem" bs=8 skip=$(((base + offset) / 8)) count=2 2>/dev/null | od -An -v -t u2 -w16
}

# between VALUE LEAST MOST WHAT
between() {
	awk -v value="$1" -v least="$2" -v most="$3" 'BEGIN { exit !(value >= least && value <= most) }' ||
		fail "$4 is $1, not from $2 to $3"
	echo "  $4: $1"
}
