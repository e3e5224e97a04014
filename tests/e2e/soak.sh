#!/usr/bin/env bash
# Followed for a long time: the collector compares its picture with fresh walks, round after round, while server_sim works as
# fast as it can; in the end what it has seen and lost is what the target's own counters say that it made.
#
# The last part has a ring that is far too small: what is lost is counted to the last event, too.
#
# Short: some seconds. LONG=1: thirteen minutes, at least ten billion events, one heap alone past 2^32 of them, where
# incarnations begin again. SOAK_SECONDS=N: about N seconds of traffic instead.
. "$(dirname "$0")/common.sh"

need_root
need_command jq

if [ "$LONG" ]; then
	seconds=${SOAK_SECONDS:-720} least_events=$([ "${SOAK_SECONDS:-}" ] && echo 100000000 || echo 10000000000)
	parts=("steady 1 12" "mixed 1 4" "mixed 4 3" "burst 2 1" "ramp 3 1" "steady 2 2" "mixed 2 1 65536")
else
	seconds=${SOAK_SECONDS:-4} least_events=2000000
	parts=("mixed 4 2" "steady 1 1" "burst 2 1" "steady 2 1 65536")
fi
shares=$(printf '%s\n' "${parts[@]}" | awk '{ sum += $3 } END { print sum }')
all_events=0 all_rounds=0

# begin PATTERN THREADS SECONDS [OPTION...]: the target; the collector attaches before its first request.
begin() {
	start_sim --pattern "$1" --threads "$2" --rate 0 --delay 1 --seconds "$3" --linger 600 --json
	"$BUILD/mmviz-bpf" verify -p "$sim" --rounds 1000000 --json "${@:4}" >"$scratch/rounds" 2>"$scratch/verify.err" &
	verify=$!
	started_pids+=("$verify")
	for _ in $(seq 18); do
		[ -s "$scratch/rounds" ] && return
		sleep 0.05
	done
	fail "the collector had no picture before the traffic began: $(cat "$scratch/verify.err")"
}

# end SECONDS: of traffic; then some rounds more, while nothing changes.
end() {
	sleep "$1"
	for _ in $(seq 600); do
		grep -q 'traffic has ended' "$scratch/sim.err" && break
		kill -0 "$sim" "$verify" 2>/dev/null || fail "one of both is gone: $(cat "$scratch/sim.err" "$scratch/verify.err")"
		sleep 0.1
	done
	sleep 1
	memory_kib=$(awk '/VmHWM/ { print $2 }' "/proc/$verify/status")
	kill -INT "$verify"
	status=0
	reap "$verify" || status=$?
	stop_sim
}

# judge WHAT IS-TO-LOSE
judge() {
	local rounds seen lost made differences
	rounds=$(wc -l <"$scratch/rounds")
	differences=$(jq -s 'map(select(.missing + .extra + .different > 0)) | length' "$scratch/rounds")
	[ "$differences" = 0 ] || fail "$1: $differences of $rounds rounds differ: $(tail -n 5 "$scratch/verify.err")"
	seen=$(tail -n 1 "$scratch/rounds" | jq .events_seen)
	lost=$(sed -n 's/^mmviz-bpf: \([0-9]*\) of [0-9]* events were lost.*/\1/p' "$scratch/verify.err")
	lost=${lost:-0}
	made=$(jq .events "$scratch/sim.out")
	[ $((seen + lost)) -eq "$made" ] || fail "$1: seen $seen and lost $lost, but the target made $made"
	[ "$status" -eq "$([ "$lost" = 0 ] && echo 0 || echo 2)" ] || fail "$1: verify ended with $status: $(cat "$scratch/verify.err")"
	if [ "$2" ]; then
		[ "$lost" -gt 0 ] || fail "$1: nothing was lost: this part shows nothing"
	else
		[ "$lost" -eq 0 ] || fail "$1: $lost of $made events were lost (and counted)"
	fi
	all_events=$((all_events + made)) all_rounds=$((all_rounds + rounds))
	echo "  $1: $rounds rounds equal, $seen events seen + $lost lost = $made made; collector at most $((memory_kib / 1024)) MiB"
}

for part in "${parts[@]}"; do
	read -r pattern threads share ring_bytes <<<"$part"
	time=$((seconds * share / shares))
	begin "$pattern" "$threads" "$((time > 0 ? time : 1))" ${ring_bytes:+--ring-bytes "$ring_bytes"}
	end "$time"
	judge "$pattern, $threads threads${ring_bytes:+, ring of $ring_bytes bytes}" "$ring_bytes"
done
[ "$all_events" -ge "$least_events" ] || fail "only $all_events events, not $least_events"
echo "ok $test_name: $all_events events in $all_rounds rounds"
