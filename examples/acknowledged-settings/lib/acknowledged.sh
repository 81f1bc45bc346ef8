# The acknowledged settings of the how-to with plain hook tools. Sourced by the hooks; needs the hook tools, grep, sed, tr, date.
# The keys are those of AcknowledgedSettings in the charm library, so `tenure settings APP --acknowledged` reads them, too.

# publish KEY VALUE: on the leader, make it a new version of the settings, unless it is so already.
publish() {
    [ "$(is-leader)" = True ] || return 0
    version=$(leader-get settings-version)
    if [ -n "$version" ] && [ "$(leader-get "$1")" = "$2" ]; then return 0; fi
    # One call: the value and its version land together, or neither does. A minion's, or a deposed leader's, is refused.
    # Refused because another unit leads by now: it publishes in its own leader-elected.
    leader-set "$1=$2" "settings-version=$((${version:-0} + 1))" "settings-published=$(date -u +%Y-%m-%dT%H:%M:%SZ)" ||
        [ "$(is-leader)" = False ]
}

# apply COMMAND…: run COMMAND if this unit hasn't acknowledged the version that is published, then acknowledge it.
# What fails ends the hook (set -e), and is not acknowledged. Fails where nothing is published yet, or there is no relation.
apply() {
    version=$(leader-get settings-version)
    relation=$(relation-ids members)
    [ -n "$version" ] || return 1
    if [ -n "$relation" ]; then
        [ "$(relation-get -r "$relation" settings-acknowledged "$JUJU_UNIT_NAME")" != "$version" ] || return 0
    fi
    "$@" || exit 1
    [ -n "$relation" ] || return 1
    relation-set -r "$relation" "settings-acknowledged=$version" || exit 1
}

# missing: print who of the members there are now hasn't acknowledged it, with the reason, one a line. Fails on a minion.
# The first of these that is so: its agent is lost (only Tenure tells), a hook of it has failed, it hasn't joined, …
missing() {
    version=$(leader-get settings-version)
    relation=$(relation-ids members)
    status=$(status-get --application --include-data --format=json) || return 1
    # A quote within a message is escaped: only the units' own names match.
    for unit in $(echo "$status" | grep -oE "\"${JUJU_UNIT_NAME%/*}/[0-9]+\":\{" | tr -d '":{'); do
        joined=yes
        acknowledged=$(relation-get -r "$relation" settings-acknowledged "$unit" 2>/dev/null) || joined=
        [ "$acknowledged" != "$version" ] || continue
        said=$(echo "$status" | grep -oE "\"$unit\":\{[^}]*")
        case $said in
        *'"message":"agent lost'*) why="agent lost" ;;
        *'"status":"error"'*) why="in error: $(echo "$said" | sed -n 's/.*"hook":"\([^"]*\)".*/\1/p')" ;;
        *) [ "$joined" ] && why="acknowledged version ${acknowledged:-0} of $version" || why="hasn't joined" ;;
        esac
        echo "$unit: $why"
    done
}
