#!/usr/bin/env bash
# Two exact collectors, one in events mode and bpftrace look at one target at the same time: each sees every event, the
# death of one takes nothing from the others, and when the last has gone nothing is armed.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"
need_command bpftrace

# rests_equal SUMMARY: the picture of a collector that has just ended is what a walk finds at rest.
rests_equal() {
	local walked
	walked=$("$mm" snapshot -p "$target" | jq '[.arenas[].live_blocks] | add')
	[ "$(jq .live_blocks "$1")" = "$walked" ] || fail "$1: $(jq .live_blocks "$1") blocks followed, $walked walked"
	[ "$(jq .events_lost "$1")" = 0 ] || fail "$1: $(jq .events_lost "$1") events were lost"
	[ "$(jq .exact "$1")" = true ] || fail "$1: the picture is not exact"
}

start_target fault_target
tell w 3
tell p 2000 # bpftrace traps at each event: slowly
start_collector "$target"
first=$collector
mv "$scratch/summary.json" "$scratch/first.json"
start_collector "$target"
second=$collector
mv "$scratch/summary.json" "$scratch/second.json"
start_collector "$target" --mode events --sample 10
third=$collector
bpftrace -p "$target" -e 'usdt:*:mmviz:alloc { @allocs = count(); } usdt:*:mmviz:free { @frees = count(); }
	usdt:*:mmviz:batch { @batches = count(); } BEGIN { printf("begun\n"); }' >"$scratch/bpftrace" 2>&1 &
tracer=$!
started_pids+=("$tracer")
for _ in $(seq 100); do
	grep -q begun "$scratch/bpftrace" && break
	sleep 0.05
done
sleep 0.5
verified_at_rest "$target" "a third exact collector"
end_tracer "$tracer"
for map in allocs frees batches; do
	[ "$(awk -v key="@$map:" '$1 == key { print $2 }' "$scratch/bpftrace")" -gt 0 ] || fail "bpftrace saw no $map: $(cat "$scratch/bpftrace")"
done
echo "  equal beside two others, one in events mode and bpftrace: $compared blocks compared"

! is_silent "$target" || fail "bpftrace took the others' probes with it"
{ kill -KILL "$third" && reap "$third"; } 2>/dev/null || true
! is_silent "$target" || fail "a killed collector took the others' probes with it"
verified "$target" 1 "after one was killed"
tell r
sleep 0.2
for pid in "$first" "$second"; do
	kill -INT "$pid"
	reap "$pid" || fail "a collector ended with status $?: $(cat "$scratch/collector.err")"
done
rests_equal "$scratch/first.json"
rests_equal "$scratch/second.json"
echo "  both lived through it: $(jq .events_seen "$scratch/first.json") and $(jq .events_seen "$scratch/second.json") events seen, 0 lost"
becomes_silent "$target" "all have gone"
tell g
is_unharmed "all have gone"
end_target
echo "ok $test_name"
