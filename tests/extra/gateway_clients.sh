#!/usr/bin/env bash
# What people do with openapi.yaml first goes well: Redocly's linter finds nothing, and the usual generators for Go and
# Python make clients of it that compile.
set -euo pipefail
for tool in npm go python3; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
# fetch WHAT COMMAND...: installs it, or says why the check can't be made.
fetch() {
  local what=$1 output
  shift
  output=$("$@" 2>&1) || { echo "SKIPPED: $what can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
}
tools=$PWD/build/tools
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
fetch redocly npm install --silent --no-save --no-audit --no-fund --prefix "$tools/redocly" @redocly/cli@1.34.20
fetch oapi-codegen env GOBIN="$tools/bin" go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
python=$tools/openapi-python-client
[ -x "$python/bin/pip" ] || python3 -m venv "$python" 2>/dev/null || { echo "SKIPPED: python3 has no venv"; exit 77; }
fetch openapi-python-client "$python/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.1

document=$PWD/deploy/gateway/openapi.yaml
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# An account's id is never "pending": …/{id}/health and …/pending/{session_token} are Outstand's paths.
"$tools/redocly/node_modules/.bin/redocly" lint "$document" --max-problems 20 --skip-rule no-ambiguous-paths

mkdir "$scratch/go"
"$tools/bin/oapi-codegen" -generate types,client -package client "$document" >"$scratch/go/client.go"
cd "$scratch/go"
go mod init client 2>/dev/null
fetch "what oapi-codegen's clients import" go mod tidy
go vet .

# The document itself is no reply that a client reads; and the clients need no formatting.
printf '%s\n' 'content_type_overrides: {application/yaml: text/plain}' 'post_hooks: []' >"$scratch/python.yaml"
"$python/bin/openapi-python-client" generate --path "$document" --config "$scratch/python.yaml" \
  --output-path "$scratch/python" --fail-on-warning
"$python/bin/python" -m compileall -q "$scratch/python"
for name in created_api_key explanation batch_reply; do
  [ -f "$(find "$scratch/python" -name $name.py)" ] || { echo "FAILED: the Python client has no $name"; exit 1; }
done
