#!/usr/bin/env bash
# Fails when an #include points up. Debian's headers are all visible to the compiler, so only this keeps the layers:
#
#   server -> storage -> core -> generated messages       deploy -> core       nothing -> tests
#
# It first breaks every rule in a copy of the sources and expects each break to be found.
set -euo pipefail
cd "$(dirname "$0")/.."

# One rule each: a folder, what none of its sources may include (an extended regular expression), an include that breaks
# the rule, and the one source that is excepted.
folders=() forbidden=() examples=() excepted=()
rule() {
  folders+=("$1")
  forbidden+=("$2")
  examples+=("$3")
  excepted+=("${4:-}")
}

grpc='grpc(pp|\+\+)?/|.*\.grpc\.pb\.h'
sqlite='SQLiteCpp/|sqlite3'
sockets='sys/socket|sys/un\.|netdb'
rule core '(storage|server|deploy|tests)/' '"storage/backend.h"'
rule core "$grpc" '<grpcpp/grpcpp.h>'
rule core "$sqlite" '<SQLiteCpp/SQLiteCpp.h>'
rule core "$sockets|spdlog/" '<sys/socket.h>'
rule core 'sodium' '<sodium.h>' core/crypto/crypto.cc
rule storage '(server|deploy|tests)/' '"server/config.h"'
rule storage "$grpc" '"authurl/v1/auth_url_service.grpc.pb.h"'
rule storage 'sodium' '<sodium.h>'
rule server '(deploy|tests)/' '"tests/support/temp_dir.h"'
rule server "$sqlite|sodium" '<sqlite3.h>'
rule deploy '(storage|server|tests)/' '"storage/backend.h"'
rule deploy "$grpc" '<grpc/grpc.h>' deploy/call.cc
rule deploy "$sqlite|sodium" '<sodium/utils.h>'

# Prints what breaks rule $2 in the source tree $1, as file:line:text.
breaks() {
  local include="^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"](${forbidden[$2]})"
  (cd "$1" && grep -rnE --include='*.cc' --include='*.h' -e "$include" "${folders[$2]}") |
    grep -v "^${excepted[$2]:-nothing}:" || true
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R core storage server deploy "$copy"
failed=0
for i in "${!folders[@]}"; do
  echo "#include ${examples[$i]}" >"$copy/${folders[$i]}/planted.cc"
  if ! breaks "$copy" "$i" | grep -q "^${folders[$i]}/planted.cc:1:"; then
    echo "this test is broken: it does not find #include ${examples[$i]} in ${folders[$i]}/"
    failed=1
  fi
  found=$(breaks . "$i")
  if [ -n "$found" ]; then
    echo "$found"
    failed=1
  fi
done
[ "$failed" = 0 ] || { echo "FAILED: the includes above point up (see README.md in each folder)"; exit 1; }
echo "${#folders[@]} rules hold"
