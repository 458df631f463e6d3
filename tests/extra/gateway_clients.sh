#!/usr/bin/env bash
# What people do with openapi.yaml first goes well: the usual linters find nothing, and the usual generators make clients
# of it that compile, and that call the gateway: each lists networks, configures one, gets a URL, reads what was wrong with
# a request, is told of a wrong key, and lists accounts. $1: the folder of the built programs.
set -euo pipefail
for tool in node npm go python3 java javac mvn curl; do
  command -v $tool >/dev/null || { echo "SKIPPED: there is no $tool"; exit 77; }
done
# fetch WHAT COMMAND...: installs it, or says why the check can't be made.
fetch() {
  local what=$1 output
  shift
  output=$("$@" 2>&1) || { echo "SKIPPED: $what can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
}
# took WHAT: says how long what was done since the last time took.
took() {
  echo "$1: $((SECONDS - told)) s"
  told=$SECONDS
}
told=$SECONDS
sources=$PWD/tests/extra/gateway_clients
document=$PWD/deploy/gateway/openapi.yaml
tools=$PWD/build/tools
npm=$tools/gateway_clients
python=$tools/openapi-python-client
generator=$tools/openapi-generator
bin=$(realpath "$1")
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
mkdir -p "$npm" "$generator"
cp "$sources"/package{,-lock}.json "$npm"
fetch "what npm has" npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix "$npm"
fetch oapi-codegen env GOBIN="$tools/bin" go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
[ -x "$python/bin/pip" ] || python3 -m venv "$python" 2>/dev/null || { echo "SKIPPED: python3 has no venv"; exit 77; }
fetch openapi-python-client "$python/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.1 \
  pydantic==2.13.4 python-dateutil==2.9.0.post0 urllib3==2.7.0
fetch openapi-generator mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy \
  -Dartifact=org.openapitools:openapi-generator-cli:7.25.0 -DoutputDirectory="$generator"
deploy/gateway/build.sh
took fetching

# Into a folder of their own, but for TypeScript's, which finds its libraries in the folder above.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$npm/node_modules/.bin/redocly" lint "$document" --config "$sources/redocly.yaml" --max-problems 20
"$npm/node_modules/.bin/spectral" lint "$document" --ruleset "$sources/spectral.yaml" --fail-severity=hint
took linting

# generate LANGUAGE FOLDER [OPTION...]: with openapi-generator, which is noisy where it is content.
generate() {
  java -jar "$generator"/openapi-generator-cli-*.jar generate -g "$1" -i "$document" -o "$2" "${@:3}" >"$scratch/log" 2>&1 ||
    { cat "$scratch/log"; exit 1; }
}
generate java "$scratch/java" --library native
(
  cd "$scratch/java"
  fetch "what the Java client needs" mvn --quiet --batch-mode compile dependency:build-classpath -Dmdep.outputFile=classpath
  javac -cp "target/classes:$(cat classpath)" -d target/classes "$sources/Check.java"
)
took Java

# go_module FOLDER: makes a module of the client and what calls it.
go_module() {
  cp "$sources/$1/main.go" "$scratch/$1"
  cd "$scratch/$1"
  [ -f go.mod ] || go mod init check 2>/dev/null
  fetch "what the clients for Go import" go mod tidy
  go build -o call .
  cd - >/dev/null
}
mkdir -p "$scratch"/oapi_codegen/client
"$tools/bin/oapi-codegen" -generate types,client -package client "$document" >"$scratch/oapi_codegen/client/client.go"
go_module oapi_codegen
generate go "$scratch/openapi_generator_go/client"
rm -r "$scratch"/openapi_generator_go/client/{go.mod,go.sum,test}
go_module openapi_generator_go
took Go

# The document itself is no reply that a client reads; and the clients need no formatting.
printf '%s\n' 'content_type_overrides: {application/yaml: text/plain}' 'post_hooks: []' >"$scratch/python.yaml"
"$python/bin/openapi-python-client" generate --path "$document" --config "$scratch/python.yaml" \
  --output-path "$scratch/python" --fail-on-warning
generate python "$scratch/python_generator"
"$python/bin/python" -m compileall -q "$scratch/python" "$scratch/python_generator"
took Python

cp "$sources/check.ts" "$npm"
"$npm/node_modules/.bin/openapi-typescript" "$document" -o "$npm/authurl.d.ts" >/dev/null
"$npm/node_modules/.bin/tsc" --strict --target es2022 --module nodenext --types node \
  --typeRoots "$npm/node_modules/@types" --skipLibCheck --outDir "$npm/out" "$npm/check.ts"
took TypeScript

cat >"$scratch/call_all" <<'END'
set -euo pipefail
# Of the right shape, and nobody's.
last=${AUTHURL_API_KEY: -1}
AUTHURL_WRONG_KEY=${AUTHURL_API_KEY%?}$([ "$last" = x ] && echo y || echo x)
# An account as the document shows it: the new organisation has none.
curl -sS --fail "$AUTHURL_URL/openapi.json" >"$scratch/openapi.json"
AUTHURL_EXAMPLE=$(node -p 'JSON.stringify(JSON.parse(require("fs").readFileSync(process.argv[1])).paths["/v1/social-accounts"].get
  .responses["200"].content["application/json"].example)' "$scratch/openapi.json")
export AUTHURL_WRONG_KEY AUTHURL_EXAMPLE
calls() {
  echo "$1"
  timeout 60 "${@:2}" || { echo "FAILED: the client that $1 made"; exit 1; }
}
calls oapi-codegen "$scratch/oapi_codegen/call"
calls "openapi-generator for Go" "$scratch/openapi_generator_go/call"
calls openapi-python-client env PYTHONPATH="$scratch/python" "$python/bin/python" "$sources/openapi_python_client.py"
calls "openapi-generator for Python" env PYTHONPATH="$scratch/python_generator" "$python/bin/python" "$sources/openapi_generator.py"
calls "openapi-generator for Java" java -cp "$scratch/java/target/classes:$(cat "$scratch/java/classpath")" Check
calls openapi-typescript node "$npm/out/check.js"
END
export scratch sources python npm
tests/support/with_gateway.sh "$bin" bash "$scratch/call_all"
took calling
