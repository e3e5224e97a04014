# shellcheck shell=bash
# common.sh - what the fault tests share, beside tests/e2e/common.sh; sourced, never run.

need_root
need_command jq
ulimit -c 0
mm=$BUILD/mmviz-bpf

# start_target PROGRAM [LIBRARY]: a target of tests/faults in the background, with its commands on fd 8 and its answers
# on fd 9; $target is its pid.
start_target() {
	rm -f "$scratch/commands" "$scratch/answers"
	mkfifo "$scratch/commands" "$scratch/answers"
	"$BUILD/tests/$1" "${@:2}" <"$scratch/commands" >"$scratch/answers" 2>"$scratch/target.err" &
	target=$!
	started_pids+=("$target")
	exec 8>"$scratch/commands" 9<"$scratch/answers"
	read -r -t 20 answer <&9 || fail "$1 did not start: $(cat "$scratch/target.err")"
	[ "$1" != fault_target ] || locate_semaphores "$target"
}

# tell LETTER [NUMBER]: a command (tests/faults/work.h); when it is done its result is in $answer.
tell() {
	echo "$1 ${2:-0}" >&8 2>/dev/null || return 1
	read -r -t 20 answer <&9 || return 1
	answer=${answer#done }
}

# is_unharmed WHAT: the target answers, and every arena of it is whole.
is_unharmed() {
	tell r || fail "$1: the target does not answer: $(cat "$scratch/target.err")"
	tell c || fail "$1: the target does not answer: $(cat "$scratch/target.err")"
	[ "$answer" = 0 ] || fail "$1: the target is harmed: $(cat "$scratch/target.err")"
	tell g
}

# end_target: in good order.
end_target() {
	tell t || fail "the target does not answer: $(cat "$scratch/target.err")"
	echo "x 0" >&8
	reap "$target" || fail "the target ended with status $?: $(cat "$scratch/target.err")"
	exec 8>&- 9<&-
}

# locate_semaphores PID: remember where they lie: nm takes longer than what is to be seen.
locate_semaphores() {
	semaphores_at=$((16#$(nm "/proc/$1/exe" | awk '$3 == "mmviz_registry" { print $1 }')))
	readelf -h "/proc/$1/exe" | grep -q 'Type: *EXEC' ||
		semaphores_at=$((semaphores_at + 16#$(head -1 "/proc/$1/maps" | cut -d- -f1)))
}

# is_silent PID: nobody listens to its probes.
is_silent() {
	! dd if="/proc/$1/mem" bs=16 skip=$((semaphores_at / 16)) count=1 2>/dev/null | tr -d '\0' | grep -q .
}

# becomes_silent PID WHAT
becomes_silent() {
	for _ in $(seq 100); do
		is_silent "$1" && return
		sleep 0.02
	done
	fail "$2: semaphores stay raised"
}

# verified PID ROUNDS WHAT [OPTION...]: replica and fresh walk are equal and nothing was lost.
verified() {
	local pid=$1 rounds=$2 what=$3 status=0
	shift 3
	timeout 60 "$mm" verify -p "$pid" --rounds "$rounds" --json "$@" >"$scratch/verify.json" 2>"$scratch/verify.err" || status=$?
	[ "$status" -eq 0 ] || fail "$what: verify ended with $status: $(cat "$scratch/verify.err" "$scratch/verify.json")"
	compared=$(jq -s 'map(.compared_blocks) | add' "$scratch/verify.json")
	[ "$compared" -gt 0 ] || fail "$what: nothing was compared"
}

# verified_at_rest PID WHAT [OPTION...]: the same; attached in full traffic, compared at rest, where every block counts.
verified_at_rest() {
	local pid=$1 what=$2 status=0 verify
	shift 2
	timeout 60 "$mm" verify -p "$pid" --rounds "${rest_rounds:-3}" --json "$@" >"$scratch/verify.json" 2>"$scratch/verify.err" &
	verify=$!
	sleep 0.25
	tell r || fail "$what: the target does not answer: $(cat "$scratch/target.err")"
	wait "$verify" || status=$?
	tell g
	[ "$status" -eq 0 ] || fail "$what: verify ended with $status: $(cat "$scratch/verify.err" "$scratch/verify.json")"
	compared=$(jq -s 'map(.compared_blocks) | add' "$scratch/verify.json")
	[ "$compared" -gt 2000 ] || fail "$what: only $compared blocks were compared"
}

# is_running PID: and not a zombie that nobody waits for.
is_running() {
	readlink "/proc/$1/exe" >/dev/null 2>&1
}

# pause MOST_MS: a random time below that; $pause_ms.
pause() {
	pause_ms=$((RANDOM % $1))
	sleep "$(printf '0.%03d' "$pause_ms")"
}

# Random tests print their seed and take it back.
seed=${MMVIZ_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
