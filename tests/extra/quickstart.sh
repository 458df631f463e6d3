#!/usr/bin/env bash
# deploy/quickstart.sh does what it promises: it can be run again, keeps its secrets to its user, says what is wrong,
# and stops cleanly.
set -euo pipefail
data=$(mktemp -d)
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

# start NAME ARGUMENT...: runs quickstart.sh in the background, as the leader of a session, like a terminal does.
start() {
  local out=$data/$1.out waited
  shift
  setsid env --default-signal=INT deploy/quickstart.sh --data-dir "$data/main" "$@" >"$out" 2>&1 &
  pid=$!
  for ((waited = 0; waited < 600; ++waited)); do
    if grep -q 'the server is running on' "$out"; then return; fi
    kill -0 "$pid" || fail "it ended"
    sleep 0.1
  done
  fail "it did not get ready"
}

# Expects that it ended well and left no server behind.
expect_clean_stop() {
  wait "$pid" || fail "its exit code after $1 was $?"
  tail -n 1 "$data/main/server.log" | grep -q '"event":"stopped"' || fail "the server was not stopped politely by $1"
  ! pgrep -f "$data/main" >/dev/null || fail "something of it is still running after $1"
  pid=
}

deploy/quickstart.sh --no-wait --data-dir "$data/main" --listen 127.0.0.1:0 >"$data/first.out" 2>&1 || fail "first run"
grep -q '^  https://www.instagram.com/' "$data/first.out" || fail "it printed no authorization URL"
[ -z "$(find "$data/main" -type f -perm /077)" ] || fail "it left files that others can read"
first_key=$(grep '^export AUTHURL_API_KEY=' "$data/main/quickstart.env") || fail "quickstart.env exports no API key"
# As an older quickstart.sh left it.
sed -i 's/^export //' "$data/main/quickstart.env"

start second --listen=127.0.0.1:0
[ "$(grep '^export AUTHURL_API_KEY=' "$data/main/quickstart.env")" = "$first_key" ] || fail "the second run made another API key"
# shellcheck source=/dev/null
. "$data/main/quickstart.env"
if grep -rlaF -e "$AUTHURL_API_KEY" -e "$AUTHURL_ADMIN_KEY" /proc/[0-9]*/cmdline 2>/dev/null; then
  fail "a secret is among the arguments of a process"
fi

# expect_refusal MESSAGE ARGUMENT...
expect_refusal() {
  local message=$1 code=0
  shift
  deploy/quickstart.sh --no-wait "$@" >"$data/refusal.out" 2>&1 || code=$?
  [ "$code" = 1 ] || fail "the exit code of $* was $code"
  grep -q "$message" "$data/refusal.out" || fail "$* did not say: $message"
}
expect_refusal 'another quickstart.sh is running' --data-dir "$data/main"
expect_refusal "^authurl-server: .*$AUTHURL_ADDRESS.* in use" --data-dir "$data/other" --listen "$AUTHURL_ADDRESS"
expect_refusal '^authurl-server: ' --data-dir "$data/other" --listen 0.0.0.0:0

# The build folder of another user is refused with a sentence. Only root can be somebody else.
if [ "$(id -u)" = 0 ]; then
  chmod 0711 "$data"
  mkdir -m 0777 "$data/nobody"
  code=0
  setpriv --reuid=65534 --regid=65534 --clear-groups deploy/quickstart.sh --no-wait --data-dir "$data/nobody/data" \
    >"$data/refusal.out" 2>&1 || code=$?
  [ "$code" = 1 ] || fail "the exit code as another user was $code"
  grep -q "^quickstart: can't write to .*build/release, which belongs to $(stat -c %U build/release)" \
    "$data/refusal.out" || fail "it did not say whose the build folder is"
fi

kill -TERM "$pid"
expect_clean_stop SIGTERM
start third --listen "unix:$data/socket"
# Ctrl-C: to every process of the terminal.
kill -INT -- "-$pid"
expect_clean_stop Ctrl-C
