#!/usr/bin/env bash
# A ring that is far too small: events are lost, and that is counted, shown, and healed by a new baseline.
. "$(dirname "$0")/common.sh"

need_root
need_command jq

start_sim --pattern burst --rate 0 --seconds 0
start_collector "$sim" --ring-bytes 65536
sleep "$([ "$LONG" ] && echo 30 || echo 5)"
hold "$sim" # quiet: the replica must become whole again
sleep 4 # new baselines are up to 2 s apart after many losses
"$BUILD/mmviz-bpf" snapshot -p "$sim" --format json -o "$scratch/snapshot.json"
stop_collector
kill -CONT "$sim"
stop_sim
[ "$(summary .events_lost)" -gt 0 ] || fail "nothing was lost: the test shows nothing"
[ "$(summary .resyncs)" -gt 0 ] || fail "no new baseline was taken"
[ "$(summary .exact)" = true ] || fail "the picture did not become exact again"
echo "  lost $(summary .events_lost) of $(summary '.events_seen + .events_lost') events, $(summary .resyncs) new baselines"
for key in live_blocks live_bytes; do
	walked=$(jq "[.arenas[].$key] | add" "$scratch/snapshot.json")
	[ "$(summary ".$key")" = "$walked" ] || fail "$key: replica $(summary ".$key"), walk $walked"
	echo "  $key: $walked in replica and walk"
done
echo "ok $test_name"
