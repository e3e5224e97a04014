#!/usr/bin/env bash
# What a target may do while it is followed: threads by the hundred, arenas up to the limit and over it, arenas that come
# and go without end, children, another program in its place. Each time the picture is right, and nothing stays armed.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"

threads=$([ "$LONG" ] && echo 800 || echo 300)

echo "threads by the hundred come and go"
start_target fault_target
tell w 2
tell s "$threads"
verified_at_rest "$target" "$threads threads"
echo "  equal, $compared blocks compared, $(jq -s 'last.events_seen' "$scratch/verify.json") events"
is_unharmed "$threads threads"
end_target

echo "arenas at the limit"
start_target fault_target
tell w 2
tell a 400
[ "$answer" -eq 256 ] || fail "there are $answer arenas, not 256"
verified_at_rest "$target" "256 arenas"
arenas=$("$mm" list --json | jq ".processes[] | select(.pid == $target) | .arenas")
[ "$arenas" = 256 ] || fail "list says that there are $arenas arenas"
echo "  equal, $compared blocks compared in 256 arenas"
tell d 2
tell o 2
verified_at_rest "$target" "arenas come and go"
[ "$(jq -s 'last.resyncs' "$scratch/verify.json")" -eq 0 ] || fail "arenas come and go: new baselines were needed"
echo "  equal while arenas come and go"
is_unharmed "arenas come and go"

echo "children"
start_collector "$target"
tell f
child=$answer
started_pids+=("$child")
! is_silent "$child" || fail "the child is silent: is it what we think?"
before=$(cut -d' ' -f14 "/proc/$child/stat")
verified "$target" 2 "with a child at work"
verified "$child" 1 "the child itself"
[ "$(cut -d' ' -f14 "/proc/$child/stat")" -gt "$before" ] || fail "the child does not work"
echo "k 9" >&8 # the parent
for _ in $(seq 100); do
	is_silent "$child" && break
	sleep 0.05
done
is_silent "$child" || fail "the parent has ended, and its child is still listened to"
is_running "$collector" || fail "the collector ended with the target: its last picture should stay"
is_running "$child" || fail "the child was harmed"
kill -KILL "$child"
stop_collector
{ reap "$target"; } 2>/dev/null || true
echo "  a child is not followed, not harmed, and left alone when its parent has ended"

echo "another program in its place: itself"
start_target fault_target
tell w 2
start_collector "$target"
sleep 0.2
echo "e 0" >&8
read -r -t 20 answer <&9 || fail "it did not start again"
locate_semaphores "$target"
becomes_silent "$target" "after exec"
is_running "$collector" || fail "the collector ended with the target: its last picture should stay"
tell w 2
stop_collector
[ "$(summary .live_blocks)" -gt 2000 ] || fail "the last picture before exec has $(summary .live_blocks) blocks"
verified_at_rest "$target" "after exec"
is_unharmed "after exec"
end_target
echo "  the last picture stays, the new program is left alone and can be attached"
echo "ok $test_name"
