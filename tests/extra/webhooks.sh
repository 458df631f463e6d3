#!/usr/bin/env bash
# What the server delivers to a webhook is verified by the published libraries of Standard Webhooks, of npm and of PyPI:
# a test event and events, before, while and after the secret is replaced. Only their installation needs a network.
# $1: the folder of the built programs.
set -euo pipefail
for tool in node npm python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
bin=$1
sources=tests/extra/webhooks
# Beside what npm installs, or imports would not be found.
tools=build/tools/webhooks
mkdir -p "$tools"
cp "$sources"/{package.json,package-lock.json,receiver.mjs,requirements.txt,verify.py} "$tools"
output=$(npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$tools" 2>&1) ||
  { echo "SKIPPED: npm's library can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
[ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python" 2>/dev/null ||
  { echo "SKIPPED: python3 has no venv"; exit 77; }
output=$("$tools/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps \
  -r "$tools/requirements.txt" 2>&1) ||
  { echo "SKIPPED: PyPI's library can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }

# shellcheck source=tests/support/background.sh
. tests/support/background.sh
# member NAME: of the JSON on the input, with dots between names.
member() { python3 -c 'import functools, json, sys
print(functools.reduce(lambda node, name: node[name], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }
# call KEY METHOD JSON: the reply.
call() { "$bin/authurl-call" -plaintext -H "authorization: Bearer $1" -d "$3" "$server" "authurl.v1.$2"; }
# As many deliveries have been taken.
wait_for() {
  local waited
  for ((waited = 0; waited < 300; ++waited)); do
    [ "$(wc -l <"$data/taken")" -lt "$1" ] || return 0
    sleep 0.1
  done
  fail "only $(wc -l <"$data/taken") of $1 deliveries came"
}
# A person who refuses: an event without any network.
refuse() {
  local state
  state=$(call "$key" AuthUrlService/GetAuthUrl '{"network":"x","redirect_uri":"https://app.example.com/cb"}' |
    member auth_url | sed -E 's/.*[?&]state=([^&]*).*/\1/')
  call "$key" SocialAccountService/CompleteAuth \
    "{\"response\":\"https://app.example.com/cb?error=access_denied&state=$state\"}" >/dev/null 2>&1 || true
}

touch "$data/taken" "$data/secrets"
start receiver node "$tools/receiver.mjs" "$data/secrets" "$data/taken"
url=http://$address/hook
"$bin/authurl-keygen" key-ring "$data/key-ring" >/dev/null
"$bin/authurl-keygen" api-key "$data/admin-key" >/dev/null
start server "$bin/authurl-server" --listen=127.0.0.1:0 --database="$data/authurl.db" --key_ring_file="$data/key-ring" \
  --admin_key_file="$data/admin-key" --allow_local_instances --drain_delay=0s
server=$address
admin=$(<"$data/admin-key")
call "$admin" OrganizationService/CreateOrganization '{"org_id":"acme"}' >/dev/null
key=$(call "$admin" OrganizationService/CreateApiKey '{"org_id":"acme","role":"ROLE_ORG"}' | member key)
call "$key" SocialNetworkService/CreateSocialNetwork \
  '{"network":"x","client_key":"client","client_secret":"secret"}' >/dev/null

created=$(call "$key" WebhookService/CreateWebhook "{\"url\":\"$url\"}")
id=$(member webhook.id <<<"$created")
member secret <<<"$created" >>"$data/secrets"
tested=$(call "$key" WebhookService/TestWebhook "{\"id\":\"$id\"}")
[ "$(member delivered <<<"$tested")" = True ] || fail "the test event was refused: $tested"
refuse
wait_for 2
# The receiver asks for the new one at once; by the old one it is good as well.
call "$key" WebhookService/RotateWebhookSecret "{\"id\":\"$id\",\"overlap\":\"3600s\"}" | member secret \
  >>"$data/secrets"
refuse
wait_for 3
# Without an overlap the old one is no longer good. A test shall not be signed by the one that nobody has written down.
rotated=$(call "$key" WebhookService/RotateWebhookSecret "{\"id\":\"$id\",\"overlap\":\"0s\"}" | member secret)
tested=$(call "$key" WebhookService/TestWebhook "{\"id\":\"$id\"}")
grep -q '"http_status": *400' <<<"$tested" || fail "what an unknown secret has signed was taken: $tested"
echo "$rotated" >>"$data/secrets"
call "$key" WebhookService/TestWebhook "{\"id\":\"$id\"}" >/dev/null
wait_for 4
"$tools/python/bin/python" "$tools/verify.py" "$data/secrets" "$data/taken"
