#!/usr/bin/env bash
# Every source is as clang-format leaves it.
set -euo pipefail
command -v clang-format-14 >/dev/null || { echo "SKIPPED: there is no clang-format-14"; exit 77; }
find core storage server deploy tests '(' -name '*.cc' -o -name '*.h' ')' -exec clang-format-14 --dry-run -Werror {} +
