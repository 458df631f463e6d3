#!/usr/bin/env bash
# Authorization URLs of every network and variant, for random configurations and requests, hold what was put in and
# nothing else: Node's WHATWG parser and Python's urllib take them apart. $1: the folder of the built programs; $2: how
# many URLs of each network and variant; $3: the seed, or "new".
set -euo pipefail
for tool in node python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
count=${2:-200}
seed=${3:-20261123}
[ "$seed" != new ] || seed=$(date +%s)
echo "$count URLs each, of seed $seed; the same again: $0 $1 $count $seed"
"$1/auth_urls" "$count" "$seed" | node tests/property/auth_urls.mjs
"$1/auth_urls" "$count" "$seed" | python3 tests/property/auth_urls.py
