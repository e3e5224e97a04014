#!/usr/bin/env bash
# gperftools.sh - tcmalloc of gperftools, $PRELOAD, with its sampling: a stack for each 512 KiB on the average. See common.sh.
# shellcheck source=bench/tracers/common.sh
. "${BASH_SOURCE%/*}/common.sh"

case ${1:-} in
check) ;;
run) TCMALLOC_SAMPLE_PARAMETER=524288 LD_PRELOAD=$PRELOAD exec "${@:3}" ;;
esac
