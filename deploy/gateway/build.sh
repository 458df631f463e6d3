#!/usr/bin/env bash
# Generates the Go code of our protos into gen/ (git-ignored) and builds the gateway.
#
#   deploy/gateway/build.sh [OUTPUT]          default: build/gateway/authurl-gateway
#
# Needs Go 1.26 or newer, protoc with its standard protos, and google/rpc/status.proto (Debian: protobuf-compiler
# libprotobuf-dev golang-github-gogo-googleapis-dev). Where the latter is elsewhere, GOOGLEAPIS_DIR says so. The
# generators are those that the `tool` lines of go.mod pin. Version and revision are those of the sources around this
# folder; AUTHURL_REVISION says what git would, where there is no git, as in a container.
#
# The page at /docs has a renderer that npm fetches (reference/fetch.sh). Without npm, or where it can't be fetched, the
# gateway is built all the same, and /docs says what is missing; with AUTHURL_REFERENCE=required that ends the build.
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../../build/gateway/authurl-gateway}")
cd "$(dirname "$0")"
fail() {
  echo "gateway/build.sh: $*" >&2
  exit 1
}
command -v go >/dev/null || fail "there is no Go: install 1.26 or newer, see https://go.dev/doc/install"
# The `tool` lines of go.mod are nothing that an older one can read. From 1.21 on, Go may fetch a newer one.
[[ $(cd / && go env GOVERSION) =~ ^go1\.([0-9]+) ]] || fail "\"go env GOVERSION\" does not say a version of Go"
[ "${BASH_REMATCH[1]}" -ge 26 ] || { [ "${BASH_REMATCH[1]}" -ge 21 ] && [ "$(cd / && go env GOTOOLCHAIN)" != local ]; } ||
  fail "this is Go 1.${BASH_REMATCH[1]}: install 1.26 or newer, see https://go.dev/doc/install"
command -v protoc >/dev/null || fail "there is no protoc: apt-get install protobuf-compiler libprotobuf-dev"
googleapis=${GOOGLEAPIS_DIR:-/usr/share/gocode/src/github.com/gogo/googleapis}
[ -f "$googleapis/google/rpc/status.proto" ] ||
  fail "there is no $googleapis/google/rpc/status.proto: apt-get install golang-github-gogo-googleapis-dev"

mkdir -p gen/.tools "$(dirname "$output")"
# One at a time: two builds would write the same files.
exec 9>gen/.lock
flock 9

export CGO_ENABLED=0
go build -o gen/.tools/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway

protos=(authurl/v1/auth_url_service.proto authurl/v1/event_service.proto authurl/v1/organization_service.proto
  authurl/v1/social_account_service.proto authurl/v1/social_network_service.proto authurl/v1/webhook_service.proto)
module=$(go list -m)
package=$module/gen/authurlv1
# The code is a package of this module, not of the one that the protos name for everybody else.
places=()
for plugin in go go-grpc grpc-gateway; do
  places+=("--${plugin}_out=gen/.new" "--${plugin}_opt=module=$module")
  for proto in "${protos[@]}"; do places+=("--${plugin}_opt=M$proto=$package"); done
  places+=("--${plugin}_opt=Mgoogle/rpc/status.proto=google.golang.org/genproto/googleapis/rpc/status")
done
rm -rf gen/.new
mkdir gen/.new
PATH=$PWD/gen/.tools:$PATH protoc -I ../../proto -I "$googleapis" "${places[@]}" \
  --grpc-gateway_opt=grpc_api_configuration=http_rules.yaml "${protos[@]}"
# What has not changed stays untouched: somebody may be compiling it.
if ! diff -rq gen/.new/gen/authurlv1 gen/authurlv1 >/dev/null 2>&1; then
  rm -rf gen/authurlv1
  mv gen/.new/gen/authurlv1 gen/authurlv1
fi

reference/fetch.sh

version=$(sed -nE 's/^project\(authurl VERSION ([0-9.]+) .*/\1/p' ../../CMakeLists.txt)
revision=${AUTHURL_REVISION:-}
[ -n "$revision" ] || [ ! -x ../../core/revision.sh ] || revision=$(../../core/revision.sh)
go build -trimpath -ldflags="-s -w -X main.version=$version -X main.revision=$revision" -o "$output.new" .
mv "$output.new" "$output"
