#!/usr/bin/env bash
# A target killed at any instruction, by SIGKILL or by a crash: the collector's last totals are those that the target itself noted in shared
# memory, but for at most the one operation in which each thread was killed.
. "$(dirname "$0")/common.sh"

need_root
need_command node
need_command jq

rounds=$([ "$LONG" ] && echo 20 || echo 4)

ulimit -c 0
for round in $(seq "$rounds"); do
	signal=$([ $((round % 4)) -eq 3 ] && echo SEGV || echo KILL)
	start_sim --pattern mixed --threads $((round % 4 + 1)) --rate 400k --shared-totals "$scratch/totals"
	start_collector "$sim"
	sleep "0.$((RANDOM % 900 + 100))"
	{ kill "-$signal" "$sim" && reap "$sim"; } 2>/dev/null || true # bash would tell us
	sleep 0.3 # a few ticks: the last words come through the ring
	stop_collector
	echo "round $round, SIG$signal: lost $(summary .events_lost), seen $(summary .events_seen)"
	[ "$(summary .events_lost)" = 0 ] || fail "events were lost"
	node "$(dirname "$0")/totals.mjs" "$scratch/totals" "$scratch/summary.json" || fail "the totals differ"
done
echo "ok $test_name"
