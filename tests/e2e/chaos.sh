#!/usr/bin/env bash
# chaos.sh - the replica protocol under widened races: all rules on, nothing differs; any rule off, it is noticed.
#
# build/chaos holds a target (churn) whose stores are torn apart by random yields and sleeps, and a collector; both can
# leave out rules of the protocol. Each attach is a round: baseline, follow, compare at rest, detach with half-full logs
# left behind. The table printed says after how many attaches a missing rule was noticed, and by what.
. "$(dirname "$0")/common.sh"

need_root
chaos=$BUILD/chaos

# Four kinds of trouble: "ONE_IN,MAX_MICROSECONDS" and the target's options.
frequent="100,3000 --threads 4"
long="100,60000 --threads 32"
returns="40,60000 --threads 60 --shared 100 --slots 500"
calm="2000,1000 --threads 4 --forks"

# Rule, who leaves it out, trouble, microseconds between two reads of a cut. (`tail_covers` is not here: what it waits
# for, a record of the ring that is reserved and not yet submitted, cannot be provoked from outside.)
rules="
seq_last           target returns  0
event_before_seq   target    returns  0
semaphore_late     target    long     0
header_before_push target    returns  0
log_restart        target    calm     0
order              collector frequent 0
incarnation        collector frequent 0
pending            collector returns  0
page               collector returns  0
start_gap          collector frequent 0
dedupe             collector calm     0
raise_s2           collector calm     10000
"

# start_churn TROUBLE RULE-OFF
start_churn() {
	local -a trouble
	read -ra trouble <<<"${!1}"
	MMVIZ_CHAOS=${trouble[0]} MMVIZ_RULES_OFF=$2 "$chaos/churn" --seed "$RANDOM" "${trouble[@]:1}" \
		>"$scratch/churn.out" 2>&1 &
	churn=$!
	started_pids+=("$churn")
	for _ in $(seq 100); do
		grep -q "pid $churn" "$scratch/churn.out" && sleep 0.3 && return
		sleep 0.02
	done
	fail "churn did not start: $(cat "$scratch/churn.out")"
}

stop_churn() {
	kill -TERM "$churn" 2>/dev/null || true
	reap "$churn" || true
}

# attach RULE-OFF PAUSE: one attach amid the churn and one comparison at rest; true if all was well. What was not is in
# $sign. Rest begins while the collector follows, and lasts until it has compared.
attach() {
	local status=0 verify
	MMVIZ_RULES_OFF=$1 MMVIZ_CUT_PAUSE_US=$2 timeout 100 "$chaos/mmviz-bpf" verify -p "$churn" --rounds 1 --json \
		>"$scratch/verify.json" 2>"$scratch/verify.err" &
	verify=$!
	sleep "$([ $((++calls % 2)) -eq 0 ] && echo 0.15 || echo 0.5)" # the baseline, or some following, too
	kill -USR1 "$churn" 2>/dev/null || true
	wait "$verify" || status=$?
	kill -USR2 "$churn" 2>/dev/null || true
	sleep 0.05
	compared=$((compared + $(jq -s 'map(.compared_blocks) | add // 0' "$scratch/verify.json")))
	[ "$status" -ne 0 ] || return 0
	sign=$(jq -s -r 'map(select(.equal | not)) | map("\(.missing) missing, \(.extra) extra, \(.different) different") | .[0] // ""' \
		"$scratch/verify.json")
	[[ $sign && $sign != 0\ missing,\ 0\ extra,\ 0\ * ]] ||
		sign=$(sed -n 's/^mmviz-bpf: \([0-9]* of [0-9]* events were lost\).*/\1/p; s/.*differ: \(.*\) at arena.*/\1/p' "$scratch/verify.err" | head -1)
	kill -0 "$churn" 2>/dev/null || sign="the target ended: $(tail -1 "$scratch/churn.out")"
	[ "$sign" ] || sign="the picture was not exact"
	return 1
}

all_rules_on() {
	local trouble=$1 attaches=$2 pause
	start_churn "$trouble" ""
	compared=0
	for round in $(seq "$attaches"); do
		pause=$((round % 4 == 0 ? 3000 : 0))
		attach "" $pause || fail "all rules on, $trouble, attach $round: $sign"
	done
	[ "$compared" -gt $((attaches * 50)) ] || fail "all rules on, $trouble: only $compared blocks were compared"
	stop_churn
	printf '  %-18s %-9s %-8s equal in %d attaches, %d blocks compared\n' "all rules on" "" "$trouble" "$attaches" "$compared"
}

# rule_off RULE WHO TROUBLE PAUSE
rule_off() {
	local rule=$1 who=$2 trouble=$3 pause=$4 attaches=0 noticed=0 target_off='' collector_off='' first=''
	if [ "$who" = target ]; then target_off=$rule; else collector_off=$rule; fi
	start_churn "$trouble" "$target_off"
	while [ "$attaches" -lt "$most" ] && { [ "$LONG" ] || [ "$noticed" -eq 0 ]; }; do
		attaches=$((attaches + 1))
		if ! attach "$collector_off" "$pause"; then
			noticed=$((noticed + 1))
			first=${first:-$sign}
		fi
		kill -0 "$churn" 2>/dev/null || break
	done
	stop_churn
	printf '  %-18s %-9s %-8s noticed in %d of %d attaches: %s\n' "$rule" "$who" "$trouble" "$noticed" "$attaches" "$first"
	[ "$noticed" -gt 0 ] || missed+=("$rule")
}

if [ "$LONG" ]; then
	most=40 on=200
else
	most=60 on=8
fi
missed=() compared=0 calls=0 sign=
for trouble in calm frequent long returns; do
	all_rules_on "$trouble" "$on"
done
while read -r rule who trouble pause; do
	[ -z "$rule" ] || rule_off "$rule" "$who" "$trouble" "$pause"
done <<<"$rules"
[ ${#missed[@]} -eq 0 ] || fail "left out, and nobody noticed: ${missed[*]}"
echo "ok $test_name"
