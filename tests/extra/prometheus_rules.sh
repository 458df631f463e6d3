#!/usr/bin/env bash
# Prometheus takes the alert rules and the example configuration, the rules' own tests pass, and no alert can be missing
# without one of them noticing.
set -euo pipefail
promtool=$(command -v promtool || echo "$PWD/build/tools/prometheus/usr/bin/promtool")
[ -x "$promtool" ] || { echo "SKIPPED: there is no promtool; get it with deploy/install-packages.sh checks"; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp deploy/prometheus/*.yaml "$folder"
cd "$folder"
"$promtool" check rules authurl_alerts.yaml
"$promtool" check config scrape.yaml
"$promtool" test rules authurl_alerts_test.yaml

alerts=$(sed -n 's/^ *- alert: //p' authurl_alerts.yaml)
cp authurl_alerts.yaml all.yaml
for alert in $alerts; do
  sed "s/- alert: $alert\$/- alert: AnotherName/" all.yaml >authurl_alerts.yaml
  if "$promtool" test rules authurl_alerts_test.yaml >/dev/null 2>&1; then
    echo "FAILED: the tests in authurl_alerts_test.yaml pass without $alert: add one for it"
    exit 1
  fi
done
echo "$(wc -w <<<"$alerts") alerts have tests"
