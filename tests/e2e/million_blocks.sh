#!/usr/bin/env bash
# A target with a million live blocks, in quiet traffic: the complete picture is there in less than 0.4 s.
. "$(dirname "$0")/common.sh"

need_root
need_command jq

most_ms=${MOST_MS:-400}
attempts=$([ "$LONG" ] && echo 9 || echo 3)

start_sim --live-blocks 1M --rate 1k
for _ in $(seq "$attempts"); do
	start_collector "$sim"
	stop_collector
	[ "$(summary .live_blocks)" -ge 1000000 ] || fail "only $(summary .live_blocks) blocks"
	[ "$(summary .events_lost)" = 0 ] || fail "$(summary .events_lost) events were lost"
	sed -n 's/^Attached to .* in \([0-9]*\) ms.*/\1/p' "$scratch/collector.err" >>"$scratch/times"
done
stop_sim
between "$(sort -n "$scratch/times" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')" 1 "$most_ms" \
	"ms from start to complete picture (median of $attempts)"
echo "ok $test_name"
