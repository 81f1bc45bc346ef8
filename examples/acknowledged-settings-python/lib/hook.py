#!/usr/bin/env python3
"""All hooks of this charm: publish what has changed, apply what is published, see who is missing."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["CHARM_DIR"], "lib"))
import charm

rollout = charm.AcknowledgedSettings("members")


def apply(settings):
    """Make the settings true on this unit. May run twice for one version."""
    with open(os.path.join(os.environ["CHARM_DIR"], "colour"), "w") as file:
        file.write(settings["colour"] + "\n")


def main():
    if charm.is_leader():
        rollout.publish(colour=charm.config_get("colour"))
    if rollout.apply(apply):
        charm.status_set("active", f"version {rollout.version}")
    else:
        charm.status_set("waiting", "for leader")
    if charm.is_leader():
        missing = rollout.missing()
        if missing:
            charm.status_set("waiting", "; ".join(f"{m.unit}: {m.why}" for m in missing), application=True)
        else:
            charm.status_set("active", f"version {rollout.version} is everywhere", application=True)


try:
    main()
except charm.NotLeader:
    charm.log("deposed: the next leader takes it up where it stands")
