#!/usr/bin/env bash
# The commands of README.md's "Complete the flow" and "Keep accounts connected" work, word for word: runs the ```sh blocks that follow a line
# "<!-- run by tests/extra/demo_readme.sh -->" in one shell, against a demo.sh that waits for its browser; then once more
# with grpcurl in place of authurl-call.
set -euo pipefail
for tool in go node npm curl; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
call=build/release/bin/authurl-call
commands=$(tests/support/marked_commands.sh tests/extra/demo_readme.sh "$call")
echo "$commands"
data=$(mktemp -d)
pid=
clean_up() {
  [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } || true
  rm -rf "$data"
}
trap clean_up EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}

gateway_modules=$(go env GOMODCACHE) gateway_cache=$(go env GOCACHE)
unset XDG_DATA_HOME
export GOMODCACHE=$gateway_modules GOCACHE=$gateway_cache HOME=$data
: >"$data/demo.out"
deploy/demo.sh >>"$data/demo.out" 2>&1 &
pid=$!
for ((waited = 0; waited < 6000; ++waited)); do
  if grep -q 'open it in the browser' "$data/demo.out"; then break; fi
  kill -0 "$pid" || { cat "$data/demo.out"; exit 1; }
  sleep 0.1
done

# run_commands WITH
run_commands() {
  echo "== with $1"
  bash -euo pipefail -c "$commands" >"$data/$1.out" 2>&1 || { cat "$data/$1.out"; fail "a command failed"; }
  sed -E 's/("(access_token|secret)": ?")[^"]+/\1…/g' "$data/$1.out"
  # What CompleteAuth and the list say, by gRPC and by REST.
  [ "$(grep -oE '"tenant_id": ?"customer_42"' "$data/$1.out" | wc -l)" -ge 4 ] || fail "an account was not shown"
  grep -q '"access_token":"[^"]' "$data/$1.out" || fail "no access token"
  ! grep -q '"success":false' "$data/$1.out" || fail "a call failed"
  # By gRPC and by REST.
  [ "$(grep -oE '"type": ?"account.connected"' "$data/$1.out" | wc -l)" -ge 2 ] || fail "no event was shown"
  grep -q '"delivered":false' "$data/$1.out" || fail "the webhook was not tried"
  [ "$(grep -oE '"(id|secret)": ?"(wh|whsec)_' "$data/$1.out" | wc -l)" -ge 5 ] || fail "a webhook was not shown"
  grep -q '"tenant_id":"customer_43"' "$data/$1.out" || fail "no account was imported"
  grep -q '"access_token":"[^"]' "$data/authurl-export.json" || fail "no token was exported"
  rm "$data/authurl-export.json"
}
run_commands authurl-call
GOBIN=$PWD/build/tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
export PATH=$PWD/build/tools/bin:$PATH
commands=${commands//"$call "/grpcurl }
run_commands grpcurl
