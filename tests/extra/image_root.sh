#!/usr/bin/env bash
# The container image's root folder holds all that the programs need: they run with it as their whole file system.
# $1: the folder of the programs.
set -euo pipefail
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
enter=(chroot --userspec=65532:65532)
if [ "$(id -u)" != 0 ]; then
  unshare --map-root-user true 2>/dev/null || { echo "SKIPPED: only root can do this here"; exit 77; }
  enter=(unshare --map-root-user chroot)
fi

deploy/image-root.sh "$root" "$1/authurl-server" "$1/authurl-keygen" "$1/authurl-call"
chmod 0755 "$root"
"${enter[@]}" "$root" /usr/bin/authurl-call -help
mkdir -m 0777 "$root/data"
"${enter[@]}" "$root" /usr/bin/authurl-keygen key-ring /data/key-ring
# Gets as far as it can without a port: the key ring is read and the database made.
code=0
"${enter[@]}" "$root" /usr/bin/authurl-server --listen=unix:/no/such/folder --database=/data/authurl.db \
  --key_ring_file=/data/key-ring 2>&1 | tee "$root/output" || code=$?
[ "$code" = 1 ] && grep -q '^authurl-server: .*/no/such/folder' "$root/output"
