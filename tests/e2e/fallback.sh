#!/usr/bin/env bash
# A target that outruns the collector: it is said, the target is let go of, walks go on; then every event is followed again.
. "$(dirname "$0")/common.sh"

need_root
need_command jq
need_command curl

# ask FILTER: of the live collector's summary.
ask() {
	curl -s -m 5 "${url}api/v1/summary" | jq -r "$1"
}

# await FILTER VALUE SECONDS WHAT
await() {
	local value=
	for _ in $(seq $(($3 * 20))); do
		value=$(ask "$1")
		[ "$value" = "$2" ] && return
		sleep 0.05
	done
	fail "$4: $1 is $value after $3 s, not $2; $(cat "$scratch/collector.err")"
}

# fallen_count, returned_count: lines on standard error.
fallen_count() { grep -c 'faster than they can be followed' "$scratch/collector.err" || true; }
returned_count() { grep -c 'every event is followed again' "$scratch/collector.err" || true; }

# The batch semaphore is the third.
batch_semaphore() { semaphores "$1" | awk '{ print $3 }'; }

# Replica and walk of the stopped target. A thread that was stopped within an operation has its header written, and its
# event not counted yet: one block for each of the two.
compare_stopped() {
	local followed difference=
	walked=$("$BUILD/mmviz-bpf" snapshot -p "$sim" | jq '[.arenas[].live_blocks] | add')
	for _ in $(seq 100); do
		followed=$(ask .live_blocks)
		difference=$((followed - walked))
		[ "${difference#-}" -le 2 ] && return
		sleep 0.05
	done
	fail "$followed blocks followed, $walked walked"
}

# At rest it may try again at any time: what counts is a semaphore seen between two looks at the mode.
stop_fallen_back() {
	local semaphore
	for _ in $(seq 10); do
		hold "$sim"
		semaphore=$(batch_semaphore "$sim")
		if [ "$(ask .mode)" = sampled ]; then
			[ "$semaphore" = 0 ] || fail "fallen back, the batch semaphore is $semaphore"
			return
		fi
		kill -CONT "$sim"
		await .mode sampled 30 "outrun once more"
	done
	fail "it never stayed fallen back"
}

start_sim --pattern steady --threads 2 --rate 0 --seconds 0
start_collector "$sim" --ring-bytes 32768 # far too small
url=$(grep -o 'http://[^ ]*' "$scratch/collector.err" | head -1)
[ "$(batch_semaphore "$sim")" = 1 ] || fail "the batch semaphore is $(batch_semaphore "$sim") while events are followed"

await .mode sampled 20 "outrun"
[ "$(ask .exact)" = false ] || fail "fallen back, and exact"
ask '.fallback.reason' | grep -q 'faster than they can be followed' || fail "no reason: $(ask .fallback)"
between "$(ask '.fallback.since_ns / 1e9')" $(($(date +%s) - 30)) $(($(date +%s) + 1)) "since"
[ "$(fallen_count)" -ge 1 ] || fail "nothing was said on standard error"
seen=$(ask .events_seen)
stop_fallen_back # so that it does not try again just now
echo "  fallen back: semaphore 0, $(ask .events_lost) of $(ask '.events_seen + .events_lost') events not followed"
[ "$seen" -gt 0 ] || fail "nothing was seen before"

await .mode exact 12 "at rest"
await .exact true 12 "at rest"
[ "$(batch_semaphore "$sim")" = 1 ] || fail "exact again, the batch semaphore is $(batch_semaphore "$sim")"
[ "$(returned_count)" -ge 1 ] || fail "the return was not said on standard error"
compare_stopped
echo "  exact again: $walked blocks in replica and walk"
made=$(ask '.events_seen + .events_lost')
kill -CONT "$sim"
await .mode sampled 30 "outrun again"
[ "$(ask '.events_seen + .events_lost')" -gt "$made" ] || fail "what is not followed is not counted"
kill -KILL "$sim"
reap "$sim" || true
sleep 0.5
stop_collector
[ "$(summary .exact)" = false ] || fail "ended while fallen back, and exact"
pgrep -x mmviz-link -P "$collector" >/dev/null && fail "the link keeper is left behind"
echo "  fallen back $(fallen_count) times, returned $(returned_count) times"

echo "a stopped collector"
start_sim --pattern steady --threads 2 --rate 2M --seconds 0
start_collector "$sim" --ring-bytes 4194304
url=$(grep -o 'http://[^ ]*' "$scratch/collector.err" | head -1)
for _ in $(seq 60); do # now and then it gets some CPU, but never enough
	kill -STOP "$collector"
	sleep 0.4
	kill -CONT "$collector"
	sleep 0.02
	[ "$(fallen_count)" -gt 0 ] && break
done
[ "$(fallen_count)" -gt 0 ] || fail "stopped again and again, it did not fall back"
await .mode exact 20 "left alone"
await .exact true 20 "left alone"
"$BUILD/mmviz-bpf" verify -p "$sim" --rounds 2 -q >"$scratch/verify.out" 2>&1 || fail "verify: $(cat "$scratch/verify.out")"
[ "$(ask .mode)" = exact ] || fail "it fell back although it can follow"
hold "$sim"
compare_stopped
echo "  exact again by itself: $walked blocks in replica and walk, at $(grep -o '[0-9.]* million a second' "$scratch/collector.err" | head -1)"
kill -CONT "$sim"
stop_collector
stop_sim
echo "ok $test_name"
