#!/usr/bin/env bash
# The reference at /docs in Chromium, narrow and wide: it can be read, navigated and linked into, calls can be tried in it
# with a key, it asks no other host for anything, and axe-core finds no barrier in it.
# $1: the folder of the built programs; with AUTHURL_PICTURES, the folder that pictures of it go to.
set -euo pipefail
for tool in node npm go; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
chromium=$(command -v chromium) || { echo "SKIPPED: there is no chromium"; exit 77; }
sources=tests/extra/gateway_reference
# Beside what npm installs, or imports would not be found.
tools=build/tools/gateway_reference
mkdir -p "$tools"
cp "$sources"/{package.json,package-lock.json,check.mjs} "$tools"
output=$(npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$tools" 2>&1) ||
  { echo "SKIPPED: the browser's driver can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
AUTHURL_REFERENCE=required deploy/gateway/build.sh

# What Chromium leaves in home and temporary folders goes with them.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/home" "$scratch/tmp"
export HOME=$scratch/home TMPDIR=$scratch/tmp check=$tools/check.mjs chromium
# shellcheck disable=SC2016 # the inner shell expands it
tests/support/with_gateway.sh "$1" bash -c 'exec timeout 240 node "$check" --gateway="$AUTHURL_URL" --chromium="$chromium" \
  ${AUTHURL_PICTURES:+--pictures="$AUTHURL_PICTURES"}'
