#!/usr/bin/env bash
# The library comes late, goes again, or is there twice: a refusal says what is missing, and what can be followed is right.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../faults/common.sh"

plugin=$PWD/$BUILD/tests/fault_plugin.so plugin_copy=$PWD/$BUILD/tests/fault_plugin_copy.so

# listed PID: the row of `mmviz-bpf list`; empty if it is not there.
listed() {
	"$mm" list --json 2>/dev/null | jq -c ".processes[] | select(.pid == $1)"
}

for library in $(for i in $(seq 60); do echo $plugin_copy; done); do
	echo "$(basename "$library"): loaded late"
	start_target fault_host "$library"
	status=0
	"$mm" verify -p "$target" --rounds 1 >/dev/null 2>"$scratch/err" || status=$?
	[ "$status" -eq 69 ] && grep -q "no mmviz probes; link it" "$scratch/err" || fail "before: $status: $(cat "$scratch/err")"
	[ -z "$(listed "$target")" ] || fail "before: it is listed"
	tell l
	[ "$answer" = 0 ] || fail "the library was not loaded: $(cat "$scratch/target.err")"
	tell w 2
	[ "$(listed "$target" | jq -r .path)" ] || fail "after: it is not listed"
	verified_at_rest "$target" "loaded late"
	start_collector "$target"
	tell y
	tell q
	tell u
	[ "$answer" = 0 ] || fail "the library was not unloaded"
	tell t || fail "unloaded while it is followed: the target does not answer"
	tell Y || fail "a thread that outlived its library died: $(cat "$scratch/target.err")"
	stop_collector
	walked=$("$mm" snapshot -p "$target" | jq '[.arenas[].live_blocks] | add')
	[ "$(summary .live_blocks)" = "$walked" ] || fail "unloaded: $(summary .live_blocks) blocks followed, $walked walked"
	echo "  equal, $compared blocks compared; $walked are left when it is unloaded, and shown"
	end_target
done

echo "ok $test_name"
