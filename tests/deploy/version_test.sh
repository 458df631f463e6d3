#!/usr/bin/env bash
# Every program says which version it is, the one of CMakeLists.txt, and the server's --help shows its flags. $1…: the
# programs, the server first.
set -euo pipefail
fail() {
  echo "FAILED: $*"
  exit 1
}
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -nE 's/^project\(authurl VERSION ([0-9.]+) .*/\1/p' "$root/CMakeLists.txt")
[ -n "$version" ] || fail "CMakeLists.txt has no version"
for program in "$@"; do
  name=$(basename "$program")
  line=$("$program" --version)
  [[ $line =~ ^"$name $version"(\ \([0-9A-Za-z.+~-]+\))?$ ]] || fail "$name --version says \"$line\""
  echo "$line"
done

help=$("$1" --help) || true # Abseil exits with 1.
[[ $help == *--key_ring_file* ]] || fail "--help does not show the flags"
[[ $help != *'No flags matched'* ]] || fail "--help says that there are no flags"
[[ $help != *"$root"* ]] || fail "--help shows where the server was built"

# The revision: that of the environment, else of the file that tarballs have, else of git, else none.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/core"
cp "$root/core/revision.sh" "$folder/core"
unset AUTHURL_REVISION
[ -z "$("$folder/core/revision.sh")" ] || fail "there is a revision without any source of one"
command -v git >/dev/null || { echo "no git: what it would say is not checked"; exit 0; }
git=(git -C "$folder" -c user.name=test -c user.email=test@example.com)
"${git[@]}" init -q
"${git[@]}" add core
"${git[@]}" commit -qm first
[[ $("$folder/core/revision.sh") =~ ^[0-9a-f]{12}$ ]] || fail "without a tag it is not the commit"
"${git[@]}" tag v1.2.3
[ "$("$folder/core/revision.sh")" = v1.2.3 ] || fail "it is not the tag"
echo >>"$folder/core/revision.sh"
[ "$("$folder/core/revision.sh")" = v1.2.3-dirty ] || fail "it does not say that a file has changed"
echo v1.2.2 >"$folder/REVISION"
[ "$("$folder/core/revision.sh")" = v1.2.2 ] || fail "it is not that of the file REVISION"
[ "$(AUTHURL_REVISION=given "$folder/core/revision.sh")" = given ] || fail "it is not the one that is given"
