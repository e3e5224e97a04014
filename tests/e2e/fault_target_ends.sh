#!/usr/bin/env bash
# The target exits, is killed, crashes or execs (itself, another program) at any instant of the attach: the collector says
# so and ends with the code for a target that is gone, or it was attached already and tells how the target ended.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"

rounds=$([ "$LONG" ] && echo 300 || echo 18)
ways=("x 7" "k 9" "k 11" "k 6" "e 0" "E 0")
said=("ended with status 7" "ended by signal 9" "ended by signal 11" "ended by signal 6" "started another program" "started another program")
before=0 after=0
echo "  MMVIZ_TEST_SEED=$seed"

# attach_and_end WAY: in the background the collector, and then the end of its target, while it attaches or soon after.
attach_and_end() {
	local limit=(timeout -s INT -k 5 20)
	"${limit[@]}" "$mm" "${command[@]}" -p "$target" >"$scratch/out" 2>"$scratch/err" &
	collector=$!
	started_pids+=("$collector")
	pause 150
	echo "${ways[way]}" >&8
	status=0
	reap "$collector" || status=$?
}

for round in $(seq "$rounds"); do
	way=$((round % ${#ways[@]}))
	start_target fault_target
	tell w 3
	tell a 20
	if [ $((round % 2)) -eq 0 ]; then
		command=(verify --rounds 3)
	else
		command=(-d 0.4 --listen 127.0.0.1:0 --no-token)
	fi
	attach_and_end
	what="round $round, ${command[0]}, '${ways[way]}' after $pause_ms ms: status $status: $(head -n 2 "$scratch/err" "$scratch/out")"
	case $status in
	0) # attached before, and told the end; or it met the new program
		grep -q "${said[way]}" "$scratch/out" || { [ "${ways[way]}" = "e 0" ] && grep -Eq 'Detached|equal' "$scratch/out"; } ||
			fail "$what"
		after=$((after + 1))
		;;
	69)
		grep -Eq 'process [0-9]+(:| ended| started another)|target has ended' "$scratch/err" || fail "$what"
		before=$((before + 1))
		;;
	*) fail "$what" ;;
	esac
	if [ "${ways[way]}" = "e 0" ]; then # it is a new program, and a whole one
		read -r -t 20 answer <&9 || fail "$what; then: the new program does not start"
		becomes_silent "$target" "$what; then"
		[ $((round % 3)) -ne 0 ] || { tell w 2 && verified "$target" 1 "$what; then"; }
	fi
	exec 8>&- 9<&-
	{ kill -KILL "$target" && reap "$target"; } 2>/dev/null || true
done
[ "$before" -gt 0 ] && [ "$after" -gt 0 ] || fail "ended $before times before and $after times after the attach: one side was missed"
echo "  $rounds ends: $before while it attached or compared, $after while it followed"
echo "ok $test_name"
