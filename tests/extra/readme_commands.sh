#!/usr/bin/env bash
# The commands of README.md work, word for word, with authurl-call and with grpcurl in its place. Runs the ```sh
# blocks that follow a line "<!-- run by tests/extra/readme_commands.sh -->", one after the other in one shell, against a
# server that quickstart.sh has started in a home folder of its own.
set -euo pipefail
call=build/release/bin/authurl-call
commands=$(tests/support/marked_commands.sh tests/extra/readme_commands.sh "$call")
echo "$commands"
unset XDG_DATA_HOME
home=$(mktemp -d)
pid=
clean_up() {
  [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } || true
  rm -rf "$home"
}
trap clean_up EXIT

# What grpcurl lists by the server's reflection, authurl-call lists by itself.
compare_lists() {
  local address service
  address=$(sed -nE 's/.*the server is running on ([0-9.:]+);.*/\1/p' "$home/grpcurl.out")
  grpcurl -plaintext "$address" list | grep '^authurl\.' >"$home/services"
  diff "$home/services" <("$call" "$address" list | grep '^authurl\.' | sort)
  while read -r service; do
    diff <(grpcurl -plaintext "$address" list "$service" </dev/null) <("$call" "$address" list "$service" | sort)
  done <"$home/services"
  echo "authurl-call lists what grpcurl does"
}

run_commands() {
  local waited
  HOME=$home/$1 deploy/quickstart.sh --listen 127.0.0.1:0 >"$home/$1.out" 2>&1 &
  pid=$!
  for ((waited = 0; waited < 600; ++waited)); do
    if grep -q 'the server is running on' "$home/$1.out"; then break; fi
    kill -0 "$pid" || { cat "$home/$1.out"; exit 1; }
    sleep 0.1
  done
  echo "== with $1"
  HOME=$home/$1 bash -euo pipefail -c "$commands" 2>&1 | tee "$home/$1.log"
  grep -q '"auth_url": "https://www.instagram.com/' "$home/$1.log" || { echo "FAILED: no authorization URL"; exit 1; }
  [ "$1" = authurl-call ] || compare_lists
  kill -TERM "$pid"
  wait "$pid"
  pid=
}

run_commands authurl-call

command -v go >/dev/null || { echo "SKIPPED: there is no Go to install grpcurl with"; exit 77; }
GOBIN=$PWD/build/tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
export PATH=$PWD/build/tools/bin:$PATH
# All but the health check, of which gRPC's reflection knows nothing.
commands=$(sed "/grpc\.health\.v1/!s#^$call #grpcurl #" <<<"$commands")
run_commands grpcurl
