#!/usr/bin/env bash
# Installs the Debian packages that authurl needs, those that are missing only. The one place that lists them. Debian 12
# and 13 have all of them; each gives its own default version.
#
#   deploy/install-packages.sh build           to build the server and its tools
#   deploy/install-packages.sh build tests     to build and run the tests too
#   deploy/install-packages.sh bench           to build the benchmarks, besides the tests
#   deploy/install-packages.sh gateway         to build the REST gateway, with Go
#   deploy/install-packages.sh checks          for tests/run.sh --all
set -euo pipefail

build=(
  ca-certificates # whom the server trusts when it asks networks
  cmake
  g++
  golang-github-gogo-googleapis-dev # google/rpc/*.proto; its Go code is not used
  libabsl-dev
  libboost-url-dev # or the newest with a version in its name: Debian 12 has no other
  libcurl4-openssl-dev
  libgrpc++-dev
  libidn2-dev
  libprotobuf-dev
  libre2-dev
  libsodium-dev
  libspdlog-dev
  libsqlite3-dev
  libsqlitecpp-dev
  libssl-dev
  ninja-build
  nlohmann-json3-dev
  pkg-config
  prometheus-cpp-dev
  protobuf-compiler
  protobuf-compiler-grpc
)
tests=(
  libgmock-dev
  libgtest-dev
  openssl
)
bench=(
  libbenchmark-dev
)
gateway=(
  golang-github-gogo-googleapis-dev # google/rpc/*.proto
  libprotobuf-dev
  protobuf-compiler
)
checks=(
  chromium
  clang
  clang-format
  clang-tidy
  debootstrap
  default-jdk-headless # with Maven: the client in Java
  docker-compose
  dpkg-dev # with file and lintian, to make and check Debian packages
  file
  iproute2
  iptables # of dockerd, for the network of its containers
  libclang-rt-dev
  libdevmapper1.02.1 # of dockerd
  libseccomp2        # of runc
  lintian
  maven
  nodejs
  python3-venv
  shellcheck
  sqlite3 # for the commands of the operator's manual
)
# Unpacked into build/tools only: installed, they would start a service of their own.
unpacked_checks=(
  containerd # of dockerd
  docker.io
  nginx      # in front of the gateway, as in production
  prometheus # promtool
  runc       # of dockerd
)

fail() {
  echo "install-packages: $*" >&2
  exit 1
}

wanted=() unpacked=()
for list in "$@"; do
  case $list in
    build) wanted+=("${build[@]}") ;;
    tests) wanted+=("${tests[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    gateway) wanted+=("${gateway[@]}") ;;
    checks) wanted+=("${checks[@]}") unpacked+=("${unpacked_checks[@]}") ;;
    *) fail "there is no list named \"$list\"; use build, tests, bench, gateway or checks" ;;
  esac
done
[ ${#wanted[@]} -gt 0 ] || fail "name at least one list: build, tests, bench, gateway or checks"

command -v apt-get >/dev/null || fail "this needs Debian 12 or 13: there is no apt-get here"

installed() {
  dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p'
}
# The name that the package $1 has in this distribution, as far as apt knows.
name_here() {
  local versions
  if [ "$1" = libboost-url-dev ] && [ -z "$(apt-cache pkgnames "$1")" ]; then
    versions=$(apt-cache pkgnames libboost-url | grep -xE 'libboost-url[0-9.]+-dev' | sort -V) || true
    [ -z "$versions" ] || set -- "${versions##*$'\n'}"
  fi
  echo "$1"
}

tools=$(dirname "$0")/../build/tools
missing=() packed=()
for package in "${wanted[@]}"; do
  names=("$package")
  [ "$package" != libboost-url-dev ] || names+=('libboost-url[0-9]*-dev')
  [ -n "$(installed "${names[@]}")" ] || missing+=("$package")
done
for package in "${unpacked[@]}"; do
  [ -d "$tools/$package" ] || packed+=("$package")
done
[ ${#missing[@]} -gt 0 ] || [ ${#packed[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  elif [ ${#missing[@]} -gt 0 ]; then
    for i in "${!missing[@]}"; do missing[i]=$(name_here "${missing[i]}"); done
    fail "packages are missing and need root to install. Run this as root, or have it done:
  apt-get update
  apt-get install --no-install-recommends ${missing[*]}"
  fi
fi

log=$(mktemp)
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
}
give_up() {
  tail -n 15 "$log" >&2
  fail "apt-get could not get them (they are those of Debian 12 and 13); its whole output is in $log"
}
# A package source that can't be reached need not matter: whether the packages can be had decides.
apt update || true
for i in "${!missing[@]}"; do missing[i]=$(name_here "${missing[i]}"); done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
  apt install --no-install-recommends "${missing[@]}" || give_up
fi
for package in "${packed[@]}"; do
  echo "unpacking the Debian package $package into build/tools"
  mkdir -p "$tools"
  folder=$(mktemp -d "$tools/$package.XXXXXX")
  (cd "$folder" && apt-get -q download "$package" >>"$log" 2>&1) || give_up
  dpkg-deb --extract "$folder"/*.deb "$folder/root"
  mv "$folder/root" "$tools/$package"
  rm -rf "$folder"
done
rm -f "$log"
