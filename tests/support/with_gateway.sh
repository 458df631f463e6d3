#!/usr/bin/env bash
# Runs a command with a server and the REST gateway in front of it, both on free ports and with data of their own:
#
#   tests/support/with_gateway.sh BIN_DIR COMMAND...
#
# BIN_DIR has authurl-server, authurl-keygen and authurl-call. The command finds in its environment: AUTHURL_URL (of the
# gateway), AUTHURL_ADDRESS (of the server), AUTHURL_API_KEY (role ORG, of the organisation "demo" with Instagram
# configured), AUTHURL_ADMIN_KEY. The logs are shown when the command fails.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: with_gateway.sh BIN_DIR COMMAND..." >&2; exit 2; }
bin=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
data=$(mktemp -d)
pids=()
clean_up() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null && wait "$pid"; done || true
  [ "$code" = 0 ] || tail -n 20 "$data"/*.log >&2
  rm -rf "$data"
  exit "$code"
}
trap clean_up EXIT

# start NAME COMMAND...: runs it in the background until it serves; sets `address`.
start() {
  local name=$1 waited
  shift
  : >"$data/$name.log"
  "$@" 2>>"$data/$name.log" &
  pids=("$!" "${pids[@]}")
  for ((waited = 0; waited < 300; ++waited)); do
    address=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$data/$name.log")
    [ -z "$address" ] || return 0
    kill -0 "$!" || return 1
    sleep 0.1
  done
  return 1
}
# post KEY PATH BODY: prints the reply.
post() {
  curl -sS --fail-with-body -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d "$3" "$AUTHURL_URL$2"
}

"$bin/authurl-keygen" key-ring "$data/key-ring" >/dev/null
"$bin/authurl-keygen" api-key "$data/admin-key" >/dev/null
start server "$bin/authurl-server" --listen=127.0.0.1:0 --database="$data/authurl.db" --key_ring_file="$data/key-ring" \
  --admin_key_file="$data/admin-key" --drain_delay=0s --log_level="${AUTHURL_LOG_LEVEL:-info}"
AUTHURL_ADDRESS=$address
start gateway "$root/build/gateway/authurl-gateway" --listen=127.0.0.1:0 --upstream="$address" --drain_delay=0s
export AUTHURL_ADDRESS AUTHURL_URL=http://$address
AUTHURL_ADMIN_KEY=$(cat "$data/admin-key")
post "$AUTHURL_ADMIN_KEY" /v1/organizations '{"org_id":"demo"}' >/dev/null
AUTHURL_API_KEY=$(post "$AUTHURL_ADMIN_KEY" /v1/organizations/demo/api-keys '{"role":"ROLE_ORG"}' | sed -nE 's/.*"key":"(auk_[^"]+)".*/\1/p')
export AUTHURL_ADMIN_KEY AUTHURL_API_KEY
post "$AUTHURL_API_KEY" /v1/social-networks \
  '{"network":"instagram","client_key":"k","client_secret":"s","default_redirect_uri":"https://app.example.com/cb"}' >/dev/null

"$@"
