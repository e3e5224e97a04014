#!/usr/bin/env bash
# redis.sh - redis-server on loopback, no persistence, a port that was free; redis-benchmark drives it. See common.sh.
# shellcheck source=bench/programs/common.sh
. "${BASH_SOURCE%/*}/common.sh"

server='' port=''
is_quick && requests=20000 || requests=100000

# The server's executable decides by its name what it is; Debian's redis-tools has it as redis-check-rdb.
redis=$(command -v redis-server || true)
if [ -z "$redis" ] && command -v redis-check-rdb >/dev/null; then
	redis=$SCRATCH/redis-server
	ln -sf "$(command -v redis-check-rdb)" "$redis"
fi

stop() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
}
trap stop EXIT

cli() {
	redis-cli -p "$port" "$@"
}

start() {
	for _ in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 12000)) # below those that the kernel gives to clients
		measured redis "$(executable "$redis")" "$redis" --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
			--daemonize no --dir "$SCRATCH" --enable-debug-command local >"$SCRATCH/row" &
		server=$!
		for _ in $(seq 100); do
			kill -0 "$server" 2>/dev/null || break
			[ "$(cli ping 2>/dev/null)" = PONG ] && return
			sleep 0.05
		done
	done
	echo "redis-server did not come up" >&2
	return 1
}

# What was stored must be there, byte for byte.
check() {
	seq 20000 | awk '{ printf "SET check:%d %s\r\n", $1, sprintf("%0*d", $1 % 700 + 1, $1) }' |
		cli --pipe >/dev/null
	cli debug digest >"$SCRATCH/digest"
	same_result redis "$SCRATCH/digest"
	cli flushall >/dev/null
}

# All tests, one after the other; requests/s over all of them.
drive() {
	redis-benchmark -p "$port" -n "$requests" -r 100000 -d 256 -P 16 -c 20 --csv \
		-t set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,mset | tail -n +2 | tr -d '"' |
		awk -F, -v n="$requests" '{ seconds += n / $2; total += n } END { print total / seconds }'
}

case ${1:-} in
prepare) need "${redis:-redis-server}" redis-benchmark redis-cli ;;
verify) verify_malloc "$redis" "$redis" --version ;;
run)
	start
	check
	rate=$(drive)
	cli shutdown nosave >/dev/null 2>&1 || true
	wait "$server"
	server=
	read -r name seconds rest <"$SCRATCH/row"
	# the time of a fixed number of requests, not of the server's whole life
	seconds=$(awk -v n="$requests" -v rate="$rate" 'BEGIN { printf "%.4f", 10 * n / rate }')
	echo "$name $seconds $rest $rate"
	;;
esac
