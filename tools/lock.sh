#!/bin/sh
# Writes requirements/*.txt from pyproject.toml: every version pinned, every file's hash, no index named.
# usage: lock.sh PYTHON [--upgrade]
set -eu
cd "$(dirname "$0")/.."
python=$1
shift
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
"$tools/bin/python" -m pip install -q uv

compile() {  # compile OUTPUT ARGUMENT...
    output=$1
    shift
    "$tools/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-annotate --custom-compile-command "make lock" --output-file "requirements/$output" "$@" >/dev/null
}
compile run.txt "$@" pyproject.toml
compile dev.txt "$@" -c requirements/run.txt pyproject.toml --group test --group lint
compile docs.txt "$@" -c requirements/dev.txt --group docs
compile build.txt "$@" -c requirements/docs.txt -c requirements/dev.txt --group build
