#!/usr/bin/env bash
# The .proto files keep the rules of proto/buf.yaml.
set -euo pipefail
command -v npm >/dev/null || { echo "SKIPPED: there is no npm to install buf with"; exit 77; }
npm install --silent --no-save --no-audit --no-fund --prefix build/tools @bufbuild/buf@1.75.0
build/tools/node_modules/.bin/buf lint proto
