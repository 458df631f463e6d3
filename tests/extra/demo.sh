#!/usr/bin/env bash
# deploy/demo.sh does what it promises: the whole flow succeeds, by itself and with somebody who signs in; it says what
# is missing before it begins; it keeps its secrets; and it leaves nothing behind, however it ends.
set -euo pipefail
for tool in go node npm curl; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
data=$(mktemp -d)
mkdir "$data/tmp"
export TMPDIR=$data/tmp XDG_DATA_HOME=$data/home
env_file=$data/home/authurl/demo.env
pid=
clean_up() {
  [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } || true
  rm -rf "$data"
}
trap clean_up EXIT
fail() {
  echo "FAILED: $*"
  tail -n 50 "$data"/*.out || true
  exit 1
}
expect_nothing_left() {
  [ -z "$(ls -A "$data/tmp")" ] || fail "$1 left $(ls -A "$data/tmp")"
  [ ! -e "$env_file" ] || fail "$1 left $env_file"
  ! pgrep -f "$data/tmp" >/dev/null || fail "something is still running after $1"
  ! grep -q 'auk_' "$data"/*.out || fail "an API key was printed"
}

# Nothing is begun without the tools, whose names are in the first line.
code=0
env PATH="$data/none" "$(command -v bash)" deploy/demo.sh --once >"$data/missing.out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "its exit code without tools was $code"
for tool in 'Go 1.26' 'Node.js 18' npm curl; do
  head -n 1 "$data/missing.out" | grep -q "$tool.*(" || fail "its first line does not say how to get $tool"
done
expect_nothing_left "a refusal"

deploy/demo.sh --once >"$data/once.out" 2>&1 || fail "demo.sh --once ended with $?"
tail -n 1 "$data/once.out" | node -e '
  const assert = require("node:assert/strict");
  const { auth_url, account, replay, access_token_works, ...others } = JSON.parse(require("fs").readFileSync(0));
  const url = new URL(auth_url);
  assert.equal(url.hostname, "127.0.0.1");
  for (const name of ["state", "nonce", "code_challenge"]) assert.ok(url.searchParams.get(name), name);
  assert.equal(account.tenant_id, "customer_42");
  assert.equal(account.status, "ACTIVE");
  assert.equal(account.username, "alice");
  assert.equal(replay, "STATE_ALREADY_USED");
  assert.equal(access_token_works, true);
  assert.deepEqual(others, {});' || fail "that is not the outcome in the last line"
expect_nothing_left "demo.sh --once"

# start NAME: in the background, as the leader of a session, like a terminal does. Until it waits for the browser.
start() {
  : >"$data/$1.out"
  setsid env --default-signal=INT deploy/demo.sh >"$data/$1.out" 2>&1 &
  pid=$!
  wait_for "$1" 'open it in the browser'
}
# wait_for NAME TEXT
wait_for() {
  local waited
  for ((waited = 0; waited < 600; ++waited)); do
    if grep -q "$2" "$data/$1.out"; then return; fi
    kill -0 "$pid" || fail "it ended before it said: $2"
    sleep 0.1
  done
  fail "it does not say: $2"
}
# stop SIGNAL CODE: as the terminal's Ctrl-C, to every process of it.
stop() {
  local code=0
  kill "-$1" -- "-$pid"
  wait "$pid" || code=$?
  pid=
  [ "$code" = "$2" ] || fail "its exit code after SIG$1 was $code"
  expect_nothing_left "SIG$1"
}

start waiting
stop INT 130

start signed_in
# shellcheck source=/dev/null
. "$env_file"
[ -z "$(find "$data" -type f -path "$data/[th]*" -perm /077)" ] || fail "it left files that others can read"
if grep -rlaF -e "$AUTHURL_API_KEY" /proc/[0-9]*/cmdline 2>/dev/null; then
  fail "a secret is among the arguments of a process"
fi
auth_url=$(sed -n 's/^  http/http/p' "$data/signed_in.out")
echo "{\"auth_url\":\"$auth_url\"}" | node build/demo/sign-in.mjs --name='Zoë B.' --follow >"$data/sign-in.out"
wait_for signed_in 'goes on until Ctrl-C'
grep -q '"display_name": "Zoë B."' "$data/signed_in.out" || fail "it does not show the account"

# Another who comes back by a form that the browser posts (OAuth 2.0 Form Post Response Mode).
api() {
  curl -q --noproxy '*' -sS --max-time 30 -X "$1" -H @<(echo "Authorization: Bearer $AUTHURL_API_KEY") \
    -H 'Content-Type: application/json' "$AUTHURL_URL$2" "${@:3}"
}
secret=$(cat "$data"/tmp/*/client-secret)
api POST /v1/social-networks -d @- >"$data/configured.out" <<<'{"network":"demo","variant":"form_post","name":"by_form",
  "client_key":"authurl-demo","client_secret":"'"$secret"'"}'
api POST /v1/social-networks/demo/auth-url -d '{"configuration":"by_form","tenant_id":"by_form"}' >"$data/auth_url.out"
grep -q 'response_mode=form_post' "$data/auth_url.out" || fail "the URL does not ask for a form"
node build/demo/sign-in.mjs --name=bob --follow <"$data/auth_url.out" >"$data/posted.out" 2>&1 ||
  fail "what the browser posts is refused"
grep -q '"redirect_uri":' "$data/posted.out" || fail "no form was posted"
api GET '/v1/social-accounts?tenantId=by_form' | grep -q '"username":"bob"' || fail "the form connected nobody"
stop INT 0

start terminated
stop TERM 143

# Somebody says no.
start denied
auth_url=$(sed -n 's/^  http/http/p' "$data/denied.out")
echo "{\"auth_url\":\"$auth_url\"}" | node build/demo/sign-in.mjs --name= --follow >"$data/sign-in.out" 2>&1 || true
code=0
wait "$pid" || code=$?
pid=
[ "$code" = 1 ] || fail "its exit code after a no was $code"
grep -q USER_DENIED "$data/denied.out" || fail "it does not say that the person said no"
expect_nothing_left "a no"
