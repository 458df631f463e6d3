#!/usr/bin/env bash
# What REST costs: GetAuthUrl over gRPC (measured with ghz) and through the gateway (measured with hey), 64 requests in
# flight, one right after the other in each round. Client, gateway and server share the machine.
#
#   tests/bench/rest_vs_grpc.sh [BIN_DIR]          default: build/release/bin
#
# SECONDS_EACH (10) and ROUNDS (3) can be set in the environment. Needs Go; installs ghz and hey into build/tools/bin.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" != --measure ]; then
  deploy/gateway/build.sh
  export GOBIN=$PWD/build/tools/bin
  go install github.com/bojand/ghz/cmd/ghz@v0.93.0
  go install github.com/rakyll/hey@v0.1.5
  exec tests/support/with_gateway.sh "${1:-build/release/bin}" "$0" --measure
fi

seconds=${SECONDS_EACH:-10}
rounds=${ROUNDS:-3}
report=$(mktemp)
descriptors=$(mktemp)
trap 'rm -f "$report" "$descriptors"' EXIT
# ghz reads no `optional` from a .proto file itself.
protoc -I proto --include_imports --descriptor_set_out="$descriptors" authurl/v1/auth_url_service.proto

# Each prints: calls/s, p50 and p99 in milliseconds.
grpc() {
  build/tools/bin/ghz --insecure --protoset "$descriptors" \
    --call authurl.v1.AuthUrlService/GetAuthUrl -m "{\"authorization\":\"Bearer $AUTHURL_API_KEY\"}" \
    -d '{"network":"instagram"}' -c 64 --connections 2 -z "$1s" --duration-stop wait "$AUTHURL_ADDRESS" >"$report"
  expect_only '^ +\[OK\]'
  awk '/Requests\/sec:/ { rate = $2 }
       / (50|99) % in / { value = $4; if ($5 == "us" || $5 == "µs") value /= 1000; if ($5 == "s") value *= 1000; at[$2 == "%" ? $1 : $2] = value }
       END { printf "%.0f %.2f %.2f\n", rate, at["50"], at["99"] }' "$report"
}
rest() {
  build/tools/bin/hey -z "$1s" -c 64 -m POST -T application/json -d '{}' -H "Authorization: Bearer $AUTHURL_API_KEY" \
    "$AUTHURL_URL/v1/social-networks/instagram/auth-url" >"$report"
  expect_only '^ +\[200\]'
  awk '/Requests\/sec:/ { rate = $2 }
       / (50|99)%+ in / { at[$1 + 0] = $3 * 1000 }
       END { printf "%.0f %.2f %.2f\n", rate, at[50], at[99] }' "$report"
}
# Fails unless every call ended as the pattern says.
expect_only() {
  local others
  others=$(sed -n '/[Ss]tatus code distribution/,$p' "$report" | grep -E '\[[A-Za-z0-9]+\]' | grep -vE "$1" || true)
  [ -z "$others" ] || { echo "not every call succeeded: $others" >&2; exit 1; }
}

grpc 2 >/dev/null
rest 2 >/dev/null
echo "| round | gRPC calls/s | p50 ms | p99 ms | REST calls/s | p50 ms | p99 ms | REST/gRPC |"
echo "|---|---|---|---|---|---|---|---|"
for ((round = 1; round <= rounds; ++round)); do
  read -r grpc_rate grpc_p50 grpc_p99 <<<"$(grpc "$seconds")"
  read -r rest_rate rest_p50 rest_p99 <<<"$(rest "$seconds")"
  awk -v a="$grpc_rate" -v b="$rest_rate" -v line="| $round | $grpc_rate | $grpc_p50 | $grpc_p99 | $rest_rate | $rest_p50 | $rest_p99 |" \
    'BEGIN { printf "%s %.2f |\n", line, b / a }'
done
echo "load average: $(cut -d' ' -f1-3 /proc/loadavg), cores: $(nproc)"
