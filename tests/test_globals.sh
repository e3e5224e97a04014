#!/usr/bin/env bash
# All state of one target lives in its session: nothing in user/ can be written to but the stop flag and what argp wants.
set -euo pipefail

BUILD=${BUILD:-build}
allowed="command_stop argp_program_version"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# mutable OBJECT...: names of variables in sections that can be written to; constants with addresses in them are not.
mutable() {
	objdump -t "$@" | awk '$3 == "O" && ($4 ~ /^\.(data|bss|tdata|tbss)/ && $4 !~ /^\.data\.rel\.ro/) { print $6 } $2 == "O" && ($3 ~ /^\.(data|bss|tdata|tbss)/ && $3 !~ /^\.data\.rel\.ro/) { print $5 } $0 ~ /\*COM\*/ { print $NF }'
}

echo 'int count(void); int count(void) { static int planted; return ++planted; }' | ${CC:-cc} -x c -c -o "$scratch/planted.o" -
mutable "$scratch/planted.o" | grep -q '^planted' || { echo "a planted variable is not found" >&2; exit 1; }
objects=$(find "$BUILD/user" -name '*.o')
[ "$(echo "$objects" | wc -l)" -gt 20 ] || { echo "only $(echo "$objects" | wc -l) objects in $BUILD/user" >&2; exit 1; }
# shellcheck disable=SC2086
mutable $objects | sort -u >"$scratch/found"
for name in $allowed; do
	grep -qx "$name" "$scratch/found" || { echo "$name is not found: is this check blind?" >&2; exit 1; }
	sed -i "/^$name$/d" "$scratch/found"
done
if [ -s "$scratch/found" ]; then
	echo "mutable globals in user/: $(tr '\n' ' ' <"$scratch/found")" >&2
	exit 1
fi
echo "ok no mutable globals in user/ but $allowed"
