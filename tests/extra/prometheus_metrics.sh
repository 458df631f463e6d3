#!/usr/bin/env bash
# Prometheus's linter finds nothing in the metrics of a running server. $1: the folder of the binaries.
set -euo pipefail
promtool=$(command -v promtool || echo build/tools/prometheus/usr/bin/promtool)
[ -x "$promtool" ] || { echo "SKIPPED: there is no promtool; get it with deploy/install-packages.sh checks"; exit 77; }

folder=$(mktemp -d)
server=
# The server writes to its folder until it has ended.
trap 'kill "$server" 2>/dev/null || true; wait || true; rm -rf "$folder"' EXIT
"$1/authurl-keygen" key-ring "$folder/key-ring" >/dev/null
"$1/authurl-keygen" api-key "$folder/admin-key" >/dev/null
"$1/authurl-server" --database="$folder/authurl.db" --key_ring_file="$folder/key-ring" \
  --admin_key_file="$folder/admin-key" --listen=127.0.0.1:0 --metrics_listen=127.0.0.1:0 --drain_delay=0s \
  2>"$folder/log" &
server=$!
for _ in $(seq 100); do
  address=$(sed -nE 's/.*"event":"serving_metrics","address":"([^"]+)".*/\1/p' "$folder/log")
  [ -z "$address" ] || break
  sleep 0.1
done
[ -n "$address" ] || { cat "$folder/log"; echo "FAILED: the server did not start"; exit 1; }

# No curl is needed: one request, one reply.
exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
printf 'GET /metrics HTTP/1.1\r\n\r\n' >&3
sed '1,/^\r$/d' <&3 >"$folder/metrics"
"$promtool" check metrics <"$folder/metrics"
echo "$(grep -c '^# TYPE' "$folder/metrics") metrics"

# The build in the metrics is the one that --version prints.
version=$("$1/authurl-server" --version)
build=$(sed -nE 's/^authurl_build_info\{(.*)\} 1$/\1/p' "$folder/metrics")
[[ $version =~ ^authurl-server\ ([0-9.]+)(\ \((.*)\))?$ ]] || { echo "FAILED: --version says $version"; exit 1; }
want="version=\"${BASH_REMATCH[1]}\""
[ -z "${BASH_REMATCH[3]}" ] || want="$want,revision=\"${BASH_REMATCH[3]}\""
[ "$build" = "$want" ] || { echo "FAILED: authurl_build_info has $build and not $want"; exit 1; }
