#!/usr/bin/env bash
# Build the image, bring everything up, kill a worker and the database, and look at the result from
# outside:
#
#     tests/containers/run.sh
#
# It uses the Docker engine that answers; where none does, root with a `dockerd` gets a private one, in a
# network namespace of its own, gone afterwards. Where there is neither it prints `skipped: ...` and
# exits 0. Needs `hpsearch` with its `postgres` extra on PATH, docker, docker compose (or docker-compose)
# and curl. It takes about ten minutes the first time.
#
# ENGINE   a folder for the private engine, kept for the next run; otherwise a temporary one
# OFFLINE  a folder that `base-images.sh fetch` filled: base images and packages come from there
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

say() { printf '%(%H:%M:%S)T %s\n' -1 "$*"; }
skip() { echo "skipped: $*"; exit 0; }
fail() { say "FAILED: $*"; exit 1; }

for tool in docker curl hpsearch; do
  command -v "$tool" >/dev/null || skip "$tool is not installed"
done
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  skip "neither docker compose nor docker-compose is installed"
fi

# --- an engine -----------------------------------------------------------------------------------

if [ -z "${HPSEARCH_PRIVATE_ENGINE:-}" ] && ! docker version >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || skip "no Docker engine answers, and only root can start one"
  command -v dockerd >/dev/null || skip "no Docker engine answers, and dockerd is not installed"
  [ -n "${OFFLINE:-}" ] || skip "no Docker engine answers; a private one has no network: set OFFLINE"
  # A network of its own: its bridges, ports and firewall rules touch nothing outside, and this
  # script, being inside, sees what is published on 127.0.0.1.
  export HPSEARCH_PRIVATE_ENGINE=1
  exec unshare --net --mount -- "$here/run.sh"
fi

work=$(mktemp -d)
background=()
password=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
echo "$password" >"$work/password"
chmod 444 "$work/password"
export COMPOSE_PROJECT_NAME=hpsearch-test COMPOSE_PROFILES=cpu
export POSTGRES_PASSWORD=$password POSTGRES_PORT=15432
export DASHBOARD_USER=someone DASHBOARD_PASSWORD_FILE=$work/password DASHBOARD_PORT=18080
# The same database, as this machine sees it; libpq takes the password from here.
export HPSEARCH_STORAGE=postgresql://hpsearch@127.0.0.1:$POSTGRES_PORT/hpsearch PGPASSWORD=$password
export HPSEARCH_IMAGE=hpsearch:test

clean_up() {
  status=$?
  trap - EXIT
  [ $status = 0 ] || "${compose[@]}" logs --tail 40 2>&1 | tail -n 150 || true
  "${compose[@]}" down --volumes --timeout 5 >/dev/null 2>&1 || true
  for pid in "${background[@]}"; do
    kill "$pid" 2>/dev/null || continue
    wait "$pid" || true
  done
  rm -rf "$work"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain for $what"
    sleep 0.5
  done
}

# quietly COMMAND...: its output is shown only where it fails.
quietly() {
  "$@" >"$work/said" 2>&1 || { cat "$work/said"; fail "$*"; }
}

if [ -n "${HPSEARCH_PRIVATE_ENGINE:-}" ]; then
  ip link set lo up
  engine=${ENGINE:-$work/engine}
  mkdir -p "$engine"
  export DOCKER_HOST=unix://$engine/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$engine/data" --exec-root "$engine/exec" \
    --pidfile "$engine/pid" >"$engine/log" 2>&1 &
  background+=($!)
  await 60 "a private Docker engine; see $engine/log" docker version
fi

# --- the image -----------------------------------------------------------------------------------

build=()
if [ -n "${OFFLINE:-}" ]; then
  quietly "$here/base-images.sh" load "$OFFLINE"
  port=8901
  python3 -m http.server --bind 127.0.0.1 --directory "$OFFLINE/simple" $port >/dev/null 2>&1 &
  background+=($!)
  # The packages come through the build argument that names another index.
  build=(--network host --build-arg "PIP_INDEX_URL=http://127.0.0.1:$port")
fi
say "building the image"
quietly docker build "${build[@]}" --tag "$HPSEARCH_IMAGE" .
bytes=$(docker image inspect --format '{{.Size}}' "$HPSEARCH_IMAGE")
say "image: $((bytes / 1000000)) MB; engine $(docker version --format '{{.Server.Version}}')"

# --- db, two workers, the dashboard --------------------------------------------------------------

quietly "${compose[@]}" up --detach --no-build --scale worker=2
say "up: $("${compose[@]}" ps --quiet | wc -l) containers"

worker() { docker ps --all --quiet --filter "name=${COMPOSE_PROJECT_NAME}.worker.$1\$"; }
is() { [ "$(docker inspect --format "$1" "$2")" = "$3" ]; }
page() {
  curl --silent --output /dev/null --write-out '%{http_code}' "$@" \
    "http://127.0.0.1:$DASHBOARD_PORT/dashboard/"
}
answers() { [ "$(page "${@:2}")" = "$1" ]; }

published=$(docker ps --format '{{.Ports}}' | grep -o '[^ ,]*->' | grep -v '^127\.0\.0\.1:' || true)
[ -z "$published" ] || fail "published beyond 127.0.0.1: $published"
[ "$(docker exec "$(worker 1)" id -u)" = 1000 ] || fail "the worker runs as another user than 1000"
docker exec "$(worker 1)" touch /home/hpsearch/x 2>/dev/null && fail "the root can be written"
await 60 "the dashboard to refuse a stranger" answers 401
await 10 "the dashboard to let its user in" answers 200 --user "someone:$password"
say "dashboard: 401 without a login, 200 with it"

# --- two studies, one submitted from this machine and one from a container -----------------------

quietly hpsearch submit studies/digits.yaml
quietly "${compose[@]}" run --rm worker submit /studies/digits.yaml --set name=digits-inside

say "submitted a study from this machine and one from a container"

# ended STUDY: how many trials of it have ended.
ended() { hpsearch status "$1" --json | grep -o '"ended": [0-9]*' | grep -o '[0-9]*'; }
both() { echo $(($(ended digits) + $(ended digits-inside))); }
at_least() { [ "$(both)" -ge "$1" ]; }

await 120 "5 trials to end" at_least 5
docker kill "$(worker 1)" >/dev/null
say "killed a worker; $(both) of 120 trials had ended"
await 180 "20 trials to end" at_least 20
say "killing the database; $(both) of 120 trials have ended"
db=$("${compose[@]}" ps --quiet db)
docker kill "$db" >/dev/null
sleep 20 # the outage
is '{{.State.Running}}' "$(worker 2)" true || fail "the worker left with the database"
docker start "$db" >/dev/null
docker start "$(worker 1)" >/dev/null
say "started both again"
await 600 "120 trials to end" at_least 120

# --- the result, from outside --------------------------------------------------------------------

for study in digits digits-inside; do
  hpsearch export "$study" --format json >"$work/$study.json"
  python3 "$here/exact.py" "$work/$study.json" 60
done
is '{{.RestartCount}}' "$(worker 2)" 0 || fail "the worker that was not killed had to be restarted"
answers 200 --user "someone:$password" || fail "the dashboard did not come back"
"${compose[@]}" stop --timeout 20 worker >/dev/null 2>&1
for number in 1 2; do
  is '{{.State.ExitCode}}' "$(worker $number)" 0 || fail "a worker did not leave on SIGTERM"
done
say "workers left on SIGTERM"
say "passed"
