#!/bin/sh
# Fetches each etcd that Debian's suites offer, for the tests: etcd and etcdctl into DEST/<version>/. Installs nothing, needs
# no root: apt works on lists of its own here, from the mirror that this machine's own sources name, and checks signatures.
# usage: etcd.sh DEST [SUITE...]    prints the versions there; does nothing once all suites have been had; fails without any
set -eu
[ $# -ge 1 ] || { echo "usage: etcd.sh DEST [SUITE...]" >&2; exit 2; }
mkdir -p "$1"
dest=$(cd "$1" && pwd)
shift
looked="$dest/.looked-at"
say() { echo "etcd.sh: $*" >&2; }

# Two test runs in one checkout fetch it once.
if [ -z "${ETCD_SH_LOCKED:-}" ] && command -v flock >/dev/null 2>&1; then
    ETCD_SH_LOCKED=1 exec flock "$dest" sh "$0" "$dest" "$@"
fi
if [ $# -eq 0 ]; then
    if [ -e "$looked" ]; then
        cat "$looked"
        exit 0
    fi
    set -- bookworm trixie forky sid
fi
for program in apt-get apt-cache dpkg-deb; do
    command -v $program >/dev/null 2>&1 || { say "no $program here: put etcd and etcdctl into $dest/VERSION/ by hand"; exit 1; }
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | awk '
    $1 == "URIs:" && $2 ~ /debian\/?$/ { print $2; exit }
    $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/.*debian\/?$/) { print $i; exit } }')
[ -n "$mirror" ] && [ -e $keyring ] || { say "apt has no Debian mirror here: put etcd and etcdctl into $dest/VERSION/ by hand"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

look_at() {  # look_at SUITE: its etcd is in DEST, or a reason is told
    root="$work/$1"
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/deb" "$root/tree"
    : >"$root/status"
    echo "deb [signed-by=$keyring] $mirror $1 main" >"$root/sources"
    cat >"$root/conf" <<END
Dir::Etc::SourceList "$root/sources"; Dir::Etc::SourceParts "/dev/null"; Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null"; Dir::State "$root"; Dir::State::status "$root/status"; Dir::Cache "$root/cache";
APT::Sandbox::User ""; APT::Update::Error-Mode "any"; Acquire::Retries "3"; Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
END
    export APT_CONFIG="$root/conf"
    apt-get -q update >"$root/log" 2>&1 || { say "$1: its list can't be fetched"; return 1; }
    package=$(apt-cache show --no-all-versions etcd-server 2>/dev/null | sed -n 's/^Version: //p')
    version=$(echo "$package" | sed 's/^[0-9]*://; s/[-+~].*//')
    [ -n "$version" ] || { say "$1 has no etcd"; return 0; }
    [ ! -x "$dest/$version/etcd" ] || return 0
    (cd "$root/deb" && apt-get -q download etcd-server etcd-client) >>"$root/log" 2>&1 ||
        { say "$1: etcd $version can't be fetched"; return 1; }
    for deb in "$root"/deb/*.deb; do dpkg-deb -x "$deb" "$root/tree"; done
    # A later suite's programs may want a libc that isn't here.
    if "$root/tree/usr/bin/etcd" --version >/dev/null 2>&1 && "$root/tree/usr/bin/etcdctl" version >/dev/null 2>&1; then
        mkdir -p "$dest/.part" && cp "$root/tree/usr/bin/etcd" "$root/tree/usr/bin/etcdctl" "$dest/.part/"
        mv "$dest/.part" "$dest/$version"
    else
        say "etcd $version of $1 doesn't start on this machine"
    fi
}

rm -rf "$dest/.part"
say "fetching etcd for the tests (suites $*)"
whole=yes
for suite in "$@"; do look_at "$suite" || whole=no; done
found=$(for folder in "$dest"/[0-9]*; do [ -x "$folder/etcd" ] && basename "$folder"; done | sort -V | tr '\n' ' ')
[ -n "$found" ] || { say "no etcd could be had: run 'sh tools/etcd.sh DEST' where a Debian mirror can be reached"; exit 1; }
echo "$found"
[ $whole = no ] || echo "$found" >"$looked"
