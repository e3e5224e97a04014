#!/usr/bin/env bash
# events.sh - what an event costs the target in events mode: filtered out, not chosen, told.
#
#	bench/events.sh [BUILD [ROUNDS]]        (root)
#
# One thread of server_sim as fast as it can, a collector beside it. Each round measures nobody attached (server_sim's own
# count), then each setting (the rate at which the kernel counts hits); medians of the rounds, ns an event more than
# detached. Half of the events are frees.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build} rounds=${2:-5}
scratch=$(mktemp -d)
pids=()
end() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	rm -rf "$scratch"
}
trap end EXIT

settings=(
	"filtered out by size|--min-bytes 1073741824"
	"passes, 1 in 1000 told|--sample 1000"
	"passes, one each MiB told|--sample-by bytes --sample 1048576"
	"1 in 10 told|--sample 10"
	"told|--sample 1"
)

detached() {
	"$build/server_sim" --threads 1 --rate 0 --seconds 2 --json 2>/dev/null | tail -1 | jq '1e9 / .operations_per_second'
}

attached() { # ARGUMENT...: ns an event
	local base ns sim collector
	"$build/server_sim" --threads 1 --rate 0 --seconds 30 >"$scratch/sim" 2>&1 &
	sim=$!
	sleep 0.3
	"$build/mmviz-bpf" -p "$sim" --mode events --stacks off --listen 127.0.0.1:0 --no-token "$@" >"$scratch/out" 2>&1 &
	collector=$!
	pids=("$collector" "$sim")
	for _ in $(seq 100); do
		base=$(grep -o '^http://[^/]*' "$scratch/out") && break
		sleep 0.05
	done
	sleep 3.5
	ns=$(curl -fsS "$base/api/v1/events" | jq '1e9 / .counted_per_second.hits')
	curl -fsS "$base/api/v1/events" | jq '.counted_per_second | .dropped / (.told + .dropped + 1)' >>"$scratch/dropped"
	kill -INT "$collector"
	kill "$sim"
	wait "$collector" "$sim" 2>/dev/null || true
	echo "$ns"
}

median() {
	sort -n "$1" | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'
}

echo "# $(uname -sr), $(nproc) CPUs, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1); bench/events.sh $build $rounds"
for ((round = 0; round < rounds; round++)); do
	detached >>"$scratch/detached"
	for i in "${!settings[@]}"; do
		# shellcheck disable=SC2086
		attached ${settings[i]#*|} >>"$scratch/$i"
	done
done
base=$(median "$scratch/detached")
printf '%-28s %7.0f ns an event\n' "nobody attached" "$base"
for i in "${!settings[@]}"; do
	awk -v name="${settings[i]%%|*}" -v ns="$(median "$scratch/$i")" -v base="$base" \
		'BEGIN { printf "%-28s %+7.0f ns\n", name, ns - base }'
done
awk '{ if ($1 > most) most = $1 } END { printf "dropped, at most: %.1f %% of what was to be told\n", 100 * most }' "$scratch/dropped"
