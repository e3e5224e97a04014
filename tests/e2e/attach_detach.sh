#!/usr/bin/env bash
# Attach and detach again and again in full traffic: the target lives on, and nothing of us stays in it.
. "$(dirname "$0")/common.sh"

need_root

rounds=$([ "$LONG" ] && echo 50 || echo 10)

is_silent() {
	[ "$(semaphores "$sim" | tr -s ' ')" = " 0 0 0 0 0 0 0 0" ]
}

start_sim --pattern mixed --rate 200k
is_silent || fail "semaphores are raised before anybody attached: $(semaphores "$sim")"
for round in $(seq "$rounds"); do
	start_collector "$sim"
	is_silent && fail "round $round: attached, and no semaphore is raised"
	case $((round % 5)) in
	0) # without a chance to clean up
		{ kill -KILL "$collector" && reap "$collector"; } 2>/dev/null || true
		;;
	*) stop_collector ;;
	esac
	for _ in $(seq 40); do
		is_silent && break
		sleep 0.05
	done
	is_silent || fail "round $round: semaphores stay raised: $(semaphores "$sim")"
	kill -0 "$sim" || fail "round $round: the target died: $(cat "$scratch/sim.err")"
done
stop_sim
grep -q requests "$scratch/sim.out" || fail "the target did not end in good order"
echo "  $rounds rounds, the semaphores were 0 after each"
echo "ok $test_name"
