#!/usr/bin/env bash
# Every script is as ShellCheck wants it.
set -euo pipefail
command -v shellcheck >/dev/null || { echo "SKIPPED: there is no shellcheck"; exit 77; }
grep -rlE '^#!.*\bbash$' deploy tests .ci | xargs shellcheck --external-sources
