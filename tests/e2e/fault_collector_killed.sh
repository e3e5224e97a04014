#!/usr/bin/env bash
# The collector is killed at any instant, also while it attaches: the target goes on unharmed, its semaphores fall back
# to 0, the web server does not outlive it, and the next collector's picture is right.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"

rounds=$([ "$LONG" ] && echo 400 || echo 25)
echo "  MMVIZ_TEST_SEED=$seed"

start_target fault_target
tell w 3
tell s 8
raised=0
for round in $(seq "$rounds"); do
	if [ $((round % 3)) -eq 0 ]; then
		"$mm" -p "$target" --listen 127.0.0.1:0 --no-token >/dev/null 2>&1 &
	else
		"$mm" verify -p "$target" --rounds 1000 >/dev/null 2>&1 &
	fi
	collector=$!
	started_pids+=("$collector")
	pause $((round % 2 ? 20 : 250)) # half of them while it attaches, which takes some 20 ms
	is_silent "$target" || raised=$((raised + 1))
	children=$(pgrep -P "$collector" || true) # the web server and the link keeper
	{ kill -KILL "$collector" && reap "$collector"; } 2>/dev/null || true
	becomes_silent "$target" "round $round, killed after $pause_ms ms"
	tell t || fail "round $round, killed after $pause_ms ms: the target does not answer"
	[ $((round % 8)) -ne 0 ] || verified "$target" 1 "round $round: the next collector"
	for child in $children; do
		for _ in $(seq 50); do
			is_running "$child" || break
			sleep 0.02
		done
		! is_running "$child" || fail "round $round: child $child outlives the collector"
	done
done
[ "$raised" -gt 0 ] && [ "$raised" -lt "$rounds" ] ||
	fail "killed while attached $raised times of $rounds: the delays miss one side of the attach"
verified_at_rest "$target" "the last collector"
is_unharmed "after $rounds kills"
end_target
echo "  killed $rounds times, $raised of them with semaphores raised; then equal, $compared blocks compared"
echo "ok $test_name"
