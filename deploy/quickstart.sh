#!/usr/bin/env bash
# From a fresh Debian 12 or 13 to a running server and an authorization URL: installs what is missing, builds, makes the
# keys, starts the server, sets up a demo organisation with Instagram, and prints how to call it. Safe to run again.
set -euo pipefail

usage() {
  cat <<'END'
usage: deploy/quickstart.sh [--no-wait] [--data-dir DIR] [--listen ADDRESS]

  --no-wait         stop the server after printing, instead of keeping it in the foreground
  --data-dir DIR    where database and keys are kept (default: ${XDG_DATA_HOME:-$HOME/.local/share}/authurl)
  --listen ADDRESS  127.0.0.1:PORT, port 0 for any free one, or unix:/PATH (default: 127.0.0.1:50051)
END
}
say() { echo "quickstart: $*"; }
fail() {
  echo "quickstart: $*" >&2
  exit 1
}

wait_for_signal=yes
data_dir=
listen=127.0.0.1:50051
while [ $# -gt 0 ]; do
  case $1 in
    --no-wait) wait_for_signal=no ;;
    --data-dir=*) data_dir=${1#*=} ;;
    --listen=*) listen=${1#*=} ;;
    --data-dir | --listen)
      [ $# -ge 2 ] || fail "$1 needs a value"
      if [ "$1" = --listen ]; then listen=$2; else data_dir=$2; fi
      shift
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done
if [ -z "$data_dir" ]; then
  [ -n "${XDG_DATA_HOME:-${HOME:-}}" ] || fail "HOME is not set: say where to keep the data with --data-dir DIR"
  data_dir=${XDG_DATA_HOME:-$HOME/.local/share}/authurl
fi
(umask 077 && mkdir -p "$data_dir") || fail "can't make the folder $data_dir: name another one with --data-dir"
data_dir=$(cd "$data_dir" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=deploy/build-server.sh
. deploy/build-server.sh
build=build/release
bin=$PWD/$build/bin
build_log=$build/quickstart.log
env_file=$data_dir/quickstart.env
server_log=$data_dir/server.log
server_pid=
tail_pid=

# Whatever happens, nothing that was started here outlives the script.
clean_up() {
  local pid
  for pid in $build_pid $server_pid; do
    kill -TERM "$pid" 2>/dev/null || continue
    wait "$pid" || true
  done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP PIPE

make_keys() {
  [ -e "$data_dir/key-ring" ] || "$bin/authurl-keygen" key-ring "$data_dir/key-ring" >/dev/null
  [ -e "$data_dir/admin-key" ] || "$bin/authurl-keygen" api-key "$data_dir/admin-key" >/dev/null
  AUTHURL_ADMIN_KEY=$(cat "$data_dir/admin-key")
}

# call METHOD [KEY [REQUEST]]: prints the reply. Keys and requests travel by environment and standard input: `ps` shows
# the arguments of a command to everyone.
call() {
  # shellcheck disable=SC2016 # authurl-call itself expands it
  KEY=${2:-} "$bin/authurl-call" -plaintext -max-time 10 -expand-headers -H 'authorization: Bearer ${KEY}' \
    -d @ "$address" "$1" <<<"${3:-}"
}

start_server() {
  local waited
  say "starting the server with the data in $data_dir"
  : >"$server_log"
  # In a session of its own: Ctrl-C reaches every process of the terminal, and this script stops the server itself.
  setsid "$bin/authurl-server" --listen="$listen" --database="$data_dir/authurl.db" \
    --key_ring_file="$data_dir/key-ring" --admin_key_file="$data_dir/admin-key" --reflection \
    </dev/null >>"$server_log" 2>&1 9>&- &
  server_pid=$!
  for ((waited = 0; waited < 300; ++waited)); do
    address=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$server_log")
    if [ -n "$address" ] && [[ $(call grpc.health.v1.Health/Check 2>&1) == *'"SERVING"'* ]]; then return; fi
    if ! kill -0 "$server_pid" 2>/dev/null; then
      server_pid=
      tail -n 5 "$server_log" >&2
      fail "the server did not start; the reason is above"
    fi
    sleep 0.1
  done
  tail -n 5 "$server_log" >&2
  fail "the server is not ready after 30 s; its log is $server_log"
}

# As call, but fails the script unless it succeeds or the thing exists already (64 + ALREADY_EXISTS).
ensure() {
  local output code=0
  output=$(call "$@" 2>&1) || code=$?
  [ "$code" = 0 ] || [ "$code" = 70 ] || fail "$1 failed:
$output"
}

set_up_demo() {
  local reply
  ensure authurl.v1.OrganizationService/CreateOrganization "$AUTHURL_ADMIN_KEY" \
    '{"org_id": "demo", "display_name": "Made by quickstart.sh"}'

  AUTHURL_API_KEY=
  [ ! -f "$env_file" ] || AUTHURL_API_KEY=$(sed -nE 's/^(export )?AUTHURL_API_KEY=//p' "$env_file")
  if ! call authurl.v1.SocialNetworkService/ListSocialNetworks "$AUTHURL_API_KEY" >/dev/null 2>&1; then
    reply=$(call authurl.v1.OrganizationService/CreateApiKey "$AUTHURL_ADMIN_KEY" \
      '{"org_id": "demo", "role": "ROLE_ORG", "display_name": "Made by quickstart.sh"}')
    AUTHURL_API_KEY=$(sed -nE 's/.*"key": *"(auk_[^"]+)".*/\1/p' <<<"$reply")
  fi

  ensure authurl.v1.SocialNetworkService/CreateSocialNetwork "$AUTHURL_API_KEY" \
    '{"network": "instagram", "client_key": "demo-client-key", "client_secret": "demo-client-secret",
      "default_redirect_uri": "https://app.example.com/cb"}'
}

write_env_file() {
  # Exported, so that programs started from that terminal have them too.
  printf 'export %s\n' "AUTHURL_ADDRESS=$(printf %q "$address")" "AUTHURL_API_KEY=$AUTHURL_API_KEY" \
    "AUTHURL_ADMIN_KEY=$AUTHURL_ADMIN_KEY" "AUTHURL_ORG_ID=demo" >"$env_file.new"
  mv "$env_file.new" "$env_file"
}

print_summary() {
  local request='{"network":"instagram","redirect_uri":"https://app.example.com/cb","tenant_id":"customer_42"}'
  local reply call
  call=$(printf %q "$bin/authurl-call")
  reply=$(call authurl.v1.AuthUrlService/GetAuthUrl "$AUTHURL_API_KEY" "$request")
  cat <<END

Authorization URL (of a demo app that Instagram does not know):
  $(sed -nE 's/.*"auth_url": *"([^"]+)".*/\1/p' <<<"$reply")

API key of the organisation "demo":
  $AUTHURL_API_KEY

To call the server from another terminal (grpcurl takes the same arguments):
  . $(printf %q "$env_file")
  $call -plaintext -H "authorization: Bearer \$AUTHURL_API_KEY" -d '$request' "\$AUTHURL_ADDRESS" authurl.v1.AuthUrlService/GetAuthUrl
  $call -plaintext -H "authorization: Bearer \$AUTHURL_API_KEY" "\$AUTHURL_ADDRESS" authurl.v1.SocialNetworkService/ListSocialNetworks
  $call -plaintext -H "authorization: Bearer \$AUTHURL_ADMIN_KEY" "\$AUTHURL_ADDRESS" authurl.v1.OrganizationService/ListOrganizations

END
}

# Ends the script with the server's exit code. A signal stops the server politely, one a second later at once.
wait_for_server() {
  local code=0
  trap 'kill -TERM "$server_pid" 2>/dev/null || true' INT TERM HUP
  while kill -0 "$server_pid" 2>/dev/null; do
    code=0
    wait "$server_pid" || code=$?
  done
  server_pid=
  [ -z "$tail_pid" ] || wait "$tail_pid" || true
  [ "$code" = 0 ] || fail "the server ended with exit code $code; its log is $server_log"
  say "the server has stopped"
}

deploy/install-packages.sh build
build_server
umask 077
exec 9>"$data_dir/quickstart.lock"
flock --nonblock 9 || fail "another quickstart.sh is running with the data in $data_dir: stop it, or name another --data-dir"
make_keys
start_server
set_up_demo
write_env_file
print_summary
if [ "$wait_for_signal" = no ]; then
  say "stopping the server; without --no-wait it keeps running"
  kill -TERM "$server_pid"
else
  say "the server is running on $address; Ctrl-C stops it. Its log ($server_log) follows"
  tail -n 0 --pid="$server_pid" -f "$server_log" 9>&- &
  tail_pid=$!
fi
wait_for_server
