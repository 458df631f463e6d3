#!/usr/bin/env bash
# A new Debian 13 runs the quickstart as README.md promises it, from nothing but the base system
# (tests/support/debian_root.sh). Needs root. Arguments: more commands to run there, such as tests/run.sh.
set -euo pipefail
# shellcheck source=tests/support/debian_root.sh
. tests/support/debian_root.sh

export root=
clean_up() {
  end_namespace
  [ -z "$root" ] || rm -rf --one-file-system "$root"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

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
mkdir "$root/authurl"
copy_sources "$root/authurl"

# In the namespace.
inside() {
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t proc proc "$root/proc"
  chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -euo pipefail -c "cd /authurl && $1"
}
export -f inside

run() {
  local code=0 began=$SECONDS name=${1%% *} log
  log=$debian_work/${name//\//_}.log
  in_namespace inside "$1" >"$root/log" 2>&1 || code=$?
  # ctest would cut a long output in the middle.
  cp "$root/log" "$log"
  if [ "$code" != 0 ]; then
    tail -n 300 "$log"
    echo "FAILED: on Debian 13 the exit code of $1 is $code; its whole output is in $log"
    exit 1
  fi
  echo "$1: $((SECONDS - began)) s"
}

run 'deploy/quickstart.sh --no-wait --listen=127.0.0.1:0'
grep '^  https://www.instagram.com/' "$root/log" || { cat "$root/log"; echo "FAILED: no authorization URL"; exit 1; }
for command in "$@"; do run "$command"; done
