#!/usr/bin/env bash
# The commands of README.md's "Complete the flow" and "Keep accounts connected" work, word for word: runs the ```sh blocks that follow a line
# "<!-- run by tests/extra/demo_readme.sh -->" in one shell, against a demo.sh that waits for its browser; then once more
# with grpcurl in place of authurl-call. The receiver of webhooks there takes what the server delivers, and nothing else.
set -euo pipefail
for tool in go node npm curl; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
call=build/release/bin/authurl-call
commands=$(tests/support/marked_commands.sh tests/extra/demo_readme.sh "$call")
echo "$commands"
data=$(mktemp -d)
pid=
receiver_pid=
clean_up() {
  [ -z "$receiver_pid" ] || kill -TERM "$receiver_pid" || true
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

# Its receiver. api PATH BODY: prints the reply.
# shellcheck source=/dev/null # the demo writes it
source "$data/.local/share/authurl/demo.env"
api() {
  curl -sS --fail-with-body -H "Authorization: Bearer $AUTHURL_API_KEY" -H 'Content-Type: application/json' -d "$2" "$AUTHURL_URL$1"
}
awk '/^```/ { inside = $0 == "```js"; next } inside' README.md >"$data/receiver.mjs"
npm install --silent --no-save --no-audit --no-fund --prefix "$data" standardwebhooks@1.1.1 ||
  { echo "SKIPPED: standardwebhooks can't be fetched"; exit 77; }
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
webhook=$(api /v1/webhooks "{\"url\":\"http://127.0.0.1:$port/\"}")
[[ $webhook =~ \"id\":\"(wh_[^\"]+)\".*\"secret\":\"(whsec_[^\"]+)\" ]] || fail "no webhook was made"
path=/v1/webhooks/${BASH_REMATCH[1]}
PORT=$port WEBHOOK_SECRET=${BASH_REMATCH[2]} node "$data/receiver.mjs" >"$data/receiver.out" 2>&1 &
receiver_pid=$!
for ((waited = 0; waited < 100; ++waited)); do
  tested=$(api "$path/test" '{}')
  [[ $tested == *'"http_status":0,'* ]] || break
  sleep 0.1
done
[[ $tested == *'"delivered":true,"http_status":204,'* ]] || { cat "$data/receiver.out"; fail "not taken: $tested"; }
grep -q '^webhook.test ' "$data/receiver.out" || { cat "$data/receiver.out"; fail "the receiver saw no event"; }
api "$path/rotate-secret" '{"overlap":"0s"}' >"$data/rotated.out"
tested=$(api "$path/test" '{}')
[[ $tested == *'"delivered":false,"http_status":401,'* ]] || fail "taken with another secret: $tested"
echo "the receiver takes what has its secret"
