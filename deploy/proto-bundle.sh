#!/usr/bin/env bash
# Packs what a client of authurl is generated from: the API with its gRPC service config, the schema of --networks_file, and
# the messages of google/rpc that errors carry, so that protoc and buf need nothing else. The same sources give the same
# bytes.
#
#   deploy/proto-bundle.sh [OUTPUT]          default: build/dist/authurl-protos.tar.gz
#
# Needs google/rpc/*.proto (Debian: golang-github-gogo-googleapis-dev, in `install-packages.sh build`). Where they are
# elsewhere, GOOGLEAPIS_DIR says so. SOURCE_DATE_EPOCH is the time that every file bears; by default it is 0.
set -euo pipefail
fail() {
  echo "proto-bundle.sh: $*" >&2
  exit 1
}
case ${1:-} in
  -*)
    sed -n 's/^# \{0,1\}//p' "$0" | sed '1d'
    [[ $1 == -h || $1 == --help ]] || exit 2
    exit
    ;;
esac
output=$(realpath -m "${1:-$(dirname "$0")/../build/dist/authurl-protos.tar.gz}")
cd "$(dirname "$0")/.."
googleapis=${GOOGLEAPIS_DIR:-/usr/share/gocode/src/github.com/gogo/googleapis}
[ -f "$googleapis/google/rpc/status.proto" ] ||
  fail "there is no $googleapis/google/rpc/status.proto: apt-get install golang-github-gogo-googleapis-dev"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bundle=$scratch/authurl-protos
mkdir -p "$bundle/authurl/catalog" "$bundle/google/rpc"
cp -r proto/authurl/v1 "$bundle/authurl"
cp -r proto/authurl/catalog/v1 "$bundle/authurl/catalog"
cp LICENSE "$bundle"
# Debian's are those of gogo, whose Go package is not the one that everybody else's Go code has these messages in.
for name in status:status error_details:errdetails; do
  sed -E "s#^option go_package = .*#option go_package = \"google.golang.org/genproto/googleapis/rpc/${name#*:};${name#*:}\";#" \
    "$googleapis/google/rpc/${name%:*}.proto" >"$bundle/google/rpc/${name%:*}.proto"
done

mkdir -p "$(dirname "$output")"
tar --create --directory="$scratch" --sort=name --format=ustar --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 \
  --numeric-owner --mode='u=rwX,go=rX' authurl-protos | gzip -n -9 >"$output.new"
mv "$output.new" "$output"
echo "$output"
