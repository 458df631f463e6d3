#!/usr/bin/env bash
# Whatever core/uri.h takes as redirect URI, other parsers read alike: WHATWG's in Node, as browsers do, and Python's
# urllib. Where WHATWG refuses one, it is for a label that begins with "xn--" and is no punycode. What we refuse and
# WHATWG takes falls into the classes of tests/property/README.md. $1: the folder of the built programs; $2: how many
# URIs; $3: the seed, or "new".
set -euo pipefail
for tool in node python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
count=${2:-1000000}
seed=${3:-20261123}
[ "$seed" != new ] || seed=$(date +%s)
echo "$count URIs of seed $seed; the same again: $0 $1 $count $seed"
"$1/redirect_uris" "$count" "$seed" | node tests/property/redirect_uris.mjs
"$1/redirect_uris" "$count" "$seed" | python3 tests/property/redirect_uris.py
