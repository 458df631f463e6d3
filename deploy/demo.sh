#!/usr/bin/env bash
# Shows a whole flow on this machine: the server, the REST gateway and, in place of a social network, an OpenID Connect
# provider (demo/provider.mjs), on free ports of 127.0.0.1. Prints a URL, waits until somebody has signed in there, and
# shows the account that this connected. What it writes is in a temporary folder, and goes with it.
set -euo pipefail

usage() {
  cat <<'END'
usage: deploy/demo.sh [--once] [--redirect-uri URI]

  --once               sign in by itself, print what came of it as a line of JSON, and end
  --redirect-uri URI   where else the provider may send browsers; may be repeated. It always may to the gateway,
                       https://app.example.com/cb and http://127.0.0.1:3000/callback
END
}
say() { echo "demo: $*"; }
fail() {
  echo "demo: $*" >&2
  exit 1
}

once=no
redirect_uris=(--redirect_uri=https://app.example.com/cb --redirect_uri=http://127.0.0.1:3000/callback)
while [ $# -gt 0 ]; do
  case $1 in
    --once) once=yes ;;
    --redirect-uri=*) redirect_uris+=("--redirect_uri=${1#*=}") ;;
    --redirect-uri)
      [ $# -ge 2 ] || fail "$1 needs a value"
      redirect_uris+=("--redirect_uri=$2")
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

# Since 1.21 Go fetches by itself the version that go.mod names, unless it is told not to. Asked in /, where no go.mod is.
has_go() {
  command -v go >/dev/null && [[ $(cd / && go env GOVERSION) =~ ^go1\.([0-9]+) ]] || return 1
  [ "${BASH_REMATCH[1]}" -ge 26 ] || { [ "${BASH_REMATCH[1]}" -ge 21 ] && [ "$(cd / && go env GOTOOLCHAIN)" != local ]; }
}
has_node() {
  command -v node >/dev/null && [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ]
}
missing=
has_go || missing+=", Go 1.26 or newer (https://go.dev/doc/install)"
has_node || missing+=", Node.js 18 or newer (apt-get install nodejs)"
command -v npm >/dev/null || missing+=", npm (apt-get install npm)"
command -v curl >/dev/null || missing+=", curl (apt-get install curl)"
[ -z "$missing" ] || fail "install first: ${missing#, }"

env_file=
[ -z "${XDG_DATA_HOME:-${HOME:-}}" ] || env_file=${XDG_DATA_HOME:-$HOME/.local/share}/authurl/demo.env
cd "$(dirname "$0")/.."
# shellcheck source=deploy/build-server.sh
. deploy/build-server.sh
build=build/release
bin=$PWD/$build/bin
build_log=$build/demo.log
dir=
step_pid=
pids=()

# Whatever happens, nothing that was started here outlives the script. The youngest goes first: the gateway before the
# server.
clean_up() {
  local code=$? pid
  trap '' INT TERM HUP PIPE
  [ -z "$step_pid" ] || kill -TERM -- "-$step_pid" 2>/dev/null || true
  for pid in $build_pid $step_pid "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || continue
    wait "$pid" || true
  done
  [ -n "$dir" ] || exit "$code"
  # 128 and more are signals.
  if [ "$code" -gt 0 ] && [ "$code" -lt 128 ]; then tail -n 5 "$dir"/*.log >&2 || true; fi
  if grep -qsF "$dir" "$env_file"; then rm -f "$env_file"; fi
  rm -rf "$dir"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP PIPE

# step TEXT COMMAND...: runs it to its end, and shows what it prints only if it fails. In the background and a session of
# its own, so that Ctrl-C is heeded at once and ends all of it.
step() {
  say "$1"
  setsid "${@:2}" </dev/null >"$dir/step.out" 2>&1 &
  step_pid=$!
  wait "$step_pid" || {
    step_pid=
    cat "$dir/step.out" >&2
    fail "${*:2} failed; what it printed is above"
  }
  step_pid=
  rm "$dir/step.out"
}

# start NAME COMMAND...: starts it, waits until it serves, and sets `address`. In a session of its own: Ctrl-C reaches
# every process of the terminal, and clean_up stops them in their order.
start() {
  local log=$dir/$1.log waited
  : >"$log"
  setsid "${@:2}" </dev/null >>"$log" 2>&1 &
  pids=("$!" "${pids[@]}")
  for ((waited = 0; waited < 300; ++waited)); do
    address=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$log")
    [ -z "$address" ] || return 0
    kill -0 "$!" 2>/dev/null || fail "the $1 did not start; the reason is in its log:"
    sleep 0.1
  done
  fail "the $1 is not ready after 30 s; its log:"
}

# Outside of those that the system gives to connections: nobody takes it before the gateway does.
free_port() {
  node -e '
    const attempt = (left) => {
      const port = 20000 + Math.floor(Math.random() * 10000);
      require("node:net").createServer()
        .on("error", (error) => { if (left === 0) throw error; attempt(left - 1); })
        .listen(port, "127.0.0.1", function () { this.close(() => console.log(port)); });
    };
    attempt(100);'
}

# request KEY URL [METHOD [BODY]]: prints the reply, whatever its status. KEY names the file with the header. Keys and
# bodies travel by files and standard input: `ps` shows the arguments of a command to everyone.
request() {
  local body=()
  [ -z "${4:-}" ] || body=(-H 'Content-Type: application/json' --data-binary @-)
  curl -q --noproxy '*' -sS --max-time 30 -X "${3:-GET}" -H "@$dir/$1.header" "${body[@]}" "$2" <<<"${4:-}"
}
# keep_key NAME KEY: for request.
keep_key() { printf 'Authorization: Bearer %s\n' "$2" >"$dir/$1.header"; }

# api KEY METHOD PATH [BODY]: sets `reply`, to that of a call that must succeed.
api() {
  reply=$(request "$1" "$url$3" "$2" "${4:-}")
  [[ $reply == '{"success":true,'* ]] || fail "$2 $3 failed: $reply"
}
# field a.b: prints a member of `reply`.
field() {
  node -e 'console.log(process.argv[1].split(".").reduce((value, name) => value[name], JSON.parse(require("fs").readFileSync(0))))' \
    "$1" <<<"$reply"
}

start_all() {
  local port waited
  port=$(free_port)
  url=http://127.0.0.1:$port
  callback=$url/v1/social-networks/demo/callback

  start provider node build/demo/provider.mjs --client_id=authurl-demo --client_secret_file="$dir/client-secret" \
    --redirect_uri="$callback" "${redirect_uris[@]}" --network_file="$dir/networks.textproto"
  issuer=http://$address

  "$bin/authurl-keygen" key-ring "$dir/key-ring" >/dev/null
  "$bin/authurl-keygen" api-key "$dir/admin-key" >/dev/null
  start server "$bin/authurl-server" --listen=127.0.0.1:0 --database="$dir/authurl.db" --key_ring_file="$dir/key-ring" \
    --admin_key_file="$dir/admin-key" --networks_file="$dir/networks.textproto" --allow_local_instances \
    --public_base_url="$url" --reflection --drain_delay=0s
  server_address=$address

  head -c 32 /dev/urandom >"$dir/console-key"
  start gateway build/gateway/authurl-gateway --listen="127.0.0.1:$port" --upstream="$server_address" \
    --console_key_file="$dir/console-key" --drain_delay=0s
  for ((waited = 0; waited < 100; ++waited)); do
    if curl -q --noproxy '*' -sf --max-time 5 -o "$dir/readyz.out" "$url/readyz"; then return; fi
    sleep 0.1
  done
  fail "the gateway does not reach the server; their logs:"
}

configure() {
  keep_key admin "$(cat "$dir/admin-key")"
  api admin POST /v1/organizations '{"org_id":"demo"}'
  api admin POST /v1/organizations/demo/api-keys '{"role":"ROLE_ORG","read_tokens":true}'
  api_key=$(field data.key)
  keep_key org "$api_key"
  api org POST /v1/social-networks \
    '{"network":"demo","client_key":"authurl-demo","client_secret":"'"$(cat "$dir/client-secret")"'"}'
}

# For README.md's "Complete the flow".
write_env_file() {
  if ! mkdir -p "${env_file%/*}" 2>/dev/null; then
    env_file=
    return
  fi
  printf '%s\n' "# Of the demo in $dir; good while it runs." "export AUTHURL_URL=$url" \
    "export AUTHURL_ADDRESS=$server_address" "export AUTHURL_API_KEY=$api_key" >"$env_file.new"
  mv "$env_file.new" "$env_file"
}

wait_for_browser() {
  while true; do
    api org GET "/v1/auth-flows/$flow_id"
    [[ $reply =~ \"status\":\"(STATUS_)?([A-Z_]+)\" ]] || fail "the flow has no status: $reply"
    case ${BASH_REMATCH[2]} in
      PENDING | COMPLETING) sleep 0.5 ;;
      COMPLETED) return ;;
      *) fail "the flow has ended without an account: $reply" ;;
    esac
  done
}

connect() {
  api org POST /v1/social-networks/demo/auth-url '{"tenant_id":"customer_42"}'
  auth_url=$(field data.auth_url)
  flow_id=$(field data.flow_id)
  say "the authorization URL for the tenant customer_42, of POST $url/v1/social-networks/demo/auth-url:"
  printf '\n  %s\n\n' "$auth_url"
  if [ "$once" = yes ]; then
    say "signing in there as alice"
    node build/demo/sign-in.mjs --follow <<<"$reply" >"$dir/sign-in.out" || fail "the sign-in failed"
  else
    say "open it in the browser, sign in with any name"
  fi
  wait_for_browser
  api org GET '/v1/social-accounts?tenantId=customer_42'
  accounts=$reply
  say "connected: GET $url/v1/social-accounts?tenantId=customer_42 says"
  node -e 'console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).data, null, 2))' <<<"$accounts"
}

# Sets `replay`: what the same state gets with another code, as from somebody who has seen the URL.
try_replay() {
  local state issuer_encoded=${issuer//:/%3A}
  [[ $auth_url =~ [?\&]state=([^\&]+) ]] || fail "the URL has no state"
  state=${BASH_REMATCH[1]}
  reply=$(request org "$url/v1/social-accounts:complete" POST \
    '{"response":"'"$callback?code=another-code&state=$state&iss=${issuer_encoded//\//%2F}"'"}')
  replay=$(field code)
  say "the same state with another code: $replay"
}

# Sets `works`: whether the access token is the account's, as the provider says.
try_access_token() {
  local account_id person
  reply=$accounts
  account_id=$(field data.0.id)
  person=$(field data.0.network_unique_id)
  api org POST "/v1/social-accounts/$account_id/access-token" '{}'
  keep_key token "$(field data.access_token)"
  reply=$(request token "$issuer/me")
  works=false
  [ "$(field sub)" != "$person" ] || works=true
  say "the access token at the provider's userinfo: $reply"
}

# The account as the API has it, its status without the prefix that tells enums apart.
print_outcome() {
  node -e '
    const [auth_url, accounts, replay, works] = process.argv.slice(1);
    const [account] = JSON.parse(accounts).data;
    account.status = account.status.replace(/^STATUS_/, "");
    console.log(JSON.stringify({ auth_url, account, replay, access_token_works: works === "true" }));
    const good = account.tenant_id === "customer_42" && account.status === "ACTIVE" &&
      replay === "STATE_ALREADY_USED" && works === "true";
    process.exit(good ? 0 : 1);' "$auth_url" "$accounts" "$replay" "$works"
}

keep_running() {
  trap 'exit 0' INT TERM
  say "the demo goes on until Ctrl-C"
  [ -z "$env_file" ] || say "the console: $url/console; its key is AUTHURL_API_KEY in $env_file"
  [ -z "$env_file" ] || say "to complete flows by hand: README.md, \"Complete the flow\", whose commands read $env_file"
  wait -n "${pids[@]}" || true
  fail "a part of the demo has ended; the logs:"
}

dir=$(mktemp -d)
deploy/install-packages.sh build gateway
build_server
step "building the gateway; the first time this takes a minute" deploy/gateway/build.sh
step "installing the provider" deploy/demo/install.sh
umask 077
say "starting the provider, the server and the gateway, with their data in $dir"
start_all
configure
[ "$once" = yes ] || [ -z "$env_file" ] || write_env_file
connect
try_replay
try_access_token
if [ "$once" = yes ]; then
  print_outcome || fail "that is not what should have come"
else
  keep_running
fi
