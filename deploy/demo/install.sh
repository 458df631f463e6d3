#!/usr/bin/env bash
# Puts provider.mjs with its network and sign-in.mjs into build/demo, beside the npm packages that package-lock.json pins.
# Needs npm, and its registry for the first time only.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=build/demo
mkdir -p "$folder"
# One at a time.
exec 9>"$folder/.lock"
flock 9
if ! cmp -s deploy/demo/package-lock.json "$folder/installed.json"; then
  cp deploy/demo/package.json deploy/demo/package-lock.json "$folder"
  npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$folder"
  cp deploy/demo/package-lock.json "$folder/installed.json"
fi
cp deploy/demo/network.textproto deploy/demo/provider.mjs deploy/demo/sign-in.mjs "$folder"
