#!/usr/bin/env bash
# Installs the Debian 12 packages that authurl needs, those that are missing only. The one place that lists them.
#
#   deploy/install-packages.sh build           to build the server and its tools
#   deploy/install-packages.sh build tests     to build and run the tests too
#   deploy/install-packages.sh gateway         to build the REST gateway, with Go
#   deploy/install-packages.sh checks          for tests/run.sh --all
set -euo pipefail

build=(
  cmake
  g++
  golang-github-gogo-googleapis-dev # google/rpc/*.proto; its Go code is not used
  libabsl-dev
  libboost-url1.81-dev
  libgrpc++-dev
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
  protobuf-compiler
  protobuf-compiler-grpc
)
tests=(
  libgmock-dev
  libgtest-dev
  openssl
)
gateway=(
  golang-github-gogo-googleapis-dev # google/rpc/*.proto
  libprotobuf-dev
  protobuf-compiler
)
checks=(
  clang-14
  clang-format-14
  clang-tidy-14
  libclang-rt-14-dev
  nodejs
  python3-venv
  shellcheck
)

fail() {
  echo "install-packages: $*" >&2
  exit 1
}

wanted=()
for list in "$@"; do
  case $list in
    build) wanted+=("${build[@]}") ;;
    tests) wanted+=("${tests[@]}") ;;
    gateway) wanted+=("${gateway[@]}") ;;
    checks) wanted+=("${checks[@]}") ;;
    *) fail "there is no list named \"$list\"; use build, tests, gateway or checks" ;;
  esac
done
[ ${#wanted[@]} -gt 0 ] || fail "name at least one list: build, tests, gateway or checks"

command -v apt-get >/dev/null || fail "this needs Debian 12 (bookworm): there is no apt-get here"

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "packages are missing and need root to install. Run this as root, or have it done:
  apt-get install --no-install-recommends ${missing[*]}"
  as_root=(sudo)
fi

echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp)
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
}
# A package source that can't be reached need not matter: whether the packages can be had decides.
apt update || true
if ! apt install --no-install-recommends "${missing[@]}"; then
  tail -n 15 "$log" >&2
  fail "apt-get could not install them (they are those of Debian 12); its whole output is in $log"
fi
rm -f "$log"
