#!/usr/bin/env bash
# events_mode.sh - `mmviz-bpf --mode events`: options, estimates, filters, settings that change while it runs, drops.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/common.sh
. tests/e2e/common.sh
need_root
need_command curl
need_command jq

# refused TEXT ARGUMENT...: a usage error that says so.
refused() {
	local text=$1 status=0
	shift
	"$BUILD/mmviz-bpf" -p $$ "$@" >"$scratch/refused" 2>&1 || status=$?
	[ "$status" -eq 64 ] || fail "$*: status $status, not 64: $(cat "$scratch/refused")"
	grep -q -- "$text" "$scratch/refused" || fail "$*: no '$text' in: $(cat "$scratch/refused")"
}

# start ARGUMENT...: the collector in events mode on $sim; $base is its address.
start() {
	start_collector "$sim" --mode events "$@"
	base=$(grep -o '^http://[^/]*' "$scratch/collector.err")
}

# get FILTER: of what it says now.
get() {
	curl -fsS -m 10 "$base/api/v1/events" | jq -r "$1"
}

# choose STATUS JSON [CURL ARGUMENT...]: the answer is in $scratch/answer.
choose() {
	local status=$1 json=$2 got
	shift 2
	got=$(curl -sS -m 10 -o "$scratch/answer" -w '%{http_code}' -d "$json" "$@" "$base/api/v1/events/settings")
	[ "$got" = "$status" ] || fail "$json: $got, not $status: $(cat "$scratch/answer")"
}

# await FILTER WHAT: until it says true.
await() {
	for _ in $(seq 100); do
		[ "$(get "$1")" = true ] && return
		sleep 0.1
	done
	fail "$2: never; $(get '{settings, counted, counted_per_second, estimates}' | tr -d '\n ')"
}

await_all() { # CONDITION ON .events WHAT
	await ".events | length > 20 and ($1)" "$2"
	echo "  $2"
}

echo "  bad options are refused"
refused 'not a whole number' --mode events --sample 0
refused 'not known' --mode events --sample-by size
refused 'min_bytes is greater' --mode events --min-bytes 2 --max-bytes 1
refused 'not a whole number' --mode events --thread 0
refused 'a name has 1 to 127 bytes' --mode events --tag ''
refused 'are for --mode events' --tag x
refused 'are for --mode events' --mode sampled --sample 10

start_sim --seconds 150 --rate 20k --threads 2

start --sample 10
await '.window_s > 3 and (.events | length) > 100' 'events'
# The estimate and the truth are of the same seconds. Five sigma, and the count of the second under way on top.
get '[.estimates.allocations_per_second, .counted_per_second.allocations, .estimates.allocations_error] | @tsv' |
	awk '{ print "  one in 10: " $1 " allocations/s, truly " $2 ", sigma " $3
		exit !($2 > 1000 && ($1 - $2) ^ 2 <= (5 * $3 + 0.02 * $2) ^ 2) }' || fail "the estimate is wrong"
get '[.estimates.bytes_per_second, .counted_per_second.allocated_bytes, .estimates.bytes_error] | @tsv' |
	awk '{ print "  one in 10: " $1 " bytes/s, truly " $2 ", sigma " $3
		exit !(($1 - $2) ^ 2 <= (5 * $3 + 0.02 * $2) ^ 2) }' || fail "the estimate is wrong"
[ "$(get '[.events[] | select(.event == "free" and .lifetime_ns > 0)] | length > 10')" = true ] || fail "no free has a lifetime"
[ "$(get '.events == (.events | sort_by(-.number))')" = true ] || fail "the newest do not come first"
[ "$(get '.counted.dropped')" -eq 0 ] || fail "dropped without need"
curl -fsS "$base/api/v1/events.ndjson" | jq -se 'length > 100 and . == sort_by(.number)' >/dev/null || fail "ndjson"

echo "  settings change while it runs"
choose 200 '{"by":"bytes","sample":65536}'
await '.settings.by == "bytes" and .window_s > 3' 'by bytes'
get '[.estimates.bytes_per_second, .counted_per_second.allocated_bytes, .estimates.bytes_error, .counted_per_second.told] | @tsv' |
	awk '{ print "  by bytes: " $1 " bytes/s, truly " $2 ", sigma " $3 ", told " $4 " a second"
		exit !(($1 - $2) ^ 2 <= (5 * $3 + 0.02 * $2) ^ 2) }' || fail "the estimate is wrong"
choose 200 '{"tag":"response"}'
await_all 'all(.tag == "response")' 'one tag, by its name'
id=$(get .settings.tag_id)
choose 200 "{\"tag_id\":$id,\"min_bytes\":300,\"max_bytes\":400}"
await_all 'all(.tag == "response" and .bytes >= 300 and .bytes <= 400)' 'one tag, by its number, and sizes'
choose 200 '{}'
await_all '[.[].thread] | unique | length > 1' 'all threads'
await '.threads | length > 1' 'rates by thread'
thread=$(get '.threads[0].thread')
choose 200 "{\"thread\":$thread}"
await_all "all((.allocated_by // .thread) == $thread)" 'one thread'
choose 200 '{"tag":"no such tag"}'
await '.settings.is_waiting_for_tag and .window_s > 1' 'waiting for a tag'
[ "$(get '.events | length')" -eq 0 ] || fail "something passed that has no tag"
[ "$(get '.counted_per_second | .hits > 1000 and .told == 0')" = true ] || fail "hits are not counted"
choose 400 '{"sample":0}' && grep -q 'sample is a whole number' "$scratch/answer"
choose 400 '{"min_bytes":2,"max_bytes":1}' && grep -q 'nothing would ever pass' "$scratch/answer"
choose 400 '{"smaple":1}'
choose 400 'x'
choose 400 "{\"tag\":\"$(printf '%0200d' 0)\"}" && grep -q 127 "$scratch/answer"
choose 413 "{\"tag\":\"$(printf '%05000d' 0)\"}"
choose 403 '{}' -H 'Origin: http://evil.example'
choose 403 '{}' -H 'Host: evil.example'
[ "$(get .settings.tag)" = 'no such tag' ] || fail "a refused setting has changed something"
read -r -a counters <<<"$(semaphores "$sim")"
[ "${counters[0]} ${counters[4]}" = "1 1" ] || fail "armed: ${counters[*]}"
stop_collector
read -r -a counters <<<"$(semaphores "$sim")"
[ "${counters[*]}" = "0 0 0 0 0 0 0 0" ] || fail "left armed: ${counters[*]}"

[ "$(summary .events_lost)" -eq 0 ] || fail "$(summary .events_lost) events are said to be lost that nobody followed"

echo "  options of the command line"
start --sample-by bytes --sample 8192 --tag response --min-bytes 200 --max-bytes 2000
[ "$(get '.settings | [.by, .sample, .tag, .min_bytes, .max_bytes] | join(",")')" = bytes,8192,response,200,2000 ] || fail "settings"
await_all 'all(.tag == "response" and .bytes >= 200 and .bytes <= 2000 and .weight > 1)' 'as chosen at the start'
stop_collector

echo "  who may not look may not choose either"
"$BUILD/mmviz-bpf" -p "$sim" --mode events --listen 127.0.0.1:0 >"$scratch/collector.out" 2>"$scratch/collector.err" &
collector=$!
started_pids+=("$collector")
for _ in $(seq 200); do
	url=$(grep -o '^http[^ ]*' "$scratch/collector.out") && break
	sleep 0.05
done
base=${url%/\?*}
choose 401 '{}'
choose 401 '{}' -H 'Authorization: Bearer 0'
choose 200 '{}' -H "Authorization: Bearer ${url##*=}"
stop_collector

echo "  in another mode it says so"
start_collector "$sim"
base=$(grep -o '^http://[^/]*' "$scratch/collector.err")
get .error | grep -q -- '--mode events' || fail "no word"
choose 400 '{}' && grep -q -- '--mode events' "$scratch/answer"
stop_collector
stop_sim

echo "  what has no room is counted and shown"
start_sim --seconds 60 --threads 2
start --ring-bytes 65536
await '.counted.dropped > 1000 and .counted.told > 100' 'drops'
stop_collector
grep -qE '^Detached: [0-9]+ of [0-9]+ events told, [0-9]{4,} dropped' "$scratch/collector.err" || fail "$(tail -1 "$scratch/collector.err")"
