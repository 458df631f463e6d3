#!/usr/bin/env bash
# deploy/release.sh makes a whole release of what is built. On Debian 12 its packages install, start, upgrade and purge in a
# new system, and there the commands of the operator's manual work word for word. (Debian 13's packages: extra.debian13.)
# $1: the folder of the build.
set -euo pipefail
# shellcheck source=tests/support/fresh_debian.sh
. tests/support/fresh_debian.sh
command -v go >/dev/null || skip "there is no Go to build the gateway with"
command -v lintian >/dev/null || skip "there is no lintian; get it with deploy/install-packages.sh checks"
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_ID:-}")
[ "$here" = 12 ] || skip "this is not Debian 12, whose packages this is about"
use_debian 12
fail() {
  echo "FAILED: $*"
  exit 1
}

# A release is not made of programs of another commit.
cmake --build "$1" --target authurl-server authurl-keygen authurl-call >/dev/null
deploy/release.sh --allow-dirty --build "$1"
cd build/dist
sha256sum --check --quiet SHA256SUMS
files=(authurl_*.deb authurl-gateway_*.deb authurl-[0-9]*.tar.gz authurl-gateway-*-linux-*)
[ ! -x ../../deploy/proto-bundle.sh ] || files+=(authurl-protos-*.tar.gz)
for file in "${files[@]}"; do
  [ -s "$file" ] || fail "the release lacks $file"
done
lintian --fail-on error ./*.deb
tarball=$(echo authurl-[0-9]*.tar.gz)
cd ../..

# The sources of the tarball know what they are, without git.
folder=$(mktemp -d)
tar -C "$folder" -xf "build/dist/$tarball"
revision=$(core/revision.sh)
[ "$(cd "$folder"/authurl-* && core/revision.sh)" = "${revision%-dirty}" ] || fail "the tarball does not know its revision"
rm -rf "$folder"

# Without --allow-dirty, a file that differs from HEAD is one too many.
if [[ $revision == *-dirty ]] && deploy/release.sh --build "$1" >/dev/null 2>&1; then
  fail "files differ from HEAD, and release.sh made a release of them"
fi
check_packages build/dist

new_root
mkdir "$root/authurl/manual"
for page in deploy/README.md deploy/manual/{secrets,incidents,certificates,backup}.md; do
  tests/support/marked_commands.sh tests/extra/package.sh ' ' "$page" >"$root/authurl/manual/$(basename "$page")"
done
cp build/dist/*.deb tests/support/check_manual.sh tests/support/stand_in.sh "$root/authurl"
run_in_root ./check_manual.sh
sed -n 's/^== //p' "$root/log"

# Every alert has a row in the manual.
sed -n 's/^ *- alert: //p' deploy/prometheus/*_alerts.yaml | while read -r alert; do
  grep -qE "^\\|.*\\b$alert\\b.*\\|.*\\|$" deploy/manual/incidents.md || fail "deploy/manual/incidents.md does not say what to do for $alert"
done
