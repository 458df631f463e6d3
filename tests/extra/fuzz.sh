#!/usr/bin/env bash
# No fuzz target of tests/fuzz crashes, runs out of memory or hangs. Builds them with the preset "asan" and runs the targets from
# their committed corpora, one for each core at a time. $1: seconds for each, 15 unless given; more arguments: the
# targets, all unless given. An hour of everything: tests/extra/fuzz.sh 3600
#
# What is found stays in build/asan/fuzz: inputs that reach new code in found/, where the next run goes on from, and those
# that crash in crashes/.
set -euo pipefail
export seconds=${1:-15}
[ $# -eq 0 ] || shift

command -v clang++ >/dev/null || { echo "SKIPPED: there is no clang++"; exit 77; }
probe='#include <cstddef>
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, size_t) { return 0; }'
clang++ -fsanitize=fuzzer,address,undefined -x c++ - -o /dev/null <<<"$probe" 2>/dev/null ||
  { echo "SKIPPED: there is no libFuzzer for clang++ (libclang-rt-dev)"; exit 77; }

export bin=build/asan/bin work=build/asan/fuzz
mkdir -p $work/crashes
if ! { cmake --preset asan && cmake --build --preset asan --target fuzzers; } >$work/build.log 2>&1; then
  tail -n 100 $work/build.log
  exit 1
fi

# The libraries that we link are not compiled with the sanitizer, so it takes their containers' spare room for damage.
export ASAN_OPTIONS=detect_container_overflow=0 UBSAN_OPTIONS=print_stacktrace=1

# For the databases of rpcs: in memory where there is such a place, gone at the end whatever happens.
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

run() {
  local target=$1 log=$work/$1.log options=() crash
  mkdir -p "$work/found/$target"
  # A short run is a test, and does the same each time; a long one looks for what is new.
  [ "$seconds" -gt 60 ] || options+=(-seed=1)
  [ ! -e "tests/fuzz/$target.dict" ] || options+=("-dict=tests/fuzz/$target.dict")
  if "$bin/${target}_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$work/crashes/$target-" "${options[@]}" \
    "$work/found/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    echo "$target: $(sed -nE 's/^Done ([0-9]+) runs in ([0-9]+) second.*/\1 runs in \2 s/p' "$log")," \
      "$(sed -nE 's/^stat::average_exec_per_sec: +//p' "$log") a second"
    return
  fi
  grep -vE '^#[0-9]+' "$log" | tail -n 60
  crash=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log")
  [ -z "$crash" ] || echo "FAILED: $target; once more: echo $(base64 -w0 "$crash") | base64 -d >input &&" \
    "$bin/${target}_fuzz input; when it is fixed, keep the input in tests/fuzz/corpus/$target"
  return 1
}
export -f run

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'run {}'
