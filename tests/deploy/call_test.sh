#!/usr/bin/env bash
# authurl-call takes grpcurl's arguments, and says in one line on stderr what is wrong with them. What it gets from a
# real server is tested with README.md's commands (tests/extra/readme_commands.sh).
# $1: the program.
set -euo pipefail
call=$1
fail() {
  echo "FAILED: $*"
  exit 1
}
# expect CODE TEXT ARGUMENT...: the exit code, and what the message holds.
expect() {
  local code=0 want=$1 text=$2 output
  shift 2
  output=$("$call" "$@" 2>&1 </dev/null) || code=$?
  [ "$code" = "$want" ] || fail "authurl-call $*: exit code $code and not $want: $output"
  [[ $output == *"$text"* ]] || fail "authurl-call $* does not say \"$text\": $output"
}
method=authurl.v1.AuthUrlService/GetAuthUrl
nobody=127.0.0.1:1 # nothing listens there

expect 0 '  grpc.health.v1.Health/Check' -help
expect 0 'authurl.v1.AuthUrlService' -plaintext "$nobody" list
expect 1 'give an address and a method'
expect 1 'give an address and a method' -plaintext "$nobody"
expect 1 'unknown flag: -verbose' -verbose "$nobody" "$method"
expect 1 'needs a value: -d' -plaintext -d
expect 1 '-plaintext excludes' -plaintext -cacert ca.crt "$nobody" "$method"
expect 1 'belong together' -cert client.crt "$nobody" "$method"
expect 1 "can't read /no/such/ca.crt" -cacert /no/such/ca.crt "$nobody" "$method"
expect 1 '-max-time must be' -plaintext -max-time soon "$nobody" "$method"
expect 1 'there is no method authurl.v1.Nothing/Call' -plaintext "$nobody" authurl.v1.Nothing/Call
expect 1 'is not a valid authurl.v1.GetAuthUrlRequest' -plaintext -d '{"netwrok":"x"}' "$nobody" "$method"
expect 1 'is not a valid authurl.v1.GetAuthUrlRequest' -plaintext -d '{"network":"x"' "$nobody" "$method"
# shellcheck disable=SC2016 # authurl-call itself expands it
expect 1 'no such environment variable: AUTHURL_TEST_MISSING' \
  -plaintext -expand-headers -H 'authorization: Bearer ${AUTHURL_TEST_MISSING}' "$nobody" "$method"

# Go's four ways to write a flag, and both ways to write a method. 78: 64 + UNAVAILABLE.
expect 78 'Code: Unavailable' --plaintext -d='{"network": "x"}' --H 'x: y' -H='z: y' "$nobody" "$method"
expect 78 'Code: Unavailable' -plaintext -d @ "$nobody" authurl.v1.AuthUrlService.GetAuthUrl
