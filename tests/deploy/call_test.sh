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
expect 0 'authurl.v1.OrganizationService.CreateApiKey' -plaintext "$nobody" list authurl.v1.OrganizationService
expect 1 'there is no service authurl.v1.Nothing; list names them all' "$nobody" list authurl.v1.Nothing
expect 0 'authurl.v1.AuthUrlService is a service:' "$nobody" describe
expect 0 'rpc GetAuthUrl(.authurl.v1.GetAuthUrlRequest)' "$nobody" describe authurl.v1.AuthUrlService
expect 0 'authurl.v1.AuthUrlService.GetAuthUrl is a method:' "$nobody" describe "$method"
expect 0 'optional string redirect_uri = 2;' "$nobody" describe authurl.v1.GetAuthUrlRequest
expect 0 'ROLE_MINT = 3;' "$nobody" describe authurl.v1.Role
expect 1 'there is no service, method, message or enum authurl.v1.Nothing' "$nobody" describe authurl.v1.Nothing
expect 1 'give an address and a method' "$nobody" "$method" more
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

expect 1 '; it takes ROLE_ADMIN, ROLE_ORG, ROLE_MINT, ROLE_SERVICE' \
  -plaintext -d '{"role":"MINT"}' "$nobody" authurl.v1.OrganizationService/CreateApiKey

# Go's four ways to write a flag, and both ways to write a method. 78: 64 + UNAVAILABLE.
expect 78 'Code: Unavailable' --plaintext -d='{"network": "x"}' --H 'x: y' -H='z: y' "$nobody" "$method"
expect 78 'x: y' -v -plaintext -H 'x: y' "$nobody" "$method"
expect 78 'authorization: (not shown)' -v -plaintext -H 'authorization: Bearer s3cr3t' "$nobody" "$method"
[[ $("$call" -v -plaintext -H 'authorization: Bearer s3cr3t' "$nobody" "$method" 2>&1) != *s3cr3t* ]] ||
  fail 'authurl-call -v shows a credential'
expect 78 'Code: Unavailable' -plaintext -d @ "$nobody" authurl.v1.AuthUrlService.GetAuthUrl
