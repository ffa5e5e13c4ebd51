#!/bin/sh
# Runs a target: run.sh TARGET [SECONDS] [options of libFuzzer]. See docs/fuzzing.md.
set -eu
cd "$(dirname "$0")"
target=$1
shift
seconds=${1:-600}
[ $# -eq 0 ] || shift
dict=
build=
options=
case $target in
    transformations) dict=transformations ;;
    body_urlencoded) dict=form ;;
    body_*) dict=${target#body_} ;;
    seclang_parse) dict=seclang ;;
    engine) dict=http ;;
    differential) dict=http build="--no-trace-compares --features ${FUZZ_FEATURES:-differential}" ;;
    meter) build="--no-trace-compares --features meter" options=-len_control=0 ;;
    # Made of choices, not of text: comparing their bytes tells nothing and costs much, and short ones say little.
    regex | scan_phrases | rules | folding) build=--no-trace-compares options=-len_control=0 ;;
    ruleset_load) options=-len_control=0 ;;
    link) options=-max_len=4096 ;;
esac
mkdir -p "corpus/$target" "seeds/$target"
# cargo-fuzz asks for debug assertions everywhere. With them wasmi makes plain calls from one operator to the
# next, and a loop needs a deep stack; without them it makes tail calls (tests/fuel/tests/operators.rs).
case $target in meter | differential) ulimit -s unlimited ;; esac
# Nothing here has unsafe code, so there is no sanitizer, and no nightly compiler to need one.
exec cargo fuzz run -s none --fuzz-dir . $build "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 ${dict:+"-dict=dictionaries/$dict.dict"} $options "$@"
