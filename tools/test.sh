#!/bin/sh
# Runs every test: quick ones in two processes, slow ones alone, then the quick ones on each other supported Python.
# usage: test.sh VENV [PYTEST ARGUMENT...]    exits non-zero when any part failed, having run them all
set -u
cd "$(dirname "$0")/.."
venv=$1
shift
failed=

# pytest's code 5 is "nothing was collected": an empty part is no failure, an empty suite would be.
part() {  # part TITLE COMMAND...
    title=$1
    shift
    echo
    echo "== $title"
    "$@"
    code=$?
    if [ "$code" != 0 ] && [ "$code" != 5 ]; then failed="$failed
  $title"; fi
}

ran=$("$venv/bin/python" -c 'import platform; print(platform.python_version())')
part "quick tests, Python $ran" "$venv/bin/python" -m pytest -q -n 2 -m "not slow" "$@"
part "slow tests, Python $ran" "$venv/bin/python" -m pytest -q -m slow --timeout 600 --durations 5 "$@"

for other in $(sh tools/pythons.sh "$venv/bin/python"); do
    version=$("$other" -c 'import platform; print(platform.python_version())')
    minor=$("$other" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if make -s ".venv-$minor/.stamp" OTHER="$other"; then
        part "quick tests, Python $version" ".venv-$minor/bin/python" -m pytest -q -n 2 -m "not slow" "$@"
        ran="$ran, $version"
    else
        failed="$failed
  no environment for Python $version"
    fi
done

echo
if [ -n "$failed" ]; then
    echo "FAILED (Pythons run: $ran):$failed"
    exit 1
fi
echo "all passed on Python $ran"
