#!/usr/bin/env bash
# All tests pass under the sanitizers of a preset. $1: asan or tsan.
set -euo pipefail
mkdir -p "build/$1"
log=build/$1/run.log
# Its own output would be cut in the middle by the ctest that runs this.
if ! { cmake --preset "$1" && cmake --build --preset "$1" && ctest --preset "$1"; } >"$log" 2>&1; then
  tail -n 300 "$log"
  exit 1
fi
tail -n 5 "$log"
