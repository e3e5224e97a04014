#!/usr/bin/env bash
# The one-liners of bpf/oneliners, run by the real bpftrace on server_sim, must say what the simulator is known to do.
. "$(dirname "$0")/common.sh"

need_root
need_command bpftrace

rate=4000 # requests/s over two threads
seconds=11 # one mixed phase has 8 s, so at least one mark comes by

run_all() {
	local script name pid watchers=()
	for script in bpf/oneliners/*.bt; do
		name=$scratch/$(basename "$script" .bt)
		bpftrace -p "$sim" "$script" >"$name" 2>"$name.err" &
		watchers+=($!)
		started_pids+=($!)
	done
	sleep "$seconds"
	kill -INT "${watchers[@]}" 2>/dev/null || true
	for pid in "${watchers[@]}"; do
		end_tracer "$pid"
	done
}

# value FILE KEY: what follows "@...[KEY]: ".
value() {
	awk -v key="[$2]: " 'index($0, key) { print substr($0, index($0, key) + length(key)); exit }' "$scratch/$1"
}

# fullest FILE KEY: lower bound of the fullest bucket of KEY's histogram.
fullest() {
	awk -v key="[$2]:" '
		index($0, key) { inside = 1; next }
		inside && $1 !~ /^\[/ { exit }
		inside { gsub(/[\[,]/, "", $1); if ($3 > most) { most = $3; low = $1 } }
		END { print low }' "$scratch/$1"
}

# largest FILE: the key with the largest value of the last map that was printed whole.
largest() {
	grep '^@' "$scratch/$1" | sed 's/^@[a-z_]*\[\(.*\)\]: \(.*\)$/\2 \1/' | sort -n | tail -1 | cut -d' ' -f2-
}

start_sim --pattern mixed --rate "$rate" --threads 2
run_all

echo "bytes_by_tag: uniform sizes have their mean in the middle"
set -- $(value bytes_by_tag response | tr -d ,)
between "$2" $((rate * 5)) $((rate * (seconds + 1))) "responses counted"
between "$4" 620 660 "bytes of a mean response (128 to 1151)"
set -- $(value bytes_by_tag "GET /" | tr -d ,)
between "$4" 300 340 "bytes of a mean request (64 to 575)"

echo "sizes: an arena for each role, no size below its least"
grep -q '^@bytes\[1\]' "$scratch/sizes" && grep -q '^@bytes\[2\]' "$scratch/sizes" || fail "arenas 1 and 2 are missing"
case $(fullest sizes 1) in 256 | 512) ;; *) fail "arena 1 asks mostly for sizes from $(fullest sizes 1)" ;; esac
awk '/^@bytes\[1\]/ { inside = 1; next } inside && !/^\[/ { exit } inside { print $1 }' "$scratch/sizes" |
	grep -Eq '^\[(0|1|2|4|8|16|32),' && fail "arena 1 has sizes below 64"

echo "thread_rates: both workers work alike"
for worker in "worker 1" "worker 2"; do
	between "$(grep -F "@allocs[$worker]" "$scratch/thread_rates" | awk '{ print $NF }' | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')" \
		$((rate * 7 / 10)) $((rate * 15 / 10)) "allocations/s of $worker"
done

echo "lifetimes: a response stays for 64 requests of its thread, 32 ms at this rate"
case $(fullest lifetimes response) in
16K | 32K) echo "  most responses live from $(fullest lifetimes response) us" ;;
*) fail "most responses live from '$(fullest lifetimes response)' us" ;;
esac

echo "cross_thread_frees: one response in four is handed over, nothing else"
foreign=$(awk -F': ' '/^@foreign\[response\]/ { print $2 }' "$scratch/cross_thread_frees")
own=$(awk -F': ' '/^@own\[response\]/ { print $2 }' "$scratch/cross_thread_frees")
between $((100 * ${foreign:-0} / (${foreign:-0} + ${own:-1}))) 15 35 "percent of responses freed by the other thread"
[ "$(grep -c '^@foreign' "$scratch/cross_thread_frees")" -eq 1 ] || fail "other blocks were freed by foreign threads"

echo "large_blocks: uploads, and the stack that asks for them"
grep -q '^@large\[upload body' "$scratch/large_blocks" || fail "no upload bodies"
grep -q 'worker_serve' "$scratch/large_blocks" || fail "no stack through worker_serve"

echo "phases: marks of the mixed pattern"
grep -Eq 'mark "(browsing|uploads|log-ins|cache purge)"' "$scratch/phases" || fail "no mark"
between "$(awk -F': ' '/^@allocs/ { print $2; exit }' "$scratch/phases")" "$rate" $((rate * 25)) "allocations until the first mark"

echo "top_tags: ten at most, and the first is among the first three of the whole time"
[ "$(awk '/^[0-9:]*$/ { lines = 0 } /^@/ { if (++lines > most) most = lines } END { print most }' "$scratch/top_tags")" -eq 10 ] || fail "not ten"
awk '/^@bytes/ { key = $0; sub(/^@bytes\[/, "", key); sub(/\]: .*/, "", key); print $NF, key }' "$scratch/bytes_by_tag" | sort -n | tail -3 |
	cut -d' ' -f2- | grep -qxF "$(largest top_tags)" || fail "the largest tag of 5 s is '$(largest top_tags)'"
echo "  $(largest top_tags)"

echo "growth: what is freed as fast as it is allocated does not grow"
between "$(value growth response)" -2000000 2000000 "bytes that responses grew by in 5 s"

echo "event_rate: each worker does the work of its requests"
for worker in "worker 1" "worker 2"; do
	between "$(grep -F "@events[$worker]" "$scratch/event_rate" | awk '{ print $NF }' | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')" \
		$((rate * 15 / 10)) $((rate * 5)) "events/s of $worker"
done

echo "sampled_stacks: the stacks of the requests, and about as many bytes as were asked for"
grep -q 'worker_serve' "$scratch/sampled_stacks" || fail "no stack through worker_serve"
sampled=$(awk '/^\]: / { sum += $2 } END { print sum + 0 }' "$scratch/sampled_stacks")
asked=$(awk '/^@bytes/ { sum += $NF } END { print sum }' "$scratch/bytes_by_tag")
between $((100 * sampled / asked)) 40 150 "percent of the bytes asked for, by the ten largest stacks"
stop_sim

echo "errors: each mistake of a program that goes on, with its stack"
. "$(dirname "$0")/../faults/common.sh"
start_target fault_target
bpftrace -p "$target" bpf/oneliners/errors.bt >"$scratch/errors" 2>"$scratch/errors.err" &
tracer=$!
started_pids+=("$tracer")
for _ in $(seq 100); do
	! is_silent "$target" && break
	sleep 0.05
done
tell m
sleep 0.5
end_tracer "$tracer"
for mistake in "free of what is no block" "double free" "out of memory"; do
	grep -A 8 "fault_target: $mistake at .* in arena" "$scratch/errors" | grep -q work_command || fail "no '$mistake': $(cat "$scratch/errors")"
	echo "  $mistake"
done
end_target
echo "ok $test_name"
