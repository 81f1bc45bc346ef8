#!/bin/sh
# Sees that there is a PostgreSQL server for the tests of tenure.fencing: as root on Debian it is installed; else they are skipped.
# usage: postgresql.sh    always succeeds
set -u
for program in /usr/lib/postgresql/*/bin/pg_ctl $(command -v pg_ctl || true); do
    if [ -x "$program" ]; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing PostgreSQL, for the tests of fences (apt-get install postgresql)"
    if DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql >/dev/null 2>&1 ||
        { apt-get update -q >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql >/dev/null 2>&1; }; then
        exit 0
    fi
    echo "it can't be installed: the tests that need it are skipped"
fi
exit 0
