#!/usr/bin/env bash
# Fails when an #include points up, or when files include each other in a circle. Debian's headers are all visible to the
# compiler, so only this keeps the house (CONTRIBUTING.md, "The house"):
#
#   server → storage → core → generated messages       deploy → core       nothing → tests
#
# and within them the rooms below. It first breaks every rule in a copy of the sources and expects to find each break.
set -euo pipefail
cd "$(dirname "$0")/.."

# A room, and the rooms that its files may include besides their own. A file belongs to its own folder alone: what is in
# core/crypto is not in core.
rooms=(
  'core/crypto:'
  'core: core/crypto'
  'core/catalog: core core/crypto'
  'core/flow: core core/crypto core/catalog'
  'storage: core core/crypto core/flow'
  'storage/sqlite: storage core'
  'server/system: core/crypto'
  'server/observe: server/system'
  'server/serving: server/observe server/system storage core core/crypto'
  'server/outbound: server/observe server/system core core/crypto'
  'server/flow: server/outbound server/observe server/system storage core core/crypto core/catalog core/flow'
  'server/api: server/flow server/serving server/observe server/system storage core core/crypto core/catalog core/flow'
  'server: server/api server/flow server/outbound server/serving server/observe server/system
    storage storage/sqlite core core/crypto core/catalog core/flow'
  'deploy: core core/crypto'
)

# Libraries that only some rooms may use: an extended regular expression, an include that it matches, and the rooms and
# files that may; a file may be a pattern of names.
libraries=(
  'grpc(pp|\+\+)?/|.*\.grpc\.pb\.h|<grpcpp/grpcpp.h>|server server/api server/serving server/observe deploy/call.cc'
  'SQLiteCpp/|sqlite3|<sqlite3.h>|storage/sqlite'
  'sodium|<sodium.h>|core/crypto/crypto.cc'
  'idn2|<idn2.h>|core/uri.cc'
  'openssl/|<openssl/evp.h>|core/crypto server/serving server/outbound/curl_*'
  'nlohmann/|<nlohmann/json.hpp>|server/observe server/serving core/crypto/jwt.cc core/flow'
  'curl/|<curl/curl.h>|server/outbound/curl_*'
  'server/outbound/curl_([^c]|c[^l])|"server/outbound/curl_pool.h"|server/outbound/curl_* server/outbound/destination_rules.h'
  'sys/socket|sys/un\.|netdb|<sys/socket.h>|server server/system server/serving server/observe server/outbound deploy'
  'spdlog/|<spdlog/spdlog.h>|server/observe'
)

# Prints the lines of the tree $1 that include what the extended regular expression $2 matches, as file:line:text.
include_lines() (
  cd "$1"
  grep -rnE --include='*.cc' --include='*.h' "^[[:space:]]*#[[:space:]]*include[[:space:]]*$2" \
    core storage server deploy || true
)

# Prints every include of our own as "including-file included-file".
own_includes() {
  (cd "$1" && grep -rHoE --include='*.cc' --include='*.h' \
    '^[[:space:]]*#[[:space:]]*include[[:space:]]*"(core|storage|server|deploy|tests)/[^"]+"' \
    core storage server deploy) | sed -E 's/:[[:space:]]*#[^"]*"/ /; s/"$//'
}

# Prints the includes of the tree $1 that no room allows, as "file includes file".
breaks_of_rooms() {
  own_includes "$1" | awk -v rooms="$(printf '%s;' "${rooms[@]}")" '
    function room(file) { sub(/\/[^\/]*$/, "", file); return file }
    BEGIN {
      count = split(rooms, rules, ";")
      for (i = 1; i < count; ++i) {
        name = rules[i]; sub(/:.*/, "", name); known[name] = 1
        allowed[name, name] = 1
        others = rules[i]; sub(/[^:]*:/, "", others)
        size = split(others, list, /[ \n]+/)
        for (j = 1; j <= size; ++j) allowed[name, list[j]] = 1
      }
    }
    !(room($1) in known) { print $1 " is in a room that this test does not know"; next }
    !((room($1), room($2)) in allowed) { print $1 " includes " $2 }'
}

# Prints the includes of libraries in the tree $1 that their rule does not allow.
breaks_of_libraries() {
  local rule include users user
  for rule in "${libraries[@]}"; do
    users=${rule##*|}
    include=${rule%|*}
    include=${include%|*}
    include_lines "$1" "[<\"]($include)" |
      while IFS= read -r line; do
        # The shell puts the names of files in place of a pattern.
        for user in $users; do
          case ${line%%:*} in
            "$user") continue 2 ;;
            "$user"/*/*) ;;
            "$user"/*) continue 2 ;;
          esac
        done
        echo "$line"
      done
  done
}

# Prints the includes of the tree $1 that the functions above can't see: of a file of ours, but not by its path from the
# root, in quotes.
unseen_includes() {
  include_lines "$1" '("(\.|[^"/]*")|<(core|storage|server|deploy|tests)/)' | sed 's/$/ (write its path from the root, in quotes)/'
}

# Prints the files of the tree $1 that include each other in a circle. A header and its source are one file here, so a
# circle that runs through a source is one too.
circles() {
  own_includes "$1" | sed -E 's/\.(cc|h)( |$)/\2/g' | awk '$1 != $2' | sort -u | { tsort 2>&1 >/dev/null || true; } |
    sed -E 's/^tsort: //; s/^-: input contains a loop:$/These files include each other in a circle:/'
}

breaks() {
  breaks_of_rooms "$1"
  breaks_of_libraries "$1"
  unseen_includes "$1"
  circles "$1"
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R core storage server deploy "$copy"
# plant FILE INCLUDE TEXT: a file that breaks a rule, which must be told with that text.
expected=()
plant() {
  mkdir -p "$copy/${1%/*}"
  echo "#include $2" >"$copy/$1"
  expected+=("$3")
}
for rule in "${rooms[@]}"; do
  room=${rule%%:*}
  plant "$room/planted_tests.cc" '"tests/support/temp_dir.h"' "$room/planted_tests.cc includes tests/"
  for other in "${rooms[@]}"; do
    other=${other%%:*}
    case " ${rule#*:} $room " in
      *[[:space:]]"$other"[[:space:]]*) ;;
      *)
        plant "$room/planted_${other//\//_}.cc" "\"$other/planted.h\"" \
          "$room/planted_${other//\//_}.cc includes $other/planted.h"
        ;;
    esac
  done
done
for i in "${!libraries[@]}"; do
  rule=${libraries[$i]%|*}
  plant "core/planted_$i.cc" "${rule##*|}" "core/planted_$i.cc:1:"
  plant "storage/planted_$i.cc" "${rule##*|}" "storage/planted_$i.cc:1:"
done
plant server/attic/planted.cc '"core/errors.h"' 'server/attic/planted.cc is in a room that this test does not know'
plant core/planted_dots.cc '"../storage/backend.h"' 'core/planted_dots.cc:1:'
plant core/planted_name.cc '"errors.h"' 'core/planted_name.cc:1:'
plant core/planted_brackets.cc '<storage/backend.h>' 'core/planted_brackets.cc:1:'
plant core/planted_one.h '"core/planted_two.h"' 'core/planted_one'
plant core/planted_two.cc '"core/planted_one.h"' 'core/planted_two'
told=$(breaks "$copy")
failed=0
for text in "${expected[@]}"; do
  [[ $told == *"$text"* ]] && continue
  echo "this test is broken: among the planted faults it does not find \"$text\""
  failed=1
done

found=$(breaks .)
if [ -n "$found" ]; then
  echo "$found"
  echo "FAILED: the includes above point up or run in a circle (see CONTRIBUTING.md, \"The house\")"
  failed=1
fi
[ "$failed" = 0 ] || exit 1
echo "${#rooms[@]} rooms and ${#libraries[@]} libraries: nothing points up, and there are no circles"
