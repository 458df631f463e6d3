#!/usr/bin/env bash
# New systems of Debian, each in a folder, for the tests that run commands in one; read with `.` from the root of the
# repository. Needs root (debian_root.sh).
#
#   use_debian NUMBER    12 or 13; ends the test as skipped where there can be none
#   new_root             a new system in the folder $root, in place of the one before
#   run_in_root COMMAND  runs it there, in /authurl; its output is in $root/log, and where it fails, the test does
#   check_packages FOLDER
# shellcheck source=tests/support/debian_root.sh
. tests/support/debian_root.sh
export root=
discard_root() {
  end_namespace
  [ -z "$root" ] || rm -rf --one-file-system "$root"
  root=
}
trap discard_root EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

use_debian() {
  debian_number=$1
  case $debian_number in
    12) suite=bookworm ;;
    13) suite=trixie ;;
  esac
  debian_work=$PWD/build/debian$debian_number
  mkdir -p "$debian_work"
}

new_root() {
  local old
  discard_root
  # A root folder is locked while it is used: others are left from a run that was killed. One at a time looks for these.
  exec 8>"$debian_work/lock"
  flock 8
  for old in "$debian_work"/root.*; do
    [ ! -d "$old" ] || flock --nonblock "$old" rm -rf --one-file-system "$old" || true
  done
  root=$(mktemp -d "$debian_work/root.XXXXXX")
  exec 9<"$root"
  flock 9
  make_debian "$root"
  # mktemp's folders are for one user; a root folder is for all.
  chmod 0755 "$root"
  # What is lost with a crash may be: no waiting for the disk.
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  mkdir "$root/authurl"
}

# In the namespace.
inside() {
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t proc proc "$root/proc"
  chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -euo pipefail -c "cd /authurl && $1"
}
export -f inside

run_in_root() {
  local code=0 began=$SECONDS name=${1%% *} log
  log=$debian_work/${name//\//_}.log
  in_namespace inside "$1" >"$root/log" 2>&1 || code=$?
  # ctest would cut a long output in the middle.
  cp "$root/log" "$log"
  if [ "$code" != 0 ]; then
    tail -n 300 "$log"
    echo "FAILED: on Debian $debian_number the exit code of $1 is $code; its whole output is in $log"
    exit 1
  fi
  echo "$1: $((SECONDS - began)) s"
}

# Installs the packages of the folder $1 in a new system, upgrades, uses and removes them there.
check_packages() {
  new_root
  cp "$1"/*.deb tests/support/check_packages.sh tests/support/stand_in.sh "$root/authurl"
  run_in_root ./check_packages.sh
  sed -n 's/^== //p' "$root/log"
}
