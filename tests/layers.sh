#!/usr/bin/env bash
# layers.sh - who may include what: the arrows of the drawing, held by a check.
#
# Each rule names files, what they may include and what they never may (extended regular expressions over the name with
# its brackets or quotes); the first rule that fits a file counts. Then a violation of every rule is planted into a copy:
# a check that cannot fail is none.
set -euo pipefail

cd "$(dirname "$0")/.."

libc='<[a-z0-9_]+\.h>|<(sys|linux|asm|arpa|net|netinet)/[a-z0-9_]+\.h>'
libraries='<(bpf|elfutils|libiberty)/|<(libelf|gelf|elf|dwarf|zlib|jansson|libwebsockets|seccomp)\.h>|<sys/capability\.h>'
abi='<mmviz/abi\.h>'
views='"model/(view|view_state|events|stack_view|exact_view)\.h"'

# files | may | never | what is planted
rules=(
	"lib/include/mmviz/abi.h | <stdint\.h> | - | <stddef.h>"
	"lib/include/* | <std(int|def)\.h> | - | <stdio.h>"
	"lib/* | $libc|<mmviz/[a-z]+\.h>|<valgrind/memcheck\.h>|\"[a-z_]+\.h\" | $libraries | \"collect/target.h\""
	"bpf/* | \"vmlinux\.h\"|\"[a-z_]+\.bpf\.h\"|<bpf/[a-z_]+\.h>|$abi | - | <string.h>"
	"user/collect/* | $libc|<bpf/[a-z]+\.h>|<elfutils/[a-z]+\.h>|<libiberty/demangle\.h>|$abi|\"collect/[a-z_]+\.h\"|\"(mmviz\.skel|ring\.bpf)\.h\" | <(jansson|libwebsockets|seccomp)\.h> | \"model/replica.h\""
	"user/model/* | $libc|$abi|\"model/[a-z_]+\.h\" | $libraries | \"collect/target.h\""
	"user/serve/* | $libc|$abi|<sys/capability\.h>|\"(serve|export|store)/[a-z_/]+\.h\"|$views | <(bpf|elfutils)/|<(libelf|gelf)\.h> | \"model/replica.h\""
	"user/export/* | $libc|$abi|\"export/[a-z_]+\.h\"|\"pprof\.pb-c\.h\"|$views | <(bpf|elfutils)/|<(libelf|gelf|libwebsockets|seccomp)\.h> | \"serve/server.h\""
	"user/store/* | $libc|$abi|\"store/[a-z_]+\.h\"|$views | <(bpf|elfutils)/|<(libelf|gelf|libwebsockets|seccomp)\.h> | \"collect/walk.h\""
	"user/* | $libc|$abi|<bpf/[a-z]+\.h>|\"[a-z_/]+\.h\" | <mmviz/mmviz\.h> | \"../lib/heap.h\""
)

files=() may=() never=() planted=()
for rule in "${rules[@]}"; do
	IFS=$'\t' read -r a b c d <<<"${rule// | /$'\t'}"
	files+=("$a") may+=("$b") never+=("$c") planted+=("$d")
done

rule_of() { # FILE: the number of its rule, in $rule
	for rule in "${!files[@]}"; do
		# shellcheck disable=SC2053
		[[ $1 == ${files[rule]} ]] && return
	done
	return 1
}

# check ROOT: prints each violation; 1 if there was one.
check() {
	local file name rule bad=0
	while read -r file; do
		rule_of "$file" || continue
		while read -r name; do
			if [[ ! $name =~ ^(${may[rule]})$ || $name =~ ${never[rule]} ]]; then
				echo "$file must not include $name"
				bad=1
			fi
		done < <(sed -nE 's/^#[ \t]*include[ \t]+([<"][^>"]+[>"]).*/\1/p' "$1/$file")
	done < <(cd "$1" && find lib bpf user -name '*.[ch]' | sort)
	return $bad
}

check . || exit 1
echo "ok every include follows the layers"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for number in "${!files[@]}"; do
	copy=$scratch/$number file=${files[number]//\*/planted.c}
	mkdir -p "$copy/lib" "$copy/bpf" "$copy/user" "$copy/$(dirname "$file")"
	echo "#include ${planted[number]}" >"$copy/$file"
	if check "$copy" >"$scratch/found"; then
		echo "planted: $file includes ${planted[number]}, and nobody minds"
		exit 1
	fi
	grep -qF "$file must not include ${planted[number]}" "$scratch/found"
done
echo "ok a planted violation of each of ${#rules[@]} rules is found"
