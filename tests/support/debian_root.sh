#!/usr/bin/env bash
# Sourced by the tests that need a new Debian: a root folder of nothing but the base system, which debootstrap makes with
# the Debian mirror that this machine's apt uses. It is made once and kept in build/debian13/base.tar.
#
# What is mounted is mounted in a namespace of its own, which ends with its processes, and these end with the script,
# even with kill -9. So what is deleted afterwards has no mounts in it. `debian_work` is the folder for what is kept.
suite=trixie
skip() {
  echo "SKIPPED: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can make a root folder of Debian 13"
command -v debootstrap >/dev/null || skip "there is no debootstrap"
unshare --mount --pid --fork true 2>/dev/null || skip "this machine gives no namespace for mounts"

debian_work=$PWD/build/debian13
mkdir -p "$debian_work"

namespace_pid=
# For a trap: ends what in_namespace runs. The namespace's first process takes all others with it, and unshare waits for
# that.
end_namespace() {
  while [ -n "$namespace_pid" ] && kill -0 "$namespace_pid" 2>/dev/null; do
    xargs -r kill -KILL 2>/dev/null <"/proc/$namespace_pid/task/$namespace_pid/children" || true
    sleep 0.1
  done
}
in_namespace() {
  local code=0
  setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child bash -euo pipefail -c '"$@"' bash "$@" &
  namespace_pid=$!
  wait "$namespace_pid" || code=$?
  namespace_pid=
  return "$code"
}

# Lines of a suite and where this machine's apt gets it, such as "trixie-security http://…".
debian_sources() {
  local here
  # shellcheck source=/dev/null
  here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # apt-get itself expands it
  apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    sort -u | sed -nE "s/^$here(-updates|-security)? /$suite\1 /p"
}

# make_debian ROOT: unpacks the base system into an empty folder. One at a time makes it. The folder has this machine's
# way into the network: names, authorities, mirrors, proxies.
make_debian() {
  local root=$1 sources mirror
  sources=$(debian_sources)
  mirror=$(sed -n "s/^$suite //p" <<<"$sources" | head -n 1)
  [ -n "$mirror" ] || skip "apt has no mirror of Debian here"
  exec 8>"$debian_work/lock"
  flock 8
  if [ -f "$debian_work/base.tar" ]; then
    tar -C "$root" -xf "$debian_work/base.tar"
  else
    if ! in_namespace debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" \
      >"$debian_work/debootstrap.log" 2>&1; then
      tail -n 5 "$debian_work/debootstrap.log"
      skip "debootstrap can't make a root folder of Debian 13; its output is in $debian_work/debootstrap.log"
    fi
    rm -f "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" -cf "$debian_work/base.tar.new" .
    mv "$debian_work/base.tar.new" "$debian_work/base.tar"
  fi
  exec 8>&-

  cp -L /etc/resolv.conf /etc/hosts "$root/etc"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs"; fi
  sed -E 's/^([^ ]+) (.*)$/deb \2 \1 main/' <<<"$sources" >"$root/etc/apt/sources.list"
  {
    apt-config dump | grep -E '^Acquire::(http|https)::' || true
    [ -z "${http_proxy:-}" ] || echo "Acquire::http::Proxy \"$http_proxy\";"
    [ -z "${https_proxy:-}" ] || echo "Acquire::https::Proxy \"$https_proxy\";"
  } >"$root/etc/apt/apt.conf.d/99machine"
}

# copy_sources FOLDER: what is checked out here, without what was built.
copy_sources() {
  tar --exclude=./build --exclude=./.git --exclude=./deploy/gateway/gen -c . | tar -C "$1" -x
}
