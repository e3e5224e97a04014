# common.sh - what the programs' scripts share. Each is called as
#
#	NAME.sh prepare		make what every run needs, once, under nothing
#	NAME.sh verify		whose malloc does the program call under $PRELOAD? Fails unless it is that library's
#	NAME.sh run		run it under $PRELOAD, check its result, print a line for each thing measured:
#				ROW SECONDS CPU-SECONDS PEAK-BYTES LIBRARY-SEEN [REQUESTS/S]
#
# with BUILD, PRELOAD (a library), SCRATCH (a folder of its own) and SIZE (quick or normal) in the environment. The
# library is preloaded into the program alone: neither the shell nor what drives the program has it.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C
[ "${1:-}" != prepare ] || rm -f "$SCRATCH"/*.cksum

# measured ROW EXECUTABLE COMMAND...: run, with its output in $SCRATCH/out, and print the line.
measured() {
	local row=$1 expect=$2
	shift 2
	"$BUILD/bench/measure" --preload "$PRELOAD" --expect "$expect" --output "$SCRATCH/measured" -- "$@" \
		>"$SCRATCH/out" 2>"$SCRATCH/err" || {
		echo "$row failed under $PRELOAD:" >&2
		tail -q -n 5 "$SCRATCH/err" "$SCRATCH/out" >&2
		return 1
	}
	echo "$row $(cat "$SCRATCH/measured")"
}

# verify_malloc EXECUTABLE COMMAND...: the loader itself says to which library it binds malloc of that file.
verify_malloc() {
	local file=$1 bound
	shift
	LD_DEBUG=bindings LD_DEBUG_OUTPUT=$SCRATCH/bindings LD_PRELOAD=$PRELOAD "$@" >/dev/null 2>&1 </dev/null
	# a program that takes malloc's address binds that to itself: its calls go on from there
	bound=$(cat "$SCRATCH"/bindings.* |
		sed -n "s|.*binding file $file \[0\] to \(.*\) \[0\]: normal symbol .malloc'.*|\1|p" |
		grep -vxF "$file" | head -1)
	rm -f "$SCRATCH"/bindings.*
	[ -n "$bound" ] && [ "$(realpath "$bound")" = "$(realpath "$PRELOAD")" ] && return
	echo "malloc of $file comes from '$bound', not from $PRELOAD" >&2
	return 1
}

# same_result NAME FILE...: the files are what they were when `prepare` made them without any library.
same_result() {
	local name=$1 sum
	shift
	sum=$(cat "$@" | cksum)
	if [ ! -e "$SCRATCH/$name.cksum" ]; then
		echo "$sum" >"$SCRATCH/$name.cksum"
	elif [ "$sum" != "$(cat "$SCRATCH/$name.cksum")" ]; then
		echo "$name: another result under ${PRELOAD:-nothing}" >&2
		return 1
	fi
}

# executable COMMAND: the name that its process will have, behind links.
executable() {
	basename "$(realpath "$(command -v "$1")")"
}

# need COMMAND...
need() {
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null || {
			echo "$command is not installed; \`make bench-programs\` installs it" >&2
			exit 69
		}
	done
}

is_quick() {
	[ "$SIZE" = quick ]
}
