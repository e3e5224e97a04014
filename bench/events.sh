#!/usr/bin/env bash
# events.sh - what an event costs the target in events mode: filtered out, not chosen, told.
#
#	bench/events.sh [BUILD [ROUNDS]]        (root)
#
# One thread of server_sim as fast as it can, a collector beside it: the target's own CPU time by operation when nobody is
# attached, by hit when events are told, in turn; medians of the rounds. Half of the events are frees.
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

# cpu_ns PID: what its threads have run.
cpu_ns() {
	cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { print sum }'
}

start_sim() {
	"$build/server_sim" --threads 1 --rate 0 "$@" >"$scratch/sim" 2>&1 &
	sim=$!
	pids=("$sim")
	sleep 0.3
}

# ns of CPU time an operation, its start included: a hundredth of these two seconds
detached() {
	local now after=0
	start_sim --seconds 2 --json
	while sleep 0.02 && now=$(cpu_ns "$sim" 2>/dev/null) && [ "${now:-0}" -ge "$after" ]; do
		after=$now # until its thread has gone
	done
	wait "$sim" || true
	tail -1 "$scratch/sim" | jq --argjson cpu "$after" '$cpu / (.operations_per_second * .seconds)'
}

attached() { # ARGUMENT...: ns of CPU time an event
	local base collector cpu hits
	start_sim --seconds 30
	rm -f "$scratch/out"
	"$build/mmviz-bpf" -p "$sim" --mode events --stacks off --listen 127.0.0.1:0 --no-token "$@" >"$scratch/out" 2>&1 &
	collector=$!
	pids=("$collector" "$sim")
	for _ in $(seq 100); do
		base=$(grep -so '^http://[^/]*' "$scratch/out") && break
		sleep 0.05
	done
	sleep 0.5
	hits=$(curl -fsS "$base/api/v1/events" | jq .counted.hits) cpu=$(cpu_ns "$sim")
	sleep 2
	curl -fsS "$base/api/v1/events" >"$scratch/said"
	jq --argjson hits "$hits" --argjson cpu "$(($(cpu_ns "$sim") - cpu))" '$cpu / (.counted.hits - $hits)' "$scratch/said"
	jq '.counted | .dropped / (.told + .dropped + 1)' "$scratch/said" >>"$scratch/dropped"
	kill -INT "$collector"
	kill -KILL "$sim"
	wait "$collector" "$sim" 2>/dev/null || true
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
