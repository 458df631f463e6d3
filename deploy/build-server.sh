#!/usr/bin/env bash
# shellcheck disable=SC2154 # $build and $build_log are the caller's
# The part of quickstart.sh and demo.sh that builds the server. Read with `.` from the root of the repository, by a script
# that has the functions say and fail and sets `build`, the folder to build in, and `build_log`, a file in it. While Ninja
# runs, `build_pid` is its process: whoever leaves then, ends it.
build_pid=

build_failed() {
  tail -n 25 "$build_log" >&2
  fail "the build failed; its whole output is in $build_log"
}

# A build by another user, root for one, would otherwise end in some tool's "Permission denied".
check_build_folder() {
  local other
  mkdir -p "$build" 2>/dev/null || fail "can't make the folder $PWD/$build: run this as the user whom $PWD belongs to"
  other=$(find "$build" -maxdepth 1 ! -writable -print -quit)
  [ -z "$other" ] || fail "can't write to $PWD/$other, which belongs to $(stat -c %U "$other"): run this as that user, or \
have the folder $PWD/$build removed"
}

build_server() {
  local next_report=$((SECONDS + 20))
  check_build_folder
  : >"$build_log"
  # A folder that is configured already, maybe with the tests, stays so: Ninja reconfigures it when it has to.
  if [ ! -f "$build/build.ninja" ]; then
    say "building the server in $build; the first time this takes some minutes"
    cmake --preset release -DAUTHURL_BUILD_TESTS=OFF >>"$build_log" 2>&1 || build_failed
  fi
  # Not `cmake --build`, which would leave Ninja running when it is stopped.
  ninja -C "$build" authurl-server authurl-keygen authurl-call >>"$build_log" 2>&1 &
  build_pid=$!
  while kill -0 "$build_pid" 2>/dev/null; do
    sleep 0.2
    [ "$SECONDS" -ge "$next_report" ] || continue
    next_report=$((SECONDS + 20))
    say "  building: $(sed -nE 's#^\[([0-9]+)/([0-9]+)\].*#step \1 of \2#p' "$build_log" | tail -n 1)"
  done
  wait "$build_pid" || build_failed
  build_pid=
}
