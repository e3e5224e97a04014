#!/usr/bin/env bash
# The demo comes up, shows its dashboard's address, answers there, ends by itself with 0 and leaves nothing behind.
. "$(dirname "$0")/common.sh"

need_root
need_command curl

DEMO_SECONDS=3 DEMO_LISTEN=127.0.0.1:0 bench/demo.sh "$BUILD" >"$scratch/demo.out" 2>"$scratch/demo.err" &
demo=$!
started_pids+=("$demo")
for _ in $(seq 50); do
	grep -q 'http://' "$scratch/demo.out" && break
	sleep 0.1
done
url=$(grep -o 'http://[^ ]*' "$scratch/demo.out" | head -1)
[ "$url" ] || fail "no address: $(cat "$scratch/demo.out" "$scratch/demo.err")"
children=$(pgrep -P "$demo" | tr '\n' ' ')
curl -fs "${url%%\?*}healthz" >/dev/null || fail "no answer at ${url%%\?*}healthz"
curl -fsL -c "$scratch/jar" "$url" | grep -qi '<!doctype html' || fail "no page at $url"
echo "  the dashboard answers"
reap "$demo" || fail "the demo ended with $?: $(cat "$scratch/demo.err")"
for child in $children; do
	[ -e "/proc/$child" ] && fail "process $child outlived the demo"
done
grep -q ', 0 lost' "$scratch/demo.out" || fail "events were lost: $(tail -1 "$scratch/demo.out")"
echo "  $(grep Detached "$scratch/demo.out")"
echo "ok $test_name"
