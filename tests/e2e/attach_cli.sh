#!/usr/bin/env bash
# Exit codes and messages of the command line: each refusal says what, why and the remedy, and has its own code.
. "$(dirname "$0")/common.sh"

need_root
need_command setpriv

mm=$BUILD/mmviz-bpf

# refuses CODE TEXT ARGUMENT...: mmviz-bpf ARGUMENT... exits with CODE and says TEXT (a regular expression) on stderr.
refuses() {
	local wanted=$1 text=$2 code=0
	shift 2
	"${as[@]}" timeout 20 "$mm" "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
	[ "$code" -eq "$wanted" ] || fail "mmviz-bpf $*: exit code $code, not $wanted: $(cat "$scratch/err")"
	grep -Eq -- "$text" "$scratch/err" || fail "mmviz-bpf $*: no '$text' in: $(cat "$scratch/err")"
	echo "  mmviz-bpf $*: $code, $(head -n 1 "$scratch/err")"
}
as=()

echo "usage"
refuses 64 "^Usage: mmviz-bpf"
refuses 64 "no command 'nonsense'.*--help" nonsense
refuses 64 "mmviz-bpf: -p: 'x' is not a whole number" -p x
refuses 64 "-p PID is missing.*mmviz-bpf list" snapshot
refuses 64 "mmviz-bpf snapshot: unrecognized option '--rounds'" snapshot -p 1 --rounds 3
refuses 64 "'nope' is not known" snapshot -p 1 --format nope
refuses 64 "not a power of two" -p 1 --ring-bytes 5000
refuses 64 "not a positive number" -p 1 -d -3
refuses 64 "'extra' is not expected" -p 1 extra
refuses 64 "--stacks all is not for --mode events.*leave one" -p 1 --mode events --stacks all

echo "targets"
mkfifo "$scratch/commands" # nobody writes: the targets wait
exec 9<>"$scratch/commands"
"$BUILD/tests/attach_target_pie" <&9 >"$scratch/ready" &
target=$!
started_pids+=("$target")
for _ in $(seq 100); do
	grep -q ready "$scratch/ready" && break
	sleep 0.05
done
refuses 69 "there is no such process.*mmviz-bpf list" snapshot -p 4194303
refuses 69 "'bash' has no mmviz probes.*libmmviz" snapshot -p $$
refuses 69 "kernel thread" verify -p 2
as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
refuses 77 "not permitted.*sudo mmviz-bpf" snapshot -p "$target"
refuses 77 "not permitted.*sudo mmviz-bpf" -p "$target"
refuses 1 "not possible on this machine" doctor
as=()

echo "a snapshot needs no privileges for a process of one's own"
setpriv --reuid=65534 --regid=65534 --clear-groups "$BUILD/tests/attach_target_static" <&9 >"$scratch/own" &
own=$!
started_pids+=("$own")
for _ in $(seq 100); do
	grep -q ready "$scratch/own" && break
	sleep 0.05
done
setpriv --reuid=65534 --regid=65534 --clear-groups "$mm" snapshot -p "$own" >"$scratch/out" ||
	fail "snapshot of an own process exits $?"
grep -q '"live_blocks": *10' "$scratch/out" || fail "the snapshot does not show the 10 blocks"
as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
refuses 77 "not permitted.*sudo mmviz-bpf" verify -p "$own"
as=()

echo "list"
"$mm" list >"$scratch/out"
grep -Eq "^ *$target +attach_target_p +1 " "$scratch/out" || fail "list does not show $target: $(cat "$scratch/out")"
"$mm" list --json | grep -Eq '^\{"version":1,"processes":\[' || fail "list --json is not as documented"
"$mm" list --json | grep -q "\"pid\":$target,\"comm\":\"attach_target_p\"" || fail "list --json does not show $target"

echo "doctor"
"$mm" doctor >"$scratch/out" || fail "doctor: $(cat "$scratch/out")"
"$mm" doctor --json | grep -q '"version":1,"attachable":true' || fail "doctor --json is not as documented"

echo "help"
for command in "" live snapshot verify list doctor; do
	# shellcheck disable=SC2086
	"$mm" $command --help >"$scratch/out" || fail "mmviz-bpf $command --help fails"
	grep -q EXAMPLES "$scratch/out" || fail "mmviz-bpf $command --help has no examples"
done
"$mm" --version | grep -Eq '^mmviz-bpf [0-9]+\.' || fail "--version"

echo "both ways to arm a probe"
for way in "" --perf; do
	# shellcheck disable=SC2086
	"$mm" verify -p "$target" --rounds 1 $way >"$scratch/out" 2>&1 || fail "verify $way: $(cat "$scratch/out")"
done
echo "ok $test_name"
