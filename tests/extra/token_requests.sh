#!/usr/bin/env bash
# What we send to token endpoints is what other people's clients send (arctic, better-auth, grant, Auth.js), but for what
# stands in tests/property/token_requests/token_requests.mjs with the reason. Only their installation needs a network.
set -euo pipefail
for tool in node npm; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
[ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || { echo "SKIPPED: better-auth needs Node 20"; exit 77; }
# Beside what npm installs, or the script's imports would not be found.
tools=build/tools/token_requests
mkdir -p "$tools"
cp tests/property/token_requests/{package.json,package-lock.json,token_requests.mjs} "$tools"
output=$(npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$tools" 2>&1) ||
  { echo "SKIPPED: the clients can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
node "$tools/token_requests.mjs" tests/core/flow/vectors
