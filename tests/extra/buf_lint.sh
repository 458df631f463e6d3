#!/usr/bin/env bash
# The .proto files keep the rules of proto/buf.yaml, and buf takes authurl-protos.tar.gz as it is.
set -euo pipefail
command -v npm >/dev/null || { echo "SKIPPED: there is no npm to install buf with"; exit 77; }
npm install --silent --no-save --no-audit --no-fund --prefix build/tools @bufbuild/buf@1.75.0

# buf would ask its registry for what the `deps` of buf.yaml name: a workspace of its own has a module of that name, with the
# google/rpc/status.proto that we build with.
googleapis=${GOOGLEAPIS_DIR:-/usr/share/gocode/src/github.com/gogo/googleapis}
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
deploy/proto-bundle.sh "$workspace/authurl-protos.tar.gz" >/dev/null
mkdir -p "$workspace/proto" "$workspace/googleapis/google/rpc"
cp -r proto/authurl "$workspace/proto"
cp "$googleapis/google/rpc/status.proto" "$workspace/googleapis/google/rpc"
{
  cat proto/buf.yaml
  printf '%s\n' 'modules:' '  - path: proto' '  - path: googleapis' \
    '    name: buf.build/googleapis/googleapis'
} >"$workspace/buf.yaml"
buf=$PWD/build/tools/node_modules/.bin/buf
cd "$workspace"
"$buf" lint proto
"$buf" build proto -o image.binpb
"$buf" build 'authurl-protos.tar.gz#strip_components=1' -o image.binpb
