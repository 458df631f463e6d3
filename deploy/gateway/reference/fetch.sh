#!/usr/bin/env bash
# Fetches the renderer of /docs into gen/reference (git-ignored), from where the gateway embeds it: the package that
# renderer.sha512 pins by version and content. Does nothing where it is there. Without npm, or where it can't be fetched,
# leaves an empty file, and says so; with AUTHURL_REFERENCE=required that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
  echo "gateway/reference/fetch.sh: $*" >&2
  exit 1
}
mkdir -p gen/reference
if [ -s gen/reference/renderer.js.gz ] && cmp -s reference/renderer.sha512 gen/reference/pinned; then exit 0; fi

# go_without WHY: ends this without a renderer.
go_without() {
  [ "${AUTHURL_REFERENCE:-}" != required ] || fail "$1"
  echo "gateway/reference/fetch.sh: $1; this gateway's /docs will only say so" >&2
  : >gen/reference/renderer.js.gz
  exit 0
}
command -v npm >/dev/null || go_without "there is no npm to fetch the renderer of /docs with"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The names of npm's files: @scope/name at 1.2.3 is in scope-name-1.2.3.tgz.
file=$(sed -n 's/.*  //p' reference/renderer.sha512)
package=$(sed -E 's|^([a-z]+)-(.*)-([0-9.]+)\.tgz$|@\1/\2@\3|' <<<"$file")
output=$(cd "$scratch" && npm pack --silent "$package" 2>&1) ||
  go_without "the renderer of /docs, $package, can't be fetched: $(tail -n 1 <<<"$output")"
pin=$PWD/reference/renderer.sha512
(cd "$scratch" && sha512sum --quiet --check "$pin") || fail "what npm fetched as $package is not what renderer.sha512 pins"
# The bundle has in it what the package depends on. Its licence goes along.
tar -xzf "$scratch/$file" -C "$scratch" package/dist/browser/standalone.js
{
  printf '/*! %s\n\n' "${file%.tgz}"
  cat reference/renderer.licence
  printf '*/\n'
  cat "$scratch/package/dist/browser/standalone.js"
} | gzip -9n >gen/reference/renderer.js.gz.new
mv gen/reference/renderer.js.gz.new gen/reference/renderer.js.gz
cp reference/renderer.sha512 gen/reference/pinned
