#!/usr/bin/env bash
# The gateway does what its openapi.yaml says: schemathesis makes thousands of requests of it, good and bad ones, and
# applies all its checks to the replies.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build the gateway with"; exit 77; }
tool=build/tools/schemathesis
[ -x $tool/bin/pip ] || python3 -m venv $tool 2>/dev/null || { echo "SKIPPED: python3 has no venv"; exit 77; }
$tool/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5
deploy/gateway/build.sh

# shellcheck disable=SC2016 # the inner shell expands it
tests/support/with_gateway.sh "$1" bash -euo pipefail -c '
  run() {
    build/tools/schemathesis/bin/schemathesis --config-file tests/extra/gateway_openapi.toml run deploy/gateway/openapi.yaml \
      --url "$AUTHURL_URL" --checks all --continue-on-failure --max-examples 100 --seed 1 -H "Authorization: Bearer $1" \
      --include-path-regex "$2" | tee -a /dev/stderr | sed -nE "s/^ +([0-9]+) generated.*/\1/p" >>"$counts"
  }
  counts=$(mktemp)
  trap "rm -f $counts" EXIT
  run "$AUTHURL_API_KEY" "^/(v1/social-networks|healthz|readyz|docs|openapi)"
  run "$AUTHURL_ADMIN_KEY" "^/v1/(organizations|api-keys)"
  total=$(($(paste -sd+ "$counts")))
  echo "$total cases"
  [ "$total" -ge 2000 ] || { echo "FAILED: that is fewer than 2,000"; exit 1; }
'
