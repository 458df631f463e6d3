#!/usr/bin/env bash
# authurl-keygen makes secrets that only their owner can read, never overwrites one, and rotates a key ring in one step.
# $1: the program.
set -euo pipefail
keygen=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
umask 000
fail() {
  echo "FAILED: $*"
  exit 1
}
# expect CODE TEXT ARGUMENT...: the exit code, and what the one line of the message holds.
expect() {
  local code=0 want=$1 text=$2 output
  shift 2
  output=$("$keygen" "$@" 2>&1) || code=$?
  [ "$code" = "$want" ] || fail "keygen $*: exit code $code and not $want: $output"
  [[ $output == *"$text"* ]] || fail "keygen $* does not say \"$text\": $output"
  [ "$want" = 2 ] || [ "$(wc -l <<<"$output")" = 1 ] || fail "keygen $* says more than one line: $output"
}
keys() { grep -v '^#' "$1" | cut -d ' ' -f 1 | tr '\n' ' '; }

expect 0 'made the key ring ring' key-ring ring
[ "$(stat -c %a ring)" = 600 ] || fail "the key ring's mode is $(stat -c %a ring)"
[ "$(keys ring)" = '1 ' ] || fail "a new ring holds the keys $(keys ring)"
old=$(cat ring)
expect 1 'ring exists already' key-ring ring
[ "$(cat ring)" = "$old" ] || fail "a key ring was overwritten"

expect 0 'key 2 is now first' rotate ring
[ "$(keys ring)" = '2 1 ' ] || fail "after a rotation the ring holds the keys $(keys ring)"
[ "$(stat -c %a ring)" = 600 ] || fail "rotating changed the mode to $(stat -c %a ring)"
grep -qxF "$(grep '^1 ' <<<"$old")" ring || fail "rotating changed the old key"

ln -s ring link
expect 0 'key 3 is now first' rotate link
[ -L link ] || fail "rotating replaced the link"
[ "$(keys ring)" = '3 2 1 ' ] || fail "rotating through a link left the file with the keys $(keys ring)"

cp ring three
expect 0 'key 3 is now the only one' retire three
[ "$(keys three)" = '3 ' ] || fail "after retiring the old keys the ring holds $(keys three)"
grep -qxF "$(grep '^3 ' ring)" three || fail "retiring the old keys changed the first one"
expect 0 'key 3 is now the only one' retire three
[ "$(stat -c %a three)" = 600 ] || fail "retiring changed the mode to $(stat -c %a three)"
rm three

touch ring.new
expect 1 'ring.new exists' rotate ring
rm ring.new
expect 1 'No such file' rotate nothing
echo 'no key' >damaged
expect 1 'line 1 of the key ring' rotate damaged
expect 1 'line 1 of the key ring' retire damaged
[ "$(cat damaged)" = 'no key' ] || fail "a damaged ring was changed"
expect 1 'No such file' key-ring missing/ring

expect 0 'made the API key' api-key admin
[ "$(stat -c %a admin)" = 600 ] || fail "the API key's mode is $(stat -c %a admin)"
grep -qE '^auk_[A-Za-z0-9]{12}_[A-Za-z0-9]{49}$' admin || fail "that is no API key"
expect 1 'admin exists already' api-key admin

# Only what is missing, and nothing to say where nothing is.
mkdir secrets
expect 0 'made the key ring secrets/authurl-key-ring' key-ring secrets/authurl-key-ring
old=$(cat secrets/authurl-key-ring)
expect 0 'in secrets/authurl-admin-key' init secrets
made=$(cat secrets/*)
[ "$(stat -c %a secrets/* | sort -u)" = 600 ] || fail "the modes are $(stat -c %a secrets/*)"
[ -z "$("$keygen" init secrets)" ] || fail "init made something again"
[ "$(cat secrets/*)" = "$made" ] || fail "init overwrote a file that it has made"
[ "$(cat secrets/authurl-key-ring)" = "$old" ] || fail "init overwrote a key ring"
expect 1 'No such file' init missing
rm -r secrets

expect 2 usage
expect 2 usage rotate
expect 2 usage key-ring a b
expect 2 usage make ring
[ "$(echo *)" = 'admin damaged link ring' ] || fail "it left files behind: $(echo *)"
