#!/usr/bin/env bash
# Puts together the two folders that the container image is copied from.
#
#   deploy/image-root.sh FOLDER PROGRAM...
#
# FOLDER/root is its root folder: the given programs, the shared libraries they load, the authorities whose certificates
# are trusted, a user without rights, and nothing else: no shell, no package manager. FOLDER/data is an empty folder, for
# those that the user may write to: apart from the root because only a folder that is copied to a new path gets an owner
# of its own.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: image-root.sh FOLDER PROGRAM..." >&2; exit 2; }
root=$1/root
mkdir -p "$root/usr/bin" "$root/etc" "$root/var/lib" "$root/run"
mkdir -m 0700 "$1/data"
shift

echo 'authurl:x:65532:65532::/var/lib/authurl:/nonexistent' >"$root/etc/passwd"
echo 'authurl:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# Whom the server trusts when it asks networks, where Debian's libcurl looks for it.
authorities=/etc/ssl/certs/ca-certificates.crt
[ -r "$authorities" ] || { echo "image-root: there is no $authorities; install ca-certificates" >&2; exit 1; }
cp -L --parents -t "$root" "$authorities"

for program in "$@"; do
  strip -o "$root/usr/bin/$(basename "$program")" "$program"
  libraries=$(ldd "$program")
  if grep 'not found' <<<"$libraries"; then
    echo "image-root: $program needs the libraries above" >&2
    exit 1
  fi
  # "libz.so.1 => /lib/libz.so.1 (0x…)" and, for the dynamic linker itself, "/lib64/ld-linux-x86-64.so.2 (0x…)".
  sed -nE 's#^[^/]*(/[^ ]+) \(0x[0-9a-f]+\)$#\1#p' <<<"$libraries" | xargs cp -L --parents -t "$root"
done
