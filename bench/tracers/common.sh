# common.sh - what the tracers' scripts share. Each is called as
#
#	NAME.sh check			can it trace here? Else says in one line what is missing, status 69
#	NAME.sh run SCRATCH COMMAND...	run COMMAND traced, let its output through, and then print
#					traced CALLS	of malloc and free that have been recorded
#					dropped CALLS	that the tracer says it had to leave out
#
# SCRATCH is a folder for what it records; nothing is left there, and nothing goes on running.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C

missing() {
	echo "$*"
	exit 69
}

# need COMMAND...
need() {
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null || missing "$command is not installed; \`make deps\` installs it"
	done
}

# begin SCRATCH: a folder of our own in it, $scratch, which goes when we go.
begin() {
	mkdir -p "$1"
	scratch=$(mktemp -d "$1/tracer.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
}

# give_up FILE: the tracer failed; its last words are in FILE.
give_up() {
	tail -n 5 "$1" >&2
	exit 1
}
