#!/usr/bin/env bash
# The gateway does what its openapi.yaml says: schemathesis makes thousands of requests of it, good and bad ones, and
# applies all its checks to the replies. (That is its default. "--checks all" would undo what gateway_openapi.toml says.)
# $1: the folder of the built programs; $2: requests for each operation and kind of case.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build the gateway with"; exit 77; }
tool=build/tools/schemathesis
[ -x $tool/bin/pip ] || python3 -m venv $tool 2>/dev/null || { echo "SKIPPED: python3 has no venv"; exit 77; }
$tool/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5
deploy/gateway/build.sh

# schemathesis remembers earlier runs in the folder it runs in: here it has none.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export scratch root=$PWD examples=${2:-100}

# Not openapi.yaml itself: it is the same each time, and reading it takes schemathesis more than a second.
# shellcheck disable=SC2016 # the inner shell expands it
tests/support/with_gateway.sh "$1" bash -euo pipefail -c '
  cd "$scratch"
  run() {
    "$root/build/tools/schemathesis/bin/schemathesis" --config-file "$root/tests/extra/gateway_openapi.toml" \
      run "$root/deploy/gateway/openapi.yaml" --url "$AUTHURL_URL" --continue-on-failure \
      --max-examples "$examples" --seed 1 -H "Authorization: Bearer $1" \
      --include-path-regex "$2" >report || { cat report; exit 1; }
    cat report
    sed -nE "s/^ +([0-9]+) generated.*/\1/p" report >>counts
  }
  run "$AUTHURL_API_KEY" "^/(v1/(social-networks|social-accounts|auth-responses|auth-flows|tenant-tokens|auth-urls|networks|events|webhooks)|healthz|readyz|docs)"
  run "$AUTHURL_ADMIN_KEY" "^/v1/(organizations|api-keys)"
  total=$(($(paste -sd+ counts)))
  echo "$total cases"
  [ "$total" -ge 2000 ] || { echo "FAILED: that is fewer than 2,000"; exit 1; }
'
