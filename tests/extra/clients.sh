#!/usr/bin/env bash
# The programs of deploy/clients, built by the commands of its page word for word from authurl-protos.tar.gz alone, do what
# the page says at a real server, in each language: health check, deadline, retries, all replicas in turn, the pause that a
# rate limit asks for, the details of errors, TLS. relay.mjs stands in for a replica where a call has to fail.
# $1: the folder of the built programs.
set -euo pipefail
for tool in go java mvn node npm openssl protoc python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
bin=$1
page=deploy/clients/README.md
languages=(python node go java)
# These would be asked even for 127.0.0.1.
unset http_proxy https_proxy grpc_proxy HTTP_PROXY HTTPS_PROXY

# shellcheck source=tests/support/background.sh
. tests/support/background.sh
show_logs() { tail -n 5 "$data"/*.out "$data"/*.log; }
stop() {
  kill -TERM "$1"
  wait "$1" || true
}
# server NAME FLAG...: on the database of that name.
server() {
  start "$1" "$bin/authurl-server" --listen=127.0.0.1:0 --database="$data/$1.db" --key_ring_file="$data/key-ring" \
    --admin_key_file="$data/admin-key" --drain_delay=0s "${@:2}"
}
# call KEY METHOD JSON: the reply.
call() { "$bin/authurl-call" -plaintext -H "authorization: Bearer $1" -d "$3" "$address" "authurl.v1.$2"; }

# The archive: the same bytes each time, and complete.
deploy/proto-bundle.sh
deploy/proto-bundle.sh "$data/again.tar.gz" >/dev/null
cmp build/dist/authurl-protos.tar.gz "$data/again.tar.gz" || fail "the archive of the protos is another each time"
tar -xzf "$data/again.tar.gz" -C "$data"
find "$data/authurl-protos" -name '*.proto' -print0 |
  xargs -0 protoc -I "$data/authurl-protos" --descriptor_set_out="$data/descriptors"
# gRPC passes over a name in the service config that there is not.
# shellcheck disable=SC2016 # JavaScript's
node -e '
  const { readFileSync } = require("node:fs");
  const folder = process.argv[1] + "/authurl/v1/";
  const { methodConfig } = JSON.parse(readFileSync(folder + "service_config.json"));
  for (const { service, method } of methodConfig.flatMap(({ name }) => name)) {
    const file = service.split(".").pop().replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase() + ".proto";
    const text = readFileSync(folder + file, "utf8");
    if (!text.includes(`service ${service.split(".").pop()} {`) || (method && !text.includes(`rpc ${method}(`)))
      throw new Error(`service_config.json names ${service}/${method}`);
  }' "$data/authurl-protos"

# Two replicas: the same database, copied while nothing serves it.
umask 077
"$bin/authurl-keygen" key-ring "$data/key-ring" >/dev/null
"$bin/authurl-keygen" api-key "$data/admin-key" >/dev/null
server one
admin=$(<"$data/admin-key")
call "$admin" OrganizationService/CreateOrganization '{"org_id":"acme"}' >/dev/null
AUTHURL_API_KEY=$(call "$admin" OrganizationService/CreateApiKey '{"org_id":"acme","role":"ROLE_ORG"}' |
  sed -nE 's/.*"key": "([^"]+)".*/\1/p')
export AUTHURL_API_KEY
call "$AUTHURL_API_KEY" SocialNetworkService/CreateSocialNetwork \
  '{"network":"instagram","client_key":"client","client_secret":"secret","default_redirect_uri":"https://app.example.com/cb"}' \
  >/dev/null
stop "$pid"
for name in two tls; do cp "$data/one.db" "$data/$name.db"; done
# Ten calls a second, and twenty at once: half of 60 calls have to wait.
server one --rate_limit_key=10
one=$address
server two --rate_limit_key=10
two=$address

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=ca -keyout "$data/ca.key" \
  -out "$data/ca.crt" 2>/dev/null
# certificate NAME USAGE
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$data/$1.key" \
    -out "$data/$1.csr" 2>/dev/null
  openssl x509 -req -days 1 -in "$data/$1.csr" -CA "$data/ca.crt" -CAkey "$data/ca.key" -CAcreateserial \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n' "$2") -out "$data/$1.crt" 2>/dev/null
}
certificate server serverAuth
certificate client clientAuth
server tls --tls_cert_file="$data/server.crt" --tls_key_file="$data/server.key" --tls_client_ca_file="$data/ca.crt"
tls=$address

# The page's commands. What they fetch is all that needs a network.
for language in "${languages[@]}"; do
  commands=$(tests/support/marked_commands.sh "tests/extra/clients.sh, $language" build/clients "$page")
  began=$SECONDS
  AUTHURL_ADDRESS=$two bash -euo pipefail -c "$commands" >"$data/$language.out" 2>&1 ||
    fail "the page's commands for $language"
  grep -q '^auth_url: https://www.instagram.com/' "$data/$language.out" || fail "$language: no URL"
  echo "$language: the page's commands took $((SECONDS - began)) s"
done

[ -z "$(gofmt -l deploy/clients/go)" ] || fail "not as gofmt leaves it: $(gofmt -l deploy/clients/go)"
(cd build/clients/go && go vet ./...)

# run LANGUAGE ADDRESS ARGUMENT...: the program's output is in $data/run.out.
run() {
  local command
  case $1 in
    python) command=(venv/bin/python get_auth_url.py "${@:3}") ;;
    node) command=(node get-auth-url.mjs "${@:3}") ;;
    go) command=(bin/get-auth-url "${@:3}") ;;
    java) command=(mvn -q -B exec:java -Dexec.args="${*:3}") ;;
  esac
  # Maven colours the ends of its lines, whatever it is told.
  (cd "build/clients/$1" && AUTHURL_ADDRESS=$2 timeout 60 "${command[@]}" 2>&1 | sed $'s/\e\\[0m//g' >"$data/run.out")
}
# expect LANGUAGE TEXT
expect() { grep -qi -- "$2" "$data/run.out" || fail "$1 does not print \"$2\""; }
# How many calls of GetAuthUrl the server of that name has answered with that code.
answered() { grep -c "\"method\":\"[^\"]*/GetAuthUrl\".*\"code\":\"$2\"" "$data/$1.log" || true; }
# eventually COMMAND...: it succeeds within five seconds; the log is written after the answer.
eventually() {
  local waited
  for ((waited = 0; waited < 50; ++waited)); do
    "$@" && return 0
    sleep 0.1
  done
  return 1
}
all_answered() { [ $(($(answered one OK) + $(answered two OK))) = "$1" ]; }
fates() { grep -c "/$1\",\"fate\":\"$2\"" "$data/relay.log" || true; }

for language in "${languages[@]}"; do
  began=$SECONDS
  # One replica's first calls fail, and both are asked more often than their limit takes.
  before_one=$(answered one OK) before_two=$(answered two OK)
  start relay node tests/extra/clients/relay.mjs "$one" GetAuthUrl fail 2
  run "$language" "$address,$two" instagram customer_42 60 || fail "$language, with a replica that fails twice"
  stop "$pid"
  expect "$language" '^health: SERVING'
  expect "$language" '^auth_url: https://www.instagram.com/'
  expect "$language" '^waits: [1-9]'
  [ "$(fates GetAuthUrl failed)" = 2 ] || fail "$language did not ask the replica that fails"
  eventually all_answered $((before_one + before_two + 60)) || fail "$language: 60 calls were not answered"
  served_one=$(($(answered one OK) - before_one)) served_two=$(($(answered two OK) - before_two))
  if [ "$served_one" -lt 15 ] || [ "$served_two" -lt 15 ]; then
    fail "$language does not ask all replicas in turn: $served_one and $served_two"
  fi
  # grpc-js does not look at the health of replicas by itself; the page says so.
  [ "$language" = node ] || [ "$(fates Watch passed)" -ge 1 ] || fail "$language does not look at the replicas' health"

  # Every faulty field, and the id under which the server has logged the call.
  code=0
  run "$language" "$two" 'no!' 'a.b' || code=$?
  [ "$code" = 1 ] || fail "$language: its exit code after an error was $code"
  expect "$language" '^error: INVALID_\?ARGUMENT INVALID_PAYLOAD: '
  expect "$language" '^  network: '
  expect "$language" '^  tenant_id: '
  id=$(sed -nE 's/^  request id: ([0-9a-f]+)$/\1/p' "$data/run.out")
  eventually grep -q "\"request_id\":\"${id:-none}\"" "$data/two.log" || fail "$language: the log has no call with the id \"$id\""

  # No answer: the deadline ends it.
  start relay node tests/extra/clients/relay.mjs "$one" GetAuthUrl hold
  code=0
  run "$language" "$address" instagram || code=$?
  stop "$pid"
  [ "$code" = 1 ] || fail "$language: its exit code after its deadline was $code"
  expect "$language" '^error: DEADLINE_\?EXCEEDED'
  [ "$(fates GetAuthUrl held)" = 1 ] || fail "$language: the call that ran out of time was sent $(fates GetAuthUrl held) times"

  AUTHURL_CA_FILE=$data/ca.crt AUTHURL_CERT_FILE=$data/client.crt AUTHURL_KEY_FILE=$data/client.key \
    run "$language" "$tls" instagram || fail "$language, with TLS"
  expect "$language" '^auth_url: https://www.instagram.com/'
  echo "$language: does what the page says ($((SECONDS - began)) s)"
done
