#!/usr/bin/env bash
# systemctl, where there is no systemd: `systemctl start|stop|restart|status UNIT…` does what systemd would do for a unit of
# ours, without its sandbox. What a unit writes is in /run/stand-in/UNIT.log. For tests; `status` starts what is not
# running, as installing a package would.
set -euo pipefail
setting() { sed -n "s/^$2=//p" "/usr/lib/systemd/system/$1.service"; }
running() { [ -f "/run/stand-in/$1.pid" ] && kill -0 "$(cat "/run/stand-in/$1.pid")" 2>/dev/null; }
lines() { grep -c '"event":"serving"' "/run/stand-in/$1.log" || true; }

start() {
  local unit=$1 user folder file line before
  local -a command environment=()
  ! running "$unit" || return 0
  user=$(setting "$unit" User)
  for folder in $(setting "$unit" StateDirectory); do
    install -d -o "$user" -g "$user" -m "$(setting "$unit" StateDirectoryMode)" "/var/lib/$folder"
  done
  file=$(setting "$unit" EnvironmentFile)
  if [ -n "$file" ]; then
    while IFS= read -r line; do environment+=("$line"); done < <(grep -E '^[A-Z]' "${file#-}")
  fi
  read -ra command <<<"$(setting "$unit" ExecStart)"
  mkdir -p /run/stand-in
  touch "/run/stand-in/$unit.log"
  before=$(lines "$unit")
  (umask 0077 && exec env "${environment[@]}" setsid setpriv --reuid "$user" --regid "$user" --clear-groups \
    --no-new-privs --bounding-set=-all "${command[@]}" >>"/run/stand-in/$unit.log" 2>&1 </dev/null) &
  echo "$!" >"/run/stand-in/$unit.pid"
  for _ in $(seq 150); do
    if [ "$(lines "$unit")" -gt "$before" ]; then return 0; fi
    running "$unit" || break
    sleep 0.1
  done
  cat "/run/stand-in/$unit.log"
  echo "systemctl: $unit does not start by its unit's command line" >&2
  exit 1
}
stop() {
  local pid
  running "$1" || return 0
  pid=$(cat "/run/stand-in/$1.pid")
  kill -TERM "$pid"
  for _ in $(seq 200); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  echo "systemctl: $1 does not stop" >&2
  exit 1
}

action=$1
shift
for unit in "$@"; do
  case $action in
    start | status) start "$unit" ;;
    stop) stop "$unit" ;;
    restart) stop "$unit" && start "$unit" ;;
    *) echo "systemctl: $action is not known here" >&2; exit 1 ;;
  esac
done
