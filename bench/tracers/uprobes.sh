#!/usr/bin/env bash
# uprobes.sh - what memleak of BCC does, as a bpftrace script: a trap at malloc, at its return and at free; a table of live
# blocks with their sizes and stacks in the kernel. See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

# program LIBC
program() {
	cat <<-EOT
		uprobe:$1:malloc { @size[tid] = arg0; @calls = count(); }
		uretprobe:$1:malloc /@size[tid]/ {
			@live[retval] = @size[tid];
			@stack[retval] = ustack();
			delete(@size[tid]);
		}
		uprobe:$1:free { delete(@live[arg0]); delete(@stack[arg0]); @calls = count(); }
		END { clear(@live); clear(@stack); clear(@size); }
	EOT
}

case ${1:-} in
check)
	need bpftrace ldd
	[ "$(id -u)" -eq 0 ] || missing "uprobes need root"
	;;
run)
	begin "$2"
	libc=$(ldd "$3" | awk '$1 == "libc.so.6" { print $3 }')
	program "$libc" >"$scratch/script"
	BPFTRACE_MAP_KEYS_MAX=1000000 bpftrace -q -o "$scratch/maps" -c "${*:3}" "$scratch/script" 2>"$scratch/err" ||
		give_up "$scratch/err"
	awk '$1 == "@calls:" { print "traced", $2 }' "$scratch/maps"
	;;
esac
