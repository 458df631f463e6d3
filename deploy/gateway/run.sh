#!/usr/bin/env bash
# Builds the gateway and runs it in front of an authurl server.
#
#   deploy/gateway/run.sh [--listen 127.0.0.1:8080] [--upstream 127.0.0.1:50051] [FLAG...]
#
# The flags are those of authurl-gateway; --help lists them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$here/../../build/gateway/authurl-gateway
"$here/build.sh" "$program" >&2
exec "$program" "$@"
