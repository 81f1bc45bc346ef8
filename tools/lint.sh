#!/bin/sh
# Runs every check of the code that needs no test run, all of them even when one fails.
# usage: lint.sh FOLDER    the environment's bin folder
set -u
cd "$(dirname "$0")/.."
bin=$1
failed=
check() {  # check COMMAND...
    echo "== ${1##*/} $(shift; echo "$*")"
    "$@" || failed="$failed ${1##*/}"
}
check "$bin/ruff" check --quiet .
check "$bin/ruff" format --check .
targets=
for folder in src/tenure tests bench examples tools; do
    if [ -n "$(find "$folder" -name '*.py' 2>/dev/null | head -1)" ]; then targets="$targets $folder"; fi
done
# shellcheck disable=SC2086  # a list of our own folders
check "$bin/mypy" --no-error-summary $targets
check "$bin/lint-imports" --no-cache
check "$bin/python" -m pytest -q -p no:xdist tests/house
if [ -n "$failed" ]; then
    echo "lint failed:$failed"
    exit 1
fi
echo "lint passed"
