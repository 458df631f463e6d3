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
"$promtool" check config scrape.yaml
for rules in authurl authurl_gateway; do
  "$promtool" check rules "${rules}_alerts.yaml"
  "$promtool" test rules "${rules}_alerts_test.yaml"
  alerts=$(sed -n 's/^ *- alert: //p' "${rules}_alerts.yaml")
  cp "${rules}_alerts.yaml" all.yaml
  for alert in $alerts; do
    sed "s/- alert: $alert\$/- alert: AnotherName/" all.yaml >"${rules}_alerts.yaml"
    if "$promtool" test rules "${rules}_alerts_test.yaml" >/dev/null 2>&1; then
      echo "FAILED: the tests in ${rules}_alerts_test.yaml pass without $alert: add one for it"
      exit 1
    fi
  done
  cp all.yaml "${rules}_alerts.yaml"
  echo "$(wc -w <<<"$alerts") alerts have tests"
done
