#!/usr/bin/env bash
# clang-tidy finds nothing that .clang-tidy asks for. $1: a configured build folder whose sources are generated.
set -euo pipefail
command -v clang-tidy >/dev/null || { echo "SKIPPED: there is no clang-tidy"; exit 77; }
commands=$1/tidy
mkdir -p "$commands"
# GCC's precompiled headers mean nothing to Clang.
sed -E 's# -Winvalid-pch -include [^ ]*/cmake_pch\.hxx##' "$1/compile_commands.json" >"$commands/compile_commands.json"
find core storage server deploy -name '*.cc' | sort |
  xargs -n 1 -P "$(nproc)" clang-tidy -p "$commands" --quiet
