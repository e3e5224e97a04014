#!/usr/bin/env bash
# sqlite.sh - sqlite3 builds a database of 200 MB in memory and asks it things. See common.sh.
# shellcheck source=bench/programs/common.sh
. "${BASH_SOURCE%/*}/common.sh"

is_quick && rows=100000 || rows=1000000

script() {
	cat <<-SQL
		CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, body TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
		INSERT INTO item SELECT i, (i * 7919) % 5003, printf('name-%08x', (i * 2654435761) % 4294967296),
			printf('%0*d', 40 + (i * 31) % 200, i) FROM n;
		CREATE INDEX item_owner ON item (owner, name);
		SELECT count(*), sum(length(body)) FROM item;
		SELECT owner, count(*), max(name), min(body) FROM item GROUP BY owner ORDER BY 2 DESC, 1 LIMIT 5;
		SELECT count(*) FROM item a JOIN item b ON a.owner = b.owner AND a.name > b.name WHERE a.owner < 5;
		SELECT group_concat(name, '') FROM (SELECT name FROM item ORDER BY body || name LIMIT 3);
		SELECT json_extract(json_group_array(json_object('id', id, 'name', name)), '\$[99].name')
			FROM (SELECT * FROM item LIMIT $((rows / 10)));
		UPDATE item SET body = upper(substr(name || body, 1, 100)) WHERE owner % 3 = 0;
		DELETE FROM item WHERE owner % 5 = 0;
		SELECT count(*), sum(length(body)) FROM item;
		PRAGMA integrity_check;
	SQL
}

case ${1:-} in
prepare)
	need sqlite3
	script >"$SCRATCH/script.sql"
	sqlite3 :memory: ".read $SCRATCH/script.sql" >"$SCRATCH/out"
	grep -qx ok "$SCRATCH/out"
	same_result sqlite "$SCRATCH/out"
	;;
verify) verify_malloc sqlite3 sqlite3 --version ;;
run)
	measured sqlite sqlite3 sqlite3 :memory: ".read $SCRATCH/script.sql"
	same_result sqlite "$SCRATCH/out"
	;;
esac
