#!/usr/bin/env bash
# Installs what is missing, builds the release preset and runs its tests.
#
#   tests/run.sh --all    also everything in tests/extra: the tests under AddressSanitizer, UndefinedBehaviorSanitizer
#                         and ThreadSanitizer, formatting, linters, the commands of README.md with grpcurl, a new
#                         Debian 13. At most an hour on two cores.
#   tests/run.sh --soak   the same at full size: hours of fuzzing, ten times as many generated cases, all
#                         tests in Debian 13.
#
# What a check needs and is not there (Go, npm, Python) makes that check "Skipped", but where CI is set it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

extra=OFF
soak=OFF
case "$*" in
  '') ;;
  --all) extra=ON ;;
  --soak) extra=ON soak=ON ;;
  *)
    echo "usage: tests/run.sh [--all | --soak]" >&2
    exit 2
    ;;
esac

deploy/install-packages.sh build tests
[ "$extra" = OFF ] || deploy/install-packages.sh checks bench

# gRPC would send the tests' own calls through a proxy.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"

# The benchmarks are built with --all, so that they stay in order, and run by hand only.
cmake --preset release -DAUTHURL_BUILD_TESTS=ON -DAUTHURL_EXTRA_TESTS="$extra" -DAUTHURL_BUILD_BENCH="$extra" \
  -DAUTHURL_SOAK="$soak"
cmake --build --preset release
[ -z "${CI:-}" ] || exec ctest --preset release
# ctest says which tests were skipped, but not why.
code=0
ctest --preset release || code=$?
grep '^SKIPPED: ' build/release/Testing/Temporary/LastTest.log | sort -u || true
exit "$code"
