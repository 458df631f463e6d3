#!/usr/bin/env bash
# clang-tidy finds nothing that .clang-tidy asks for. $1: a configured build folder whose sources are generated.
#
# That file names whole groups of checks, and other versions have other checks in them. The tree follows version 14, of
# Debian 12. What 19, of Debian 13, asks for besides is partly what GCC forbids: no "= {}" behind a member.
set -euo pipefail
command -v clang-tidy >/dev/null || { echo "SKIPPED: there is no clang-tidy"; exit 77; }
version=$(clang-tidy --version | sed -nE 's/.*version ([0-9]+)\..*/\1/p')
[ "$version" = 14 ] || { echo "SKIPPED: this is for clang-tidy 14, and here it is $version"; exit 77; }
commands=$1/tidy
mkdir -p "$commands"
# GCC's precompiled headers mean nothing to Clang.
sed -E 's# -Winvalid-pch -include [^ ]*/cmake_pch\.hxx##' "$1/compile_commands.json" >"$commands/compile_commands.json"
find core storage server deploy -name '*.cc' | sort |
  xargs -n 1 -P "$(nproc)" clang-tidy -p "$commands" --quiet
