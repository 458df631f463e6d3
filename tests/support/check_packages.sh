#!/usr/bin/env bash
# The Debian packages in this script's folder do what deploy/package/README.md says of them, in this system, which is new
# and nobody's: it is installed and purged here. fresh_debian.sh runs it. "authurl" must be there, "authurl-gateway" may.
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive
fail() {
  echo "FAILED: $*"
  exit 1
}
new=$(echo authurl_*.deb)
gateway=$(echo authurl-gateway_*.deb)
[ -f "$new" ] || fail "there is no package authurl here"
[ -f "$gateway" ] || gateway=

# What is needed of Debian is fetched first: the rest has a network of its own, where every port is free.
if [ "${1:-}" != apart ]; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends --download-only ./*.deb
  exec unshare --net "$0" apart
fi
# SIOCSIFFLAGS, which brings the loopback device up: there is no other tool for it here.
perl -e '$up = pack("a16 s x14", "lo", 1); socket(S, 2, 2, 0) && ioctl(S, 0x8914, $up) or die "no loopback: $!"'

# older DEB: the same under a version that is older than any.
mkdir old
older() {
  dpkg-deb --raw-extract "$1" old/root
  sed -i 's/^Version: .*/Version: 0.0.1-1/' old/root/DEBIAN/control
  dpkg-deb -Znone --build --root-owner-group old/root "old/$1" >/dev/null
  rm -rf old/root
}
install_debs() { apt-get install -y -q --no-install-recommends "$@" </dev/null; }
version_of() { dpkg-query --show --showformat='${Version}' "$1"; }
# expect_file MODE OWNER PATH
expect_file() {
  [ "$(stat -c '%a %U:%G' "$3")" = "$1 $2" ] || fail "$3 is $(stat -c '%a %U:%G' "$3") and not $1 $2"
}
enabled() { [ -L "/etc/systemd/system/multi-user.target.wants/$1.service" ]; }

start() { ./stand_in.sh start "$1"; }
stop() { ./stand_in.sh stop "$1"; }
call() {
  local key=$1 request=$2 method=$3
  authurl-call -plaintext -H "authorization: Bearer $key" -d "$request" 127.0.0.1:50051 "authurl.v1.$method"
}
member() { sed -nE "s/^ *\"$1\": \"([^\"]*)\".*/\1/p" <<<"$2"; }
auth_url() { member auth_url "$(call "$1" '{"network":"x"}' AuthUrlService/GetAuthUrl)"; }

echo "== installing the older version"
older "$new"
install_debs "./old/$new"
[ "$(version_of authurl)" = 0.0.1-1 ] || fail "version $(version_of authurl) is installed"
for program in server keygen call; do
  "authurl-$program" --version
  if ldd "/usr/bin/authurl-$program" | grep 'not found'; then fail "the package lacks a dependency"; fi
done
expect_file 750 root:authurl /etc/authurl
expect_file 644 root:root /etc/authurl/authurl.flags
expect_file 600 authurl:authurl /etc/authurl/key-ring
expect_file 600 authurl:authurl /etc/authurl/admin-key
grep -qx '/etc/authurl/authurl.flags' /var/lib/dpkg/info/authurl.conffiles || fail "authurl.flags is no conffile"
enabled authurl || fail "the unit is not enabled"

echo "== serving by the unit's command line, as its user"
echo '--drain_delay=0s' >>/etc/authurl/authurl.flags
start authurl
expect_file 700 authurl:authurl /var/lib/authurl
if grep -q rollback_is_not_noticed /run/stand-in/authurl.log; then fail "the server can't keep its rollback file"; fi
admin=$(cat /etc/authurl/admin-key)
call "$admin" '{"org_id":"acme"}' OrganizationService/CreateOrganization >/dev/null
key=$(member key "$(call "$admin" '{"org_id":"acme","role":"ROLE_ORG"}' OrganizationService/CreateApiKey)")
call "$key" '{"network":"x","client_key":"id","client_secret":"secret","default_redirect_uri":"https://app.example.com/cb"}' \
  SocialNetworkService/CreateSocialNetwork >/dev/null
[[ $(auth_url "$key") == https://x.com/* ]] || fail "no authorization URL"
stop authurl

echo "== upgrading keeps keys, data and settings"
before=$(cd /etc/authurl && sha256sum ./*)
install_debs "./$new"
[ "$(version_of authurl)" != 0.0.1-1 ] || fail "it is not upgraded"
[ "$(cd /etc/authurl && sha256sum ./*)" = "$before" ] || fail "the upgrade changed /etc/authurl"
start authurl
[[ $(auth_url "$key") == https://x.com/* ]] || fail "the upgrade lost what was stored"

if [ -n "$gateway" ]; then
  echo "== the gateway, installed, upgraded, serving, purged"
  older "$gateway"
  install_debs "./old/$gateway"
  install_debs "./$gateway"
  [ "$(version_of authurl-gateway)" != 0.0.1-1 ] || fail "the gateway is not upgraded"
  expect_file 750 root:authurl-gateway /etc/authurl-gateway
  enabled authurl-gateway || fail "the gateway's unit is not enabled"
  authurl-gateway --version
  echo AUTHURL_GATEWAY_DRAIN_DELAY=0s >>/etc/authurl-gateway/authurl-gateway.env
  start authurl-gateway
  for _ in $(seq 50); do
    exec 3<>/dev/tcp/127.0.0.1/8080
    printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    answer=$(cat <&3)
    exec 3<&-
    if [[ $answer == *'"ready"'* ]]; then break; fi
    sleep 0.1
  done
  [[ $answer == 'HTTP/1.1 200'*'"ready"'* ]] || fail "the gateway is not ready: $answer"
  stop authurl-gateway
  apt-get purge -y -q authurl-gateway
  [ ! -e /etc/authurl-gateway ] || fail "purging the gateway leaves /etc/authurl-gateway"
fi
stop authurl

echo "== removing keeps all, and installing again makes no new keys"
apt-get remove -y -q authurl
[ ! -e /usr/bin/authurl-server ] || fail "removing leaves the program"
before=$(cd /etc/authurl && sha256sum ./*)
[ -s /var/lib/authurl/authurl.db ] || fail "removing deletes the database"
install_debs "./$new"
[ "$(cd /etc/authurl && sha256sum ./*)" = "$before" ] || fail "installing again changed /etc/authurl"
# Neither does it beside a database that is sealed under other keys.
mv /etc/authurl/key-ring /etc/authurl/admin-key .
apt-get remove -y -q authurl
rm -f /var/lib/dpkg/info/authurl.* # As if it had never been here.
sed -i '/^Package: authurl$/,/^$/d' /var/lib/dpkg/status
rm -f /etc/authurl/authurl.flags
install_debs "./$new"
[ ! -e /etc/authurl/key-ring ] || fail "a new key ring was made beside a database that is there"

echo "== purging leaves nothing"
apt-get purge -y -q authurl
left=$(find /etc /usr /var -iname '*authurl*' -not -path '/var/log/*' -not -path '/var/cache/*')
[ -z "$left" ] || fail "purging leaves $left"
getent passwd authurl >/dev/null || fail "the user is gone: its files elsewhere may become somebody else's"
echo "== done"
