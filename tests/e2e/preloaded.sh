# shellcheck shell=bash
# preloaded.sh - what the tests of programs under libmmviz-preload.so share; sourced after common.sh, never run.

library=$(realpath "$BUILD/libmmviz-preload.so")
mm=$(realpath "$BUILD/mmviz-bpf")
observed=0

# size SHORT LONG
size() {
	[ -z "$LONG" ] && echo "$1" || echo "$2"
}

# has COMMAND...: all are here; else the part is left out, and says so.
has() {
	local name
	for name in "$@"; do
		command -v "$name" >/dev/null && continue
		echo "  left out: no $name here; make deps installs it"
		return 1
	done
}

# observe PID ROUNDS: replica and heap are equal each time, nothing is lost; the program may end meanwhile.
observe() {
	local status=0 rounds
	timeout 120 "$mm" verify -p "$1" --rounds "$2" >"$scratch/verify" 2>"$scratch/verify.err" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 69 ] || fail "verify: status $status: $(cat "$scratch/verify" "$scratch/verify.err")"
	grep -q 'NOT EQUAL' "$scratch/verify" && fail "$(cat "$scratch/verify")"
	rounds=$(grep -c ': equal' "$scratch/verify" || true)
	observed=$((observed + rounds))
	[ "$rounds" -eq 0 ] || echo "  $rounds rounds equal; $(tail -1 "$scratch/verify" | cut -d, -f2-4)"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local tries=$(($1 * 20))
	shift
	for _ in $(seq $tries); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	return 1
}

# preloaded COMMAND...: in the background; $program is its pid, and it carries the library.
preloaded() {
	LD_PRELOAD=$library "$@" >"$scratch/out" 2>"$scratch/err" &
	program=$!
	started_pids+=("$program")
	wait_for 10 grep -q libmmviz-preload "/proc/$program/maps" || fail "$1 does not carry the library: $(cat "$scratch/err")"
}

finished() {
	reap "$program" || fail "$1 ended with status $?: $(tail -n 20 "$scratch/out"; tail -n 20 "$scratch/err")"
}

# same NAME SCRIPT: bash runs it in a folder of its own, plain and preloaded; what it says and how it ends are the same. The
# loader's own notes prove that the library was in there.
same() {
	local name=$1 how status=() carriers
	for how in plain preloaded; do
		mkdir "$scratch/$how"
		status+=("$(run_in "$how" "$2")")
	done
	carriers=$(cat "$scratch"/loader.* 2>/dev/null | grep -c 'calling init: .*libmmviz-preload' || true)
	[ "${status[0]}" = "${status[1]}" ] || fail "$name: status ${status[1]} instead of ${status[0]}: $(tail -n 5 "$scratch/preloaded.err")"
	cmp -s "$scratch/plain.out" "$scratch/preloaded.out" ||
		fail "$name says something else: $(diff "$scratch/plain.out" "$scratch/preloaded.out" | head -n 10)"
	[ -s "$scratch/plain.out" ] || fail "$name says nothing: $(tail -n 5 "$scratch/plain.err")"
	[ "$carriers" -gt 0 ] || fail "$name did not carry the library"
	rm -rf "$scratch"/plain* "$scratch"/preloaded* "$scratch"/loader.*
	echo "  $name: the same, $carriers processes"
}

# run_in plain|preloaded SCRIPT: prints the status.
run_in() {
	local status=0 with=()
	[ "$1" = plain ] || with=(LD_PRELOAD="$library" LD_DEBUG=files LD_DEBUG_OUTPUT="$scratch/loader")
	(cd "$scratch/$1" && exec env --default-signal=INT LC_ALL=C "${with[@]}" timeout 60 bash -c "$2") \
		>"$scratch/$1.out" 2>"$scratch/$1.err" </dev/null || status=$?
	echo "$status"
}

# run_parts FUNCTION...
run_parts() {
	local part began
	for part in "$@"; do
		echo "$part"
		began=$SECONDS
		"$part"
		echo "  $((SECONDS - began)) s"
	done
}
