#!/usr/bin/env bash
# mmviz-bpf run: a program is followed from its first allocation, finds the world as it would without us, and keeps its own
# standard output; its children are left alone unless asked for; what cannot carry the library is refused with a remedy.
. "$(dirname "$0")/common.sh"

need_root
need_command jq
mm=$(realpath "$BUILD/mmviz-bpf")
library=$(realpath "$BUILD/libmmviz-preload.so")
quiet=(--listen 127.0.0.1:0 --no-token)

# run SECONDS ARGUMENT...: the program's output is in $scratch/out, ours in err, the summary in summary.json.
run() {
	local seconds=$1
	shift
	timeout 60 "$mm" run -d "$seconds" "${quiet[@]}" -o "$scratch/summary.json" "$@" >"$scratch/out" 2>"$scratch/err" ||
		fail "run $*: status $?: $(cat "$scratch/err")"
}

# refuses CODE TEXT ARGUMENT...
refuses() {
	local wanted=$1 text=$2 code=0
	shift 2
	"${as[@]}" timeout 30 "$mm" run "${quiet[@]}" "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
	[ "$code" -eq "$wanted" ] || fail "run $*: exit code $code, not $wanted: $(cat "$scratch/err")"
	grep -Eq -- "$text" "$scratch/err" || fail "run $*: no '$text' in: $(cat "$scratch/err")"
	echo "  run $*: $code, $(tail -n 1 "$scratch/err" | cut -c1-100)"
}
as=()

echo "from the first allocation to the last"
run 2 -- "$BUILD/tests/preload/stress" 4 20000 7
grep -q 'Attached to .* (stress) .*: 0 blocks, 0 bytes in 1 arena' "$scratch/err" || fail "it had begun: $(cat "$scratch/err")"
grep -q '^ok 4 threads' "$scratch/out" || fail "its output: $(cat "$scratch/out")"
[ "$(summary .events_lost)" -eq 0 ] || fail "$(summary .events_lost) events were lost"
[ "$(summary .exact)" = true ] || fail "the summary is not exact"
between "$(summary .events_seen)" 400000 4000000 "events seen"
between "$(summary .live_blocks)" 1 100 "blocks alive at the end"
[ "$(summary '.arenas[0].name')" = malloc ] || fail "the arena is '$(summary '.arenas[0].name')'"

echo "the program finds the world as it is"
cat >"$scratch/world" <<'WORLD'
#!/usr/bin/env bash
env | grep -E '^(LD_|MMVIZ)' | sort
ls /proc/self/fd
grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status
cat
exit 3
WORLD
chmod +x "$scratch/world"
echo input >"$scratch/input"
"$scratch/world" <"$scratch/input" >"$scratch/plain" || true
run 0.4 -- "$scratch/world" <"$scratch/input"
cmp -s "$scratch/plain" "$scratch/out" || fail "a program differs: $(diff "$scratch/plain" "$scratch/out")"
grep -q 'has ended with status 3' "$scratch/err" || fail "its status is not told: $(cat "$scratch/err")"
export LD_PRELOAD="libm.so.6 libdl.so.2"
run 0.4 -- bash -c 'echo "[$LD_PRELOAD]"'
unset LD_PRELOAD
[ "$(cat "$scratch/out")" = "[libm.so.6 libdl.so.2]" ] || fail "another LD_PRELOAD became $(cat "$scratch/out")"
run 0.4 -- bash -c 'kill -KILL $$'
grep -q 'was ended by signal 9' "$scratch/err" || fail "its end is not told: $(cat "$scratch/err")"

echo "launchers and scripts"
printf '#!/usr/bin/env -S bash -e\necho "$0 $*"\n' >"$scratch/script"
chmod +x "$scratch/script"
for launcher in "" "env" "nice -n 1" "timeout 20" "setsid" "env -u HOME nice"; do
	# shellcheck disable=SC2086
	run 0.4 -- $launcher "$scratch/script" a b
	[ "$(cat "$scratch/out")" = "$scratch/script a b" ] || fail "$launcher: $(cat "$scratch/out")"
	grep -Eq '^Attached to [0-9]+ \((bash|script)\)' "$scratch/err" || fail "$launcher: not the script is followed: $(cat "$scratch/err")"
done

# ends PID...: it is gone within 10 s.
ends() {
	for _ in $(seq 200); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

# in_background ARGUMENT...: $collector; its target is followed.
in_background() {
	: >"$scratch/err"
	"$mm" run "${quiet[@]}" "$@" >"$scratch/out" 2>"$scratch/err" &
	collector=$!
	started_pids+=("$collector")
	for _ in $(seq 400); do
		grep -q '^Attached' "$scratch/err" && break
		sleep 0.05
	done
	target=$(sed -n 's/^Attached to \([0-9]*\) .*/\1/p' "$scratch/err")
	[ -n "$target" ] || fail "run $*: not attached: $(cat "$scratch/err")"
	started_pids+=("$target")
}

echo "children are left alone"
in_background -- bash -c 'sleep 30 & wait; true'
sleep 0.5
child=$(pgrep -P "$target" sleep)
grep -q libmmviz "/proc/$child/maps" && fail "a child carries the library"
grep -q libmmviz "/proc/$target/maps" || fail "the program does not carry the library"
kill "$child"
wait_url=$(sed -n 's/^\(http[^ ]*\).*/\1/p' "$scratch/err" | head -1)
ends "$child" || fail "the child does not end"
sleep 0.5
curl -sf "${wait_url%/}/api/v1/summary" | jq -e '.pid == '"$target"' and .events_lost == 0' >/dev/null ||
	fail "no last picture after the end: $(curl -s "${wait_url%/}/api/v1/summary" | cut -c1-300)"
kill -INT "$collector"
reap "$collector" || fail "Ctrl-C: status $?"

echo "--follow: children carry the library too"
in_background --follow -- bash -c 'env | grep -c MMVIZ_RUN; sleep 30 & wait; true'
sleep 0.5
child=$(pgrep -P "$target" sleep)
"$mm" list | grep -Eq "^ *$child +sleep " || fail "the child is not listed: $("$mm" list)"
"$mm" verify -q -p "$child" --rounds 2 || fail "the child cannot be followed"
[ "$(cat "$scratch/out")" = 0 ] || fail "MMVIZ_RUN is left for the children: $(cat "$scratch/out")"

echo "Ctrl-C leaves the program as it was; so does a killed collector"
kill -INT "$collector"
reap "$collector" || fail "Ctrl-C: status $?"
kill -0 "$target" || fail "the program ended with its collector"
kill "$child"
ends "$target" || fail "the program does not end"
in_background -- "$BUILD/tests/preload/stress" 2 4000000
kill -KILL "$collector"
reap "$collector" || true
sleep 0.3
kill -0 "$target" || fail "the program ended with its killed collector"
kill -KILL "$target"

echo "what execs another program"
run 1 -- bash -c 'exec sh -c "echo other; exit 0"'
[ "$(cat "$scratch/out")" = other ] || fail "exec: $(cat "$scratch/out")"
grep -q 'has started another program' "$scratch/err" || fail "exec is not told: $(cat "$scratch/err")"

echo "refused"
refuses 64 "there is no program to start" -d 1
refuses 1 "there is no program 'no-such-program' in PATH" -- no-such-program
refuses 1 "No such file" -- "$scratch/nothing"
refuses 77 "not an executable file" -- /etc/passwd
refuses 69 "is a static program" -- "$BUILD/tests/attach_target_static"
refuses 69 "'env' ended with status 127 before" -- env no-such-program
refuses 69 "ended with status 0 before" -- env -i true
if command -v setpriv >/dev/null; then
	cp /bin/true "$scratch/setuid" && chmod 4755 "$scratch/setuid" && chmod 755 "$scratch"
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	refuses 77 "is set-uid.*run it as its owner \(uid 0\)" -- "$scratch/setuid"
	refuses 77 "not permitted.*sudo mmviz-bpf" -- true
	as=()
fi
echo "ok $test_name"
