#!/usr/bin/env bash
# Every query of the dashboards is PromQL that Prometheus can parse.
set -euo pipefail
promtool=$(command -v promtool || echo build/tools/prometheus/usr/bin/promtool)
[ -x "$promtool" ] || { echo "SKIPPED: there is no promtool; get it with deploy/install-packages.sh checks"; exit 77; }
command -v python3 >/dev/null || { echo "SKIPPED: there is no python3"; exit 77; }

rules=$(mktemp)
trap 'rm -f "$rules"' EXIT
# Each query as a recording rule; JSON is YAML. Grafana's variables stand for a time and for texts.
python3 - deploy/grafana/*.json >"$rules" <<'PYTHON'
import json, sys

def queries(node):
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from queries(value)

found = []
for name in sys.argv[1:]:
    with open(name) as file:
        found += queries(json.load(file))
assert len(found) > 60, found
rules = [{"record": f"query:{i}", "expr": query.replace("$__rate_interval", "5m")} for i, query in enumerate(found)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
"$promtool" check rules --lint=none "$rules"
