#!/usr/bin/env bash
# The one-liners of bpf/oneliners, run by the real bpftrace on server_sim, must say what the simulator is known to do.
. "$(dirname "$0")/common.sh"

need_root
need_command bpftrace

rate=4000 # requests/s over two threads
seconds=11 # one mixed phase has 8 s, so at least one mark comes by

run_all() {
	local script pid watchers=()
	for script in bpf/oneliners/*.bt; do
		timeout -s INT "$seconds" bpftrace -p "$sim" "$script" >"$scratch/$(basename "$script" .bt)" 2>"$scratch/$(basename "$script" .bt).err" &
		watchers+=($!)
		started_pids+=($!)
	done
	for pid in "${watchers[@]}"; do
		reap "$pid" || true # timeout's own status
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

stop_sim
echo "ok $test_name"
