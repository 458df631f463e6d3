#!/usr/bin/env bash
# Makes what a release consists of, in build/dist:
#
#   authurl_VERSION_ARCH.deb, authurl-gateway_VERSION_ARCH.deb   for the Debian that this runs on
#   authurl-VERSION.tar.gz                                       the sources
#   authurl-gateway-VERSION-linux-ARCH                           the gateway, for any Linux
#   authurl-protos-VERSION.tar.gz                                what clients are generated from
#   SHA256SUMS                                                   of all of them
#
# VERSION is that of CMakeLists.txt where HEAD has its tag (v0.2.0); else git's name for HEAD is added. So that a release
# is what its tag says, files that differ from HEAD end this.
#
#   deploy/release.sh [--allow-dirty] [--deb-only] [--without-gateway] [--build FOLDER]
#
#   --allow-dirty      go on; the version says "dirty", the source tarball has HEAD
#   --deb-only         only the packages: for another Debian, from the unpacked source tarball there. Needs no git
#   --without-gateway  where there is no Go
#   --build FOLDER     a folder that is configured and built already; by default build/release, which is built
#
# Needs what `deploy/install-packages.sh build` installs, Go for the gateway, and file and dpkg-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
  echo "release: $*" >&2
  exit 1
}

allow_dirty="" deb_only="" gateway=yes build=""
while [ $# -gt 0 ]; do
  case $1 in
    --allow-dirty) allow_dirty=yes ;;
    --deb-only) deb_only=yes ;;
    --without-gateway) gateway= ;;
    -h | --help)
      sed -n '2,/^set -/s/^# \{0,1\}//p' deploy/release.sh
      exit
      ;;
    --build) [ $# -ge 2 ] || fail "--build needs a folder"; build=$2; shift ;;
    *) fail "$1 is not known: --allow-dirty, --deb-only, --without-gateway and --build FOLDER are" ;;
  esac
  shift
done
for tool in cmake cpack dpkg-shlibdeps file gzip; do
  command -v "$tool" >/dev/null || fail "there is no $tool: apt-get install cmake dpkg-dev file gzip"
done

number=$(sed -nE 's/^project\(authurl VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)
[ -n "$number" ] || fail "CMakeLists.txt has no line project(authurl VERSION …)"
grep -q "^## $number\b" CHANGELOG.md || fail "CHANGELOG.md has no section \"## $number\": write it first"
revision=$(core/revision.sh)
case $revision in
  *-dirty) [ -n "$allow_dirty" ] || fail "files differ from HEAD: commit them, or say --allow-dirty for a trial" ;;
  '') [ -n "$deb_only" ] || fail "there is no git here: --deb-only makes the packages" ;;
esac

# As Debian orders them: 0.2.0~… comes before 0.2.0, 0.2.0+… after it.
version_of() {
  local ahead=${1#"v$number"}
  case $1 in
    '' | "v$number") echo "$number" ;;
    "v$number"-*) echo "$number+${ahead#-}" | sed 's/-/./g' ;;
    *) echo "$number~$1" | sed 's/-/./g; s/~v/~/' ;;
  esac
}
version=$(version_of "$revision")
arch=$(dpkg --print-architecture)
# shellcheck source=/dev/null
debian=$(. /etc/os-release && echo "${VERSION_ID:-}")
[ -n "$debian" ] || fail "/etc/os-release has no VERSION_ID: the packages are for Debian 12 and 13"

if [ -z "$build" ]; then
  build=build/release
  [ -f "$build/build.ninja" ] || cmake --preset release -DAUTHURL_BUILD_TESTS=OFF
  cmake --build "$build" --target authurl-server authurl-keygen authurl-call
fi
build=$(realpath "$build")
# Else a package could have other programs than its version says.
built=$("$build/bin/authurl-server" --version)
[ "$built" = "authurl-server $number${revision:+ ($revision)}" ] ||
  fail "$build has \"$built\" and not $number${revision:+ ($revision)}: build it anew"

dist=$PWD/build/dist
rm -rf "$dist"
mkdir -p "$dist"
components=server
if [ -n "$gateway" ]; then
  deploy/gateway/build.sh
  components="server;gateway"
fi
# Files in the packages have the time of the commit.
if [ -n "$revision" ] && [ -e .git ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  export SOURCE_DATE_EPOCH
fi
# CPack packs into a folder of its own, for as many as are at work.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && cpack --config "$build/CPackConfig.cmake" -B "$work" -D "CPACK_COMPONENTS_ALL=$components" \
  -D CPACK_PACKAGE_VERSION="$version" -D CPACK_DEBIAN_PACKAGE_RELEASE="1~deb$debian" >"$work/log" 2>&1) ||
  { cat "$work/log"; fail "cpack failed, see above"; }
mv "$work"/*.deb "$dist"

if [ -z "$deb_only" ]; then
  # The tarball builds without git, and still knows its revision.
  git archive --format=tar.gz --prefix="authurl-$version/" --add-virtual-file="authurl-$version/REVISION:${revision%-dirty}" \
    -o "$dist/authurl-$version.tar.gz" HEAD
  [ -z "$gateway" ] || install -m 0755 build/gateway/authurl-gateway "$dist/authurl-gateway-$version-linux-$arch"
  deploy/proto-bundle.sh "$dist/authurl-protos-$version.tar.gz" >"$work/log"
fi
(cd "$dist" && sha256sum -- * >SHA256SUMS)
echo "build/dist has version $version:"
cut -c 67- "$dist/SHA256SUMS"
