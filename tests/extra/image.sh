#!/usr/bin/env bash
# The container images are built and run by a real engine, as README.md and deploy/README.md say: dockerd of Debian's
# package docker.io with BuildKit, and docker-compose. Needs root. What is proven:
#
# - deploy/Dockerfile builds all images from its own sources, C++ and Go included, and an edit of what an image is not
#   made from rebuilds nothing of it;
# - deploy/compose.yaml runs them: nobody is root, nothing but volumes can be written to, the engine itself calls them
#   healthy, a flow is completed in place of a browser, a restart keeps the data, and all stop in time;
# - both images run by themselves with the commands that deploy/README.md shows, and with the arguments and probes of
#   kubernetes.yaml, whose other lines nobody reads here.
#
# No registry is asked. What the Dockerfile builds FROM is made here under those names: Debian by debootstrap, and on top
# of it Go and Node.js as this machine has them. So what is not proven is that these are like their publishers' images.
#
# The engine runs in namespaces of its own, for processes, mounts and, while containers run, the network, from which
# nothing but its own loopback is reached. All that it starts and mounts ends with these; its files are in folders that go.
set -euo pipefail
# shellcheck source=tests/support/debian_root.sh
. tests/support/debian_root.sh
tools=$PWD/build/tools
export PATH=$tools/docker.io/usr/bin:$tools/docker.io/usr/sbin:$tools/containerd/usr/bin:$tools/runc/usr/sbin:$PATH:/usr/sbin:/sbin
for tool in dockerd containerd runc docker docker-compose ip iptables go node npm curl; do
  command -v $tool >/dev/null || skip "there is no $tool"
done
# What is in the image of Node.js besides: Debian's own node needs more.
node_libraries='linux-vdso|libdl|libstdc\+\+|libm|libgcc_s|libpthread|libc|ld-linux'
libraries=$(ldd "$(command -v node)" | grep -vE "^\s*(/[^ ]*/)?($node_libraries)[.-]") || true
[ -z "$libraries" ] || skip "this machine's Node.js needs libraries that an image of it has not"

fail() {
  echo "FAILED: $*"
  # ctest would cut a long output in the middle.
  tail -n 30 "$work"/*.out "$work/engine.log" 2>/dev/null || true
  exit 1
}
began=$SECONDS
took() { echo "$*: $((SECONDS - began)) s after the start"; }

# A folder is locked while it is used: others are left from a run that was killed.
mkdir -p build/image
exec 7>build/image/lock
flock 7
for old in "$PWD"/build/image/run.*; do
  [ ! -d "$old" ] || flock --nonblock "$old" rm -rf --one-file-system "$old" || true
done
work=$(mktemp -d "$PWD/build/image/run.XXXXXX")
exec 9<"$work"
flock 9
exec 7>&-
# Unix sockets have short paths.
run=$(mktemp -d)
cgroup=/authurl-image-$$
engine_pid=
dockerd_pid=
clean_up() {
  stop_engine
  end_namespace
  # BuildKit's are called docker/buildkit, wherever the others are. One in which somebody is, nobody can remove.
  find /sys/fs/cgroup -depth -type d \( -path "*$cgroup*" -o -path '*/docker/buildkit' -o -name docker \) \
    -exec rmdir {} + 2>/dev/null || true
  rm -rf --one-file-system "$work" "$run"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

export DOCKER_HOST=unix://$run/docker.sock DOCKER_CONFIG=$run/config DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain
export COMPOSE_DOCKER_CLI_BUILD=1 COMPOSE_PROJECT_NAME=authurl-image-test

# start_engine NAMESPACES DOCKERD_FLAG…: in one of its own for each flag of unshare.
start_engine() {
  local namespaces waited
  read -ra namespaces <<<"$1"
  shift
  # shellcheck disable=SC2016 # the inner shell expands it
  setpriv --pdeathsig KILL unshare "${namespaces[@]}" --mount-proc --fork --kill-child \
    bash -c 'ip link set lo up && exec dockerd "$@"' bash --data-root="$work/data" --exec-root="$run/exec" \
    --pidfile="$run/pid" --host="$DOCKER_HOST" --group=0 --cgroup-parent="$cgroup" \
    --exec-opt=native.cgroupdriver=cgroupfs "$@" </dev/null >>"$work/engine.log" 2>&1 7>&- 9>&- &
  engine_pid=$!
  for ((waited = 0; waited < 300; ++waited)); do
    if docker version >/dev/null 2>&1; then
      dockerd_pid=$(<"/proc/$engine_pid/task/$engine_pid/children")
      dockerd_pid=${dockerd_pid%% *}
      return
    fi
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.1
  done
  fail "the engine does not start here"
}
# Politely, so that it forgets nothing; after 30 s the namespaces end with everything in them.
stop_engine() {
  local waited
  [ -n "$engine_pid" ] || return 0
  [ -z "$dockerd_pid" ] || kill -TERM "$dockerd_pid" 2>/dev/null || true
  for ((waited = 0; waited < 300; ++waited)); do
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$engine_pid" 2>/dev/null || true
  wait "$engine_pid" 2>/dev/null || true
  engine_pid='' dockerd_pid=''
}
# inside COMMAND…: where the containers' published ports are.
inside() { nsenter --target "$dockerd_pid" --mount --pid --net -- "$@"; }

# --- Built ---

# The builders' way out is this machine's.
start_engine '--mount --pid' --bridge=none --iptables=false --ip6tables=false
mkdir "$work/root"
make_debian "$work/root"
# Debian's images have no package lists, but apt fetches them for each image anyway.
rm -rf "$work"/root/var/lib/apt/lists/*
tar -C "$work/root" -c . | docker import --change 'CMD ["bash"]' - debian:trixie-slim >/dev/null
rm -rf --one-file-system "$work/root"

# base IMAGE FOLDER: made of FOLDER in /usr/local on top of Debian, with the Dockerfile's lines in stdin.
base() { docker build -q -t "$1" -f - "$2" >"$work/base.out" 2>&1 || fail "the image $1 can't be made"; }
# env_lines NAME VALUE…: those that are set.
env_lines() {
  for ((; $# > 0;)); do
    [ -z "$2" ] || echo "ENV $1=$2"
    shift 2
  done
}
{
  echo 'FROM debian:trixie-slim'
  echo 'COPY . /usr/local/go'
  echo 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOTOOLCHAIN=local'
  for name in GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE; do env_lines $name "$(go env $name)"; done
} | base golang:1.26-trixie "$(go env GOROOT)"
mkdir -p "$work"/node/bin "$work"/node/lib/node_modules
cp -L "$(command -v node)" "$work/node/bin"
npm=$(realpath "$(command -v npm)")
cp -r "${npm%/bin/*}" "$work/node/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/bin/npm"
{
  echo 'FROM debian:trixie-slim'
  echo 'COPY . /usr/local'
  registry=$(npm config get registry)
  [ ! -f /etc/ssl/certs/ca-certificates.crt ] || authorities=/etc/ssl/certs/ca-certificates.crt
  env_lines NPM_CONFIG_REGISTRY "$registry" NPM_CONFIG_CAFILE "${authorities:-}"
} | base node:22-trixie-slim "$work/node"
took "the base images are there"

# The sources apart, because some are going to be edited.
src=$work/src
mkdir "$src"
copy_sources "$src"
proxies=()
for name in http_proxy https_proxy no_proxy; do
  [ -z "${!name:-}" ] || proxies+=(--build-arg "$name=${!name}")
done
# As compose.yaml says, except for the network.
cat >"$work/network.yaml" <<'END'
services:
  secrets: {build: {network: host}}
  provider: {build: {network: host}}
  server: {build: {network: host}}
  gateway: {build: {network: host}}
  guide: {build: {network: host}}
END
# build SERVICE…
build() {
  docker-compose -f "$src/deploy/compose.yaml" -f "$work/network.yaml" build "${proxies[@]}" "$@" >"$work/build.out" 2>&1 ||
    fail "the image of $* can't be built"
}
id_of() { docker images -q --no-trunc "$1"; }
for service in server gateway provider; do
  build $service
  took "the image of $service is built"
done
for image in authurl authurl-gateway authurl-demo; do
  docker image inspect --format "$image: {{.Size}} bytes, user {{.Config.User}}" $image
  [ "$(docker image inspect --format '{{.Config.User}}' $image)" = 65532:65532 ] || fail "the user of $image"
done

# unchanged IMAGE SERVICE EDITED…: with these files edited, nothing of it is made anew.
unchanged() {
  local image=$1 service=$2 old file
  old=$(id_of "$image")
  shift 2
  for file in "$@"; do
    [ -f "$src/$file" ] || fail "there is no $file to edit"
    cp "$src/$file" "$work/unedited"
    echo "// edited" >>"$src/$file"
  done
  build "$service"
  [ "$(id_of "$image")" = "$old" ] || fail "an edit of $* makes another $image"
  for file in "$@"; do cp "$file" "$src/$file"; done
}
rm -f "$work/unedited"
unchanged authurl server README.md deploy/README.md deploy/quickstart.sh deploy/gateway/main.go deploy/gateway/README.md \
  deploy/demo/guide.mjs tests/run.sh
unchanged authurl-gateway gateway README.md server/main.cc core/errors.cc deploy/keygen.cc deploy/gateway/README.md \
  deploy/gateway/tls_test.go deploy/demo/guide.mjs
# What is looked at can change.
old=$(id_of authurl-demo)
echo '// edited' >>"$src/deploy/demo/guide.mjs"
build provider
[ "$(id_of authurl-demo)" != "$old" ] || fail "an edit of the guide makes the same authurl-demo"
cp deploy/demo/guide.mjs "$src/deploy/demo"
build secrets provider server gateway guide
[ "$(id_of authurl-demo)" = "$old" ] || fail "the edit is still in authurl-demo"
took "edits were made"

# --- Run, as compose.yaml says ---

stop_engine
start_engine '--mount --pid --net'
compose() { docker-compose -f "$src/deploy/compose.yaml" "$@"; }
# wait_for SECONDS WHAT COMMAND…: until it succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not in time: $what"
    sleep 0.2
  done
}
state() { docker inspect --format "$2" "$(compose ps -aq "$1")"; }
is() { [ "$(state "$1" "$2")" = "$3" ]; }
healthy() { is "$1" '{{.State.Health.Status}}' healthy; }

compose up -d --no-build >"$work/up.out" 2>&1 || fail "docker-compose up"
took "all is started"
for service in provider server gateway; do
  healthy $service || fail "$service is $(state $service '{{json .State.Health}}')"
done
is secrets '{{.State.ExitCode}}' 0 || fail "secrets ended with $(state secrets '{{.State.ExitCode}}')"
for service in provider server gateway guide; do
  pid=$(state $service '{{.State.Pid}}')
  inside grep -E '^(Uid|Gid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" >"$work/status.out"
  for line in $'Uid:\t65532\t65532\t65532\t65532' $'Gid:\t65532\t65532\t65532\t65532' $'CapEff:\t0000000000000000' \
    $'CapBnd:\t0000000000000000' $'NoNewPrivs:\t1' $'Seccomp:\t2'; do
    grep -qxF "$line" "$work/status.out" || fail "of the process of $service this is not so: $line"
  done
  inside grep -qE '^[^ ]+ / [^ ]+ ro[, ]' "/proc/$pid/mounts" || fail "$service can write to its image"
done
ports=$(state server '{{.HostConfig.PortBindings}} {{.NetworkSettings.Ports}}')
[[ $ports != *[0-9]* ]] || fail "the server has a port: $ports"

# The volumes are the user's, and what is secret is for nobody else.
owners() { find "$work/data/volumes/${COMPOSE_PROJECT_NAME}_$1/_data" "${@:2}"; }
for volume in data secrets socket demo; do
  [ -z "$(owners $volume ! -user 65532)" ] || fail "somebody else owns $(owners $volume ! -user 65532)"
done
for volume in data secrets demo; do
  [ -n "$(owners $volume -type f)" ] || fail "there is no file on the volume $volume"
  [ -z "$(owners $volume -type f -perm /077)" ] || fail "others may read $(owners $volume -type f -perm /077)"
done

# The flow, as the guide's log asks for it.
auth_url() { compose logs --no-color guide | grep -oE 'http://127\.0\.0\.1:4000/auth\?\S+' | tail -n 1; }
# sign_in NAME
sign_in() {
  wait_for 30 "the guide shows a URL" auth_url
  auth_url | sed 's/.*/{"auth_url":"&"}/' | inside "$(command -v node)" "$src/deploy/demo/sign-in.mjs" --name="$1" --follow >"$work/sign-in.out" 2>&1 ||
    fail "the sign-in failed"
  wait_for 30 "the guide ends" is guide '{{.State.Status}}' exited
  is guide '{{.State.ExitCode}}' 0 || fail "the guide ended with $(state guide '{{.State.ExitCode}}')"
  compose logs --no-color guide >"$work/guide.out"
  grep -q "\"username\": \"$1\"" "$work/guide.out" || fail "the guide does not show the account of $1"
}
sign_in alice
took "an account is connected"
# What the guide says to type.
typed=$(compose logs --no-color guide | sed -nE 's/^guide[^|]*\|   ((export|curl) .*)/\1/p')
[ "$(wc -l <<<"$typed")" = 3 ] || fail "the guide does not say what to type: $typed"
ask() { inside curl -q --noproxy '*' -sS --max-time 20 "$@"; }
typed=${typed//docker compose /docker-compose }
typed=${typed//curl /ask }
accounts() { (cd "$src" && eval "$typed"); }
shows_alice() { [[ $(accounts) == *'"username":"alice"'* ]]; }
shows_alice || fail "what the guide says to type shows no account: $(accounts)"
compose logs >"$work/logs.out" 2>&1
! grep -qE 'auk_[A-Za-z0-9]{12}_' "$work/logs.out" || fail "an API key is in the logs"

# Each alone is restarted, and then the server is killed.
for service in server gateway; do
  compose restart $service >"$work/restart.out" 2>&1 || fail "restart $service"
  wait_for 30 "$service is healthy again" healthy $service
  wait_for 10 "the gateway is ready" ask --fail http://127.0.0.1:8080/readyz
  shows_alice || fail "after a restart of $service the account is gone"
done
inside kill -KILL "$(state server '{{.State.Pid}}')"
wait_for 30 "the server is started again after it was killed" ask --fail http://127.0.0.1:8080/readyz
shows_alice || fail "after a crash the account is gone"
# The engine notices that the server is away, by the gateway's own health check.
compose stop server >"$work/stop.out" 2>&1
wait_for 30 "the gateway is called unhealthy without a server" is gateway '{{.State.Health.Status}}' unhealthy
# Again, with the secrets, the key and the configuration that are there.
compose up -d --no-build >"$work/up.out" 2>&1 || fail "docker-compose up, again"
sign_in bob
shows_alice || fail "after another up the first account is gone"
took "restarted"

before=$SECONDS
compose stop >"$work/stop.out" 2>&1 || fail "docker-compose stop"
echo "stopped in $((SECONDS - before)) s"
for service in provider server gateway; do
  is $service '{{.State.ExitCode}}' 0 || fail "SIGTERM ended $service with $(state $service '{{.State.ExitCode}}')"
done
[ "$((SECONDS - before))" -le 15 ] || fail "stopping took $((SECONDS - before)) s"
compose down --volumes >"$work/down.out" 2>&1 || fail "docker-compose down"
[ -z "$(docker ps -aq)$(docker volume ls -q)" ] || fail "docker-compose down leaves something behind"

# --- Run, as deploy/README.md says ---

commands=$(tests/support/marked_commands.sh tests/extra/image.sh 'docker run' deploy/README.md)
bash -euo pipefail -c "$commands" >"$work/commands.out" 2>&1 || fail "a command of deploy/README.md"
alone() { docker inspect --format "$1" authurl; }
alone_is_healthy() { [ "$(alone '{{.State.Health.Status}}')" = healthy ]; }
wait_for 60 "the server alone is healthy" alone_is_healthy
wait_for 30 "the gateway beside it is ready" ask --fail http://127.0.0.1:8080/readyz
docker stop authurl authurl-gateway >"$work/stop.out"
[ "$(alone '{{.State.ExitCode}}')" = 0 ] || fail "the server alone ended with $(alone '{{.State.ExitCode}}')"
docker rm authurl authurl-gateway >"$work/rm.out"
took "what deploy/README.md shows was run"

# --- Run, as kubernetes.yaml says ---

# Lines that set the four arrays below, the last one to paths.
pod=$(/usr/bin/python3 - <<'END'
import shlex, yaml

with open("deploy/gateway/kubernetes.yaml", encoding="utf-8") as manifest:
    deployment = next(part for part in yaml.safe_load_all(manifest) if part["kind"] == "Deployment")
for container in deployment["spec"]["template"]["spec"]["containers"]:
    probes = [value for key, value in container.items() if key.endswith("Probe")]
    asked = [shlex.join(probe["exec"]["command"]) if "exec" in probe else probe["httpGet"]["path"] for probe in probes]
    print(f"{container['name']}_args=({shlex.join(container['args'])})")
    print(f"{container['name']}_probes=({shlex.join(asked)})")
END
)
server_args=() server_probes=() gateway_args=() gateway_probes=()
eval "$pod"
install -d -o 65532 -g 65532 -m 0700 "$work/secrets"
for secret in key-ring:key-ring api-key:admin-key; do
  docker run --rm --network none -v "$work/secrets:/secrets" --entrypoint /usr/bin/authurl-keygen authurl \
    "${secret%:*}" "/secrets/${secret#*:}" >"$work/keygen.out"
done
locked=(--read-only --cap-drop ALL --security-opt no-new-privileges)
docker run -d --name server "${locked[@]}" -p 127.0.0.1:8080:8080 -p 127.0.0.1:9464:9464 -v "$work/secrets:/secrets" \
  authurl "${server_args[@]}" >"$work/run.out"
docker run -d --name gateway "${locked[@]}" --network container:server authurl-gateway "${gateway_args[@]}" >"$work/run.out"
[ "${#server_probes[@]}${#gateway_probes[@]}" = 22 ] || fail "kubernetes.yaml has other probes: $pod"
for probe in "${server_probes[@]}"; do wait_for 30 "server: $probe" eval "docker exec server $probe"; done
for path in "${gateway_probes[@]}"; do wait_for 30 "gateway: $path" ask --fail "http://127.0.0.1:8080$path"; done
ask --fail http://127.0.0.1:9464/metrics >"$work/metrics.out" || fail "nobody answers on port 9464"
grep -q '^authurl_build_info' "$work/metrics.out" || fail "there are no metrics on port 9464"
docker rm --force server gateway >"$work/rm.out"
took "what kubernetes.yaml says was run"
