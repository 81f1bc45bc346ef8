#!/bin/sh
# Sees that there is what tests on a network of their own need: nft and ip. As root on Debian they are installed; else
# those tests are skipped.
# usage: network.sh    always succeeds
set -u
PATH=$PATH:/usr/sbin:/sbin
wanted=
command -v nft >/dev/null || wanted="$wanted nftables"
command -v ip >/dev/null || wanted="$wanted iproute2"
if [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$wanted, for the tests of fail-over (apt-get install$wanted)"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # package names, one a word
    if ! { apt-get install -y -q $wanted || { apt-get update -q && apt-get install -y -q $wanted; }; } >/dev/null 2>&1; then
        echo "they can't be installed: the tests that need them are skipped"
    fi
fi
exit 0
