#!/usr/bin/env bash
# A new Debian 13 runs the quickstart as README.md promises it, from nothing but the base system. Needs root:
# debootstrap makes that system in a folder, with the Debian mirror that this machine's apt uses. It is made once and
# kept in build/debian13/base.tar. Arguments: more commands to run there, such as tests/run.sh.
#
# What is mounted is mounted in a namespace of its own, which ends with its processes, and these end with this script,
# even with kill -9. So what is deleted afterwards has no mounts in it.
set -euo pipefail
suite=trixie
skip() {
  echo "SKIPPED: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can make a root folder of Debian 13"
command -v debootstrap >/dev/null || skip "there is no debootstrap"
unshare --mount --pid --fork true 2>/dev/null || skip "this machine gives no namespace for mounts"

work=$PWD/build/debian13
mkdir -p "$work"
export root=
pid=
clean_up() {
  # The namespace's first process takes all others with it, and unshare waits for that.
  while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do
    xargs -r kill -KILL 2>/dev/null <"/proc/$pid/task/$pid/children" || true
    sleep 0.1
  done
  [ -z "$root" ] || rm -rf --one-file-system "$root"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

in_namespace() {
  local code=0
  setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child bash -euo pipefail -c '"$@"' bash "$@" &
  pid=$!
  wait "$pid" || code=$?
  pid=
  return "$code"
}

# One at a time makes the base system. A root folder is locked while it is used: others are left from a run that was
# killed.
exec 8>"$work/lock"
flock 8
for old in "$work"/root.*; do
  [ ! -d "$old" ] || flock --nonblock "$old" rm -rf --one-file-system "$old" || true
done
root=$(mktemp -d "$work/root.XXXXXX")
exec 9<"$root"
flock 9

# Lines of a suite and where this machine's apt gets it, such as "bookworm-security http://…".
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016 # apt-get itself expands it
sources=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' \
  'Component: main' | sort -u | sed -nE "s/^$here(-updates|-security)? /$suite\1 /p")
mirror=$(sed -n "s/^$suite //p" <<<"$sources" | head -n 1)
[ -n "$mirror" ] || skip "apt has no mirror of Debian here"

if [ -f "$work/base.tar" ]; then
  tar -C "$root" -xf "$work/base.tar"
else
  if ! in_namespace debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" \
    >"$work/debootstrap.log" 2>&1; then
    tail -n 5 "$work/debootstrap.log"
    skip "debootstrap can't make a root folder of Debian 13; its output is in $work/debootstrap.log"
  fi
  rm -f "$root"/var/cache/apt/archives/*.deb
  tar -C "$root" -cf "$work/base.tar.new" .
  mv "$work/base.tar.new" "$work/base.tar"
fi
exec 8>&-

# The machine's way into the network is the root's: names, authorities, mirrors, proxies.
cp -L /etc/resolv.conf /etc/hosts "$root/etc"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs"; fi
sed -E 's/^([^ ]+) (.*)$/deb \2 \1 main/' <<<"$sources" >"$root/etc/apt/sources.list"
{
  apt-config dump | grep -E '^Acquire::(http|https)::' || true
  [ -z "${http_proxy:-}" ] || echo "Acquire::http::Proxy \"$http_proxy\";"
  [ -z "${https_proxy:-}" ] || echo "Acquire::https::Proxy \"$https_proxy\";"
} >"$root/etc/apt/apt.conf.d/99machine"
mkdir "$root/authurl"
tar --exclude=./build --exclude=./.git --exclude=./deploy/gateway/gen -c . | tar -C "$root/authurl" -x

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
  log=$work/${name//\//_}.log
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
