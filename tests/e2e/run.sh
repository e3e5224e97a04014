#!/usr/bin/env bash
# run.sh - the end-to-end suites, one after the other.
#
#	tests/e2e/run.sh [SUITE...]
#
# BUILD: where the programs are (default build). LONG=1: the long form of each, for `make soak`. Exit 1 if one failed;
# skipped ones say why and do not fail.
set -uo pipefail

cd "$(dirname "$0")/../.." || exit 1
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(snapshot_sums all_stacks verify_matrix soak attach_detach sigkill small_ring fallback million_blocks preload_family preload_programs preload_tools run_command stacks demo bpftrace_oneliners chaos
	fault_collector_killed fault_target_ends fault_target_life fault_library fault_two_collectors
	fault_starved fault_no_space fault_namespaces chaos_faults)
failed=() skipped=()

for suite in "${suites[@]}"; do
	echo "== $suite"
	started=$SECONDS
	"tests/e2e/$suite.sh"
	case $? in
	0) echo "   $((SECONDS - started)) s" ;;
	77) skipped+=("$suite") ;;
	*) failed+=("$suite") ;;
	esac
done
echo "end-to-end: $((${#suites[@]} - ${#failed[@]} - ${#skipped[@]})) passed, ${#skipped[@]} skipped, ${#failed[@]} failed ${failed[*]}"
[ ${#failed[@]} -eq 0 ]
