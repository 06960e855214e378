#!/bin/bash
# SPDX-License-Identifier: ISC
# fuzz.sh BUILD SECONDS CORPUS: runs every fuzz target of a build that long, one on each core at a time, from CORPUS/NAME, with
# what it finds kept in BUILD/corpus/NAME (the tree stays as it is). A finding is left in BUILD/findings/NAME-*; the last line
# counts, and the exit status is 1 when there was any.
set -u
build=$1 seconds=$2 corpus=$3
shopt -s nullglob
mkdir -p "$build/findings"

run() {
	target=$1
	name=$(basename "$target")
	mkdir -p "$build/corpus/$name" "$corpus/$name"
	log=$build/findings/$name.log
	if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/findings/$name-" "$build/corpus/$name" "$corpus/$name" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		echo "ok - fuzz $name: ${runs:-?} inputs in $seconds s"
	else
		# Written at once: another target may be speaking beside it.
		printf '%s\n' "not ok - fuzz $name: see $log; the input is $build/findings/$name-*
$(grep -E 'ERROR|SUMMARY|runtime error|Assertion|panic' "$log" | head -n 5 | sed 's/^/    /')"
	fi
}
export -f run
export build seconds corpus

said=$(mktemp)
trap 'rm -f "$said"' EXIT
for target in "$build"/*_fuzz; do
	[ -x "$target" ] && [ -f "$target" ] && printf '%s\0' "$target"
done | xargs -0 -r -n 1 -P "$(nproc)" bash -c 'run "$1"' run | tee "$said"
passed=$(grep -c '^ok - ' "$said") failed=$(grep -c '^not ok - ' "$said")
[ $((passed + failed)) -gt 0 ] || { echo "no fuzz target in $build"; exit 1; }
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
