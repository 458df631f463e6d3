#!/usr/bin/env bash
# systemd understands the unit and rates its sandbox as tight.
set -euo pipefail
command -v systemd-analyze >/dev/null || { echo "SKIPPED: there is no systemd-analyze"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed 's#^ExecStart=/usr/bin/authurl-server#ExecStart=/bin/true#' deploy/authurl.service >"$folder/authurl.service"
systemd-analyze verify --man=no "$folder/authurl.service"
systemd-analyze security --offline=yes --threshold=15 --no-pager "$folder/authurl.service" | tail -n 1
