#!/bin/sh
# SPDX-License-Identifier: MIT
# embed.sh FOLDER OUTPUT.S - an assembler table of all files in FOLDER, for assets.c.
# A file is stored gzipped (as OUTPUT.S.N.gz beside the table) when that is smaller.
set -eu

folder=$1
table=$2
rows=0
rm -f "$table".*.gz
list=$(cd "$folder" && find . -type f | LC_ALL=C sort)
[ -n "$list" ] || { echo "embed.sh: $folder holds no files: build the dashboard first" >&2; exit 1; }

{
	echo '	.section .data.rel.ro, "aw"'
	echo '	.balign 8'
	echo '	.globl assets_table'
	echo 'assets_table:'
	for file in $list; do
		source=$folder/${file#./}
		packed=$table.$rows.gz
		gzip -9 -n -c "$source" > "$packed"
		[ "$(stat -c %s "$packed")" -lt "$(stat -c %s "$source")" ] || { rm "$packed"; packed=$source; }
		echo "	.quad 1f, 2f, 3f - 2f, $(stat -c %s "$source")"
		echo '	.section .rodata'
		echo "1:	.asciz \"/${file#./}\""
		echo '	.balign 8'
		echo "2:	.incbin \"$packed\""
		echo '3:'
		echo '	.section .data.rel.ro, "aw"'
		rows=$((rows + 1))
	done
	echo '	.section .rodata'
	echo '	.balign 8'
	echo '	.globl assets_table_rows'
	echo "assets_table_rows: .quad $rows"
	echo '	.section .note.GNU-stack, "", @progbits'
} > "$table"
