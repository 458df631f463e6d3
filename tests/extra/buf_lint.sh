#!/usr/bin/env bash
# The .proto files keep the rules of proto/buf.yaml.
set -euo pipefail
command -v npm >/dev/null || { echo "SKIPPED: there is no npm to install buf with"; exit 77; }
npm install --silent --no-save --no-audit --no-fund --prefix build/tools @bufbuild/buf@1.75.0

# buf would ask its registry for google/rpc/status.proto: a workspace of its own shows it the one that we build with.
googleapis=${GOOGLEAPIS_DIR:-/usr/share/gocode/src/github.com/gogo/googleapis}
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
mkdir -p "$workspace/proto" "$workspace/googleapis/google/rpc"
cp -r proto/authurl "$workspace/proto"
cp "$googleapis/google/rpc/status.proto" "$workspace/googleapis/google/rpc"
{
  cat proto/buf.yaml
  printf '%s\n' 'modules:' '  - path: proto' '  - path: googleapis'
} >"$workspace/buf.yaml"
buf=$PWD/build/tools/node_modules/.bin/buf
cd "$workspace"
"$buf" lint proto
