#!/usr/bin/env bash
# authurl-call takes grpcurl's arguments, says in one line on stderr what is wrong with them, and shows what a server says.
# tests/extra/readme_commands.sh compares it with grpcurl.
# $1: the program. $2, $3: authurl-server and authurl-keygen.
set -euo pipefail
call=$1 server=$2 keygen=$3
data=$(mktemp -d)
server_pid=
clean_up() {
  [ -z "$server_pid" ] || { kill -CONT "$server_pid" && kill -TERM "$server_pid" && wait "$server_pid"; } || true
  rm -rf "$data"
}
trap clean_up EXIT
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
expect 0 'authurl.v1.AuthUrlService' list
expect 0 'authurl.v1.AuthUrlService.GetAuthUrl' list authurl.v1.AuthUrlService
expect 0 'authurl.v1.GetAuthUrlRequest is a message:' describe authurl.v1.GetAuthUrlRequest
expect 1 'give an address and a method' list authurl.v1.AuthUrlService more
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
expect 1 '-connect-timeout must be' -plaintext -connect-timeout -1 "$nobody" "$method"
expect 1 '-max-msg-sz must be' -plaintext -max-msg-sz 1k "$nobody" "$method"
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
expect 78 'Code: Unavailable' -plaintext -connect-timeout 5 -allow-unknown-fields -d '{"netwrok":"x"}' "$nobody" "$method"

# A server.
umask 077
"$keygen" key-ring "$data/key-ring" >/dev/null
"$keygen" api-key "$data/admin-key" >/dev/null
: >"$data/server.log"
"$server" --listen=127.0.0.1:0 --database="$data/authurl.db" --key_ring_file="$data/key-ring" \
  --admin_key_file="$data/admin-key" --drain_delay=0s >>"$data/server.log" 2>&1 &
server_pid=$!
address=
for ((waited = 0; waited < 300; ++waited)); do
  address=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$data/server.log")
  [ -z "$address" ] || break
  sleep 0.1
done
[ -n "$address" ] || fail "the server does not start: $(cat "$data/server.log")"
# shellcheck disable=SC2016 # authurl-call itself expands it
key=(-plaintext -expand-headers -H 'authorization: Bearer ${AUTHURL_API_KEY}')
AUTHURL_API_KEY=$(<"$data/admin-key")
export AUTHURL_API_KEY
expect 0 '"org_id": "acme"' "${key[@]}" -d '{"org_id":"acme"}' "$address" authurl.v1.OrganizationService/CreateOrganization
AUTHURL_API_KEY=$("$call" "${key[@]}" -d @ "$address" authurl.v1.OrganizationService.CreateApiKey \
  <<<'{"org_id":"acme","role":"ROLE_ORG"}' | sed -nE 's/.*"key": "([^"]+)".*/\1/p')
[ -n "$AUTHURL_API_KEY" ] || fail "-d @ does not read a request"
# A URL as it is: no & is escaped.
app='{"network":"instagram","client_key":"client","client_secret":"secret","default_redirect_uri":"https://app.example.com/cb"}'
expect 0 '"network": "instagram"' "${key[@]}" -d "$app" "$address" authurl.v1.SocialNetworkService/CreateSocialNetwork
expect 0 '?client_id=client&redirect_uri=https%3A' "${key[@]}" -d '{"network":"instagram"}' "$address" "$method"
# What grpcurl's -v shows, in its order.
shown=$("$call" -v "${key[@]}" -H 'x-request-id: my-request' -d '{"network":"instagram"}' "$address" "$method")
position=0
for part in 'Resolved method descriptor:' 'Request metadata to send:' 'authorization: (not shown)' \
  'Response headers received:' 'x-request-id: my-request' 'Response contents:' '"auth_url": "https://' \
  'Response trailers received:'; do
  rest=${shown:position}
  [[ $rest == *"$part"* ]] || fail "authurl-call -v does not show \"$part\" where it should: $shown"
  before=${rest%%"$part"*}
  position=$((position + ${#before} + ${#part}))
done
# The id of a call that fails, without -v; and the same id in RequestInfo.
expect 67 'Request id: my-failure' "${key[@]}" -H 'x-request-id: my-failure' -d '{"network":"no!"}' "$address" "$method"
expect 67 '"request_id": "my-failure"' "${key[@]}" -H 'x-request-id: my-failure' -d '{"network":"no!"}' "$address" "$method"
expect 0 '"next_page_token": ""' "${key[@]}" -emit-defaults "$address" authurl.v1.SocialAccountService/ListSocialAccounts
expect 72 'Code: ResourceExhausted' "${key[@]}" -max-msg-sz 64 -d '{"network":"instagram"}' "$address" "$method"
# Its port takes connections, and nobody answers there.
kill -STOP "$server_pid"
expect 1 "$address does not answer within -connect-timeout" "${key[@]}" -connect-timeout 0.3 "$address" "$method"
expect 68 'Code: DeadlineExceeded' "${key[@]}" -max-time 0.3 "$address" "$method"
