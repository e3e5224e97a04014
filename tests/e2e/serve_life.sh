#!/usr/bin/env bash
# serve_life.sh - how the live command begins and ends, and what it says then.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/common.sh
. tests/e2e/common.sh
need_root
need_command curl

# run_live SECONDS ARGUMENT...: in the foreground; its status is in $status.
run_live() {
	local limit=$1
	shift
	status=0
	timeout -k 5 "$limit" "$BUILD/mmviz-bpf" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
}

# ended STATUS FILE PATTERN WHAT: so it ended, and said so in FILE.
ended() {
	[ "$status" -eq "$1" ] || fail "$4: status $status, not $1: $(cat "$scratch/$2")"
	grep -Eq -- "$3" "$scratch/$2" || fail "$4: it said: $(cat "$scratch/$2")"
}

# start_live: in the background; $collector, $url.
start_live() {
	: >"$scratch/collector.out"
	"$BUILD/mmviz-bpf" -p "$sim" --listen 127.0.0.1:0 --no-token >"$scratch/collector.out" 2>"$scratch/collector.err" &
	collector=$!
	started_pids+=("$collector")
	for _ in $(seq 200); do
		url=$(grep -o '^http[^ ]*' "$scratch/collector.out") && break
		kill -0 "$collector" 2>/dev/null || fail "mmviz-bpf ended: $(cat "$scratch/collector.err")"
		sleep 0.05
	done
}

# wait_for SECONDS COMMAND...
wait_for() {
	local rounds=$(($1 * 20))
	shift
	for _ in $(seq "$rounds"); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

says() {
	grep -q "$1" "$scratch/collector.out"
}
is_gone() {
	! kill -0 "$1" 2>/dev/null
}

start_sim --seconds 120 --rate 20k --threads 1

echo "  -d ends it, with totals; -q says nothing"
run_live 20 -p "$sim" -d 1 --listen 127.0.0.1:0
ended 0 out "^Attached to $sim \(server_sim\)" "-d 1"
ended 0 out '^Detached: [1-9][0-9]* events seen, 0 lost' "-d 1"
run_live 20 -p "$sim" -d 0.3 -q --listen 127.0.0.1:0
[ "$status" -eq 0 ] || fail "-q: status $status"
[ -z "$(cat "$scratch/out" "$scratch/err")" ] || fail "-q said: $(cat "$scratch/out" "$scratch/err")"
run_live 20 -p "$sim" -d 0.3 --json --listen 127.0.0.1:0
ended 0 out '^\{"version":1,' --json
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail "--json printed: $(cat "$scratch/out")"

echo "  INT and TERM end it with 0"
for signal in INT TERM; do
	start_live
	kill "-$signal" "$collector"
	reap "$collector" || fail "SIG$signal: status $?"
	says '^Detached' || fail "SIG$signal: no totals"
done

echo "  a taken port, a bad address, a bad token file"
start_live
run_live 10 -p "$sim" --listen "${url:7:-1}"
ended 1 err 'in use; choose another port: --listen' 'a taken port'
run_live 10 -p "$sim" --listen nowhere:1
ended 1 err "'nowhere:1' is not ADDRESS:PORT" "a bad address"
echo 0123456789abcdef0123 >"$scratch/token"
chmod 644 "$scratch/token"
run_live 10 -p "$sim" --listen 127.0.0.1:0 --token-file "$scratch/token"
ended 1 err 'chmod 600' 'an open token file'
chmod 600 "$scratch/token"
run_live 10 -p "$sim" --listen 127.0.0.1:0 --token-file "$scratch/token" -d 0.2
ended 0 out '\?token=0123456789abcdef0123$' 'a token file'
run_live 10 -p "$sim" --listen 0.0.0.0:0 -d 0.2
ended 0 err 'warning: 0.0.0.0:0 can be reached from other machines' 'a public address'

echo "  without the web server the collector ends, and says so"
kill -KILL "$(pgrep -x -P "$collector" mmviz-web)"
status=0
reap "$collector" || status=$?
ended 1 collector.err 'web server was ended by signal 9' 'the web server is killed'

echo "  without the collector the web server ends"
start_live
web=$(pgrep -x -P "$collector" mmviz-web)
kill -KILL "$collector"
reap "$collector" || true
wait_for 5 is_gone "$web" || fail "the web server goes on alone"

echo "  a web server that hangs holds nothing up"
start_live
kill -STOP "$(pgrep -x -P "$collector" mmviz-web)"
curl -sS -m 1 "${url}healthz" >/dev/null 2>&1 && fail "a stopped web server answers"
kill -INT "$collector"
wait_for 6 is_gone "$collector" || fail "the collector waits for the web server"
reap "$collector" || fail "with a hanging web server: status $?"
says '^Detached: [1-9]' || fail "with a hanging web server: no totals"

echo "  after the target's end the last picture stays"
start_live
kill -KILL "$sim"
reap "$sim" || true
wait_for 10 says 'ended by signal 9' || fail "no word of the target's end: $(cat "$scratch/collector.out")"
sleep 0.5
curl -sS -m 5 -o "$scratch/metrics" "${url}metrics" || fail "no metrics after the end"
grep -q '^mmviz_target_up 0' "$scratch/metrics" || fail "the target is up after its end"
curl -sS -m 5 -o "$scratch/summary" "${url}api/v1/summary" || fail "no summary after the end"
jq -e '.live_blocks > 0' "$scratch/summary" >/dev/null || fail "no picture after the end: $(cat "$scratch/summary")"
kill -INT "$collector"
reap "$collector" || fail "after the target's end: status $?"
