#!/usr/bin/env bash
# The container image's root folder holds all that the programs need: they run with it as their whole file system, as
# the image's user. $1: the folder of the programs.
set -euo pipefail
root=$(mktemp -d)
pid=
clean_up() {
  [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } || true
  rm -rf "$root"
}
trap clean_up EXIT

inside=(chroot --userspec=65532:65532 "$root")
if [ "$(id -u)" != 0 ]; then
  unshare --map-root-user true 2>/dev/null || { echo "SKIPPED: only root can change the root folder here"; exit 77; }
  inside=(unshare --map-root-user chroot "$root")
fi
deploy/image-root.sh "$root" "$1/authurl-server" "$1/authurl-keygen" "$1/authurl-call"
chmod 0755 "$root"
mkdir -m 0777 "$root/data"

"${inside[@]}" /usr/bin/authurl-keygen key-ring /data/key-ring
"${inside[@]}" /usr/bin/authurl-keygen api-key /data/admin-key
: >"$root/log"
"${inside[@]}" /usr/bin/authurl-server --listen=unix:/data/socket --database=/data/authurl.db \
  --key_ring_file=/data/key-ring --admin_key_file=/data/admin-key 2>>"$root/log" &
pid=$!
for ((waited = 0; waited < 300; ++waited)); do
  if grep -q '"event":"serving"' "$root/log"; then break; fi
  kill -0 "$pid" || { cat "$root/log"; exit 1; }
  sleep 0.1
done
"${inside[@]}" /usr/bin/authurl-call -plaintext unix:/data/socket grpc.health.v1.Health/Check | tee "$root/health"
grep -q '"SERVING"' "$root/health"
kill -TERM "$pid"
wait "$pid"
pid=
