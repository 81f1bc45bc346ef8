#!/bin/sh
# Makes a virtual environment and installs what a lock lists, then Tenure itself (editable).
# usage: bootstrap.sh VENV PYTHON LOCK...    LOCK: files of requirements/, each with hashes
# Works with or without ensurepip (Debian keeps it in python3-venv); leaves nothing half-made that looks whole: the
# caller's stamp is written only when this has succeeded.
set -eu
cd "$(dirname "$0")/.."
venv=$1 python=$2
shift 2

# Two `make`s in one checkout must not build the same environment at once.
if [ -z "${TENURE_BOOTSTRAP_LOCKED:-}" ] && command -v flock >/dev/null 2>&1; then
    TENURE_BOOTSTRAP_LOCKED=1 exec flock "$(pwd)" sh "tools/$(basename "$0")" "$venv" "$python" "$@"
fi

say() { echo "bootstrap: $*" >&2; }

# The way that works, as a word: "own" pip inside the environment, or the "outer" Python's pip working on it.
make_venv() {
    if "$python" -m venv --clear "$venv" >/dev/null 2>&1 && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    rm -rf "$venv"
    # Without ensurepip: an empty environment, filled by this Python's own pip (--python came with pip 22.3).
    if "$python" -m venv --without-pip "$venv" >/dev/null 2>&1 &&
        "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1; then
        return 0
    fi
    rm -rf "$venv"
    if "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q "$venv" && return 0
        rm -rf "$venv"
    fi
    return 1
}

if ! "$venv/bin/python" -c '' >/dev/null 2>&1; then
    say "making $venv with $python"
    rm -rf "$venv"
    if ! make_venv; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "this Python has neither ensurepip nor a usable pip: installing python3-venv"
            { apt-get update -qq && { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" ||
                DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; }; } >&2
        fi
        if ! make_venv; then
            say "error: $python can make no virtual environment: it has neither ensurepip nor a usable pip"
            say "hint: as root, apt-get install python$version-venv (Debian, Ubuntu), or name another: make PYTHON=/path/to/python"
            exit 1
        fi
    fi
fi

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    pip() { "$venv/bin/python" -m pip "$@"; }
else
    pip() { "$python" -m pip --python "$venv/bin/python" "$@"; }
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

locks=
for lock in "$@"; do locks="$locks -r $lock"; done
say "installing $* into $venv"
# shellcheck disable=SC2086  # a list of our own file names, none with a space
pip install -qq --require-hashes $locks >&2
pip install -qq --no-deps --no-build-isolation --editable . >&2
