#!/bin/sh
# Runs every test: quick ones, slow ones (those that share a network in one of them), both in two processes, then the quick ones on each other supported Python.
# usage: test.sh VENV [PYTEST ARGUMENT...]    exits non-zero when any part failed, having run them all
set -u
cd "$(dirname "$0")/.."
venv=$1
shift
failed=

part() {  # part TITLE COMMAND...
    title=$1
    shift
    echo
    echo "== $title"
    "$@" || failed="$failed
  $title"
}

sh tools/postgresql.sh
sh tools/network.sh
sh tools/etcd.sh "$venv/etcd" || echo "no etcd: the tests that need one are skipped"
ran=$("$venv/bin/python" -c 'import platform; print(platform.python_version())')
part "quick tests, Python $ran" "$venv/bin/python" -m pytest -q -n 2 -m "not slow" "$@"
part "slow tests, Python $ran" "$venv/bin/python" -m pytest -q -n 2 --dist loadgroup -m slow --timeout 600 --durations 15 "$@"

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

missing=
for minor in 3.11 3.12 3.13; do
    case ", $ran" in
        *", $minor."*) ;;
        *) missing="$missing $minor" ;;
    esac
done
echo
echo "tested on Python $ran${missing:+; not on this machine:$missing}"
if [ -n "$failed" ]; then
    echo "FAILED:$failed"
    exit 1
fi
echo "all passed"
