#!/usr/bin/env bash
# deploy/clients/first-integration.md keeps its word: with a demo.sh that runs, each of its pages, started by the guide's
# commands word for word, connects an account of whoever presses the button, under that browser's tenant; and shows why not
# where the person says no, or where another browser comes back. curl is the browser here, and demo/sign-in.mjs at the
# provider.
set -euo pipefail
for tool in curl go node npm protoc python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
unset http_proxy https_proxy grpc_proxy HTTP_PROXY HTTPS_PROXY
guide=deploy/clients/first-integration.md
data=$(mktemp -d)
pids=()
clean_up() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null && wait "$pid"; done || true
  [ "$code" = 0 ] || tail -n 20 "$data"/*.out || true
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
# start NAME TEXT COMMAND...: runs it as the leader of a session until it prints the text. Sets `pid`.
start() {
  local waited
  : >"$data/$1.out"
  setsid "${@:3}" >"$data/$1.out" 2>&1 &
  pid=$!
  pids=("$pid" "${pids[@]}")
  for ((waited = 0; waited < 6000; ++waited)); do
    if grep -q "$2" "$data/$1.out"; then return 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  fail "$1 does not say: $2"
}
commands_for() { tests/support/marked_commands.sh "tests/extra/first_integration.sh, $1" build/clients "$guide"; }
# browser NAME PATH|URL [ARGUMENT...]: with the cookies of that name; the page's text, and where it leads.
browser() {
  local url=$2
  [[ $url == http* ]] || url=$page$url
  curl -q --noproxy '*' -sS --max-time 30 -b "$data/$1.cookies" -c "$data/$1.cookies" -w '\n%{http_code} %{redirect_url}\n' \
    "${@:3}" "$url"
}
# begin NAME: presses the button; prints the URL that it leads to.
begin() { browser "$1" /connect -X POST | sed -nE 's/^303 (http.*)$/\1/p'; }
# sign_in URL [ARGUMENT...]: prints the URL that the provider sends the browser back to.
sign_in() {
  node -p 'JSON.stringify({ auth_url: process.argv[1] })' "$1" | node build/demo/sign-in.mjs "${@:2}" |
    node -p 'JSON.parse(require("fs").readFileSync(0)).response'
}
# expect TEXT: in the page that was shown last.
expect() { [[ $shown == *"$1"* ]] || fail "$language: the page does not say \"$1\": $shown"; }

read -r -a ports < <(node -e '
  const net = require("node:net");
  const servers = [1, 2, 3].map(() => net.createServer().listen(0, "127.0.0.1"));
  setTimeout(() => {
    console.log(servers.map((server) => server.address().port).join(" "));
    servers.forEach((server) => server.close());
  }, 100);')
modules=$(go env GOMODCACHE) cache=$(go env GOCACHE)
export GOMODCACHE=$modules GOCACHE=$cache XDG_DATA_HOME=$data/home
uris=()
for port in "${ports[@]}"; do uris+=(--redirect-uri "http://127.0.0.1:$port/callback"); done
start demo 'open it in the browser' deploy/demo.sh "${uris[@]}"

for language in node python go; do
  began=$SECONDS
  export PORT=${ports[0]}
  ports=("${ports[@]:1}")
  rm -f "$data"/*.cookies
  start "$language" '^open http' bash -euo pipefail -c "$(commands_for all)"$'\n'"$(commands_for "$language")"
  page=$(sed -nE 's#^open (http.*)/$#\1#p' "$data/$language.out")
  shown=$(browser alice /)
  expect '<button>Connect</button>'
  [[ $shown != *'<li>'* ]] || fail "$language: there are accounts in the beginning: $shown"

  url=$(begin alice)
  [[ $url == http://127.0.0.1:*state=* ]] || fail "$language: the button does not lead to the provider"
  back=$(sign_in "$url" --name='Alice & <Bob>')
  # Whoever has the address, and not the cookie, connects nothing.
  shown=$(browser mallory "$back")
  expect SESSION_BINDING_MISMATCH
  shown=$(browser mallory /)
  [[ $shown != *'<li>'* ]] || fail "$language: another browser has connected an account: $shown"
  shown=$(browser alice "$back")
  expect 'Connected: Alice &'
  [[ $shown != *'<Bob>'* ]] || fail "$language: the page does not escape a name: $shown"
  [[ $shown =~ 'Account sa_'[0-9a-z]+' of customer_'[0-9a-f]{12}\. ]] || fail "$language: no account under a tenant: $shown"
  [[ $shown =~ 'token has '[1-9][0-9]+' characters and is good until 20' ]] || fail "$language: no access token: $shown"
  shown=$(browser alice /)
  [[ $shown == *'<li>Alice &'*' at demo</li>'* ]] || fail "$language: the account is not in the list: $shown"

  # The person says no.
  shown=$(browser alice "$(sign_in "$(begin alice)" --name=)")
  expect USER_DENIED
  # Nothing of it all is in what the page's program prints.
  [[ $(<"$data/$language.out") != *code=* ]] || fail "$language: a code was printed"
  kill -TERM -- "-$pid"
  wait "$pid" || true
  echo "$language: an account was connected ($((SECONDS - began)) s)"
done
