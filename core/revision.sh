#!/usr/bin/env bash
# Prints the revision of these sources, which --version shows beside the version of CMakeLists.txt: what git calls it, such
# as v0.2.0 or v0.2.0-3-g1a2b3c4d5e6f (the commit alone where no tag is behind it), with -dirty where files differ from it.
# Without git it is what the file REVISION has, which release tarballs come with; where AUTHURL_REVISION is set, as for
# container images, it is that. Where there is nothing of all this: nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "${AUTHURL_REVISION:-}" ]; then
  echo "$AUTHURL_REVISION"
elif [ -f "$root/REVISION" ]; then
  head -n 1 "$root/REVISION"
elif [ -e "$root/.git" ] && command -v git >/dev/null; then
  # Nothing is said of a repository that git won't read, such as another user's.
  GIT_OPTIONAL_LOCKS=0 git -C "$root" describe --tags --match 'v[0-9]*' --always --abbrev=12 --dirty 2>/dev/null || true
fi
