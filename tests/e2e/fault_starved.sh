#!/usr/bin/env bash
# A collector that does not get the CPU: other programs want both, it is stopped for seconds, a CPU is taken away. What it
# could not take is counted, and then its picture becomes whole again by itself; also when the target ends meanwhile.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"
need_command curl

stop_seconds=$([ "$LONG" ] && echo 10 || echo 1)

# heals PID-OF-COLLECTOR WHAT: at rest its picture becomes exact, and is what a walk finds. Ends the collector.
heals() {
	local walked
	tell r || fail "$1: the target does not answer"
	for _ in $(seq 100); do # new baselines are up to 2 s apart after many losses
		sleep 0.05
		curl -s -m 5 "$(grep -o 'http://[^ ]*' "$scratch/collector.err" | head -1)api/v1/summary" | jq -e .exact >/dev/null && break
	done
	walked=$("$mm" snapshot -p "$target" | jq '[.arenas[].live_blocks] | add')
	stop_collector
	[ "$(summary .exact)" = true ] || fail "$1: the picture is not exact"
	[ "$(summary .live_blocks)" = "$walked" ] || fail "$1: $(summary .live_blocks) blocks followed, $walked walked"
	echo "  $1: equal, $walked blocks; lost $(summary .events_lost) of $(summary '.events_seen + .events_lost'), $(summary .resyncs) new baselines"
	tell g
}

# burn: a program that wants a CPU more than we do, for each of them.
burn() {
	burners=()
	for _ in $(seq "$(nproc)"); do
		nice -n -20 sh -c 'while :; do :; done' &
		burners+=($!)
		started_pids+=($!)
	done
}
stop_burning() {
	for pid in "${burners[@]}"; do
		{ kill -KILL "$pid" && reap "$pid"; } 2>/dev/null || true
	done
}

start_target fault_target
tell w 3
echo "busy CPUs"
burn
start_collector "$target"
sleep 1
stop_burning
heals "busy CPUs"

echo "a stopped collector"
tell p 0
start_collector "$target" --ring-bytes 1048576
kill -STOP "$collector"
sleep "$stop_seconds"
kill -CONT "$collector"
sleep 0.3
heals "stopped for $stop_seconds s"
[ "$(summary .events_lost)" -gt 0 ] || fail "nothing was lost: the test shows nothing"

echo "a CPU that goes and comes"
online=/sys/devices/system/cpu/cpu1/online
if [ -z "$LONG" ]; then
	echo "  skipped: it would take a CPU from the whole machine; LONG=1 does it"
elif [ ! -w "$online" ] || ! echo 0 >"$online"; then
	echo "  skipped: $online cannot be changed"
else
	trap 'status=$?; set +e; echo 1 >"$online"; (exit $status); finish' EXIT
	start_collector "$target" # on one CPU
	sleep 1
	echo 1 >"$online"
	sleep 1
	echo 0 >"$online"
	sleep 1
	echo 1 >"$online"
	heals "a CPU that goes and comes"
fi

echo "the target ends while the collector is stopped and its ring is full"
is_unharmed "before its end"
for signal in KILL SEGV; do
	tell r # so that two collectors begin at the same numbers
	start_collector "$target" --ring-bytes 1048576
	stopped=$collector
	kill -STOP "$stopped"
	mv "$scratch/summary.json" "$scratch/stopped.json"
	mv "$scratch/collector.err" "$scratch/stopped.err"
	start_collector "$target"
	tell g
	sleep 0.7
	{ kill -$signal "$target" && reap "$target"; } 2>/dev/null || true
	kill -CONT "$stopped"
	for _ in $(seq 60); do
		grep -q '^The target' "$scratch/stopped.err" && break
		sleep 0.05
	done
	kill -INT "$stopped"
	reap "$stopped" || fail "the collector ended with $?: $(cat "$scratch/stopped.err")"
	stop_collector
	grep -q "ended by signal $(kill -l $signal) " "$scratch/stopped.err" || fail "its end was not told: $(cat "$scratch/stopped.err")"
	lost=$(jq .events_lost "$scratch/stopped.json") made=$(jq '.events_seen + .events_lost' "$scratch/stopped.json")
	[ "$lost" -gt 0 ] || fail "nothing was lost: the test shows nothing"
	[ "$made" = "$(summary '.events_seen + .events_lost')" ] ||
		fail "seen and lost are $made events, the target made $(summary '.events_seen + .events_lost')"
	[ "$(jq .exact "$scratch/stopped.json")" = false ] || fail "events are missing for good, and the picture calls itself exact"
	echo "  its end was told, and that $lost of $made events are missing"
	exec 8>&- 9<&-
	start_target fault_target
	tell w 3
	tell p 0
done
end_target
echo "ok $test_name"
