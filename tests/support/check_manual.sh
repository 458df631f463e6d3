#!/usr/bin/env bash
# The commands of the operator's manual work, word for word, in this system, which is new and nobody's. Beside this script
# lie the packages, check_packages.sh's stand-in for systemd (stand_in.sh), and in the folder `manual` the marked commands
# of each page (tests/support/marked_commands.sh), which are run one after the other in one shell. fresh_debian.sh runs it.
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:$PATH
fail() {
  echo "FAILED: $*"
  exit 1
}
if [ "${1:-}" != apart ]; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends curl jq openssl sqlite3 sudo
  apt-get install -y -q --no-install-recommends --download-only ./*.deb
  # Who runs a manual's commands says yes.
  echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/99yes
  exec unshare --net "$0" apart
fi
perl -e '$up = pack("a16 s x14", "lo", 1); socket(S, 2, 2, 0) && ioctl(S, 0x8914, $up) or die "no loopback: $!"'

# systemctl and journalctl: there is no systemd in a folder.
install -m 0755 stand_in.sh /usr/local/bin/systemctl
cat >/usr/local/bin/journalctl <<'SCRIPT'
#!/bin/sh
# journalctl -u UNIT… [--since …] -o cat
while [ $# -gt 0 ]; do
  case $1 in
    -u) cat "/run/stand-in/$2.log"; shift ;;
    -o | --since) shift ;;
  esac
  shift
done
SCRIPT
chmod 0755 /usr/local/bin/journalctl
# Packages do not start services where systemd is not running; and nothing needs to be drained here.
mkdir -p /run/stand-in
exec 3>&1 # What a page prints goes elsewhere.
clean_up() {
  local code=$?
  set +v
  [ "$code" = 0 ] || { echo "the last command ended with $code; the page's output:"; show; } >&3
  systemctl stop authurl-gateway authurl >/dev/null 2>&1 || true
}
trap clean_up EXIT
call() {
  local key=$1 request=$2
  shift 2
  authurl-call -plaintext -H "authorization: Bearer $key" -d "$request" 127.0.0.1:50051 "authurl.v1.$1"
}
member() { sed -nE "s/^ *\"$1\": \"([^\"]*)\".*/\1/p" <<<"$2" | head -n 1; }
# page NAME: runs its commands and shows what they print, without the secrets.
page() {
  printf '\n== %s\n' "$1"
  set -v
  # shellcheck source=/dev/null
  . "manual/$1" >page.out 2>page.err
  { set +v; } 2>/dev/null
  show
}
show() { cat page.err page.out 2>/dev/null | sed -E 's/(au[kst]_[A-Za-z0-9]+_)[A-Za-z0-9]+/\1…/g; s/whsec_[^"]*/whsec_…/g'; }

# The packages start nothing here, so the second command of the page does: `status` starts what is not running.
page README.md
printf '%s\n' --drain_delay=0s >>/etc/authurl/authurl.flags
echo AUTHURL_GATEWAY_DRAIN_DELAY=0s >>/etc/authurl-gateway/authurl-gateway.env
systemctl restart authurl authurl-gateway
# What the manual's reader has by then.
made=$(call "$ADMIN" '{"org_id":"acme","role":"ROLE_ORG"}' OrganizationService/CreateApiKey)
AUTHURL_API_KEY=$(member key "$made")
export AUTHURL_API_KEY LEAKED SOCIAL_NETWORK_ID WEBHOOK_ID ID
LEAKED=$(member key_id "$(call "$ADMIN" '{"org_id":"acme","role":"ROLE_ORG","read_tokens":true}' OrganizationService/CreateApiKey)")
SOCIAL_NETWORK_ID=$(member id "$(call "$AUTHURL_API_KEY" \
  '{"network":"instagram","client_key":"1234567890","client_secret":"0123456789abcdef","default_redirect_uri":"https://app.example.com/cb"}' \
  SocialNetworkService/CreateSocialNetwork)")
WEBHOOK_ID=$(member id "$(call "$AUTHURL_API_KEY" '{"url":"https://app.example.com/hook"}' WebhookService/CreateWebhook)")
echo fedcba9876543210 >new-secret
ring=$(cat /etc/authurl/key-ring)
old_admin=$ADMIN

# The page says that a day has passed.
sed -i "s|^journalctl -u authurl -o cat . grep '\"event\":\"resealed\"'$|await_resealed; &|" manual/secrets.md
await_resealed() { timeout 30 sh -c "until grep -q '\"event\":\"resealed\"' /run/stand-in/authurl.log; do sleep 0.1; done"; }
page secrets.md
[ "$(grep -vc '^#' /etc/authurl/key-ring)" = 1 ] || fail "an old key is still in the key ring"
if grep -qxF "$(grep -v '^#' <<<"$ring")" /etc/authurl/key-ring; then fail "the key ring was not rotated"; fi
grep -q '"secret": "whsec_' page.out || fail "no new secret of the webhook was shown"
if call "$old_admin" '{}' OrganizationService/ListOrganizations >/dev/null 2>&1; then fail "the old admin key is good"; fi
call "$ADMIN" '{}' OrganizationService/ListOrganizations >/dev/null || fail "the new admin key is not good"
[[ $(call "$AUTHURL_API_KEY" '{"network":"instagram"}' AuthUrlService/GetAuthUrl) == *instagram.com/* ]] ||
  fail "after the rotations there is no authorization URL"

ID=incident-1
authurl-call -plaintext -H "authorization: Bearer $AUTHURL_API_KEY" -H "x-request-id: $ID" \
  -d '{"network":"instagram","tenant_id":"a b"}' 127.0.0.1:50051 authurl.v1.AuthUrlService/GetAuthUrl >/dev/null 2>&1 || true
sleep 0.2 # Lines of calls are written some fifty times a second.
page incidents.md
grep -q '"faulty_fields":"tenant_id"' page.out || fail "the request is not found, or its line does not say what was wrong"
key_id=$(cut -d _ -f 2 <<<"$AUTHURL_API_KEY")
grep -q "\"key_id\":\"$key_id\",\"target\":\"$SOCIAL_NETWORK_ID\",\"changed_fields\":\"client_secret\"" page.out ||
  fail "the log does not say who rotated Instagram's secret"

page certificates.md
grep -q '"SERVING"' page.out || fail "the server is not reached with certificates"
grep -q '"ready"' page.out || fail "the gateway does not reach the server with certificates"
# Back to plaintext, for the last page.
sed -i -e 's|^--listen=.*|--listen=127.0.0.1:50051|' -e 's|^--tls_|# --tls_|' /etc/authurl/authurl.flags
systemctl restart authurl

# What is done after the backup has to be seen as missing in a restored one: here, that the organisation is deleted.
sed -i "s|^sudo systemctl stop authurl$|call \"\$ADMIN\" '{\"org_id\":\"acme\"}' OrganizationService/DeleteOrganization; &|" \
  manual/backup.md
page backup.md
[ "$(grep -cx ok page.out)" = 2 ] || fail "a backup is not in order"
grep -q database_is_an_older_copy page.out || fail "the server does not notice that it was restored"
grep -q '"method":"/authurl.v1.OrganizationService/DeleteOrganization".*"target_org_id":"acme"' page.out ||
  fail "the log does not say what to do again"
[[ $(call "$AUTHURL_API_KEY" '{"network":"instagram"}' AuthUrlService/GetAuthUrl) == *instagram.com/* ]] ||
  fail "the restored server does not serve"
echo "== done"
