#!/usr/bin/env bash
# Programs that serve while a test runs; read with `.` from the root of the repository.
#
#   $data                    a folder of the test's own, which goes with it
#   start NAME COMMAND...    runs it in the background until it serves; sets `address` and `pid`; its log is $data/NAME.log
#   free_ports NUMBER        prints so many ports, with spaces between
#   fail WORDS...            ends the test
#   show_logs                what is shown of the logs when the test fails: to be defined anew where that is something else
data=$(mktemp -d)
pids=()
show_logs() { tail -n 20 "$data"/*.log; }
# The youngest goes first: the browser before what it talks to, the gateway before the server.
clean_up() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null && wait "$pid"; done || true
  [ "$code" = 0 ] || show_logs || true
  rm -rf "$data"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
fail() {
  echo "FAILED: $*"
  exit 1
}
start() {
  local log=$data/$1.log waited
  : >"$log"
  "${@:2}" >>"$log" 2>&1 &
  pid=$!
  pids=("$pid" "${pids[@]}")
  for ((waited = 0; waited < 300; ++waited)); do
    # shellcheck disable=SC2034 # for the test
    address=$(sed -nE '/"event":"serving"/ s/.*"address":"([^"]*)".*/\1/p' "$log")
    [ -z "$address" ] || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  fail "the $1 does not start"
}
# For those who must know addresses of others before these are there. Outside of the ports that the system gives to
# connections: nobody takes them in between.
free_ports() {
  node -e '
  const wanted = Number(process.argv[1]);
  const servers = [];
  const attempt = (left) => {
    if (servers.length === wanted) {
      console.log(...servers.map((server) => server.address().port));
      return servers.forEach((server) => server.close());
    }
    const server = require("node:net").createServer()
      .on("error", (error) => { if (left === 0) throw error; attempt(left - 1); })
      .listen(20000 + Math.floor(Math.random() * 10000), "127.0.0.1", () => { servers.push(server); attempt(left); });
  };
  attempt(100);' "$1"
}
