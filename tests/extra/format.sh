#!/usr/bin/env bash
# Every source is as clang-format leaves it, that of Debian 12 (14) and that of Debian 13 (19). Where the two differ,
# write the code so that both take it.
set -euo pipefail
command -v clang-format >/dev/null || { echo "SKIPPED: there is no clang-format"; exit 77; }
version=$(clang-format --version | sed -nE 's/.*version ([0-9]+)\..*/\1/p')
case $version in
  14 | 19) ;;
  *)
    echo "FAILED: clang-format is version $version here, which may want something else than 14 and 19 do"
    exit 1
    ;;
esac
find core storage server deploy tests '(' -name '*.cc' -o -name '*.h' ')' -exec clang-format --dry-run -Werror {} +
