#!/bin/sh
# Prints the path of a Python that Tenure can be built with; says on standard error what to do where there is none.
# usage: python.sh [CANDIDATE...]    the first that really runs and is 3.11 or newer
for candidate in "$@" python3 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] || continue
    # A pyenv shim may be on PATH and fail: only what runs counts, and what it is behind the shim is what is printed.
    found=$("$candidate" -c 'import sys
if sys.version_info >= (3, 11):
    print(sys.executable)' 2>/dev/null) || continue
    [ -n "$found" ] && echo "$found" && exit 0
done
cat >&2 <<'END'
error: no Python 3.11 or newer was found on this machine (looked for python3, python3.13, python3.12, python3.11)
hint: on Debian or Ubuntu `apt-get install python3 python3-venv`, on Fedora `dnf install python3`;
      or name one: make PYTHON=/path/to/python3.11
END
exit 1
