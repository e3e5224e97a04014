#!/usr/bin/env bash
# Two forms of one snapshot say the same: sums over the lines of ndjson are the totals of json, by arena and by tag; and
# both are what the target knows about itself.
. "$(dirname "$0")/common.sh"

need_root
need_command node
need_command jq

# steady: a realloc that was stopped half way has two live blocks
start_sim --pattern steady --rate 300k --threads 3 --arenas 5 --live-blocks 50k --shared-totals "$scratch/totals"
sleep 1
hold "$sim"
sleep 0.2
"$BUILD/mmviz-bpf" snapshot -p "$sim" --format json -o "$scratch/snapshot.json"
"$BUILD/mmviz-bpf" snapshot -p "$sim" --format ndjson -o "$scratch/snapshot.ndjson"
node "$(dirname "$0")/totals.mjs" "$scratch/totals" "$scratch/snapshot.json" || fail "the target knows other totals"
kill -CONT "$sim"
stop_sim

jq -S '[.arenas[] | select(.live_blocks > 0) | {arena: .id, blocks: .live_blocks, bytes: .live_bytes}] | sort_by(.arena)' \
	"$scratch/snapshot.json" >"$scratch/arenas.json"
jq -S -n '[reduce (inputs | select(.state == "live")) as $block ({}; ($block.arena | tostring) as $id |
	.[$id].arena = $block.arena | .[$id].blocks += 1 | .[$id].bytes += $block.bytes) | .[]] | sort_by(.arena)' \
	"$scratch/snapshot.ndjson" >"$scratch/arenas.ndjson"
diff "$scratch/arenas.json" "$scratch/arenas.ndjson" || fail "json and ndjson differ by arena"
jq -S '[.arenas[] | .id as $id | .tags[] | select(.live_blocks > 0) | {key: "\($id) \(.tag)", value: [.live_blocks, .live_bytes]}] | from_entries' \
	"$scratch/snapshot.json" >"$scratch/tags.json"
jq -S -n 'reduce (inputs | select(.state == "live")) as $block ({}; "\($block.arena) \($block.tag)" as $key |
	.[$key] = [(.[$key][0] // 0) + 1, (.[$key][1] // 0) + $block.bytes])' \
	"$scratch/snapshot.ndjson" >"$scratch/tags.ndjson"
diff "$scratch/tags.json" "$scratch/tags.ndjson" || fail "json and ndjson differ by tag"
echo "  $(jq length "$scratch/tags.json") pairs of arena and tag agree"
echo "ok $test_name"
