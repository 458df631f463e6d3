#!/usr/bin/env bash
# Whole flows at another OpenID provider than the demo's: Ory Hydra, which the first run builds from its Go modules, in
# some two minutes. Only that needs a network. $1: the folder of the built programs.
set -euo pipefail
command -v go >/dev/null || { echo "SKIPPED: there is no Go to build Hydra with"; exit 77; }
command -v gcc >/dev/null || { echo "SKIPPED: there is no gcc, which Hydra's SQLite needs"; exit 77; }
AUTHURL_BIN_DIR=$(realpath "$1")
AUTHURL_HYDRA=$PWD/build/tools/bin/hydra
# sqlite: Hydra keeps nothing in memory without it.
export AUTHURL_BIN_DIR AUTHURL_HYDRA CGO_ENABLED=1 GOFLAGS='-mod=readonly -tags=sqlite'

cd tests/extra/hydra
output=$(go list -deps github.com/ory/hydra/v2 2>&1 >/dev/null) ||
  { echo "SKIPPED: Hydra can't be fetched: $(tail -n 1 <<<"$output")"; exit 77; }
unformatted=$(gofmt -l ./*.go)
[ -z "$unformatted" ] || { echo "FAILED: gofmt would change $unformatted"; exit 1; }
go vet .
nice go build -trimpath -ldflags='-s -w' -o "$AUTHURL_HYDRA" github.com/ory/hydra/v2

# What the test writes goes away with it, however it ends.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
go test -count=1 -timeout 5m -v .
