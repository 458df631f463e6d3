#!/usr/bin/env bash
# The container image holds all that the programs need, and its data folder belongs to its user: the server runs with the
# image as its whole file system, as the image's user and with the image's command line. $1: the folder of the programs.
#
# The image is put together as the Dockerfile says, by performing the COPY lines of its last stage as every builder does:
# a folder that is there already keeps its owner. What no builder is asked here: whether it takes the Dockerfile
# (tests/extra/dockerfile_lint.sh), and what it makes of VOLUME and HEALTHCHECK.
set -euo pipefail
work=$(mktemp -d)
image=$work/image
pid=
clean_up() {
  [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } || true
  rm -rf "$work"
}
trap clean_up EXIT
fail() {
  echo "image_root: $*" >&2
  exit 1
}

# The lines of the last stage that begin with the instruction $1, without it.
instructions() {
  awk '/^FROM / { stage = "" } { stage = stage $0 "\n" } END { print stage }' deploy/Dockerfile | sed -n "s/^$1 //p"
}

# copy SOURCE TARGET OWNER: COPY of a folder, its contents included.
copy() {
  local path
  while IFS= read -r -d '' path; do
    if [ -d "$1/$path" ] && [ ! -L "$1/$path" ]; then
      [ -d "$2/$path" ] && continue
      mkdir -p "$2/$path"
    else
      cp -P "$1/$path" "$2/$path"
    fi
    [ -z "$3" ] || chown -h "$3" "$2/$path"
  done < <(cd "$1" && find . -print0)
}

user=$(instructions USER)
inside=(chroot --userspec="$user" "$image")
if [ "$(id -u)" != 0 ]; then
  unshare --map-root-user true 2>/dev/null || { echo "SKIPPED: only root can change the root folder here"; exit 77; }
  echo "not root: whom the data folder belongs to is not checked"
  inside=(unshare --map-root-user chroot "$image")
fi

mkdir "$work/build" "$image"
made=$(sed -nE 's#.*deploy/image-root\.sh (/[^ ]+) .*#\1#p' deploy/Dockerfile)
[ -n "$made" ] || fail "deploy/Dockerfile does not say into which folder image-root.sh puts the image"
deploy/image-root.sh "$work/build" "$1/authurl-server" "$1/authurl-keygen" "$1/authurl-call"
while read -r from first rest; do
  [ "$from" = --from=build ] || fail "COPY $from: this test knows only COPY --from=build"
  owner=
  if [[ $first == --chown=* ]]; then
    [ "$(id -u)" != 0 ] || owner=${first#--chown=}
    read -r first rest <<<"$rest"
  fi
  [[ $first == "$made"/* ]] || fail "COPY of $first: this test knows only what image-root.sh puts into $made"
  copy "$work/build/${first#"$made"/}" "$image$rest" "$owner"
done < <(instructions COPY)

# The secrets are mounted when the image runs; here the image's own program makes them, before it runs.
chmod 0755 "$work"
secrets=$image/run/secrets
chroot_as_root=(chroot "$image")
[ "$(id -u)" = 0 ] || chroot_as_root=("${inside[@]}")
"${chroot_as_root[@]}" /usr/bin/authurl-keygen key-ring /run/secrets/authurl-key-ring
"${chroot_as_root[@]}" /usr/bin/authurl-keygen api-key /run/secrets/authurl-admin-key
[ "$(id -u)" != 0 ] || chown "$user" "$secrets/authurl-key-ring" "$secrets/authurl-admin-key"

: >"$work/log"
mapfile -t command < <(instructions ENTRYPOINT | tr -d '[]" ' | tr ',' '\n')
"${inside[@]}" "${command[@]}" --listen=unix:/var/lib/authurl/socket --admin_key_file=/run/secrets/authurl-admin-key \
  2>"$work/log" &
pid=$!
for ((waited = 0; waited < 300; ++waited)); do
  if grep -q '"event":"serving"' "$work/log"; then break; fi
  kill -0 "$pid" || { cat "$work/log"; exit 1; }
  sleep 0.1
done
"${inside[@]}" /usr/bin/authurl-call -plaintext unix:/var/lib/authurl/socket grpc.health.v1.Health/Check |
  tee "$work/health"
grep -q '"SERVING"' "$work/health"
kill -TERM "$pid"
wait "$pid"
pid=
