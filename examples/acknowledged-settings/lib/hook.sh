#!/bin/sh
# All hooks of this charm: publish what has changed, apply what is published, see who is missing.
set -eu
. "$CHARM_DIR/lib/acknowledged.sh"

write_colour() {
    leader-get colour >"$CHARM_DIR/colour"
}

publish colour "$(config-get colour)"
if apply write_colour; then
    status-set active "version $(leader-get settings-version)"
else
    status-set waiting "for leader"
fi
if [ "$(is-leader)" = True ] && missing=$(missing); then
    if [ -n "$missing" ]; then
        status-set --application waiting "$(echo "$missing" | tr '\n' ';')"
    else
        status-set --application active "version $(leader-get settings-version) is everywhere"
    fi
fi
