#!/usr/bin/env bash
# serve_http.sh - every page of the web server, with and without the right to see it.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/common.sh
. tests/e2e/common.sh
need_root
need_command curl
need_command jq

# start_server: the live collector on $sim; $base is its address, $token its token.
start_server() {
	: >"$scratch/collector.out"
	"$BUILD/mmviz-bpf" -p "$sim" --listen 127.0.0.1:0 >"$scratch/collector.out" 2>"$scratch/collector.err" &
	collector=$!
	started_pids+=("$collector")
	for _ in $(seq 200); do
		url=$(grep -o '^http[^ ]*' "$scratch/collector.out") && break
		kill -0 "$collector" 2>/dev/null || fail "mmviz-bpf ended: $(cat "$scratch/collector.err")"
		sleep 0.05
	done
	base=${url%/*} token=${url##*=}
}

# expect STATUS PATH [CURL ARGUMENT...]: the answer's head is in $scratch/head then, its body in $scratch/body.
expect() {
	local status=$1 path=$2 got
	shift 2
	got=$(curl -sS -m 10 -D "$scratch/head" -o "$scratch/body" -w '%{http_code}' "$@" "$base$path") || got="nothing ($?)"
	[ "$got" = "$status" ] || fail "$path $*: $got, not $status: $(head -c 300 "$scratch/body")"
	[ "$got" = 101 ] || grep -qi "^content-security-policy: default-src 'none'; script-src 'self';" "$scratch/head" ||
		fail "$path $*: no Content-Security-Policy"
}

header() {
	sed -n "s/^$1: \(.*\)\r$/\1/Ip" "$scratch/head"
}

# upgrade STATUS [CURL ARGUMENT...]: ask for the WebSocket.
upgrade() {
	local status=$1
	shift
	expect "$status" /ws -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
		-H 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==' -H 'Sec-WebSocket-Protocol: mmviz.1' "$@"
}

start_sim --seconds 120 --rate 20k --threads 1
start_server
bearer="Authorization: Bearer $token"
[ ${#token} -eq 32 ] || fail "the token is '$token'"

echo "  the token opens, nothing else does"
expect 200 /healthz
expect 401 /
[ "$(header www-authenticate)" = 'Bearer realm="mmviz"' ] || fail "401 without www-authenticate"
for path in /app.js /metrics /api/v1/summary /api/v1/snapshot /api/v1/stacks /debug/pprof/heap /ws /nothing "/?token=" "/?token=${token%?}" "/?token=${token}0"; do
	expect 401 "$path"
done
expect 401 / -H "Authorization: Bearer ${token%?}x"
expect 200 / -H "$bearer"
grep -qi '<!doctype html>' "$scratch/body" || fail "/ is not a page"
expect 302 "/?token=$token" -c "$scratch/cookies"
[ "$(header location)" = / ] || fail "redirected to '$(header location)'"
[[ $(header set-cookie) == "mmviz-${base##*:}=$token; Path=/; HttpOnly; SameSite=Strict" ]] || fail "cookie: $(header set-cookie)"
expect 200 / -b "$scratch/cookies"
expect 200 /app.js -b "$scratch/cookies"

echo "  only its own address and its own pages"
expect 403 / -H "$bearer" -H 'Host: evil.example'
expect 403 / -H "$bearer" -H "Host: evil.example:${base##*:}"
expect 403 /healthz -H 'Host: evil.example'
expect 200 / -H "$bearer" -H 'Host: localhost:8080'
expect 403 / -H "$bearer" -H 'Origin: http://evil.example'
expect 403 / -H "$bearer" -H 'Origin: null'
expect 200 / -H "$bearer" -H "Origin: $base"
upgrade 401
upgrade 403 -H "$bearer" -H 'Origin: http://127.0.0.1:1'
upgrade 403 -H "$bearer" -H 'Host: evil.example'
upgrade 401 -H "Cookie: mmviz-${base##*:}=0"

echo "  headers and methods"
expect 200 / -H "$bearer"
for line in 'x-content-type-options: nosniff' 'referrer-policy: no-referrer' 'x-frame-options: DENY' 'cache-control: no-store'; do
	grep -qi "^$line" "$scratch/head" || fail "/ without $line"
done
grep -qi "frame-ancestors 'none'" "$scratch/head" || fail "/ may be framed"
expect 405 / -H "$bearer" -X POST -d x=1
[ "$(header allow)" = "GET, HEAD" ] || fail "405 without allow"
for method in PUT DELETE OPTIONS PATCH; do
	expect 405 /api/v1/summary -H "$bearer" -X "$method"
done
expect 200 /app.js -H "$bearer" -I
[ "$(header content-length)" -gt 1000 ] || fail "HEAD without a length"
expect 404 /nothing -H "$bearer"
expect 404 /../../etc/passwd -H "$bearer" --path-as-is
expect 404 /%2e%2e/etc/passwd -H "$bearer" --path-as-is
expect 426 /ws -H "$bearer"

echo "  files are the same packed and plain"
for path in / /app.js /app.css; do
	expect 200 "$path" -H "$bearer"
	cp "$scratch/body" "$scratch/plain"
	expect 200 "$path" -H "$bearer" --compressed -H 'Accept-Encoding: gzip'
	[ "$path" = / ] || [ "$(header content-encoding)" = gzip ] || fail "$path is not packed"
	cmp -s "$scratch/body" "$scratch/plain" || fail "$path differs when packed"
done
cmp -s "$scratch/plain" "$BUILD/web/dist/app.css" || fail "app.css is not what was built"

echo "  documents"
expect 200 /api/v1/summary -H "$bearer"
[ "$(header content-type)" = application/json ] || fail "summary is $(header content-type)"
jq -e --argjson pid "$sim" '.version == 1 and .pid == $pid and .mode == "exact" and (.exact | type) == "boolean" and .at_ns > 0
	and .live_blocks > 0 and .live_bytes > 0 and .peak_live_bytes >= .live_bytes and .events_seen >= 0
	and .events_lost == 0 and .resyncs >= 0 and (.arenas | length) > 0
	and ([.arenas[].live_blocks] | add) == .live_blocks' "$scratch/body" >/dev/null ||
	fail "summary: $(cat "$scratch/body")"
expect 200 /api/v1/snapshot -H "$bearer"
jq -e '.version == 1 and (.pause_ns | type) == "number" and ([.arenas[] | (.tags | type) == "array" and (.base | startswith("0x"))
	and ([.tags[].live_bytes] | add // 0) == .live_bytes and .capacity_bytes >= .committed_bytes] | all)' "$scratch/body" >/dev/null ||
	fail "snapshot: $(cat "$scratch/body")"
expect 200 /metrics -H "$bearer"
[[ $(header content-type) == application/openmetrics-text* ]] || fail "metrics are $(header content-type)"
[ "$(tail -1 "$scratch/body")" = "# EOF" ] || fail "metrics do not end with # EOF"
for name in mmviz_heap_live_bytes mmviz_allocations_total mmviz_events_lost_total mmviz_target_up mmviz_build_info; do
	grep -q "^$name" "$scratch/body" || fail "metrics without $name"
done
awk '/^#/ { next } !/^[a-z_]+({[^}]*})? [-+0-9.e]+$/ { print; bad = 1 } END { exit bad }' "$scratch/body" || fail "metrics: a line is malformed"

echo "  many requests at once"
seq 40 | xargs -P 20 -I{} curl -sS -m 10 -o /dev/null -w '%{http_code}\n' -H "$bearer" "$base/api/v1/summary" >"$scratch/codes"
[ "$(sort "$scratch/codes" | uniq -c | tr -s ' ')" = " 40 200" ] || fail "40 summaries: $(sort "$scratch/codes" | uniq -c)"

echo "  neither process keeps what it does not need"
web=$(pgrep -x -P "$collector" mmviz-web)
for pid in "$collector" "$web"; do
	[ "$(awk '/^Uid/ { print $2 $3 $4 }' "/proc/$pid/status")" = 655346553465534 ] || fail "process $pid is not nobody"
	[ "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" = 0000000000000000 ] || fail "process $pid has capabilities"
	[ "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")" = 1 ] || fail "process $pid may gain privileges"
done
[ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$web/status")" = 2 ] || fail "the web server is not confined"
keeper=$(pgrep -x -P "$collector" mmviz-link) || fail "there is no link keeper"
[ "$(awk '/^Uid/ { print $2 $3 $4 }' "/proc/$keeper/status")" = 655346553465534 ] || fail "the link keeper is not nobody"
[ "$(awk '/^CapEff/ { print $2 }' "/proc/$keeper/status")" = 000000c000000000 ] || fail "the link keeper has not just CAP_PERFMON and CAP_BPF"
[ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$keeper/status")" = 2 ] || fail "the link keeper is not confined"
[ "$(find "/proc/$keeper/fd" -type l | wc -l)" = 4 ] || fail "the link keeper holds $(ls -l "/proc/$keeper/fd")"
[ -z "$(find "/proc/$web/fd" -lname '*/mem' -o -lname '*bpf*')" ] || fail "the web server holds $(ls -l "/proc/$web/fd")"
stop_collector
