#!/usr/bin/env bash
# A new Debian 13 runs the quickstart as README.md promises it, from nothing but the base system; then the Debian package
# is made of what that has built, from a tree without git, and put to the test in another new Debian 13. Needs root
# (tests/support/fresh_debian.sh). Arguments: more commands to run there, such as tests/run.sh.
set -euo pipefail
# shellcheck source=tests/support/fresh_debian.sh
. tests/support/fresh_debian.sh
use_debian 13
new_root
copy_sources "$root/authurl"

run_in_root 'deploy/quickstart.sh --no-wait --listen=127.0.0.1:0'
grep '^  https://www.instagram.com/' "$root/log" || { cat "$root/log"; echo "FAILED: no authorization URL"; exit 1; }
for command in "$@"; do run_in_root "$command"; done

run_in_root 'apt-get install -y -q --no-install-recommends dpkg-dev file && deploy/release.sh --deb-only --without-gateway'
dist=$(mktemp -d)
cp "$root"/authurl/build/dist/*.deb "$dist"
check_packages "$dist"
rm -rf "$dist"
