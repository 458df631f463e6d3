#!/usr/bin/env bash
# The gateway's own tests with the race detector, against the real server: shapes, TLS, slow clients, rolling stops. Then
# a while of fuzzing, formatting, vet, and known vulnerabilities. $1: the folder of the built programs; $2: how long it
# fuzzes.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build the gateway with"; exit 77; }
AUTHURL_BIN_DIR=$(realpath "$1")
fuzz_time=${2:-20s}
AUTHURL_GATEWAY=$PWD/build/gateway/authurl-gateway
export AUTHURL_BIN_DIR AUTHURL_GATEWAY
deploy/gateway/build.sh
GOBIN=$PWD/build/tools/bin go install golang.org/x/vuln/cmd/govulncheck@v1.9.0

tools=$PWD/build/tools/bin
cd deploy/gateway
unformatted=$(gofmt -l ./*.go console)
[ -z "$unformatted" ] || { echo "FAILED: gofmt would change $unformatted"; exit 1; }
go mod verify
go mod tidy -diff
go vet ./...
go test -race -count=1 -timeout 5m -v . ./console | grep -vE '^=== '
go test -run '^$' -fuzz FuzzDecodeBody -fuzztime "$fuzz_time" .

code=0
"$tools/govulncheck" ./... || code=$?
# 3: vulnerable code is called. Anything else: its database can't be reached from here.
case $code in
  0) ;;
  3) exit 1 ;;
  *) echo "govulncheck could not ask its database" ;;
esac
