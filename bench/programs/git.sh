#!/usr/bin/env bash
# git.sh - `git log -p` and `git gc` on a repository of many commits, made by git fast-import. See common.sh.
# shellcheck source=bench/programs/common.sh
. "${BASH_SOURCE%/*}/common.sh"

is_quick && commits=400 || commits=6000
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat

# Each commit changes a few lines of three of 150 files and adds one file in ten.
history() {
	awk -v commits="$commits" '
		function line(file, number) {
			return sprintf("\tresult[%d] = combine(%s_%d, %d);", number, word[(file + number) % 40], file % 97,
				changed[file, number])
		}
		function text(file, out, i) {
			out = "/* file " file " */\n"
			for (i = 0; i < 60 + file % 80; i++)
				out = out line(file, i) "\n"
			return out
		}
		function put(file, body) {
			body = text(file)
			printf "M 100644 inline src/part%d/file%d.c\ndata %d\n%s\n", file % 12, file, length(body), body
		}
		BEGIN {
			srand(7)
			for (i = 0; i < 40; i++)
				word[i] = "value" i
			files = 150
			for (commit = 1; commit <= commits; commit++) {
				message = "change " commit
				printf "commit refs/heads/main\ncommitter A <a@example.invalid> %d +0000\n", 1600000000 + commit * 60
				printf "data %d\n%s\n", length(message), message
				if (commit == 1)
					for (i = 0; i < files; i++)
						put(i)
				for (i = 0; i < 3; i++) {
					file = int(rand() * files)
					changed[file, int(rand() * (60 + file % 80))] = commit
					put(file)
				}
				if (commit % 10 == 0)
					put(files++)
			}
		}'
}

# Everything that can be reached, and how many bytes it has.
objects() {
	git -C "$SCRATCH/$1" rev-list --objects --all | cut -d' ' -f1 | sort |
		git -C "$SCRATCH/$1" cat-file --batch-check >"$SCRATCH/objects"
	same_result objects "$SCRATCH/objects"
}

# One pack, whole, with the objects that there were.
check_packed() {
	git -C "$SCRATCH/run.git" verify-pack "$SCRATCH"/run.git/objects/pack/pack-*.idx
	objects run.git
}

case ${1:-} in
prepare)
	need git awk
	rm -rf "$SCRATCH/made.git"
	git init -q --bare -b main "$SCRATCH/made.git"
	history | git -C "$SCRATCH/made.git" -c fastimport.unpackLimit=1 fast-import --quiet
	git -C "$SCRATCH/made.git" log -p --stat main >"$SCRATCH/out"
	same_result log "$SCRATCH/out"
	objects made.git
	;;
verify) verify_malloc git git --version ;;
run)
	rm -rf "$SCRATCH/run.git"
	cp -r "$SCRATCH/made.git" "$SCRATCH/run.git"
	measured git-log git git -C "$SCRATCH/run.git" log -p --stat main
	same_result log "$SCRATCH/out"
	measured git-gc git git -C "$SCRATCH/run.git" -c pack.threads=1 -c gc.aggressiveWindow=25 \
		gc --quiet --aggressive --prune=now
	check_packed
	;;
esac
