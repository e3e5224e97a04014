#!/usr/bin/env bash
# serve_socket.sh - the promises of WIRE.md, kept to a client that checks every byte.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/common.sh
. tests/e2e/common.sh
need_root
need_command node
[ -d web/node_modules/ws ] || skip "no web/node_modules; make web installs them"

start_sim --seconds 120 --rate 20k --threads 1
start_collector "$sim"
url=$(grep -o '^http[^ ]*' "$scratch/collector.err")
node tests/e2e/serve_socket.mjs "$url" "$sim" || fail "a promise is broken"
kill -0 "$collector" || fail "the collector has ended"
stop_collector
