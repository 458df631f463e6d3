#!/usr/bin/env bash
# The REST commands of README.md work, word for word: runs the ```sh blocks that follow a line
# "<!-- run by tests/extra/gateway_readme.sh -->" in one shell, against run.sh in front of a server that quickstart.sh has
# started in a home folder of its own. Both listen on free ports; curl's configuration leads 127.0.0.1:8080 there.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build the gateway with"; exit 77; }
commands=$(tests/support/marked_commands.sh tests/extra/gateway_readme.sh curl)
echo "$commands"
unset XDG_DATA_HOME
home=$(mktemp -d)
pids=()
clean_up() {
  local pid
  for pid in "${pids[@]}"; do kill -TERM "$pid" && wait "$pid"; done || true
  rm -rf "$home"
}
trap clean_up EXIT

# start NAME SIGN COMMAND...: runs it in the background until its output has the sign.
start() {
  local name=$1 sign=$2 waited
  shift 2
  : >"$home/$name.out"
  "$@" >>"$home/$name.out" 2>&1 &
  pids=("$!" "${pids[@]}")
  for ((waited = 0; waited < 3000; ++waited)); do
    if grep -q "$sign" "$home/$name.out"; then return; fi
    kill -0 "$!" || break
    sleep 0.1
  done
  cat "$home/$name.out"
  exit 1
}

gateway_modules=$(go env GOMODCACHE) gateway_cache=$(go env GOCACHE)
export GOMODCACHE=$gateway_modules GOCACHE=$gateway_cache HOME=$home
start quickstart 'the server is running on' deploy/quickstart.sh --listen 127.0.0.1:0
address=$(sed -n 's/^export AUTHURL_ADDRESS=//p' "$home/.local/share/authurl/quickstart.env")
start gateway '"event":"serving"' deploy/gateway/run.sh --listen 127.0.0.1:0 --upstream "$address"
front=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$home/gateway.out")
printf '%s\n' "connect-to = 127.0.0.1:8080:$front" silent show-error fail-with-body 'write-out = "\n"' >"$home/.curlrc"

bash -euo pipefail -c "$commands" 2>&1 | tee "$home/commands.out"
replies=$(grep -c '^{"success":true,' "$home/commands.out")
[ "$replies" = "$(grep -c '^curl' <<<"$commands")" ] || { echo "FAILED: $replies of the commands succeeded"; exit 1; }
grep -q '"auth_url":"https://www.instagram.com/' "$home/commands.out" || { echo "FAILED: no authorization URL"; exit 1; }
