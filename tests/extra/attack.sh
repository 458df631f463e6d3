#!/usr/bin/env bash
# The attacks of tests/attack in their short form: what once hurt server or gateway does no more. $1: the folder of the
# built programs.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build the gateway with"; exit 77; }
AUTHURL_BIN_DIR=$(realpath "$1")
AUTHURL_GATEWAY=$PWD/build/gateway/authurl-gateway
AUTHURL_NGINX=$PWD/build/tools/nginx/usr/sbin/nginx
export AUTHURL_BIN_DIR AUTHURL_GATEWAY AUTHURL_NGINX
deploy/gateway/build.sh

cd tests/attack
unformatted=$(gofmt -l ./*.go)
[ -z "$unformatted" ] || { echo "FAILED: gofmt would change $unformatted"; exit 1; }
go mod tidy -diff
go vet ./...
go build -o ../../build/gateway/attack .
../../build/gateway/attack -lenient -length 4s
