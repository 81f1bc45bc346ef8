#!/bin/sh
# Prints, one a line, an interpreter for each other Python that Tenure supports (3.11 to 3.13) and this machine has.
# usage: pythons.sh PYTHON    PYTHON: the one that is already in use; its minor version is left out
set -u
used=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for minor in 3.11 3.12 3.13; do
    [ "$minor" = "$used" ] && continue
    # A pyenv shim may stand on PATH and fail, while the interpreter lies in the versions folder beside the shims.
    shims=$(command -v "python$minor" 2>/dev/null)
    for candidate in "python$minor" "${shims%/shims/*}"/versions/"$minor".*/bin/python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$minor".*/bin/python /usr/local/bin/"python$minor" "/opt/python$minor/bin/python"; do
        found=$("$candidate" -c 'import sys; print("%d.%d %s" % (*sys.version_info[:2], sys.executable))' 2>/dev/null) || continue
        case $found in
            "$minor "*) echo "${found#* }"; break ;;
        esac
    done
done
