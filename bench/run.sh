#!/usr/bin/env bash
# run.sh - all measurements, one after the other; `make bench` builds first and then runs this.
#
#	bench/run.sh BUILD [quick|full]
#
# quick: one short run of each figure, under a minute, to see that everything works. full: more and longer runs.
# PEERS: more allocators, "NAME=/path/to/library.so ...". The text is printed and kept in BUILD/bench/*.txt, figures for programs in BUILD/bench/*.json.
set -euo pipefail

build=${1:-build}
size=${2:-normal}
out=$build/bench
only=() tracers=()
case $size in
quick)
	only=(--leave-out "raw,tcm-full") runs=1 memory_runs=1 seconds=0.05 sim_seconds=1 delay=1.5
	tracers=(--leave-out uprobes) tracer_runs=1 tracer_seconds=0.05
	;;
normal) runs=9 memory_runs=1 seconds=0.1 sim_seconds=4 delay=3 tracer_runs=3 tracer_seconds=0.2 ;;
full) runs=15 memory_runs=3 seconds=0.3 sim_seconds=10 delay=3 tracer_runs=7 tracer_seconds=0.3 ;;
*)
	echo "usage: bench/run.sh BUILD [quick|full]" >&2
	exit 64
	;;
esac

pids=()
finish() {
	for pid in "${pids[@]}"; do
		kill -INT "$pid" 2>/dev/null || true
	done
	wait
}
trap finish EXIT

# attach PID MODE: start a collector and wait for its first picture.
attach() {
	"$build/mmviz-bpf" -p "$1" --mode "$2" --json --listen 127.0.0.1:0 --no-token \
		>"$out/summary.json" 2>"$out/collector.log" &
	pids+=($!)
	for _ in $(seq 100); do
		grep -q Attached "$out/collector.log" && return
		sleep 0.1
	done
	echo "bench: the collector did not come up; see $out/collector.log" >&2
	return 1
}

# End the collector; its summary is in $out/summary.json then.
detach() {
	kill -INT "${pids[-1]}"
	wait "${pids[-1]}"
	unset 'pids[-1]'
}

can_attach() {
	[ "$(id -u)" -eq 0 ] && [ -x "$build/mmviz-bpf" ]
}

# One line: what server_sim did in a mode, and what the collector saw and lost.
throughput() {
	local mode=$1 result=$out/server_sim.json summary='' sim
	"$build/server_sim" --rate 0 --delay "$delay" --seconds "$sim_seconds" --json >"$result" 2>/dev/null &
	sim=$!
	pids+=("$sim")
	[ "$mode" = detached ] || attach "$sim" "$mode"
	wait "$sim"
	[ "$mode" = detached ] || detach
	if [ "$mode" = exact ]; then
		summary=$(jq -r '"events seen \(.events_seen), lost \(.events_lost), resyncs \(.resyncs)"' \
			"$out/summary.json")
	fi
	unset 'pids[-1]'
	jq -r --arg mode "$mode" --arg summary "$summary" 'def millions: . / 1e4 | round / 100;
		"\($mode)\t\(.requests_per_second | millions) M requests/s\t" +
		"\(.operations_per_second | millions) M operations/s\t\($summary)"' "$result"
}

server_sim_table() {
	echo "server_sim --rate 0, two threads (budget in exact mode: 5 M requests/s, nothing lost)"
	throughput detached
	can_attach || { echo "(attached modes need root and $build/mmviz-bpf)" && return; }
	throughput exact
	throughput sampled
}

log_table() {
	can_attach || { "$out/log" && return; }
	"$out/log" --attached >"$out/log.txt" &
	pids+=($!)
	until grep -q "cold *written" "$out/log.txt"; do sleep 0.1; done
	attach "${pids[-1]}" exact
	wait "${pids[-2]}"
	detach
	unset 'pids[-1]'
	cat "$out/log.txt"
}

"$out/tree" | tee "$out/tree.txt"
echo
log_table
echo
"$out/replica" | tee "$out/replica.txt"
echo
server_sim_table | tee "$out/server_sim.txt"
echo
"$out/compare_tracers" --build "$build" --runs "$tracer_runs" --seconds "$tracer_seconds" "${tracers[@]}" |
	tee "$out/tracers.txt"
echo
peers=()
for peer in ${PEERS:-}; do
	peers+=(--peer "$peer")
done
"$out/compare_allocators" --build "$build" --runs "$runs" --memory-runs "$memory_runs" \
	--seconds "$seconds" "${only[@]}" "${peers[@]}" --json "$out/compare.json" | tee "$out/compare.txt"
