#!/usr/bin/env bash
# The console in Chromium, by keyboard alone: from the sign-in to an account that is connected through a provider on this
# machine (deploy/demo), looked after, and disconnected. Every page is looked at by axe-core, dark and light, narrow and
# wide; every request, cookie and complaint of the browser, too. About a minute.
# $1: the folder of the built programs; $2: a folder for pictures of all pages, none by default.
set -euo pipefail
for tool in node npm go; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
chromium=$(command -v chromium) || { echo "SKIPPED: there is no chromium"; exit 77; }
bin=$1
pictures=${2:-}
sources=tests/extra/console
# Beside what npm installs, or imports would not be found.
tools=build/tools/console
mkdir -p "$tools"
cp "$sources"/{package.json,package-lock.json,check.mjs,keyboard.mjs} tests/extra/react_components/pages.mjs "$tools"
output=$(npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$tools" 2>&1) ||
  { echo "SKIPPED: axe-core can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
output=$(deploy/demo/install.sh 2>&1) ||
  { echo "SKIPPED: the provider can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
deploy/gateway/build.sh

# shellcheck source=tests/support/background.sh
. tests/support/background.sh

read -r gateway_port site_port pages_port < <(free_ports 3)
url=http://127.0.0.1:$gateway_port

node -p 'require("crypto").randomBytes(24).toString("base64url")' >"$data/client-secret"
start provider node build/demo/provider.mjs --client_id=authurl-demo --client_secret_file="$data/client-secret" \
  --redirect_uri="$url/v1/social-networks/demo/callback" --redirect_uri="$url/v1/social-networks/facebook/callback"
issuer=http://$address
# Two networks: in the one a person is connected, in the other the pages that the person chooses.
sed -e "s#ISSUER#$issuer#g" -e "s#PAGES#http://127.0.0.1:$pages_port/pages#" deploy/demo/network.textproto \
  tests/extra/react_components/network.textproto >"$data/networks.textproto"
"$bin/authurl-keygen" key-ring "$data/key-ring" >/dev/null
"$bin/authurl-keygen" api-key "$data/admin-key" >/dev/null
(umask 077 && head -c 32 /dev/urandom >"$data/console-key")
start server "$bin/authurl-server" --listen=127.0.0.1:0 --database="$data/authurl.db" --key_ring_file="$data/key-ring" \
  --admin_key_file="$data/admin-key" --networks_file="$data/networks.textproto" --allow_local_instances \
  --public_base_url="$url" --drain_delay=0s
start gateway build/gateway/authurl-gateway --listen="127.0.0.1:$gateway_port" --upstream="$address" \
  --console_key_file="$data/console-key" --drain_delay=0s

# What Chromium leaves in home and temporary folders goes with them. In the background, so that a signal is heeded at
# once.
mkdir "$data/home" "$data/tmp"
HOME=$data/home TMPDIR=$data/tmp timeout 300 node "$tools/check.mjs" --gateway="$url" --issuer="$issuer" \
  --admin_key_file="$data/admin-key" --client_secret_file="$data/client-secret" --site_port="$site_port" \
  --pages_port="$pages_port" --chromium="$chromium" --pictures="$pictures" &
pids=("$!" "${pids[@]}")
wait "$!" || fail "check.mjs ended with $?"
