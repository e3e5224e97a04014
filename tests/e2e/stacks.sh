#!/usr/bin/env bash
# stacks.sh - sampled stacks of real programs, as the web server tells them: against gdb at the same allocation, against
# known numbers of bytes, over resets, changes of the mean and the target's end.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/common.sh
. tests/e2e/common.sh
need_root
need_command curl
need_command jq
need_command gdb
stacks=$BUILD/tests/stacks

# start_target PROGRAM: $target is its pid; commands go to descriptor 8, answers come from 9.
start_target() {
	rm -f "$scratch/to" "$scratch/from"
	mkfifo "$scratch/to" "$scratch/from"
	"$stacks/$1" <"$scratch/to" >"$scratch/from" &
	target=$!
	started_pids+=("$target")
	exec 8>"$scratch/to" 9<"$scratch/from"
	answer ready
}

# answer WORD: wait for this line; lines before it are in $told.
answer() {
	local line
	told=
	while read -r -t 20 line <&9; do
		[ "$line" != "$1" ] || return 0
		told+=$line
	done
	fail "the target did not say $1"
}

tell() {
	echo "$*" >&8
	answer done
}

end_target() {
	exec 8>&- 9<&-
	reap "$target" || true
}

fetch() {
	url=$(grep -o '^http[^ ]*' "$scratch/collector.err")
	curl -sS -m 10 "${url}api/v1/stacks" >"$scratch/stacks.json"
}

# take: the stacks as they are when all samples were taken in and named, in $scratch/stacks.json.
take() {
	local before=-1 now
	for _ in $(seq 100); do
		sleep 0.1
		fetch
		now=$(ask '"\(.samples) \(.live.samples) \(.allocated.samples) \(.unnamed)"')
		[ "$now" != "$before" ] || [[ $now != *" 0" ]] || return 0
		before=$now
	done
	fail "samples keep coming: $now"
}

ask() {
	jq -r "$@" "$scratch/stacks.json"
}

# through FUNCTION AMOUNT: the sum of this amount's samples and bytes over all stacks that have the function.
through() {
	ask --arg name "$1" "[.rows[] | select(any(.frames[]; .function | contains(\$name))) | .$2] | \"\(map(.samples) | add // 0) \(map(.bytes) | add // 0)\""
}

# near WHAT TRUTH MEAN SAMPLES BYTES: five deviations, so that nobody waits for the day when it fails.
near() {
	awk -v truth="$2" -v mean="$3" -v bytes="$5" 'BEGIN { d = bytes - truth; exit !(d * d < 25 * truth * mean) }' ||
		fail "$1: $5 bytes estimated, $2 are true"
	echo "  $1: $5 bytes estimated of $2, $4 samples"
}

# ask_gdb: the frames of the next allocation, from the library's caller on: the call, inlined, line, function, file.
ask_gdb() {
	gdb -nx -q -batch -p "$target" -ex 'set debuginfod enabled off' -ex 'break mmviz_alloc' -ex 'shell echo keep 1 >&8' -ex continue \
		-x tests/stacks/frames.py -ex detach >"$scratch/gdb.out" 2>&1 8>&8 || fail "gdb: $(cat "$scratch/gdb.out")"
	answer done
	grep '^FRAME' "$scratch/gdb.out" | tail -n +2 | cut -f 2- | while IFS=$'\t' read -r pc rest; do
		printf '0x%x\t%s\n' $((16#$pc - 1)) "$rest"
	done >"$scratch/gdb.frames"
}

# compare WHAT LEAST: each of gdb's frames is ours. It stops at main, we go on; where it has no line it guesses names.
compare() {
	ask '[.rows[] | select(.kind == "stack")] | max_by(.allocated.bytes) | .frames[] |
		"\(.address)\t\(.inlined)\t\(.line)\t\(.function)"' >"$scratch/our.frames"
	[ "$(wc -l <"$scratch/gdb.frames")" -ge "$2" ] || fail "$1: gdb has few frames: $(cat "$scratch/gdb.out")"
	awk -F '\t' 'NR == FNR { pc[NR] = $1; inlined[NR] = $2; line[NR] = $3; name[NR] = $4; frames = NR; next }
		FNR <= frames {
			if ($1 != pc[FNR] || ($2 == "true") != inlined[FNR]) bad = 1
			if (line[FNR] > 0 && $3 != line[FNR]) bad = 1
			if (line[FNR] > 0 && $4 != name[FNR] && index($4, name[FNR] "(") != 1) bad = 1
			if (line[FNR] > 0) lines++
			same++
		}
		END { exit bad || same != frames || lines < 2 }' "$scratch/gdb.frames" "$scratch/our.frames" ||
		fail "$1: gdb says
$(cat "$scratch/gdb.frames")
and we
$(cat "$scratch/our.frames")"
	echo "  $1: $(wc -l <"$scratch/gdb.frames") frames as gdb sees them"
}

# same_as_gdb PROGRAM WHAT FRAMES
same_as_gdb() {
	start_target "$1"
	ask_gdb
	start_collector "$target" --sample-bytes 8192
	tell keep 20000
	take
	compare "$2" "$3"
	near "$2, kept" $((20000 * 96)) 8192 $(ask '[.rows[] | select(.kind == "stack")] | max_by(.allocated.bytes) | .live | "\(.samples) \(.bytes)"')
	stop_collector
	end_target
}

# offsets: of the calls in the program's own file, innermost first.
offsets() {
	ask '[.rows[] | select(.kind == "stack")] | max_by(.allocated.bytes) | [.frames[] | select(.module | contains("allocating")) | .offset] |
		reduce .[] as $one ([]; if .[-1] == $one then . else . + [$one] end) | .[0:2] | join(" ")'
}

same_as_gdb allocating "C++ without frame pointers" 3
known=$(offsets)
same_as_gdb allocating_stripped "stripped, debug information in a file of its own" 3
start_target allocating_bare
start_collector "$target" --sample-bytes 8192
tell keep 20000
take
[ "$(offsets)" = "$known" ] || fail "without any names the stack begins with $(offsets), not with $known"
[ "$(ask '[.rows[] | select(.kind == "stack")] | length')" = 1 ] || fail "without any names there are several stacks"
stop_collector
end_target
echo "  stripped, no names at all: the same calls, the library's left out"
[ ! -x "$stacks/lua_allocating" ] || same_as_gdb lua_allocating "a C function that Lua calls" 8

start_target allocating
start_collector "$target" --sample-bytes 8192
tell keep 100000
tell churn 100000
take # the target's maps are read ten times a second at most: code made right after a reading ends its stacks
sleep 0.3
tell jit 10000
for _ in $(seq 30); do # who makes code may tell late what it is called: names come later, too
	take
	[ "$(through made_at_run_time live)" = "0 0" ] || break
	sleep 0.3
done
for page in heap allocs; do
	curl -sS -m 10 "${url}debug/pprof/$page" | gzip -dc >"$scratch/$page" || fail "/debug/pprof/$page is no gzip"
	grep -aq made_at_run_time "$scratch/$page" || fail "/debug/pprof/$page without a function that allocated"
done
echo "  /debug/pprof/heap and allocs"
near kept $((100000 * 96)) 8192 $(through 'paths::Keeper<96' live)
near churned $((100000 * 160)) 8192 $(through paths::churn allocated)
[ "$(through paths::churn live)" = "0 0" ] || fail "what was freed is live: $(through paths::churn live)"
near "from code made at run time" $((10000 * 200)) 8192 $(through made_at_run_time live)
ask '.rows[] | select(any(.frames[]; .function == "made_at_run_time")) | [.frames[].function] | join(" ")' >"$scratch/jit"
[ "$(wc -l <"$scratch/jit")" = 1 ] && grep -q '^paths::inlined_alloc.* paths::from_jit made_at_run_time paths::jit.* main ' "$scratch/jit" || fail "through made code: $(cat "$scratch/jit")"
ask '[.rows[] | select(.kind == "stack" and (.frames[0].function | contains("inlined_alloc") | not)) | .frames[0].function] | join(" ")' >"$scratch/first"
[ -z "$(cat "$scratch/first")" ] || fail "frames of the library are there: $(cat "$scratch/first")"

tell reset
take
[ "$(ask .live.samples)" = 0 ] || fail "after the reset $(ask .live.samples) samples are live"
near "kept, allocated" $((100000 * 96)) 8192 $(through 'paths::Keeper<96' allocated)
echo "  a reset empties what is live"

if [ -d web/node_modules/ws ]; then
	node tests/e2e/stacks_set.mjs "$url" 1024 || fail "the mean cannot be changed"
	tell keep 10000
	take
	[ "$(ask .sample_bytes)" = 1024 ] || fail "the mean is $(ask .sample_bytes)"
	[ "$(ask .live.samples)" -gt 700 ] || fail "of 960000 bytes only $(ask .live.samples) samples at one in 1024"
	near "kept at another mean" $((10000 * 96)) 8192 $(through 'paths::Keeper<96' live)
	echo "  the mean can be changed: $(ask .live.samples) samples of 960000 bytes"
else
	tell keep 10000
	take
fi
live=$(ask .live.bytes)
kill -KILL "$target"
reap "$target" 2>/dev/null || true
rm -f "/tmp/perf-$target.map"
take
[ "$(ask .live.bytes)" = "$live" ] || fail "at the target's end $(ask .live.bytes) bytes are live, not $live"
[ "$(through 'paths::Keeper<96' live | cut -d' ' -f2)" -gt 0 ] || fail "at the target's end names are gone"
echo "  the target's end keeps them"
stop_collector
end_target

start_target allocating
start_collector "$target"
tell gulp 400000
fetch
[ "$(ask .sample_bytes)" -gt 524288 ] || fail "a target that is sampled $(ask .samples) times is not spared"
[ "$(ask .wanted_sample_bytes)" = 524288 ] || fail "what is wanted became $(ask .wanted_sample_bytes)"
for _ in $(seq 100); do
	take
	[ "$(ask .sample_bytes)" != 524288 ] || break
	sleep 0.1
done
[ "$(ask .sample_bytes)" = 524288 ] || fail "the mean stays at $(ask .sample_bytes)"
between "$(ask .allocated.bytes)" $((85 * (400000 << 20) / 100)) $((115 * (400000 << 20) / 100)) "of 419430400000 bytes, sampled less often when it became too much"
stop_collector
end_target

start_sim --seconds 60 --rate 20k --threads 1
"$BUILD/mmviz-bpf" report -p "$sim" -d 1 --sample-bytes 65536 --format folded-allocated -o "$scratch/folded" -q || fail "report: folded"
grep -q '^__clone3;start_thread;worker_main;worker_serve;.* [0-9]*$' "$scratch/folded" || fail "folded: $(head "$scratch/folded")"
awk '!/ [0-9]+$/ { print; bad = 1 } END { exit bad }' "$scratch/folded" || fail "folded: a line is malformed"
"$BUILD/mmviz-bpf" report -p "$sim" -d 0.5 -q >"$scratch/profile" || fail "report: pprof"
gzip -dc "$scratch/profile" | grep -aq inuse_space || fail "report: no profile"
"$BUILD/mmviz-bpf" report -p "$sim" -d 0.5 -q --format json | jq -e '.rows | length > 0' >/dev/null || fail "report: json"
echo "  report: folded, pprof, json"
start_collector "$sim" --mode sampled --sample-bytes 65536
sleep 1
fetch
[ "$(ask .allocated.samples)" -gt 50 ] || fail "sampled mode: $(ask .allocated.samples) samples"
[ "$(ask '.rows[] | select(.kind == "stack") | .frames[].function' | grep -c worker_main)" -gt 0 ] || fail "sampled mode: no stack has worker_main"
echo "  sampled mode: $(ask .allocated.samples) samples"
stop_collector

start_collector "$sim" --stacks off
fetch
[ "$(ask .stacks)" = off ] || fail "off: $(head -c 200 "$scratch/stacks.json")"
[ "$(semaphores "$sim" | awk '{ print $2, $3, $6 }')" = "0 1 0" ] || fail "off, and the probes are armed: $(semaphores "$sim")"
stop_collector
echo "  --stacks off: none, and their probes are not armed"
start_collector "$sim"
[ "$(semaphores "$sim" | awk '{ print $2, $3, $6 }')" = "1 1 1" ] || fail "by default the probes are not armed: $(semaphores "$sim")"
fetch
[ "$(ask .sample_bytes)" = 524288 ] || fail "the mean is $(ask .sample_bytes)"
stop_collector
stop_sim
