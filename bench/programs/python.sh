#!/usr/bin/env bash
# python.sh - the distribution's python3: its own tests of json, re and dict, and loops that allocate, with python's own
# small-object allocator and without it (PYTHONMALLOC=malloc: each object is a malloc). See common.sh.
# shellcheck source=bench/programs/common.sh
. "${BASH_SOURCE%/*}/common.sh"

python=/usr/bin/python3
loops=$(realpath "${BASH_SOURCE%/*}/loops.py")
is_quick && rounds=1 || rounds=12

case ${1:-} in
prepare)
	need "$python"
	"$python" -c 'import test.test_json, test.test_re, test.test_dict' 2>/dev/null || {
		echo "python3 has no test suite here" >&2
		exit 69
	}
	"$python" "$loops" "$rounds" >"$SCRATCH/out"
	same_result loops "$SCRATCH/out"
	;;
verify) verify_malloc "$python" "$python" -c 0 ;;
run)
	cd "$SCRATCH"
	measured python-tests "$(executable "$python")" "$python" -m test -q test_json test_re test_dict
	measured python-loops "$(executable "$python")" "$python" "$loops" "$rounds"
	same_result loops "$SCRATCH/out"
	PYTHONMALLOC=malloc measured python-malloc "$(executable "$python")" "$python" "$loops" "$rounds"
	same_result loops "$SCRATCH/out"
	;;
esac
