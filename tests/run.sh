#!/usr/bin/env bash
# Installs what is missing, builds the release preset and runs its tests. With --all also everything in tests/extra:
# the tests under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, formatting, linters, and the
# commands of README.md with grpcurl. What a check needs and is not there (Go, npm, Python) makes that check "Skipped",
# but where CI is set it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

extra=OFF
case "$*" in
  '') ;;
  --all) extra=ON ;;
  *)
    echo "usage: tests/run.sh [--all]" >&2
    exit 2
    ;;
esac

deploy/install-packages.sh build tests
[ "$extra" = OFF ] || deploy/install-packages.sh checks bench

# gRPC would send the tests' own calls through a proxy.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"

# The benchmarks are built with --all, lest they rot, and run by hand only.
cmake --preset release -DAUTHURL_BUILD_TESTS=ON -DAUTHURL_EXTRA_TESTS="$extra" -DAUTHURL_BUILD_BENCH="$extra"
cmake --build --preset release
[ -z "${CI:-}" ] || exec ctest --preset release
# ctest says which tests were skipped, but not why.
code=0
ctest --preset release || code=$?
grep '^SKIPPED: ' build/release/Testing/Temporary/LastTest.log | sort -u || true
exit "$code"
