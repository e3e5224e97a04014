#!/usr/bin/env bash
# Replica and fresh walk are equal, with nothing lost, under every pattern of traffic and in the Lua interpreter.
. "$(dirname "$0")/common.sh"

need_root

if [ "$LONG" ]; then
	rounds=50 rates="1k 100k 1M"
else
	rounds=2 rates=1M
fi

# verify PID WHAT
verify() {
	local status=0
	"$BUILD/mmviz-bpf" verify -p "$1" --rounds "$rounds" >"$scratch/verify.out" 2>&1 || status=$?
	[ "$status" -eq 0 ] || fail "$2: verify ended with $status: $(tail -5 "$scratch/verify.out")"
	echo "  $2: equal, $rounds rounds"
}

for pattern in steady burst ramp mixed; do
	for threads in 1 4; do
		for rate in $rates; do
			start_sim --pattern "$pattern" --threads "$threads" --rate "$rate"
			sleep 0.3
			verify "$sim" "$pattern, $threads threads, rate $rate"
			stop_sim
		done
	done
done

"$BUILD/lua_arena" --seconds 600 bench/lua/*.lua >"$scratch/lua.out" 2>&1 &
lua=$!
started_pids+=("$lua")
sleep 0.5
verify "$lua" lua_arena
kill -INT "$lua"
reap "$lua" || fail "lua_arena failed: $(cat "$scratch/lua.out")"
echo "ok $test_name"
