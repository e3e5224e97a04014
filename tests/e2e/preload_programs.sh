#!/usr/bin/env bash
# Programs that know nothing of mmviz do their work under libmmviz-preload.so, correctly, while the collector follows them and
# compares its picture with the heap: sqlite3, redis, python3's own tests, git, g++. LONG=1: large and long.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/preloaded.sh"

need_root
root=$(realpath .)

sqlite() {
	has sqlite3 || return 0
	cat >"$scratch/sql" <<-SQL
		CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v REAL, data BLOB);
		WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<$(size 25000 600000))
		INSERT INTO t SELECT x, 'name '||(x*7919%100003), x*0.5, zeroblob(x%600) FROM c;
		CREATE INDEX ti ON t(name);
		SELECT count(*), sum(length(data)), count(DISTINCT name) FROM t;
		SELECT name, count(*) n FROM t GROUP BY name ORDER BY n DESC, name LIMIT 3;
		SELECT count(*) FROM t a JOIN t b ON a.name = b.name AND a.id < b.id;
		PRAGMA integrity_check;
	SQL
	sqlite3 "$scratch/plain.db" <"$scratch/sql" >"$scratch/plain"
	preloaded sqlite3 -init "$scratch/sql" "$scratch/preloaded.db" .quit
	observe "$program" "$(size 5 20)"
	finished sqlite3
	cmp -s "$scratch/plain" "$scratch/out" || fail "sqlite3 answers otherwise: $(diff "$scratch/plain" "$scratch/out")"
	cmp -s "$scratch/plain.db" "$scratch/preloaded.db" || fail "sqlite3 wrote another database"
	echo "  the same answers, a database of $(($(stat -c %s "$scratch/plain.db") / 1000000)) MB, byte for byte the same"
	rm -f "$scratch"/*.db
}

redis() {
	has redis-server redis-benchmark redis-cli || return 0
	local socket=$scratch/redis.socket client
	preloaded redis-server --port 0 --unixsocket "$socket" --save '' --dir "$scratch" --enable-debug-command yes
	wait_for 10 redis-cli -s "$socket" ping || fail "redis does not answer"
	redis-benchmark -s "$socket" -n "$(size 12000 500000)" -r 100000 -d 100 -P 16 -t set,get,lpush,lpop,sadd,hset,zadd -q \
		>"$scratch/client" 2>&1 &
	client=$!
	started_pids+=("$client")
	observe "$program" "$(size 8 40)"
	reap "$client" || fail "redis-benchmark: $(cat "$scratch/client")"
	before=$(redis-cli -s "$socket" debug digest)
	redis-cli -s "$socket" debug reload >/dev/null
	[ "$before" = "$(redis-cli -s "$socket" debug digest)" ] || fail "redis reads back other data"
	redis-cli -s "$socket" bgsave >/dev/null
	wait_for 10 grep -q 'Background saving terminated with success' "$scratch/out" || fail "redis' child does not save"
	observe "$program" 2
	redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1 || true
	finished redis-server
	echo "  what was saved is what was there; a child saved it"
}

python() {
	[ -x /usr/bin/python3 ] || { echo "  left out: no python3 here" && return; }
	/usr/bin/python3 -c 'import test.test_json' 2>/dev/null || { echo "  left out: no tests of python3 here; make deps installs them" && return; }
	local tests=(test_json test_dict)
	[ -z "$LONG" ] || tests+=(test_thread test_re test_subprocess test_gc test_weakref test_threading test_io)
	# The shell ignores SIGINT for what runs in its background; python's tests want it.
	preloaded env --default-signal=INT /usr/bin/python3 -m test "${tests[@]}"
	observe "$program" 10
	[ -z "$LONG" ] || observe "$program" 30
	finished python3
	grep -q "All ${#tests[@]} tests OK" "$scratch/out" || fail "python3: $(tail -n 20 "$scratch/out")"
	echo "  python3: ${tests[*]}"
}

git_on_a_repository() {
	has git || return 0
	git -C "$root" rev-parse --git-dir >/dev/null 2>&1 || { echo "  left out: this is no clone" && return; }
	git clone -q --bare "$root" "$scratch/repository"
	git -C "$scratch/repository" log --stat >"$scratch/plain"
	preloaded git -C "$scratch/repository" log --stat -p
	observe "$program" 2
	finished "git log -p"
	LD_PRELOAD=$library git -C "$scratch/repository" log --stat >"$scratch/out"
	cmp -s "$scratch/plain" "$scratch/out" || fail "git log says something else"
	preloaded git -C "$scratch/repository" repack -q -a -d -f --depth="$(size 10 50)" --window="$(size 5 50)" --threads=2
	worker=$(pgrep -P "$program" -f pack-objects || true)
	[ -z "$worker" ] || observe "$worker" "$(size 5 20)"
	finished "git repack"
	LD_PRELOAD=$library git -C "$scratch/repository" gc -q --prune=now || fail "git gc ended with $?"
	git -C "$scratch/repository" fsck --full --strict >/dev/null 2>&1 || fail "the repository is damaged"
	git -C "$scratch/repository" log --stat | cmp -s - "$scratch/plain" || fail "the repository holds something else"
	echo "  log, repack and gc; the repository is whole"
}

compiler() {
	has g++ || return 0
	cat >"$scratch/heavy.cpp" <<-CPP
		#include <map>
		$(size '' '#include <regex>')
		#include <string>
		#include <tuple>
		#include <variant>
		#include <vector>
		template <int... I> auto make(std::integer_sequence<int, I...>) {
			return std::make_tuple(std::map<std::string, std::vector<std::variant<int, std::string,
				std::integral_constant<int, I>>>>{}...);
		}
		int main() {
			auto all = make(std::make_integer_sequence<int, $(size 6 60)>{});
			std::apply([](auto &...one) { ((one["a"].push_back(1)), ...); }, all);
			return $(size 0 'std::regex_match("aabc12", std::regex("a+b*(c|d)[0-9]+")) ? 0 : 1');
		}
	CPP
	g++ -std=c++17 -O1 -S -o "$scratch/plain.s" "$scratch/heavy.cpp"
	preloaded g++ -std=c++17 -O1 -S -o "$scratch/preloaded.s" "$scratch/heavy.cpp"
	worker=
	wait_for 2 pgrep -P "$program" cc1plus && worker=$(pgrep -P "$program" cc1plus)
	[ -z "$worker" ] || observe "$worker" "$(size 8 30)"
	finished g++
	cmp -s "$scratch/plain.s" "$scratch/preloaded.s" || fail "g++ makes other code"
	echo "  g++: the same code"
}

run_parts sqlite redis python git_on_a_repository compiler
[ "$observed" -ge 15 ] || fail "only $observed rounds were compared"
echo "ok $test_name: $observed rounds equal"
