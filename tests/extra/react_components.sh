#!/usr/bin/env bash
# Outstand's published React components work with the gateway when their base URL is changed and a tenant token is
# their key: in Chromium, from the connect button by a provider on this machine (deploy/demo) and the choice of pages to
# the list of accounts, and out of it again. With an API key in a page the browser refuses.
# $1: the folder of the built programs.
set -euo pipefail
for tool in node npm go; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
chromium=$(command -v chromium) || { echo "SKIPPED: there is no chromium"; exit 77; }
bin=$1
sources=tests/extra/react_components
# Beside what npm installs, or imports would not be found.
tools=build/tools/react_components
mkdir -p "$tools"
cp "$sources"/{package.json,package-lock.json,app.jsx,check.mjs,pages.mjs,site.mjs} "$tools"
output=$(npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$tools" 2>&1) ||
  { echo "SKIPPED: the components can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
output=$(deploy/demo/install.sh 2>&1) ||
  { echo "SKIPPED: the provider can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
deploy/gateway/build.sh
"$tools/node_modules/.bin/esbuild" "$tools/app.jsx" --bundle --format=esm --target=es2022 --jsx=automatic \
  --define:process.env.NODE_ENV='"production"' --log-level=warning --outfile="$tools/app.js"

# shellcheck source=tests/support/background.sh
. tests/support/background.sh

read -r gateway_port site_port pages_port < <(free_ports 3)
url=http://127.0.0.1:$gateway_port

node -p 'require("crypto").randomBytes(24).toString("base64url")' >"$data/client-secret"
start provider node build/demo/provider.mjs --client_id=authurl-demo --client_secret_file="$data/client-secret" \
  --redirect_uri="$url/v1/social-networks/facebook/callback"
issuer=http://$address
sed -e "s#ISSUER#$issuer#g" -e "s#PAGES#http://127.0.0.1:$pages_port/pages#" "$sources/network.textproto" \
  >"$data/networks.textproto"
"$bin/authurl-keygen" key-ring "$data/key-ring" >/dev/null
"$bin/authurl-keygen" api-key "$data/admin-key" >/dev/null
start server "$bin/authurl-server" --listen=127.0.0.1:0 --database="$data/authurl.db" --key_ring_file="$data/key-ring" \
  --admin_key_file="$data/admin-key" --networks_file="$data/networks.textproto" --allow_local_instances \
  --public_base_url="$url" --drain_delay=0s
start gateway build/gateway/authurl-gateway --listen="127.0.0.1:$gateway_port" --upstream="$address" \
  --cors_origins="http://localhost:$site_port" --drain_delay=0s

# What Chromium leaves in home and temporary folders goes with them. In the background, so that a signal is heeded at
# once.
mkdir "$data/home" "$data/tmp"
HOME=$data/home TMPDIR=$data/tmp timeout 300 node "$tools/check.mjs" --gateway="$url" --issuer="$issuer" \
  --admin_key_file="$data/admin-key" --client_secret_file="$data/client-secret" --site_port="$site_port" \
  --pages_port="$pages_port" --app="$tools/app.js" --chromium="$chromium" &
pids=("$!" "${pids[@]}")
wait "$!" || fail "check.mjs ended with $?"
