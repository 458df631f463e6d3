#!/usr/bin/env bash
# All tests pass under the sanitizers of a preset. $1: asan or tsan.
set -euo pipefail
[ "$1" = tsan ] || command -v clang++ >/dev/null || { echo "SKIPPED: there is no clang++, which the preset $1 compiles with"; exit 77; }
mkdir -p "build/$1"
log=build/$1/run.log
# Its own output would be cut in the middle by the ctest that runs this.
if ! { cmake --preset "$1" && cmake --build --preset "$1" && ctest --preset "$1"; } >"$log" 2>&1; then
  # Without the tests that passed, so that what the others printed is not cut away.
  grep -vE '^ *Start +[0-9]+: | Passed +[0-9.]+ sec$' "$log" | tail -n 300
  exit 1
fi
tail -n 5 "$log"
