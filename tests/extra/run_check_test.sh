#!/usr/bin/env bash
# A check that can't be made is skipped, and fails in continuous integration; any other exit code stays what it is.
set -euo pipefail

# expect CI CODE_OF_CHECK CODE
expect() {
  local code=0 output
  output=$(CI=$1 tests/extra/run_check.sh bash -c "echo 'SKIPPED: no tool'; exit $2") || code=$?
  [ "$code" = "$3" ] || { echo "FAILED: with CI=\"$1\" a check that exits with $2 came to $code, not $3"; exit 1; }
  grep -q '^SKIPPED: no tool$' <<<"$output" || { echo "FAILED: its output is gone"; exit 1; }
}
for ci in '' 0 false true 1; do
  expect "$ci" 0 0
  expect "$ci" 1 1
  expect "$ci" 143 143
done
expect '' 77 77
expect false 77 77
expect true 77 1
expect 1 77 1
(
  unset CI
  code=0
  tests/extra/run_check.sh bash -c 'exit 77' || code=$?
  [ "$code" = 77 ] || { echo "FAILED: without CI a check that exits with 77 came to $code"; exit 1; }
)
