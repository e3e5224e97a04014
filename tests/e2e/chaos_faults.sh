#!/usr/bin/env bash
# chaos_faults.sh - faults at random: collectors come, are killed, stopped, starved, with rings too small; the target
# forks, execs, dies, is stopped, takes on threads and arenas by the hundred; and every few steps all rest, and are judged:
# every collector's picture must be what a walk finds, and a fresh `verify` equal.
#
#	MMVIZ_TEST_SEED=N CHAOS_SECONDS=N tests/e2e/chaos_faults.sh
#
# The seed repeats the steps, not their timing. A log of the steps is printed when something is wrong.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"
need_command curl

seconds=${CHAOS_SECONDS:-$([ "$LONG" ] && echo 300 || echo 16)}
declare -A collectors=() # pid -> its number
children=() burners=()
number=0 steps=0 judged=0 compared_pictures=0 compared_blocks=0 killed=0 ended=0 losses=0
tracer=
echo "  MMVIZ_TEST_SEED=$seed, $seconds s"

wrong() {
	printf '  step %s\n' "$@" >&2
	tail -n 15 "$scratch/steps" >&2
	head -v -n 3 "/proc/$target/task"/*/{stack,status} 2>/dev/null | head -n 60 >&2
	fail "chaos: $*"
}

step() {
	steps=$((steps + 1))
	echo "  $(printf '%4d' "$steps") $*" >>"$scratch/steps"
}

# end_quietly SIGNAL PID: and the shell does not tell.
end_quietly() {
	{ kill "-$1" "$2" && reap "$2"; } 2>/dev/null || true
}

random_collector() {
	local pids=("${!collectors[@]}")
	victim=${pids[RANDOM % ${#pids[@]}]}
}

# ------------------------------------------------------------------ collectors

# It is not waited for: the next steps may meet it in the middle of its attach.
attach() {
	local ring=$((1 << (18 + RANDOM % 9))) # 256 KiB to 64 MiB
	[ ${#collectors[@]} -lt 4 ] || return 0
	number=$((number + 1))
	step "collector $number, ring of $ring bytes"
	"$mm" -p "$target" --json --listen 127.0.0.1:0 --no-token --ring-bytes $ring \
		>"$scratch/$number.json" 2>"$scratch/$number.err" &
	started_pids+=($!)
	collectors[$!]=$number
}

kill_collector() {
	[ ${#collectors[@]} -gt 0 ] || return 0
	random_collector
	step "collector ${collectors[$victim]} is killed"
	end_quietly KILL "$victim"
	unset "collectors[$victim]"
	killed=$((killed + 1))
}

detach() {
	[ ${#collectors[@]} -gt 0 ] || return 0
	random_collector
	step "collector ${collectors[$victim]} detaches"
	dismiss "$victim"
}

# dismiss PID: Ctrl-C; it ends well.
dismiss() {
	local status=0
	kill -CONT "$1" 2>/dev/null || true # it may have met the target's end
	kill -INT "$1" 2>/dev/null || true
	reap "$1" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 69 ] || [ "$status" -eq 130 ] ||
		wrong "collector ${collectors[$1]} ended with status $status: $(cat "$scratch/${collectors[$1]}.err")"
	unset "collectors[$1]"
}

stop_collector_a_while() {
	[ ${#collectors[@]} -gt 0 ] || return 0
	random_collector
	pause_ms=$((RANDOM % 900))
	step "collector ${collectors[$victim]} is stopped for $pause_ms ms"
	kill -STOP "$victim" 2>/dev/null || return 0
	sleep "$(printf '0.%03d' "$pause_ms")"
	kill -CONT "$victim" 2>/dev/null || true
}

# ------------------------------------------------------------------ the machine

burn() {
	if [ ${#burners[@]} -gt 0 ]; then
		step "the CPUs are free again"
		for pid in "${burners[@]}"; do end_quietly KILL "$pid"; done
		burners=()
		return
	fi
	step "the CPUs are taken"
	for _ in $(seq "$(nproc)"); do
		nice -n -20 sh -c 'while :; do :; done' &
		burners+=($!)
		started_pids+=($!)
	done
}

trace() {
	command -v bpftrace >/dev/null || return 0
	if [ "$tracer" ]; then
		step "bpftrace ends"
		end_tracer "$tracer"
		tracer=
		return
	fi
	step "bpftrace looks at errors and batches"
	bpftrace -p "$target" -e 'usdt:*:mmviz:batch { @b = count(); } usdt:*:mmviz:error { @e = count(); }' >/dev/null 2>&1 &
	tracer=$!
	started_pids+=("$tracer")
}

# ------------------------------------------------------------------ the target

say() {
	tell "$@" || wrong "the target does not answer to $1: $(cat "$scratch/target.err")"
}

begin_target() {
	start_target fault_target
	say w $((RANDOM % 3 + 1))
	say p $((RANDOM % 2 * 200 + 100))
}

pause_target() {
	pause_ms=$((RANDOM % 500))
	step "the target is stopped for $pause_ms ms"
	kill -STOP "$target"
	sleep "$(printf '0.%03d' "$pause_ms")"
	kill -CONT "$target"
}

fork_target() {
	if [ ${#children[@]} -gt 0 ]; then
		step "its child ${children[0]} is killed"
		is_running "${children[0]}" || wrong "a child has died by itself"
		kill -KILL "${children[0]}"
		children=("${children[@]:1}")
	else
		say f
		step "the target forks: $answer"
		children+=("$answer")
		started_pids+=("$answer")
	fi
}

# All who look at it must notice its end, and leave.
end_target_at_once() {
	local way=$((RANDOM % 4)) signals=(KILL SEGV ABRT) pid
	if [ "$way" -eq 3 ]; then
		step "the target execs itself"
		echo "e 0" >&8
		read -r -t 20 answer <&9 || wrong "it did not start again"
		locate_semaphores "$target"
		say w 2
	else
		step "the target dies of SIG${signals[way]}"
		end_quietly "${signals[way]}" "$target"
		exec 8>&- 9<&-
	fi
	ended=$((ended + 1))
	for pid in "${!collectors[@]}"; do
		notices_the_end "$pid"
		dismiss "$pid"
	done
	[ "$way" -eq 3 ] || begin_target
}

# notices_the_end PID: within seconds; or it met the new program.
notices_the_end() {
	local err=$scratch/${collectors[$1]}.err
	for _ in $(seq 200); do
		is_running "$1" || return 0
		grep -Eq '^The target (was ended|has)' "$err" && return
		grep -q '^Attached' "$err" && kill -0 "$target" 2>/dev/null && is_of_the_new_program "$err" && return
		sleep 0.05
	done
	wrong "collector ${collectors[$1]} does not notice the target's end: $(cat "$err")"
}

is_of_the_new_program() {
	curl -s -m 5 "$(grep -o 'http://[^ ]*' "$1" | head -1)metrics" | grep -q '^mmviz_target_up 1'
}

# ------------------------------------------------------------------ judgement

summary_of() {
	curl -s -m 10 "$(grep -o 'http://[^ ]*' "$scratch/${collectors[$1]}.err" | head -1)api/v1/summary" >"$scratch/now.json"
}

# is_right PID: its picture becomes exact, and what the walk of this rest has found.
is_right() {
	local err=$scratch/${collectors[$1]}.err
	for _ in $(seq 400); do # a loss heals within seconds
		is_running "$1" || wrong "collector ${collectors[$1]} is gone: $(cat "$err")"
		grep -q '^Attached' "$err" && summary_of "$1" &&
			[ "$(jq -c '[.exact, .live_blocks, .live_bytes]' "$scratch/now.json" 2>/dev/null)" = "[true,$walked]" ] && break
		sleep 0.05
	done
	[ "$(jq -c '[.exact, .live_blocks, .live_bytes]' "$scratch/now.json")" = "[true,$walked]" ] ||
		wrong "collector ${collectors[$1]}: $(jq -c '[.exact, .live_blocks, .live_bytes, .events_lost]' "$scratch/now.json") followed, $walked walked: $(cat "$err")"
	[ "$(jq .events_lost "$scratch/now.json")" -eq 0 ] || losses=$((losses + 1))
	compared_pictures=$((compared_pictures + 1))
}

judge() {
	local pid status=0
	[ ${#burners[@]} -eq 0 ] || burn
	step "judgement of ${#collectors[@]} collectors"
	say r
	walked=$("$mm" snapshot -p "$target" | jq -r '"\([.arenas[].live_blocks] | add),\([.arenas[].live_bytes] | add)"')
	for pid in "${!collectors[@]}"; do
		is_right "$pid"
	done
	timeout 60 "$mm" verify -p "$target" --rounds 1 --json >"$scratch/verify.json" 2>"$scratch/verify.err" || status=$?
	[ "$status" -eq 0 ] || wrong "verify ended with $status: $(cat "$scratch/verify.err" "$scratch/verify.json")"
	compared_blocks=$((compared_blocks + $(jq .compared_blocks "$scratch/verify.json")))
	say c
	[ "$answer" = 0 ] || wrong "the target is harmed: $(cat "$scratch/target.err")"
	say g
	judged=$((judged + 1))
}

# ------------------------------------------------------------------ the run

one_step() {
	case $((RANDOM % 34)) in
	[0-8]) attach ;;
	9 | 10 | 11) kill_collector ;;
	12) detach ;;
	13 | 14 | 15) stop_collector_a_while ;;
	16 | 17) burn ;;
	18) trace ;;
	19 | 20) pause_target ;;
	21 | 22) fork_target ;;
	23 | 24) end_target_at_once ;;
	25 | 26) step "arenas" && say a $((RANDOM % 256 + 1)) && say d $((RANDOM % 100 + 1)) ;;
	27) step "an arena maker" && say o 1 ;;
	28 | 29) step "threads" && say s $((RANDOM % 200)) ;;
	30) step "pace" && say p $((RANDOM % 3 * 150)) ;;
	31) step "the threads end" && say q && say w 2 ;;
	*) judge ;;
	esac
	sleep "$(printf '0.%03d' $((RANDOM % 200)))"
}

begin_target
while [ "$SECONDS" -lt "$seconds" ]; do
	one_step
done
attach
judge
for pid in "${!collectors[@]}"; do
	dismiss "$pid"
done
[ -z "$tracer" ] || trace
becomes_silent "$target" "at the end"
end_target
for pid in "${children[@]}"; do
	is_running "$pid" || wrong "a child has died by itself"
	becomes_silent "$pid" "a child at the end"
done
[ "$compared_pictures" -gt 0 ] || fail "no picture was compared"
echo "  $steps steps: $number collectors, $killed killed; the target ended $ended times; $judged judgements: $compared_pictures pictures of" \
	"collectors ($losses after losses) and $compared_blocks blocks equal"
echo "ok $test_name"
